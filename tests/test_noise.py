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


def apart(charts: int) -> np.ndarray:
    """Each chart a role of its own: nothing is learnt from the others."""
    return np.arange(charts)


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


def drawn(rho: float, pairs: float) -> float:
    """A lone chart's: the role's usual 0.15 has an error of 0.25, and 0.15 among its charts."""
    alone = 1.0 / (1.0 / pairs + 0.15**2)
    usual = (alone * rho + 0.15 / 0.25**2) / (alone + 1.0 / 0.25**2)
    return (pairs * rho + usual / 0.15**2) / (pairs + 1.0 / 0.15**2)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.8])
def test_autocorrelation_is_the_planted_one_drawn_towards_the_usual(
    rho: float, missing: float
) -> None:
    """Mean of 2,000 charts of 60 days, each by itself. Gaps do not bias."""
    table = with_gaps(correlated(rho, 2000, 60), missing)
    table = table - noise.median_of(table)[:, None]
    found = noise.autocorrelation(table, np.arange(60), np.ones(2000), apart(2000))
    assert found.rho.mean() == pytest.approx(drawn(rho, 59.0 * (1.0 - missing) ** 2), abs=0.035)


def test_charts_of_a_role_tell_each_other_their_autocorrelation() -> None:
    """Six charts of 30 days at rho 0.6: together their mean error is under half, and none left."""
    table = correlated(0.6, 600, 30)
    table = table - noise.median_of(table)[:, None]
    alone = noise.autocorrelation(table, np.arange(30), np.ones(600), apart(600))
    together = noise.autocorrelation(table, np.arange(30), np.ones(600), np.arange(600) // 6)
    assert np.abs(together.rho - 0.6).mean() < 0.5 * np.abs(alone.rho - 0.6).mean()
    assert together.rho.mean() == pytest.approx(0.6, abs=0.07)


def test_a_chart_unlike_the_others_of_its_role_keeps_most_of_its_own() -> None:
    """One of five at rho 0.6, four at 0: it is found at 0.4 at least, and more unsure than they."""
    table = correlated(0.0, 1000, 70)
    table[::5] = correlated(0.6, 200, 70, seed=8)
    found = noise.autocorrelation(table, np.arange(70), np.ones(1000), np.arange(1000) // 5)
    assert found.rho[::5].mean() > 0.4
    alike = noise.autocorrelation(table[1:5], np.arange(70), np.ones(4), np.zeros(4, int))
    assert found.error[1:5].mean() > alike.error.mean()


def test_charts_of_another_role_have_no_part_in_it() -> None:
    """Also a chart that never changes has none: it has no autocorrelation to tell."""
    table = np.concatenate([correlated(0.6, 3, 60), normal(3, 60), np.zeros((1, 60))])
    roles = np.array([0, 0, 0, 1, 1, 1, 0])
    mixed = noise.autocorrelation(table, np.arange(60), np.ones(7), roles).rho
    alone = noise.autocorrelation(table[:3], np.arange(60), np.ones(3), np.zeros(3, int)).rho
    assert mixed[:3].tolist() == alone.tolist()


def test_the_error_of_the_autocorrelation_is_its_spread() -> None:
    """2,000 charts of 60 days: the errors stated are the spread found, within a third."""
    table = correlated(0.4, 2000, 60)
    found = noise.autocorrelation(table, np.arange(60), np.ones(2000), np.arange(2000) // 5)
    spread = np.sqrt(np.mean((found.rho - 0.4) ** 2))
    assert 0.67 < spread / found.error.mean() < 1.33


def test_days_that_are_not_neighbours_are_no_pair() -> None:
    """Without weekends Friday and Monday are three days apart: only four pairs a week count."""
    week = np.arange(140) % 7 < 5
    table = correlated(0.6, 2000, 140)[:, week]
    found = noise.autocorrelation(table, np.arange(140)[week], np.ones(2000), apart(2000))
    assert found.rho.mean() == pytest.approx(drawn(0.6, 80.0), abs=0.03)


def test_autocorrelation_stays_within_its_bounds() -> None:
    """Days that alternate have -0.3, days that never turn 0.85 at most, no days the usual one."""
    table = np.array([[1.0, -1.0] * 30, [1.0] * 30 + [-1.0] * 30, [np.nan] * 60])
    found = noise.autocorrelation(table, np.arange(60), np.ones(3), apart(3)).rho
    assert found[0] == -0.3
    assert 0.5 < found[1] <= 0.85
    assert found[2] == pytest.approx(0.15)


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.sampled_from([-0.3, 0.0, 0.15, 0.5, 0.85]),
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
    found = noise.noise_of(2.0 * normal(1000, days), np.full(1000, 0.01), apart(1000))
    assert 0.99 < found.sd.mean() / 2.0 < most


def test_heavy_tails_are_told_from_normal_days() -> None:
    """Over 500 charts of 56 days 1/df is larger for t with 3 df; it stays between its bounds."""
    heavy = np.random.default_rng(10).standard_t(3.0, (500, 56))
    small = np.full(500, 0.01)
    found = noise.noise_of(heavy, small, apart(500)).inverse_tail
    plain = noise.noise_of(normal(500, 56), small, apart(500)).inverse_tail
    assert found.mean() > 2.0 * plain.mean()
    assert plain.min() >= 1.0 / noise.TAILS.max()
    assert found.max() <= 1.0 / noise.TAILS.min()


@given(st.integers(0, 10_000), st.integers(5, 40), st.floats(0.001, 20.0))
def test_the_prior_may_only_enlarge(seed: int, days: int, prior: float) -> None:
    """Whatever the prior, the size is at least what the days alone say (1 % for the steps)."""
    table = normal(1, days, seed)
    alone = noise.noise_of(table, np.full(1, 1e-4), apart(1)).sd[0]
    found = noise.noise_of(table, np.full(1, prior), apart(1)).sd[0]
    assert found >= 0.99 * alone


def test_five_equal_days_do_not_promise_silence() -> None:
    """Four days' worth of the prior among nine: its share of the variance is 4/9."""
    found = noise.noise_of(np.zeros((1, 5)), np.full(1, 3.0), apart(1)).sd[0]
    assert found == pytest.approx(3.0 * np.sqrt(4.0 / 9.0), rel=1e-3)


def test_without_a_day_the_prior_is_all() -> None:
    found = noise.noise_of(np.full((1, 9), np.nan), np.full(1, 3.0), apart(1))
    assert found.sd[0] == pytest.approx(3.0)
    assert found.df[0] == 2.0


@given(st.integers(0, 10_000), st.floats(1e-9, 1e9))
def test_a_unit_scales_the_size_and_nothing_else(seed: int, unit: float) -> None:
    table, prior = normal(3, 30, seed), np.full(3, 0.5)
    one = noise.noise_of(table, prior, apart(3))
    other = noise.noise_of(unit * table, unit * prior, apart(3))
    np.testing.assert_allclose(other.sd, unit * one.sd, rtol=1e-9)
    np.testing.assert_allclose(other.inverse_tail, one.inverse_tail, rtol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_sd_of_correlated_days_is_that_of_the_days(rho: float) -> None:
    """1,000 charts of 56 days of sd 1, whitened with their true rho: sd 1, whatever the rho."""
    rhos = np.full(1000, rho)
    white = noise.whiten(correlated(rho, 1000, 56), np.arange(56), rhos)
    found = noise.noise_of(white.residuals, np.full(1000, 0.01), apart(1000))
    assert found.sd.mean() == pytest.approx(1.0, rel=0.06)


@pytest.mark.parametrize(("tail", "low", "high"), [(3.5, 0.19, 0.33), (None, 0.0, 0.06)])
def test_charts_of_a_role_tell_each_other_their_tails(
    tail: float | None, low: float, high: float
) -> None:
    """Six charts of 60 days each: 1/df is nearer to the true one (0.29 or 0) than by itself."""
    random_ = np.random.default_rng(14)
    table = random_.normal(size=(600, 60)) if tail is None else random_.standard_t(tail, (600, 60))
    small = np.full(600, 0.01)
    together = noise.noise_of(table, small, np.arange(600) // 6).inverse_tail
    alone = noise.noise_of(table, small, apart(600)).inverse_tail
    true = 0.0 if tail is None else 1.0 / tail
    assert low < together.mean() < high
    assert np.abs(together - true).mean() < 0.75 * np.abs(alone - true).mean()


def test_a_chart_that_never_changes_tells_nobody_its_tails() -> None:
    """Byte for byte the same beside a constant chart of the role."""
    table, small = normal(3, 40), np.full(3, 0.01)
    more = noise.noise_of(np.vstack([table, np.zeros(40)]), np.full(4, 0.01), np.zeros(4, int))
    alone = noise.noise_of(table, small, np.zeros(3, int))
    assert more.inverse_tail[:3].tolist() == alone.inverse_tail.tolist()
    assert more.sd[:3].tolist() == alone.sd.tolist()


@pytest.mark.parametrize("df", [3.0, 5.0, 9.0, 20.0, 100.0])
def test_scores_of_days_have_the_tail_of_their_students_t(df: float) -> None:
    """Wallace's approximation: the normal score within 0.04 up to four sd, odd in the day."""
    sizes = noise.Noise(np.full(1, 2.0), np.full(1, 1.0 / df), np.full(1, 50.0))
    days = np.linspace(0.01, 8.0, 50)
    found = noise.scores(days[None, :], sizes)[0]
    exact = stats.norm.isf(stats.t.sf(days / 2.0, df, scale=np.sqrt((df - 2.0) / df)))
    np.testing.assert_allclose(found, exact, atol=0.04)
    np.testing.assert_allclose(noise.scores(-days[None, :], sizes)[0], -found)
