"""Alpha and correlations equal published values; what is undefined is None, never a number."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from scipy import stats

from upkeep.agreement import (
    Correlation,
    alpha,
    correlate,
    over_prompts,
    over_systems,
    system_means,
)
from upkeep.records.people import Statistic

STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
# R's statpsych, reference page of ci.spear: estimate 0.8699639, 0.5840951 to 0.9638297.
STATPSYCH_Y = [21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19]
STATPSYCH_X = [67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51]


def table(*rows: list[int | None]) -> np.ndarray:
    """Raters' rows of values 1 to 5 -> how many gave each output each value, [outputs, 5]."""
    return np.array([[column.count(v) for v in range(1, 6)] for column in zip(*rows, strict=True)])


# ---------------------------------------------------------------- Krippendorff's alpha


def test_alpha_equals_krippendorffs_published_example() -> None:
    """Computing Krippendorff's Alpha-Reliability (2011), page 8: four observers, ordinal."""
    x = None
    ratings = table(
        [1, 2, 3, 3, 2, 1, 4, 1, 2, x, x, x],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, x, 3],
        [x, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, x],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, x],
    )
    assert alpha(ratings) == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize(
    ("ratings", "why"),
    [
        (np.zeros((0, 5), dtype=int), "nothing"),
        (table([1, 2, 3], [None, None, None]), "no output has two raters"),
        (table([3, 3, 3], [3, 3, 3]), "all ties"),
        (table([3, 3, 1], [3, 3, None]), "all ties where two raters met"),
    ],
)
def test_alpha_is_none_where_it_is_undefined(ratings: np.ndarray, why: str) -> None:
    """Alpha is none where it is undefined: neither 1 nor 0 would be true."""
    assert alpha(ratings) is None, why


def test_alpha_is_one_for_full_agreement_and_negative_for_contradiction() -> None:
    """Alpha is one for full agreement and negative for contradiction."""
    assert alpha(table([1, 2, 5, 4], [1, 2, 5, 4])) == pytest.approx(1.0)
    against = alpha(table([1, 5, 1, 5], [5, 1, 5, 1]))
    assert against is not None
    assert against < 0.0


def test_alpha_of_people_who_guess_is_near_zero() -> None:
    """Alpha of people who guess is near zero."""
    draw = np.random.default_rng(0)
    guessed = alpha(
        np.array([np.bincount(row, minlength=5) for row in draw.integers(0, 5, (2000, 3))])
    )
    assert guessed == pytest.approx(0.0, abs=0.04)


# ---------------------------------------------------------------- one correlation


def test_spearmans_interval_equals_that_of_statpsych() -> None:
    """Spearman's interval equals that of R's statpsych (Bonett & Wright 2000)."""
    found = correlate(STATPSYCH_X, STATPSYCH_Y, "spearman")
    assert found.interval is not None
    assert found.value == pytest.approx(0.8699639, abs=1e-7)
    assert found.interval.low == pytest.approx(0.5840951, abs=1e-7)
    assert found.interval.high == pytest.approx(0.9638297, abs=1e-7)


def test_pearsons_interval_equals_scipys() -> None:
    """Pearson's interval equals scipy's, which is Fisher's too."""
    expected = stats.pearsonr(STATPSYCH_X, STATPSYCH_Y).confidence_interval(0.95)
    found = correlate(STATPSYCH_X, STATPSYCH_Y, "pearson")
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected))


def test_kendalls_tau_counts_ties_as_tau_b_does() -> None:
    """tau-b by hand: 4 pairs together, 1 against, one tie on the left: 3 / sqrt(5 * 6)."""
    found = correlate([1, 2, 2, 3], [1, 3, 2, 4], "kendall")
    assert found.value == pytest.approx(5 / math.sqrt(5 * 6))
    assert found.interval is None  # its error divides by n - 4


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize(
    ("measure", "human"),
    [
        ([], []),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]),
        ([1.0, 2.0, 3.0, 4.0], [3.0, 3.0, 3.0, 3.0]),
        ([1.0, 2.0, math.nan, 4.0], [1.0, 2.0, 3.0, 4.0]),
        ([1.0, 2.0, 3.0, 4.0], [1.0, math.inf, 3.0, 4.0]),
    ],
)
def test_what_is_undefined_is_none(
    measure: list[float], human: list[float], statistic: Statistic
) -> None:
    """Under four points, no spread and numbers that are not finite give none, and no warning."""
    assert correlate(measure, human, statistic) == Correlation(None, None, len(measure))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_lengths_that_differ_are_refused(statistic: Statistic) -> None:
    """Lengths that differ are refused."""
    with pytest.raises(ValueError, match="shapes differ"):
        correlate([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0], statistic)
    with pytest.raises(ValueError, match="4 scores of 2 systems"):
        over_systems([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], ["a", "b"], statistic)


