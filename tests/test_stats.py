"""Intervals cover what they promise; nothing that is no number gets through."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep import stats
from upkeep.stats import Estimate

RUNS = 600
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def coverage(make: Callable[[random.Random], Estimate], truth: float) -> float:
    """Share of seeded runs whose interval holds the truth."""
    random_ = random.Random(20260305)
    intervals = [make(random_) for _ in range(RUNS)]
    return sum(e.low <= truth <= e.high for e in intervals) / RUNS


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda bad: stats.mean_interval([1.0, bad]), r"values\[1\]"),
        (lambda bad: stats.weighted_ratio_interval([1.0, bad], [1.0, 1.0]), r"sums\[1\]"),
        (lambda bad: stats.weighted_ratio_interval([1.0, 1.0], [1.0, bad]), r"weights\[1\]"),
        (lambda bad: stats.paired_ratio_interval([bad], [1.0], [1.0]), r"champion\[0\]"),
        (lambda bad: stats.paired_ratio_interval([1.0], [bad], [1.0]), r"candidate\[0\]"),
        (lambda bad: stats.paired_change_interval([1.0], [bad]), r"candidate\[0\]"),
        (lambda bad: stats.median_interval([bad]), r"values\[0\]"),
        (lambda bad: stats.median_ratio_interval([1.0], [bad]), r"candidate\[0\]"),
        (lambda bad: stats.robust_location_scale([bad]), r"values\[0\]"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_by_its_name(
    call: Callable[[float], Any], name: str, bad: float
) -> None:
    """NaN and infinity raise a ValueError that says which argument held them."""
    with pytest.raises(ValueError, match=name):
        call(bad)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stats.mean_interval([]), "values: 0 values"),
        (lambda: stats.median_interval([]), "values: 0 values"),
        (lambda: stats.robust_location_scale([]), "values: 0 values"),
        (lambda: stats.weighted_ratio_interval([], []), "sums: 0 values"),
        (lambda: stats.paired_ratio_interval([1.0], [1.0, 2.0], [1.0]), "lengths differ"),
        (lambda: stats.weighted_ratio_interval([1.0], [0.0]), "weights: the sum is zero"),
        (lambda: stats.weighted_ratio_interval([1.0, 1.0], [2.0, -1.0]), "is negative"),
        (lambda: stats.paired_change_interval([0.0], [1.0]), "champion: the sum is zero"),
        (lambda: stats.median_ratio_interval([0.0], [1.0]), "not a positive time"),
        (lambda: stats.median_ratio_interval([1e308], [1e-308]), "not finite"),
        (lambda: stats.weighted_ratio_interval([800.0], [1.0]), "not finite"),
        (lambda: stats.paired_ratio_interval([0.0], [800.0], [1.0]), "not finite"),
        (lambda: stats.mean_interval([1.0], confidence=1.0), "confidence is 1.0"),
        (lambda: stats.mean_interval([True]), "not a number"),
        (lambda: stats.mean_interval(["3"]), "not a number"),  # type: ignore[list-item]
    ],
)
def test_input_that_has_no_answer_is_refused(call: Callable[[], Any], words: str) -> None:
    """Empty, unequal, zero-weight, overflowing or non-numeric input raises in words."""
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "estimate",
    [
        stats.mean_interval([3.0]),
        stats.weighted_ratio_interval([2.0], [1.0]),
        stats.paired_ratio_interval([2.0], [2.1], [1.0]),
        stats.median_interval([1.0, 2.0, 3.0, 4.0, 5.0]),
        stats.median_ratio_interval([2.0] * 5, [1.0] * 5),
    ],
)
def test_too_little_data_gives_no_short_interval(estimate: Estimate) -> None:
    """One sample, or under six rounds for a median, bounds nothing: an unknown is no pass."""
    assert not estimate.bounded
    assert math.isinf(estimate.half_width)


# ---------------------------------------------------------------- intervals


def test_the_mean_of_a_known_sample() -> None:
    """1..5: mean 3, s = 1.5811, t(4) = 2.7764, half width 1.9632."""
    estimate = stats.mean_interval([1, 2, 3, 4, 5])
    assert estimate.value == 3.0
    assert estimate.half_width == pytest.approx(1.9632, abs=1e-4)
    assert estimate.n == 5


def test_perplexity_weighs_samples_by_their_tokens() -> None:
    """exp((2 + 12) / (2 + 4)): long samples count for more."""
    estimate = stats.weighted_ratio_interval([2.0, 12.0], [2.0, 4.0])
    assert estimate.value == pytest.approx(math.exp(14 / 6))
    assert estimate.low < estimate.value < estimate.high


def test_what_both_find_hard_cancels() -> None:
    """A candidate that is 2 % worse on every token is so exactly, however samples differ."""
    random_ = random.Random(1)
    tokens = [random_.randint(5, 60) for _ in range(40)]
    champion = [w * random_.uniform(1.0, 6.0) for w in tokens]
    candidate = [c + w * math.log(1.02) for c, w in zip(champion, tokens, strict=True)]
    estimate = stats.paired_ratio_interval(champion, candidate, tokens)
    assert estimate.value == pytest.approx(0.02)
    assert estimate.half_width < 1e-9


def test_the_mean_is_covered_as_often_as_promised() -> None:
    """Eight skewed values a run: between 90 % and 98 % of the 95 % intervals hold the mean."""
    covered = coverage(lambda r: stats.mean_interval([r.gammavariate(4, 1) for _ in range(8)]), 4)
    assert 0.90 <= covered <= 0.98


def noisy_text(random_: random.Random, n: int, nats: float) -> tuple[list[float], list[float]]:
    """Losses and token counts of ``n`` texts whose mean loss a token is ``nats``."""
    tokens = [float(random_.randint(5, 60)) for _ in range(n)]
    return [w * (nats + random_.gauss(0, 0.4)) for w in tokens], tokens


def test_perplexity_is_covered_as_often_as_promised() -> None:
    """30 texts a run: between 91 % and 98 % of the intervals hold exp(1.6)."""
    covered = coverage(
        lambda r: stats.weighted_ratio_interval(*noisy_text(r, 30, 1.6)), math.exp(1.6)
    )
    assert 0.91 <= covered <= 0.98


def test_a_paired_change_is_covered_as_often_as_promised() -> None:
    """30 paired texts a run: between 91 % and 98 % of the intervals hold the 3 %."""

    def pair(random_: random.Random) -> Estimate:
        before, tokens = noisy_text(random_, 30, 1.6)
        shift = math.log(1.03)
        after = [
            b + w * (shift + random_.gauss(0, 0.1)) for b, w in zip(before, tokens, strict=True)
        ]
        return stats.paired_ratio_interval(before, after, tokens)

    assert 0.91 <= coverage(pair, 0.03) <= 0.98


def test_a_changed_mean_score_is_covered_as_often_as_promised() -> None:
    """30 paired scores a run, 10 % lower: between 91 % and 98 % of the intervals hold it."""

    def pair(random_: random.Random) -> Estimate:
        before = [random_.uniform(20, 60) for _ in range(30)]
        return stats.paired_change_interval(before, [0.9 * b + random_.gauss(0, 3) for b in before])

    assert 0.91 <= coverage(pair, -0.10) <= 0.98


@pytest.mark.parametrize("rounds", [6, 9, 20])
def test_a_speedup_is_covered_at_least_as_often_as_promised(rounds: int) -> None:
    """Heavy-tailed times with a common slowdown: never under 93 % for a promised 95 %."""

    def race(random_: random.Random) -> Estimate:
        load = [random_.lognormvariate(0, 1) for _ in range(rounds)]
        champion = [2.0 * x * random_.lognormvariate(0, 0.2) for x in load]
        return stats.median_ratio_interval(
            champion, [x * random_.lognormvariate(0, 0.2) for x in load]
        )

    assert coverage(race, 2.0) >= 0.93


def test_the_median_interval_is_made_of_the_samples_own_values() -> None:
    """With ten values the 95 % interval runs from the second to the ninth (sign test)."""
    estimate = stats.median_interval([float(x) for x in range(1, 11)])
    assert (estimate.low, estimate.value, estimate.high) == (2.0, 5.5, 9.0)


@given(st.lists(NUMBERS, min_size=1, max_size=40))
def test_every_interval_holds_its_value(values: list[float]) -> None:
    """Whatever the numbers: low <= value <= high, and nothing is NaN."""
    for estimate in (stats.mean_interval(values), stats.median_interval(values)):
        assert estimate.low <= estimate.value <= estimate.high


# ---------------------------------------------------------------- noise and evidence


def test_one_wild_day_changes_neither_centre_nor_noise() -> None:
    """The median and MAD of ten days do not care how wild the eleventh is."""
    days = [10.0, 10.4, 9.7, 10.1, 9.9, 10.2, 9.8, 10.3, 9.6, 10.0]
    assert stats.robust_location_scale([*days, 1e6]) == stats.robust_location_scale([*days, 12.0])


@pytest.mark.parametrize("n", [3, 5, 9, 10, 28])
def test_the_noise_of_normal_days_is_estimated_without_bias(n: int) -> None:
    """Averaged over 3,000 samples of ``n`` days with noise 1 the scale is 1 within 5 %."""
    random_ = random.Random(n)
    scales = [
        stats.robust_location_scale([random_.gauss(5, 1) for _ in range(n)])[1] for _ in range(3000)
    ]
    assert math.fsum(scales) / len(scales) == pytest.approx(1.0, abs=0.05)


def test_equal_days_have_the_noise_of_the_floor() -> None:
    """Identical values, or one value, give the floor and never zero noise by accident."""
    assert stats.robust_location_scale([7.0] * 6, floor=0.25) == (7.0, 0.25)
    assert stats.robust_location_scale([7.0], floor=0.25) == (7.0, 0.25)
