"""Scores are generalised least squares; alarms come as rarely as is promised."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from upkeep import noise, scan
from upkeep.noise import Whitened
from upkeep.panel import Floats
from upkeep.scan import Sureness

WINDOW = 14
LAST = 13  # the column under review where least squares are done


def sure(charts: int) -> Sureness:
    """Charts whose sd and autocorrelation are known."""
    return Sureness(np.full(charts, 1e12), np.zeros(charts))


def days_of(values: Floats, rho: float = 0.0) -> Whitened:
    """Days whose neighbours have correlation ``rho``, NaN where one is missing."""
    return noise.whiten(values, np.arange(values.shape[1]), np.full(len(values), rho))


# ---------------------------------------------------------------- scores


@settings(max_examples=40)
@given(st.integers(0, 100_000), st.integers(1, 8))
def test_each_beginning_is_generalised_least_squares(seed: int, window: int) -> None:
    """Three charts with gaps: scores are lstsq's step over its error, level and step whitened.

    Used are the level's days before the beginning and all days from it on.
    """
    random_ = np.random.default_rng(seed)
    ordinals = np.cumsum(random_.integers(1, 4, size=14))
    values = random_.normal(size=(3, 14)) * random_.choice([1.0, 4.0], size=(3, 14))
    values[random_.random(values.shape) < 0.25] = np.nan
    level = (random_.random(values.shape) < 0.7).astype(np.float64)
    rho = random_.uniform(-0.3, 0.85, 3)
    known = Sureness(random_.uniform(8.0, 60.0, 3), random_.uniform(0.0, 0.3, 3))
    found = scan.scan(noise.whiten(values, ordinals, rho), level, known, window)
    assert found.shape == (window, 3)
    for chart in range(3):
        one = _Chart(values[chart], ordinals, level[chart] > 0.0, rho[chart])
        for back in range(window):
            unsure = known.c[chart] * back / (back + 1.0)
            df = 1.0 / (1.0 / known.df[chart] + 2.0 * unsure**2)
            expected = one.score(LAST - back, df)
            np.testing.assert_allclose(found[back, chart], expected, rtol=1e-6, atol=1e-8)


class _Chart:
    """One chart, whitened by the Cholesky factor of its days' covariance."""

    def __init__(
        self,
        values: Floats,
        ordinals: np.ndarray,
        level: np.ndarray,
        rho: float,
    ) -> None:
        self.seen = np.flatnonzero(~np.isnan(values))
        days = ordinals[self.seen]
        self.back = np.linalg.inv(np.linalg.cholesky(rho ** np.abs(days[:, None] - days)))
        self.values, self.level = values[self.seen], level[self.seen]

    def score(self, begin: int, df: float) -> float:
        """The normal score of a change on the column ``begin``; NaN where it cannot be told."""
        used = (self.seen >= begin) | self.level
        if begin not in self.seen or not (used & (self.seen < begin)).any():
            return np.nan
        residuals = self.back @ self.values
        clipped = np.clip(residuals, -4.0, 4.0)
        if begin == LAST:
            clipped[-1] = residuals[-1]
        step = (self.seen >= begin).astype(np.float64)
        design = self.back @ np.stack([np.ones(self.seen.size), step], axis=1)
        found, *_ = np.linalg.lstsq(design[used], clipped[used])
        error = np.sqrt(np.linalg.inv(design[used].T @ design[used])[1, 1])
        t = stats.t(df, scale=np.sqrt((df - 2.0) / df))  # of unit variance
        return float(stats.norm.isf(t.sf(abs(found[1]) / error)) * np.sign(found[1]))


def test_a_beginning_before_the_level_is_known_has_no_score() -> None:
    """The level is known from the fourth of six days on: only two beginnings come after it."""
    level = np.array([[0.0, 0.0, 0.0, 1.0, 1.0, 0.0]])
    found = scan.scan(days_of(np.arange(6.0)[None, :], 0.5), level, sure(1), 5)
    assert np.isnan(found[:, 0]).tolist() == [False, False, True, True, True]


def test_a_known_level_makes_the_score_a_mean_in_standard_errors() -> None:
    """After 10,000 days of level 0, four days at 0.5 sd are 1 standard error, one is 0.5."""
    values = np.concatenate([np.zeros(10_000), np.full(4, 0.5)])[None, :]
    level = (np.arange(values.size) < 10_000)[None, :].astype(np.float64)
    found = scan.scan(days_of(values), level, sure(1), 4)
    np.testing.assert_allclose(found[:, 0], 0.5 * np.sqrt([1, 2, 3, 4]), rtol=1e-3)


