"""The delete-a-group jackknife: a score without its bias of order 1/n, and its interval.

With G random groups, T the score of all and T_g the score without group g, the pseudo-values

P_g = G * T - (G - 1) * T_g

have as their mean the score extrapolated linearly in 1/n, from n and n(1 - 1/G), to 1/n = 0
(Quenouille 1956, "Notes on bias in estimation", Biometrika 43), and Student's interval over
them is its interval (Tukey 1958; Kott 2001, "The delete-a-group jackknife").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from upkeep.stats import Estimate, mean_interval


def shuffled_groups(n: int, groups: int, seed: int) -> list[NDArray[np.int64]]:
    """The positions 0 .. n-1 in random groups, whose sizes differ by at most one."""
    shuffled = np.random.default_rng(seed).permutation(n)
    return [part.astype(np.int64) for part in np.array_split(shuffled, groups)]


def extrapolated(whole: float, without: Sequence[float], confidence: float) -> Estimate:
    """Mean and Student's interval of the pseudo-values; ``without`` has one score a group.

    ValueError for a score that is not finite.
    """
    groups = len(without)
    return mean_interval([groups * whole - (groups - 1) * each for each in without], confidence)
