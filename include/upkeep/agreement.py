"""How far people agree with each other, and a measure with people. Pure statistics.

All intervals of one correlation are made one way: Fisher's z with the standard error of the
statistic (Bonett & Wright 2000), not a bootstrap. It costs nothing at any number of outputs,
needs no seed, and for ranks it holds where the scores are far from normal, which neither the
percentile bootstrap nor Pearson's own interval does (Bishara & Hittner 2017, "Confidence
intervals for correlations when data are not normal", Behavior Research Methods 49).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from upkeep.records import Interval
from upkeep.records.people import Statistic
from upkeep.stats import mean_interval

if TYPE_CHECKING:
    import numpy as np

MIN_POINTS = 4  # Fisher's z has n - 3 in its error
CONFIDENCE = 0.95
_BELOW_ONE = 1.0 - 1e-15


class Correlation(NamedTuple):
    """A correlation (-1 to 1), its interval and how many points it stands on.

    ``value`` is None where it is undefined: under four points, no spread on one side, or a
    number that is not finite. ``interval`` is None where nothing bounds the value.
    """

    value: float | None
    interval: Interval | None
    n: int

    def negated(self) -> Correlation:
        """The correlation with one side turned round."""
        if self.value is None:
            return self
        turned = self.interval and Interval(
            low=-self.interval.high, high=-self.interval.low, confidence=self.interval.confidence
        )
        return Correlation(-self.value, turned, self.n)


def alpha(ratings: np.ndarray) -> float | None:
    """Krippendorff's alpha for ordinal data: 1 is full agreement, 0 is chance, under 0 is worse.

    alpha = 1 - observed / expected disagreement, by the library krippendorff (Hayes &
    Krippendorff 2007, "Answering the call for a standard reliability measure for coding
    data", Communication Methods and Measures 1). ``ratings`` has shape [outputs, values]: how
    many people gave an output each value, the lowest value first; any number of people may
    have left an output out. None where alpha is undefined: no output has two people, or all
    that can be paired are the same value, so that there is nothing to agree about.
    """
    import numpy as np
    from krippendorff import alpha as krippendorff_alpha

    counts = np.asarray(ratings)
    pairable = counts[counts.sum(axis=1) > 1] if counts.size else counts
    if not pairable.size or np.count_nonzero(pairable.sum(axis=0)) < 2:  # noqa: PLR2004
        return None
    return float(krippendorff_alpha(value_counts=pairable, level_of_measurement="ordinal"))


def correlate(
    measure_scores: Sequence[float] | np.ndarray,
    human_scores: Sequence[float] | np.ndarray,
    statistic: Statistic,
) -> Correlation:
    """Pearson's r, Spearman's rho or Kendall's tau-b (scipy) of two lists, shape [n] each.

    The interval is tanh(atanh(r) +- 1.96 * error), with error = 1 / sqrt(n - 3) for Pearson,
    sqrt((1 + r^2 / 2) / (n - 3)) for Spearman and sqrt(0.437 / (n - 4)) for Kendall (Bonett &
    Wright 2000, "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations", Psychometrika 65). A full rank correlation counts as one swap of two
    neighbours away from it, so that a few outputs are never certain. Pearson's supposes
    normal scores. ValueError where the lengths differ.
    """
    import numpy as np

    x, y = _pair(measure_scores, human_scores)
    if x.ndim != 1:
        raise ValueError(f"shape {x.shape}: one list of scores needed")
    n = len(x)
    if n < MIN_POINTS or not _varied(x[None], y[None])[0]:
        return Correlation(None, None, n)
    value = float(np.clip(_function(statistic)(x, y).statistic, -1.0, 1.0))
    return Correlation(value, _fisher(value, n, statistic), n)


def over_prompts(
    measure_scores: np.ndarray, human_scores: np.ndarray, statistic: Statistic
) -> Correlation:
    """Sample level where several systems answered the same prompts, as in HANNA.

    The mean over prompts of the correlation over systems (Chhun et al. 2022, "Of Human
    Criteria and Automatic Metrics", COLING). Both have shape [prompts, systems]. Prompts
    without spread are left out; ``n`` counts the others. The interval is Student's over
    prompts, cut to -1 .. 1. None under four systems or where no prompt has spread.
    """
    x, y = _pair(measure_scores, human_scores)
    if x.ndim != 2:  # noqa: PLR2004 - prompts and systems
        raise ValueError(f"shape {x.shape}: [prompts, systems] needed")
    usable = _varied(x, y)
    if x.shape[1] < MIN_POINTS or not usable.any():
        return Correlation(None, None, 0)
    values = _function(statistic)(x[usable], y[usable], axis=1).statistic
    found = mean_interval([float(value) for value in values], CONFIDENCE)
    low, high = max(-1.0, found.low), min(1.0, found.high)
    interval = Interval(low=low, high=high, confidence=CONFIDENCE) if found.bounded else None
    return Correlation(found.value, interval, found.n)


def over_systems(
    measure_scores: Sequence[float] | np.ndarray,
    human_scores: Sequence[float] | np.ndarray,
    systems: Sequence[str],
    statistic: Statistic,
) -> Correlation:
    """System level: correlate the means of each system; all have shape [n], ``n`` counts systems.

    ValueError where the lengths differ.
    """
    x, y = system_means(measure_scores, systems), system_means(human_scores, systems)
    return correlate(list(x.values()), list(y.values()), statistic)


def system_means(scores: Sequence[float] | np.ndarray, systems: Sequence[str]) -> dict[str, float]:
    """The mean score of each system, systems in alphabetical order; shape [n] each.

    numpy's mean, in the order given: HANNA's published ranks at system level need its very
    rounding, which breaks one exact tie of two systems in the sixteenth digit. ValueError where
    the lengths differ.
    """
    import numpy as np

    numbers, names = np.asarray(scores, dtype=float), np.asarray(systems, dtype=str)
    if len(numbers) != len(names):
        raise ValueError(f"{len(numbers)} scores of {len(names)} systems")
    if not len(names):
        return {}
    found, starts = np.unique(np.sort(names), return_index=True)
    groups = np.split(numbers[np.argsort(names, kind="stable")], starts[1:])
    return {str(name): float(group.mean()) for name, group in zip(found, groups, strict=True)}


def _pair(
    one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    x, y = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"shapes differ: {x.shape} scores of the measure, {y.shape} of people")
    return x, y


def _varied(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which rows are finite and have spread on both sides, [rows]."""
    import numpy as np

    finite = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    spread = (x != x[:, :1]).any(axis=1) & (y != y[:, :1]).any(axis=1)
    return np.asarray(finite & spread)


def _function(statistic: Statistic) -> Callable[..., Any]:
    from scipy import stats

    functions = {
        "pearson": stats.pearsonr,
        "spearman": stats.spearmanrho,
        "kendall": stats.kendalltau,
    }
    found: Callable[..., Any] = functions[statistic]
    return found


def _fisher(value: float, n: int, statistic: Statistic) -> Interval | None:
    """Fisher's interval; None for Kendall's tau of four points, whose error has n - 4 below."""
    if statistic == "pearson":
        variance, swap = 1.0 / (n - 3), 0.0
    elif statistic == "spearman":
        variance, swap = (1.0 + value**2 / 2.0) / (n - 3), 12.0 / (n * (n**2 - 1))
    else:
        variance, swap = 0.437 / (n - 4) if n > MIN_POINTS else math.inf, 4.0 / (n * (n - 1))
    if math.isinf(variance):
        return None
    most = min(_BELOW_ONE, 1.0 - swap)
    centre = math.atanh(max(-most, min(most, value)))
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0) * math.sqrt(variance)
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return Interval(low=min(low, value), high=max(high, value), confidence=CONFIDENCE)
