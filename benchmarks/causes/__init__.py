"""Incidents with a known cause, and how often the diagnosis names it first."""