@pytest.mark.parametrize("statistic", ["spearman", "kendall"])
def test_a_few_outputs_in_full_order_are_not_certain(statistic: Statistic) -> None:
    """A perfect order of five is no proof; of a hundred it nearly is."""
    few, many = (correlate(range(n), range(n), statistic) for n in (5, 100))
    assert few.interval is not None
    assert many.interval is not None
    assert (few.value, many.value) == pytest.approx((1.0, 1.0))
    assert few.interval.low < 0.6
    assert many.interval.low > 0.99
    assert many.interval.high == pytest.approx(1.0)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_negated_turns_the_value_and_its_interval(statistic: Statistic) -> None:
    """Negated turns the value and its interval, as negating one side does."""
    found = correlate(STATPSYCH_X, STATPSYCH_Y, statistic).negated()
    other = correlate([-x for x in STATPSYCH_X], STATPSYCH_Y, statistic)
    assert found.value == pytest.approx(other.value)
    assert found.interval is not None
    assert other.interval is not None
    assert found.interval.low == pytest.approx(other.interval.low)
    assert correlate([], [], statistic).negated() == Correlation(None, None, 0)


@pytest.mark.parametrize(("skewed", "rho"), [(False, 0.0), (True, 0.0), (False, 0.5), (True, 0.5)])
def test_spearmans_interval_covers_the_truth_on_tied_ratings(*, skewed: bool, rho: float) -> None:
    """Two raters on a scale of 1 to 5, 30 outputs: at least 92 of 100 intervals hold the truth."""
    draw = np.random.default_rng(7)

    def sample(n: int) -> tuple[np.ndarray, np.ndarray]:
        good = draw.normal(size=n)
        measure = rho * good + math.sqrt(1.0 - rho**2) * draw.normal(size=n)
        rated = np.clip(np.round(3.0 + good[:, None] + 0.8 * draw.normal(size=(n, 2))), 1, 5)
        return np.exp(2.0 * measure) if skewed else measure, rated.mean(axis=1)

    truth = correlate(*sample(100_000), "spearman").value
    assert truth is not None
    intervals = [correlate(*sample(30), "spearman").interval for _ in range(300)]
    assert np.mean([i is not None and i.low <= truth <= i.high for i in intervals]) >= 0.92


# ---------------------------------------------------------------- the two levels


def test_over_prompts_is_the_mean_of_the_prompts_that_have_spread() -> None:
    """Over prompts is the mean of the prompts that have spread."""
    measure = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4], [5, 5, 5, 5]], dtype=float)
    human = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 4, 3], [1, 2, 3, 4]], dtype=float)
    found = over_prompts(measure, human, "spearman")
    assert found.value == pytest.approx((1.0 - 1.0 + 0.8) / 3)
    assert found.n == 3
    assert found.interval is not None
    assert found.interval.low >= -1.0


@pytest.mark.parametrize("statistic", STATISTICS)
def test_over_prompts_without_four_systems_or_spread_is_none(statistic: Statistic) -> None:
    """Over prompts without four systems, or without spread, is none."""
    three, flat = np.arange(6.0).reshape(2, 3), np.ones((2, 5))
    for scores in (three, flat):
        assert over_prompts(scores, scores, statistic) == Correlation(None, None, 0)
    one = over_prompts(np.arange(5.0)[None], np.arange(5.0)[None], statistic)
    assert (one.value, one.interval, one.n) == (pytest.approx(1.0), None, 1)


def test_over_systems_correlates_the_means() -> None:
    """Over systems correlates the means, whatever the order of the rows."""
    systems = ["b", "a", "d", "c", "a", "b", "c", "d"]
    measure = [2.0, 0.0, 4.0, 3.0, 2.0, 2.0, 3.0, 4.0]
    assert system_means(measure, systems) == {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    human = [2.0, 1.0, 4.0, 3.0, 1.0, 2.0, 3.0, 4.0]
    found = over_systems(measure, human, systems, "pearson")
    assert found.value == pytest.approx(1.0)
    assert found.n == 4
    assert over_systems([], [], [], "pearson") == Correlation(None, None, 0)