def test_a_wild_day_counts_fully_alone_and_four_sd_in_a_sum() -> None:
    """A last day of 30 sd: alone its score is 30, together with the day before 4 / sqrt(2)."""
    values = np.concatenate([np.zeros(10_000), [0.0, 30.0]])[None, :]
    level = (np.arange(values.size) < 10_000)[None, :].astype(np.float64)
    score = scan.scan(days_of(values), level, sure(1), 2)[:, 0]
    assert score.tolist() == pytest.approx([30.0, 4.0 / np.sqrt(2.0)], rel=1e-3)


# ---------------------------------------------------------------- normal scores


@given(st.floats(-30.0, 30.0), st.floats(2.2, 1e6))
def test_normal_scores_have_the_tail_of_students_t_of_unit_variance(t: float, df: float) -> None:
    """P(Z > z) is P(T > t), by scipy.stats, in both directions."""
    found = float(scan.normal_scores(np.array([t]), np.array([df]))[0])
    tail = stats.t.sf(abs(t), df, scale=np.sqrt((df - 2.0) / df))
    assert stats.norm.sf(abs(found)) == pytest.approx(max(tail, 1e-300), rel=1e-6)
    assert np.sign(found) in (0.0, np.sign(t))


def test_absurd_scores_stay_finite_and_under_never() -> None:
    """A thousand sd, one degree of freedom: a number that a threshold of NEVER is not passed by."""
    found = scan.normal_scores(np.array([1e3, -1e300, 1e3]), np.array([1e12, 1e9, 1.0]))
    assert np.isfinite(found).all()
    assert np.abs(found).max() < scan.NEVER
    assert found[2] == scan.normal_scores(np.array([1e3]), np.array([scan.LEAST_DF]))[0]


# ---------------------------------------------------------------- alarms by chance


@pytest.mark.parametrize("window", [5, WINDOW])
@pytest.mark.parametrize("h", [2.5, 3.0])
def test_alarms_by_chance_are_as_rare_as_the_formula_promises(h: float, window: int) -> None:
    """White noise, a known level, 4,000 series of 120 days: 1/2 to 1.05 of the promised rate.

    The rate is that of the first alarm: one alarm for each series, over the days until then.
    """
    sums = np.cumsum(np.random.default_rng(11).normal(size=(4000, 120 + window)), axis=1)
    scores = [
        (sums[:, window:] - sums[:, window - k : -k]) / np.sqrt(k) for k in range(1, window + 1)
    ]
    passed = np.max(scores, axis=0) > h
    alarms, quiet = passed.any(axis=1), np.argmax(passed, axis=1)
    fresh = ~passed[:, 0]  # a series that begins above the threshold tells no rate
    exposed = np.where(alarms, quiet, passed.shape[1])[fresh].sum()
    promised = float(scan.alarm_rate(np.array([h]), window, np.zeros(1))[0])
    assert 0.5 < alarms[fresh].sum() / exposed / promised < 1.05


@pytest.mark.parametrize("reach", [1.0, 1.5, 2.5])
def test_a_tolerance_makes_alarms_as_rare_as_promised(reach: float) -> None:
    """As above, and the mean since the beginning must be beyond the tolerance too."""
    sums = np.cumsum(np.random.default_rng(13).normal(size=(8000, 120 + WINDOW)), axis=1)
    means = [(sums[:, WINDOW:] - sums[:, WINDOW - k : -k]) / k for k in range(1, WINDOW + 1)]
    scores = np.array([mean * np.sqrt(k) for k, mean in enumerate(means, start=1)])
    best = np.argmax(scores, axis=0)[None]
    score = np.take_along_axis(scores, best, axis=0)[0]
    mean = np.take_along_axis(np.array(means), best, axis=0)[0]
    passed = (score > 2.5) & (mean > reach)
    alarms, quiet = passed.any(axis=1), np.argmax(passed, axis=1)
    fresh = ~passed[:, 0]
    exposed = np.where(alarms, quiet, passed.shape[1])[fresh].sum()
    promised = float(scan.alarm_rate(np.array([2.5]), WINDOW, np.array([reach]))[0])
    assert 0.4 < alarms[fresh].sum() / exposed / promised < 1.1


