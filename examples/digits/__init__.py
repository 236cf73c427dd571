"""The example models ``digits-gan`` and ``digits-vae``: images of handwritten digits.

What they learn from, how they are trained, and the production that they really serve.
"""
