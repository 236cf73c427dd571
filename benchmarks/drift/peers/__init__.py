"""Other people's detectors on the same fleet: daily charts here, libraries in their own venvs."""
