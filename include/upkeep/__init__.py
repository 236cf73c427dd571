"""Upkeep keeps a fleet of production generative models good and cheap. Start at ``records``."""
