"""Autocorrelation, size and tails of ordinary days, against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import linalg, stats

from upkeep import noise
from upkeep.panel import Floats

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False) | st.just(np.nan)
TABLES = arrays.arrays(
    np.float64, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1), elements=NUMBERS
)


def normal(rows: int, days: int, seed: int = 5) -> Floats:
    """Independent days of sd 1."""
    return np.random.default_rng(seed).normal(size=(rows, days))


def correlated(rho: float, rows: int, days: int, seed: int = 6) -> Floats:
    """Days of sd 1 whose neighbours have correlation ``rho``."""
    steps = normal(rows, days, seed)
    found = steps.copy()
    for day in range(1, days):
        found[:, day] = rho * found[:, day - 1] + np.sqrt(1.0 - rho**2) * steps[:, day]
    return found


def with_gaps(table: Floats, share: float, seed: int = 7) -> Floats:
    """The table without this share of its days."""
    return np.where(np.random.default_rng(seed).random(table.shape) < share, np.nan, table)


# ---------------------------------------------------------------- medians


@given(TABLES)
def test_the_median_is_numpys_without_its_nan(table: Floats) -> None:
    """Any table: each row's median is nanmedian's, NaN where the row has nothing."""
    expected = [_median(row[~np.isnan(row)]) for row in table]
    np.testing.assert_allclose(noise.median_of(table), expected, rtol=1e-12)


def _median(known: Floats) -> float:
    return float(np.median(known)) if known.size else np.nan


def test_no_columns_have_no_median() -> None:
    assert np.isnan(noise.median_of(np.empty((3, 0)))).tolist() == [True] * 3


def test_the_robust_sd_is_the_normals_and_a_wild_day_does_not_move_it() -> None:
    """On 4,000 normal days of sd 3 it is 3; a day of a million changes it by under 1 %."""
    table = 3.0 * normal(1, 4000)
    calm = noise.robust_sd(table, np.zeros(1))[0]
    table[0, 17] = 1e6
    assert calm == pytest.approx(3.0, rel=0.05)
    assert noise.robust_sd(table, np.zeros(1))[0] == pytest.approx(calm, rel=0.01)


def test_the_robust_sd_is_at_least_its_floor() -> None:
    """Equal days, and days without a value, have the floor."""
    table = np.array([[0.0] * 5, [np.nan] * 5])
    assert noise.robust_sd(table, np.array([0.2, 0.3])).tolist() == [0.2, 0.3]


# ---------------------------------------------------------------- autocorrelation


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_autocorrelation_is_the_planted_one_drawn_towards_the_prior(
    rho: float, missing: float
) -> None:
    """Mean of 2,000 charts of 60 days; 15 days' worth of 0.15 are mixed in. Gaps do not bias."""
    table = with_gaps(correlated(rho, 2000, 60), missing)
    table = table - noise.median_of(table)[:, None]
    pairs = 59.0 * (1.0 - missing) ** 2
    drawn = (pairs * rho + 15.0 * 0.15) / (pairs + 15.0)
    found = noise.autocorrelation(table, np.arange(60), np.ones(2000))
    assert found.mean() == pytest.approx(drawn, abs=0.035)


def test_days_that_are_not_neighbours_are_no_pair() -> None:
    """Without weekends Friday and Monday are three days apart: only four pairs a week count."""
    week = np.arange(140) % 7 < 5
    table = correlated(0.6, 2000, 140)[:, week]
    drawn = (80 * 0.6 + 15.0 * 0.15) / 95.0
    found = noise.autocorrelation(table, np.arange(140)[week], np.ones(2000))
    assert found.mean() == pytest.approx(drawn, abs=0.03)


def test_autocorrelation_is_neither_negative_nor_near_one() -> None:
    """Days that alternate have 0, days that never turn 0.85, a chart without days the prior's."""
    table = np.array([[1.0, -1.0] * 30, [1.0] * 30 + [-1.0] * 30, [np.nan] * 60])
    found = noise.autocorrelation(table, np.arange(60), np.ones(3))
    assert found[0] == 0.0
    assert 0.7 < found[1] <= 0.85
    assert 0.0 < found[2] < 0.3


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.15, 0.5, 0.85]),
    st.lists(st.integers(1, 4), min_size=3, max_size=14),
)
def test_whitening_is_generalised_least_squares_with_gaps(
    seed: int, rho: float, steps: list[int]
) -> None:
    """Residuals and shifts are those of L^-1, L the Cholesky factor of rho^|i-j| of days seen.

    So their covariance is L^-1 C L^-T = 1.
    """
    ordinals = np.cumsum(steps)
    table = with_gaps(normal(1, len(steps), seed), 0.3, seed)
    found = noise.whiten(table, ordinals, np.array([rho]))
    (seen,) = np.nonzero(~np.isnan(table[0]))
    assert found.seen[0].nonzero()[0].tolist() == seen.tolist()
    for part in found[:3]:
        assert not part[0][~found.seen[0]].any()
    distances = np.abs(ordinals[seen][:, None] - ordinals[seen][None, :])
    factor = np.linalg.cholesky(rho**distances)

    def white(column: Floats) -> Floats:
        return np.asarray(linalg.solve_triangular(factor, column, lower=True))

    np.testing.assert_allclose(found.residuals[0, seen], white(table[0, seen]), atol=1e-10)
    for begin in range(len(seen)):
        shift = np.where(np.arange(len(seen)) > begin, found.later[0, seen], 0.0)
        shift[begin] = found.first[0, seen[begin]]
        np.testing.assert_allclose(shift, white(1.0 * (seen >= seen[begin])), atol=1e-10)


