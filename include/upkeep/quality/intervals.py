"""The intervals of scores: the percentile bootstrap by sums (Efron 1979), and what stats gives.

A resample of n samples is n positions drawn with replacement. How often each was drawn, times
the table of the samples' statistics, gives the resample's sums: one matrix product for many
resamples in place of a copy of the table for each. The positions are those of
:func:`upkeep.quality.bootstrap` under the same seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from upkeep.quality import Settings
from upkeep.records import Interval
from upkeep.stats import Estimate

BLOCK = 2**14
"""Draws held at once, unless one resample is more: they stay in the processor's cache."""


def resampled_sums(table: NDArray[Any], settings: Settings) -> NDArray[np.float64]:
    """The sums over each resample, shape [resamples, k], of ``table``, shape [n, k].

    Exact for whole numbers up to 2^53.
    """
    values = np.asarray(table, dtype=np.float64)
    n, columns = values.shape
    draw = np.random.default_rng(settings.seed)
    sums = np.empty((settings.resamples, columns))
    step = max(1, BLOCK // n)
    for first in range(0, settings.resamples, step):
        rows = min(step, settings.resamples - first)
        places = draw.integers(0, n, (rows, n))
        places += np.arange(rows)[:, None] * n  # one count for all rows of the block
        drawn = np.bincount(places.ravel(), minlength=rows * n).reshape(rows, n)
        sums[first : first + rows] = drawn @ values
    return sums


def percentile_interval(values: NDArray[Any], settings: Settings) -> Interval:
    """The middle ``confidence`` of the resamples' scores, shape [resamples]."""
    tail = (1.0 - settings.confidence) / 2.0
    low, high = np.quantile(values, (tail, 1.0 - tail))
    return Interval(low=float(low), high=float(high), confidence=settings.confidence)


def bounded_interval(found: Estimate) -> Interval | None:
    """The interval of an estimate; without bound (one sample) it is no record: None."""
    if not found.bounded:
        return None
    return Interval(low=found.low, high=found.high, confidence=found.confidence)
