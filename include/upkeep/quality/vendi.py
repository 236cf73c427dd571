"""The Vendi score: how many different things a set of embeddings holds in effect.

VS = exp(-sum of l_i * ln l_i), with l_i the eigenvalues of K / n and K_ij = cosine(x_i, x_j)

(Friedman & Dieng 2023, "The Vendi Score: a diversity evaluation metric for machine learning",
Transactions on Machine Learning Research). Between 1 (all point the same way) and n (all at
right angles). Unit: effective number of different outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ArtifactError


def vendi(embeddings: NDArray[np.floating[Any]]) -> float:
    """The Vendi score of ``embeddings``, shape [n, d], with the cosine as kernel.

    The eigenvalues are those of the smaller of X X'/n [n, n] and X'X/n [d, d]: apart from zeros
    they are the same. An embedding of zeros has no direction; such ones count as equal to each
    other and as different from all else. ArtifactError for a number that is not finite, or for
    what is not a table of one row or more.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape:  # noqa: PLR2004 - rows and columns
        raise ArtifactError(
            "embeddings", rows.shape, "must be [n, d], both at least 1", "look at the extractor"
        )
    if not np.isfinite(rows).all():
        raise ArtifactError(
            "embeddings", None, "hold what is not a finite number", "look at the extractor"
        )
    unit = _directions(rows)
    n, d = unit.shape
    table = unit @ unit.T if n <= d else unit.T @ unit
    return _effective(table / n)


def kernel_vendi(kernel: NDArray[np.floating[Any]]) -> float:
    """The Vendi score of a ``kernel`` [n, n] that is known already, with ones on its diagonal."""
    return _effective(np.asarray(kernel, dtype=np.float64) / len(kernel))


def _effective(shared: NDArray[np.float64]) -> float:
    """Exp of the von Neumann entropy of a symmetric matrix [k, k] of trace 1."""
    shares = np.linalg.eigvalsh(shared)
    shares = shares[shares > np.finfo(np.float64).eps]  # rounding leaves some below zero
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1; a further column is 1 for the rows that are zero throughout."""
    # Scaled first, so that squares of very large or small numbers stay numbers.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    zero = largest == 0.0
    scaled = np.hstack([rows / np.where(zero, 1.0, largest), zero.astype(np.float64)])
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))