def test_the_simulated_statistic_is_the_scans() -> None:
    """The last day's scores of the scan are those of the simulation above, for normal days."""
    values = np.random.default_rng(12).normal(size=(20, 20_000)).clip(-4.0, 4.0)
    level = np.ones_like(values)
    level[:, -WINDOW:] = 0.0
    found = scan.scan(days_of(values), level, sure(20), WINDOW)
    for k in range(1, WINDOW + 1):
        expected = values[:, -k:].sum(axis=1) / np.sqrt(k) - np.sqrt(k) * values.mean(axis=1)
        np.testing.assert_allclose(found[k - 1], expected, atol=0.01)


def test_a_window_of_one_day_is_a_single_test_a_day() -> None:
    found = scan.alarm_rate(np.array([2.0, 3.0, 4.0]), 1, np.zeros(3))
    np.testing.assert_allclose(found, stats.norm.sf([2.0, 3.0, 4.0]), rtol=1e-9)


# ---------------------------------------------------------------- the threshold


def shared(reach: Floats, rate: float, window: int) -> Floats:
    """Thresholds of charts that share a rate."""
    return scan.thresholds(reach, scan.parts(reach, rate), window)


BUDGETS = (0.02, 0.005, 0.001, 1e-4, 1e-6)


@pytest.mark.parametrize("window", [1, 5, WINDOW])
@pytest.mark.parametrize(
    "tolerances", [[0.0], [0.0] * 12, [0.5, 1.0, 2.2, 2.9, 3.3, 4.5], [0.0, 2.5, scan.NEVER]]
)
def test_at_the_threshold_the_rates_of_all_charts_are_the_budget(
    tolerances: list[float], window: int
) -> None:
    """For budgets that can be met; a smaller budget needs more evidence."""
    reach = np.array(tolerances)
    found = [shared(reach, budget, window) for budget in BUDGETS]
    able = reach < scan.NEVER
    assert all((a <= b).all() for a, b in pairwise(found))
    assert (found[0] < found[-1])[able].all()
    for budget, h in zip(BUDGETS, found, strict=True):
        rates = scan.alarm_rate(h, window, reach)
        inside = (scan.GRID[0] < h) & (h < scan.GRID[-1])
        assert rates.sum() <= 1.01 * budget
        if inside[able].all():
            assert rates.sum() == pytest.approx(budget, rel=0.01)


def test_parts_of_the_budget_make_the_sum_of_delays_least() -> None:
    """Delays of h^2 / reach^2 days: no other parts of the rate have a smaller sum."""
    reach, rate = np.array([1.0, 1.3, 2.0, 2.8]), 0.0027
    best = shared(reach, rate, WINDOW)
    rates = scan.alarm_rate(best, WINDOW, reach)
    least = np.sum((best / reach) ** 2)
    for one, other in permutations(range(4), 2):
        moved = rates.copy()
        moved[one], moved[other] = 0.5 * rates[one], rates[other] + 0.5 * rates[one]
        h = [_threshold(r, x) for r, x in zip(reach, moved, strict=True)]
        assert np.sum((np.array(h) / reach) ** 2) > least


def _threshold(reach: float, rate: float) -> float:
    """The threshold with this rate, by bisection."""

    def over(h: float) -> float:
        return float(scan.alarm_rate(np.array([h]), WINDOW, np.array([reach]))[0]) - rate

    return float(optimize.brentq(over, 2.0, 7.0))


def test_charts_that_never_alarm_need_none_of_the_budget() -> None:
    """A hundred charts whose tolerance chance does not reach change nothing."""
    charts = np.array([0.0, 1.0, 2.5])
    with_quiet = np.concatenate([np.full(100, scan.NEVER), charts])
    found = shared(with_quiet, 0.001, WINDOW)
    assert found[100:].tolist() == shared(charts, 0.001, WINDOW).tolist()
    assert set(found[:100]) == {2.0}


def test_more_charts_need_more_evidence_each() -> None:
    one, many = (shared(np.zeros(n), 0.001, WINDOW)[0] for n in (1, 30))
    assert one < many


def test_the_threshold_stays_between_two_and_seven() -> None:
    """A budget that anything fits is 2, one that nothing fits is 7 standard deviations."""
    assert shared(np.zeros(1), 1.0, WINDOW).tolist() == [2.0]
    assert shared(np.zeros(1), 1e-12, WINDOW).tolist() == [7.0]
