"""The example model ``docs-assistant``: its corpus, its training, its traffic, its server."""