# ---------------------------------------------------------------- size and tails


@pytest.mark.parametrize("place", range(noise.TAILS.size))
def test_the_scale_of_each_tail_is_scipys_maximum_likelihood(place: int) -> None:
    """Mixed data with gaps: within 3 % of t.fit with these degrees of freedom and centre 0."""
    table = with_gaps(2.0 * np.random.default_rng(9).standard_t(5.0, (6, 60)), 0.2)
    found = noise._scales(table, noise.robust_sd(table, np.full(6, 0.01)))[place]
    for row, scale in zip(table, found, strict=True):
        data = row[~np.isnan(row)]
        fitted = stats.t.fit(data, fdf=noise.TAILS[place], floc=0.0)
        assert scale == pytest.approx(fitted[2], rel=0.03)


@pytest.mark.parametrize(("days", "most"), [(20, 1.10), (56, 1.05)])
def test_the_size_of_normal_days_is_their_sd(days: int, most: float) -> None:
    """Mean size of 1,000 charts of sd 2 is not under 2, and a tenth more where days are few."""
    found = noise.noise_of(2.0 * normal(1000, days), np.full(1000, 0.01))
    assert 0.99 < found.sd.mean() / 2.0 < most


def test_heavy_tails_are_told_from_normal_days() -> None:
    """Over 500 charts of 56 days 1/df is larger for t with 3 df; it stays between its bounds."""
    heavy = np.random.default_rng(10).standard_t(3.0, (500, 56))
    small = np.full(500, 0.01)
    found = noise.noise_of(heavy, small).inverse_tail
    plain = noise.noise_of(normal(500, 56), small).inverse_tail
    assert found.mean() > 2.0 * plain.mean()
    assert plain.min() >= 1.0 / noise.TAILS.max()
    assert found.max() <= 1.0 / noise.TAILS.min()


@given(st.integers(0, 10_000), st.integers(5, 40), st.floats(0.001, 20.0))
def test_the_prior_may_only_enlarge(seed: int, days: int, prior: float) -> None:
    """Whatever the prior, the size is at least what the days alone say (1 % for the steps)."""
    table = normal(1, days, seed)
    alone = noise.noise_of(table, np.full(1, 1e-4)).sd[0]
    found = noise.noise_of(table, np.full(1, prior)).sd[0]
    assert found >= 0.99 * alone


def test_five_equal_days_do_not_promise_silence() -> None:
    """Four days' worth of the prior among nine: its share of the variance is 4/9."""
    found = noise.noise_of(np.zeros((1, 5)), np.full(1, 3.0)).sd[0]
    assert found == pytest.approx(3.0 * np.sqrt(4.0 / 9.0), rel=1e-3)


def test_without_a_day_the_prior_is_all() -> None:
    found = noise.noise_of(np.full((1, 9), np.nan), np.full(1, 3.0))
    assert found.sd[0] == pytest.approx(3.0)
    assert found.df[0] == 2.0


@given(st.integers(0, 10_000), st.floats(1e-9, 1e9))
def test_a_unit_scales_the_size_and_nothing_else(seed: int, unit: float) -> None:
    table, prior = normal(3, 30, seed), np.full(3, 0.5)
    one, other = noise.noise_of(table, prior), noise.noise_of(unit * table, unit * prior)
    np.testing.assert_allclose(other.sd, unit * one.sd, rtol=1e-9)
    np.testing.assert_allclose(other.inverse_tail, one.inverse_tail, rtol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_sd_of_correlated_days_is_that_of_the_days(rho: float) -> None:
    """1,000 charts of 56 days of sd 1, whitened with their true rho: sd 1, whatever the rho."""
    rhos = np.full(1000, rho)
    white = noise.whiten(correlated(rho, 1000, 56), np.arange(56), rhos)
    found = noise.noise_of(white.residuals, np.full(1000, 0.01))
    assert found.sd.mean() == pytest.approx(1.0, rel=0.06)
