"""Frechet distance between the features of a day's images and of real ones: 0 is best.

FID = |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))

of Gaussians with the features' means and covariances (Heusel et al. 2017, "GANs trained by a
two time-scale update rule converge to a local Nash equilibrium"), computed in float64 by
torchmetrics. FID of n images is too large by a term of order 1/n that differs between models
(Chong & Forsyth 2020, "Effectively unbiased FID and Inception score and where to find them"),
so that it would follow the day's traffic. The score is therefore FID at infinite n: linear in
1/n, by the delete-a-group jackknife over 20 random groups of the outputs and of the references;
its interval is Student's over the groups' pseudo-values (see :mod:`upkeep.quality.jackknife`).
Near 0 it may be negative, as every estimate without bias. Unit: squared feature units.

Under 100 images, or two a feature, of either kind there is no score: the extrapolation does
not hold where covariances are nearly singular, and KID has no bias at any n. Slices under that
are left out. Cost: 21 eigenvalue problems of D x D, in all and a slice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ParamError
from upkeep.quality import Material, Score, Settings, by_slice, finite
from upkeep.quality.intervals import bounded_interval
from upkeep.quality.jackknife import extrapolated, shuffled_groups
from upkeep.records import SliceScore

NAME = "fid"
GROUPS = 20
FEWEST = 100
"""Five images a group: a group's score is then not that of one odd image."""

FEWEST_PER_FEATURE = 2
"""A covariance of D features needs n > D to be regular, and twice that to be near its own."""


def measure(material: Material, name: str) -> Score:  # noqa: ARG001 - the file has one
    """FID at infinite n of the day's images against the references, in all and a slice.

    Raises ParamError where images, references or an extractor are missing, or too few.
    """
    from importlib.metadata import version

    sets, settings = material.features, material.settings
    sets.require(NAME, settings)
    real, made = sets.references, sets.outputs
    needed = max(FEWEST, FEWEST_PER_FEATURE * real.shape[1])
    for where, rows in (("quality.references", real), ("fid: samples with an image", made)):
        if len(rows) < needed:
            rule = f"n < min_n = {needed} (max of {FEWEST} and {FEWEST_PER_FEATURE} a feature)"
            raise ParamError(where, len(rows), rule, "use kid, or collect more")
    whole = _slice("all", real, made, settings)
    return Score(
        measure=NAME,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="squared feature units",
        direction="lower_is_better",
        signature=(
            f"fid|n:infinite|jackknife:{GROUPS}|{sets.signature}"
            f"|torchmetrics:{version('torchmetrics')}|seed:{settings.seed}"
        ),
        slices=tuple(
            _slice(part, real, made[places], settings)
            for part, places in by_slice(sets.samples, settings).items()
            if len(places) >= needed
        ),
    )


def frechet_distance(real: NDArray[np.float64], made: NDArray[np.float64]) -> float:
    """Plain FID of features [M, D] and [N, D], M and N at least 2: torchmetrics in float64."""
    return _Frechet(real.shape[1]).distance(real, made)


def _slice(
    where: str, real: NDArray[np.float64], made: NDArray[np.float64], settings: Settings
) -> SliceScore:
    frechet = _Frechet(real.shape[1])
    groups = zip(
        shuffled_groups(len(real), GROUPS, settings.seed),
        shuffled_groups(len(made), GROUPS, settings.seed + 1),
        strict=True,
    )
    whole = finite(NAME, where, frechet.distance(real, made))
    without = [
        finite(NAME, where, frechet.distance(np.delete(real, a, 0), np.delete(made, b, 0)))
        for a, b in groups
    ]
    found = extrapolated(whole, without, settings.confidence)
    return SliceScore(name=where, score=found.value, interval=bounded_interval(found), n=len(made))


class _Frechet:
    """torchmetrics' FID of features that are there already, of ``columns`` columns."""

    def __init__(self, columns: int) -> None:
        from torch.nn import Identity
        from torchmetrics.image.fid import FrechetInceptionDistance

        given = Identity()
        given.num_features = columns
        self._metric: Any = FrechetInceptionDistance(feature=given).set_dtype(_float64())

    def distance(self, real: NDArray[np.float64], made: NDArray[np.float64]) -> float:
        import torch

        self._metric.reset()
        # A common shift moves no distance, and keeps sums of squares small beside the spread.
        centre = real.mean(axis=0)
        self._metric.update(torch.from_numpy(real - centre), real=True)
        self._metric.update(torch.from_numpy(made - centre), real=False)
        return float(self._metric.compute())


def _float64() -> Any:
    import torch

    return torch.float64
