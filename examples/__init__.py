"""The example: a small real model, its production, and the servers to watch it."""
