"""Whether a drift can be believed: a simulated fleet, planted faults, peers, and public data."""
