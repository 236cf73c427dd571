"""Measurements beside named peers; never run by the tests."""
