"""The bootstrap by sums is the plain bootstrap, and what has no bound is no interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from upkeep import quality
from upkeep.quality import Settings, intervals
from upkeep.quality.intervals import bounded_interval, percentile_interval, resampled_sums
from upkeep.stats import Estimate


@pytest.mark.parametrize("block", [1, 50, 2**19])
def test_it_is_the_plain_bootstrap_under_the_same_seed(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of any size the resamples are those of ``quality.bootstrap``."""
    monkeypatch.setattr(intervals, "BLOCK", block)
    table = np.random.default_rng(3).integers(0, 1000, (17, 4))
    settings = Settings(resamples=101, seed=5)
    sums = resampled_sums(table, settings)
    assert sums.shape == (101, 4)
    expected = quality.bootstrap(17, lambda at: float(table[at].sum(axis=0)[2]), settings)
    assert percentile_interval(sums[:, 2], settings) == expected


def test_sums_of_whole_numbers_are_whole() -> None:
    """Sums of whole numbers are whole, however many are added."""
    table = np.full((1000, 1), 2**40, dtype=np.int64)
    assert set(resampled_sums(table, Settings(resamples=3))[:, 0]) == {1000.0 * 2**40}


@pytest.mark.parametrize("high", [math.inf, 2.0])
def test_an_estimate_without_bound_has_no_interval(high: float) -> None:
    """An estimate without bound has no interval."""
    found = bounded_interval(Estimate(1.0, 0.0, high, 0.9, 3))
    assert (found is None) == math.isinf(high)
    if found is not None:
        assert (found.low, found.high, found.confidence) == (0.0, 2.0, 0.9)
