"""Control charts on daily values: z-score, robust z-score, EWMA, CUSUM. Upwards is harmful.

Each day is standardised by the 28 days before it (at least 10 of them known), as such charts are
set up in practice. Thresholds lie in grids from the laxest to the strictest; the documented
default is one of each.

- z-score: mean and standard deviation, over 3 (Shewhart 1931);
- robust z-score: median and 1.4826 MAD, over 3.5 (Iglewicz and Hoaglin 1993);
- EWMA: w = 0.2 z + 0.8 w, over L sqrt(0.2 / 1.8), L = 2.7 (Lucas and Saccucci 1990);
- CUSUM: S = max(0, S + z - 0.5), over 5 (Page 1954; Montgomery's defaults), anew after an alarm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.drift.simulator import Floats

WINDOW, LEAST = 28, 10
MAD_TO_SD = 1.4826
LAMBDA = 0.2
ALLOWANCE = 0.5

Alarms = Callable[[Floats, float], Iterator[int]]


def moments(known: Floats) -> tuple[float, float]:
    """Mean and standard deviation."""
    return float(known.mean()), float(known.std(ddof=1))


def robust_moments(known: Floats) -> tuple[float, float]:
    """Median and scaled median absolute deviation."""
    centre = float(np.median(known))
    return centre, MAD_TO_SD * float(np.median(abs(known - centre)))


def scores(
    values: Floats, of: Callable[[Floats], tuple[float, float]] = moments
) -> Iterator[tuple[int, float]]:
    """Each known day from day 28 on, standardised by the 28 days before it."""
    for day in range(WINDOW, len(values)):
        before = values[day - WINDOW : day]
        known = before[~np.isnan(before)]
        if len(known) < LEAST or math.isnan(values[day]):
            continue
        centre, spread = of(known)
        if spread > 0.0:
            yield day, (float(values[day]) - centre) / spread


def z_score(
    values: Floats, threshold: float, of: Callable[[Floats], tuple[float, float]] = moments
) -> Iterator[int]:
    """Days beyond the threshold."""
    return (day for day, z in scores(values, of) if z > threshold)


def ewma(values: Floats, threshold: float) -> Iterator[int]:
    """Days on which the weighted mean lies beyond ``threshold`` of its standard deviations."""
    limit, mean = threshold * math.sqrt(LAMBDA / (2.0 - LAMBDA)), 0.0
    for day, z in scores(values):
        mean = LAMBDA * z + (1.0 - LAMBDA) * mean
        if mean > limit:
            yield day


def cusum(values: Floats, threshold: float) -> Iterator[int]:
    """Days on which the cumulative sum passes the threshold; it starts anew then."""
    total = 0.0
    for day, z in scores(values):
        total = max(0.0, total + z - ALLOWANCE)
        if total > threshold:
            yield day
            total = 0.0


@dataclass(frozen=True)
class Chart:
    """A chart and its thresholds."""

    name: str
    alarms: Alarms
    default: float
    thresholds: tuple[float, ...]


CHARTS = (
    Chart("z-score", z_score, 3.0, (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 9.0, 12.0)),
    Chart(
        "robust z-score",
        partial(z_score, of=robust_moments),
        3.5,
        (2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 9.0, 12.0, 16.0, 24.0),
    ),
    Chart("EWMA", ewma, 2.7, (2.0, 2.7, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)),
    Chart("CUSUM", cusum, 5.0, (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0)),
)
