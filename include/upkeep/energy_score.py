"""The energy score: how far painted images are from real ones of their class, a sample at a time.

ES = 1/m sum_k |x_k - y| - 1/(2 m (m - 1)) sum_{k != l} |x_k - x_l|

of m images x_k that a model paints for one request, against a real image y of the class that was
asked for, in the mean over the class' real images (Gneiting & Raftery 2007, "Strictly proper
scoring rules, prediction, and estimation", section 4.2; without bias at any m: Ferro 2014, "Fair
scores for ensemble forecasts"). |.| is the Euclidean distance of features. Lower is better; its
expectation is least for a model that paints as the real images are distributed, so that blurred
images, images of another class and always the same image all cost. It is never under 0 (triangle
inequality), and of a perfect model it is half the distance between two real images of a class: a
share of it means something. FID and KID are near 0 for a good model, where no share does, and no
sample has one alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ParamError

Table = NDArray[np.float64]


def energy_scores(made: Table, real: Table) -> NDArray[np.float64]:
    """The score [n] of each request: ``made`` [n, m, D] against ``real`` [r, D] of one class.

    Raises:
        ParamError: fewer than two images a request, or no real one.

    """
    from scipy.spatial.distance import cdist, pdist

    n, m, columns = made.shape
    if m < 2 or not len(real):  # noqa: PLR2004 - a pair
        rule = "two images a request and one real image at least"
        raise ParamError("draws", f"{m} images, {len(real)} real", rule, "give more")
    away = cdist(made.reshape(n * m, columns), real).reshape(n, m, len(real)).mean(axis=(1, 2))
    apart = np.array([pdist(images).mean() for images in made])
    return np.asarray(away - apart / 2.0)
