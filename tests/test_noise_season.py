"""A week is found where there is one, and hardly where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from upkeep import noise
from upkeep.panel import Flags, Floats


def normal(rows: int, days: int) -> Floats:
    """Independent days of sd 1."""
    return np.random.default_rng(5).normal(size=(rows, days))


def from_monday(days: int) -> NDArray[np.int64]:
    """The days of the week of so many days, 0 a Monday."""
    return np.arange(days) % 7


def test_a_planted_weekend_is_found() -> None:
    """Eight weeks, weekends 7 sd lower: found within 0.5 sd, for every one of 50 charts."""
    days = from_monday(56)
    table = normal(50, 56) - 7.0 * (days >= 5)
    found = noise.season(table, days, np.full(50, 3.0))
    np.testing.assert_allclose(found[:, 5] - found[:, 0], -7.0, atol=1.2)
    assert np.mean(found[:, 6] - found[:, 1]) == pytest.approx(-7.0, abs=0.3)


def test_a_planted_tuesday_is_found_and_leaves_the_other_days() -> None:
    """Eight weeks, Tuesdays 4 sd higher: so found on average, and no other day is 0.8 off."""
    days = from_monday(56)
    found = noise.season(normal(200, 56) + 4.0 * (days == 1), days, np.full(200, 1.0))
    week = found[:, :7].mean(axis=0)
    week = week - np.median(week)
    assert week[1] == pytest.approx(4.0, abs=0.8)
    assert np.abs(np.delete(week, 1)).max() < 0.2


@pytest.mark.parametrize("days", [10, 20, 29, 56])
def test_noise_has_a_week_as_rarely_as_the_fs_say(days: int) -> None:
    """Of 6,000 charts without a week at most twice the share have one that both F allow.

    Under two weeks that is F(1, n - 2) > 6 of weekends, later F(6, n - 7) > 3 of days too.
    """
    found = noise.season(normal(6000, days), from_monday(days), np.full(6000, 1.0))
    allowed = stats.f.sf(6, 1, days - 2) + (stats.f.sf(3, 6, days - 7) if days >= 14 else 0.0)
    share = np.any(found != 0.0, axis=1).mean()
    assert allowed / 2.0 < share < 2.0 * allowed


def test_the_effect_is_one_way_analysis_of_variance_shrunk() -> None:
    """Where nothing is clipped: none below scipy's F of 6, above it the shrunk class means."""
    days = from_monday(12)
    weekend = days >= 5
    table = np.random.default_rng(8).uniform(-1.0, 1.0, (400, 12)) + 0.8 * weekend
    effects = noise.season(table, days, np.full(400, 100.0))
    checked = {True: 0, False: 0}
    for row, found in zip(table, effects, strict=True):
        kinds = [row[~weekend], row[weekend]]
        off = np.concatenate([k - np.median(k) for k in kinds])
        if np.abs(off).max() > noise.CLIP * noise.MAD_TO_SD * np.median(np.abs(off)):
            continue
        chance = stats.f_oneway(*kinds).statistic <= 6.0
        checked[bool(chance)] += 1
        np.testing.assert_allclose(found, 0.0 if chance else _shrunk(row, weekend), rtol=1e-9)
    assert min(checked.values()) > 20


def _shrunk(row: Floats, weekend: Flags) -> Floats:
    """James and Stein's share of the two class means, written out."""
    apart = [row[kind].mean() - row.mean() for kind in (~weekend, weekend)]
    sizes = [(~weekend).sum(), weekend.sum()]
    within = sum(((row[k] - row[k].mean()) ** 2).sum() for k in (~weekend, weekend)) / 10.0
    between = sum(n * a * a for n, a in zip(sizes, apart, strict=True))
    spread = (between - within) / 12.0
    kept = [a * n * spread / (n * spread + within) for n, a in zip(sizes, apart, strict=True)]
    return np.asarray(np.where(weekend, kept[1], kept[0]))


def test_under_two_weeks_only_weekends_have_an_effect() -> None:
    """Twelve days, Tuesdays and weekends odd: Tuesday is as any weekday, Sunday as Saturday."""
    days = from_monday(12)
    table = 0.1 * normal(20, 12) + 5.0 * (days >= 5) + 1.0 * (days == 1)
    found = noise.season(table, days, np.full(20, 1.0))
    assert np.all(found[:, 5] - found[:, 0] > 3.0)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    np.testing.assert_array_equal(found[:, 5], found[:, 6])


def test_a_single_saturday_is_no_season() -> None:
    """Two weeks of weekdays and one Saturday of 9 sd: no day has an effect."""
    days = np.array([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4])
    found = noise.season(normal(30, 11) + 9.0 * (days == 5), days, np.full(30, 1.0))
    assert not found.any()


def test_a_missing_day_has_its_weekdays_effect() -> None:
    """The day under review has no residual yet, and the effect of its day of the week."""
    days = from_monday(42)
    table = 0.1 * normal(1, 42) + 5.0 * (days >= 5)
    table[0, -1] = np.nan
    found = noise.season(table, days, np.ones(1))
    assert found[0, -1] == found[0, -8]
    assert found[0, -1] - found[0, 0] == pytest.approx(5.0, abs=0.2)
