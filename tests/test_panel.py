"""The table of days holds what the log says: no day too many, no value on another's scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from fakes.sixteen_days import default_policy, validated

from upkeep.panel import SHARE_POLICY, VANISHED, Chart, Panel, panel_of
from upkeep.records import DayFacts, DayMeasures, History, Interval, MeasureValue
from upkeep.spec import BaselinePolicy, MeasurePolicy

MONDAY = date(2026, 3, 2)
LOWER = MeasurePolicy(direction="lower_is_better", tolerance=0.25)
HIGHER = MeasurePolicy(direction="higher_is_better", tolerance=0.05, kind="absolute")
FACT = MeasurePolicy(direction="neither", tolerance=0.5)

Found = Mapping[str, float | None] | Sequence[MeasureValue]


def day_of(number: int, found: Found, *, trusted: bool = True, version: str = "1") -> DayMeasures:
    """The day ``number`` after a Monday, with these values."""
    measures = (
        tuple(MeasureValue(name=n, value=v) for n, v in found.items())
        if isinstance(found, Mapping)
        else tuple(found)
    )
    return DayMeasures(
        day=MONDAY + timedelta(number),
        trusted=trusted,
        champion_version=version,
        measures=measures,
    )


def panel(
    days: Sequence[DayMeasures],
    *,
    since: date | None = None,
    later: Sequence[DayMeasures] = (),
    rules: Mapping[str, MeasurePolicy] | None = None,
) -> Panel:
    """The table on the last of ``days``; ``later`` are in the history as well."""
    current = days[-1]
    facts = DayFacts(
        model="m",
        day=current.day,
        revision=1,
        champion_version=current.champion_version,
        champion_format="safetensors",
        validation=validated(current.day),
        current=current,
        history=History.of([*days[:-1], *later]),
        past_decisions=(),
    )
    update = {"measures": dict(rules or {"x": LOWER}), "baseline": BaselinePolicy(since=since)}
    found = panel_of(facts, default_policy().model_copy(update=update))
    assert found is not None
    return found


def row(found: Panel, name: str) -> list[float]:
    """The values of one chart."""
    (place,) = (n for n, chart in enumerate(found.charts) if chart.name == name)
    return [float(x) for x in found.values[place]]


# ---------------------------------------------------------------- which days


def test_columns_are_the_trusted_days_before_and_the_day_itself() -> None:
    """An untrusted day, days after the day under review and a gap have no column."""
    days = [
        day_of(0, {"x": 1.0}, version="1"),
        day_of(1, {"x": 9.0}, trusted=False),
        day_of(4, {"x": 2.0}, version="2"),
        day_of(5, {"x": 3.0}, version="3"),
    ]
    found = panel(days, later=[day_of(6, {"x": 8.0})])
    first = MONDAY.toordinal()
    assert found.ordinals.tolist() == [first, first + 4, first + 5]
    assert found.versions == ("1", "2", "3")
    np.testing.assert_allclose(row(found, "x"), np.log([1.0, 2.0, 3.0]))


def test_days_before_since_are_left_out() -> None:
    """The day that ``since`` names is the first that counts."""
    found = panel([day_of(n, {"x": 1.0 + n}) for n in range(5)], since=MONDAY + timedelta(2))
    np.testing.assert_allclose(row(found, "x"), np.log([3.0, 4.0, 5.0]))


def test_the_first_day_has_one_column() -> None:
    found = panel([day_of(0, {"x": 2.0})])
    assert found.values.shape == found.errors.shape == found.counts.shape == (1, 1)
    assert row(found, "x") == [math.log(2.0)]


# ---------------------------------------------------------------- which values


def measured(value: float, signature: str, n: int = 7, half: float | None = None) -> MeasureValue:
    """A value with its signature and an interval of +- ``half``."""
    span = None if half is None else Interval(low=value - half, high=value + half)
    return MeasureValue(name="x", value=value, signature=signature, n=n, interval=span)


def test_days_measured_in_another_way_have_no_value() -> None:
    """Two evaluation sets: only days of today's are compared with it."""
    days = [day_of(n, [measured(1.0 + n, "ab"[n % 2])]) for n in range(4)]
    values = row(panel(days), "x")
    assert np.isnan(values).tolist() == [True, False, True, False]
    assert values[1] == pytest.approx(math.log(2.0))


def test_without_a_value_today_the_past_is_what_was_measured_last() -> None:
    """The newer of two series, although the older is longer; today is NaN."""
    days = [day_of(n, [measured(1.0, "old")]) for n in range(3)]
    days += [day_of(3, [measured(5.0, "new")]), day_of(4, {"x": None})]
    values = row(panel(days), "x")
    assert np.isnan(values).tolist() == [True, True, True, False, True]
    assert values[3] == pytest.approx(math.log(5.0))


def test_relative_measures_stand_in_logarithms_and_their_errors_as_shares() -> None:
    """A standard error of 1 at 10 is 0.1; an absolute measure keeps its unit; n is copied."""
    half = 1.959964
    days = [day_of(n, [measured(10.0, "", n=n + 2, half=half)]) for n in range(3)]
    found, plain = panel(days), panel(days, rules={"x": HIGHER})
    np.testing.assert_allclose(found.values, math.log(10.0))
    np.testing.assert_allclose(found.errors, 0.1, rtol=1e-6)
    np.testing.assert_allclose(plain.values, 10.0)
    np.testing.assert_allclose(plain.errors, 1.0, rtol=1e-6)
    assert found.counts.tolist() == plain.counts.tolist() == [[2.0, 3.0, 4.0]]


def test_a_value_without_interval_has_no_error_of_its_own() -> None:
    assert panel([day_of(n, [measured(4.0, "")]) for n in range(3)]).errors.tolist() == [[0.0] * 3]


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e9])
def test_a_unit_moves_a_relative_chart_and_changes_no_distance(unit: float) -> None:
    """Seconds or picoseconds: the same differences and the same errors, today's too."""
    days = [day_of(n, [measured(unit * (3.0 + n), "", half=unit)]) for n in range(4)]
    found, one = (
        panel(days),
        panel([day_of(n, [measured(3.0 + n, "", half=1.0)]) for n in range(4)]),
    )
    np.testing.assert_allclose(np.diff(found.values), np.diff(one.values), rtol=1e-9)
    np.testing.assert_allclose(found.errors, one.errors, rtol=1e-9)


@pytest.mark.parametrize("gone", [0.0, -3.0])
def test_a_relative_value_of_zero_is_missing_in_the_past_and_vanished_today(gone: float) -> None:
    """There is no log of it: a past day has none, today it is a millionth of the median."""
    values = row(panel([day_of(n, {"x": v}) for n, v in enumerate([2.0, gone, 8.0, gone])]), "x")
    assert np.isnan(values).tolist() == [False, True, False, False]
    assert values[-1] == pytest.approx(math.log(4.0 * VANISHED))


def test_zero_today_without_any_past_has_no_value() -> None:
    assert np.isnan(row(panel([day_of(n, {"x": 0.0}) for n in range(3)]), "x")).all()


def test_zeros_of_an_absolute_measure_are_values() -> None:
    found = panel(
        [day_of(n, {"x": v}) for n, v in enumerate([0.0, -1.0, 0.0])], rules={"x": HIGHER}
    )
    assert row(found, "x") == [0.0, -1.0, 0.0]


# ---------------------------------------------------------------- shares


def test_a_share_that_a_counted_day_does_not_have_is_exactly_zero() -> None:
    """Day 0 counted no shares: NaN. Days 1 and 3 counted others: 0, today too."""
    days = [
        day_of(0, {"x": 1.0}),
        day_of(1, {"share[a]": 1.0}),
        day_of(2, {"share[a]": 0.4, "share[b]": 0.6}),
        day_of(3, {"share[a]": 1.0}),
    ]
    found = panel(days)
    assert [c.name for c in found.charts] == ["x", "share[a]", "share[b]"]
    np.testing.assert_array_equal(row(found, "share[a]"), [np.nan, 1.0, 0.4, 1.0])
    np.testing.assert_array_equal(row(found, "share[b]"), [np.nan, 0.0, 0.6, 0.0])
    assert found.charts[2].rule == SHARE_POLICY


def test_a_day_that_counted_no_shares_is_missing_not_zero() -> None:
    found = panel([day_of(0, {"share[a]": 1.0}), day_of(1, {"x": 1.0})])
    np.testing.assert_array_equal(row(found, "share[a]"), [1.0, np.nan])
    assert found.charts[-1].today is None


def test_a_relative_share_of_zero_is_not_a_share_of_one() -> None:
    """A policy may judge shares relatively: a day without a slice is below a day with half."""
    days = [day_of(n, {"share[a]": 0.5, "share[b]": 0.5}) for n in range(3)]
    days[1] = day_of(1, {"share[a]": 1.0})
    values = row(panel(days, rules={"share": FACT}), "share[b]")
    assert np.isnan(values[1]) or values[1] < values[0]


# ---------------------------------------------------------------- which charts


def test_charts_are_the_policys_measures_by_name_then_todays_slices_then_shares() -> None:
    """A slice that today has not, and a measure that was never collected, have no chart."""
    days = [
        day_of(0, {"x": 1.0, "y": 1.0, "x[old]": 1.0, "other": 1.0}),
        day_of(1, {"x": 1.0, "y": 1.0, "x[b]": 1.0, "x[a]": 1.0, "share[a]": 1.0, "other[a]": 1.0}),
    ]
    found = panel(days, rules={"y": FACT, "x": LOWER, "never": LOWER})
    assert [(c.name, c.parent, c.slice, c.role) for c in found.charts] == [
        ("x", "x", None, "page"),
        ("y", "y", None, "context"),
        ("x[a]", "x", "a", "slice"),
        ("x[b]", "x", "b", "slice"),
        ("share[a]", "share", "a", "context"),
    ]


def test_a_slice_that_the_policy_names_has_one_chart_with_its_own_rule() -> None:
    """Its parent and a share may be named too: nothing is judged twice."""
    days = [day_of(n, {"x": 1.0, "x[a]": 1.0, "share[a]": 1.0}) for n in range(3)]
    charts = panel(days, rules={"x": LOWER, "x[a]": HIGHER, "share[a]": FACT}).charts
    rules = {c.name: c.rule for c in charts}
    assert sorted(c.name for c in charts) == ["share[a]", "x", "x[a]"]
    assert (rules["x[a]"], rules["share[a]"]) == (HIGHER, FACT)


@pytest.mark.parametrize(
    ("rule", "sign", "tolerance"),
    [(LOWER, 1.0, math.log(1.25)), (HIGHER, -1.0, 0.05), (FACT, 1.0, math.log(1.5))],
)
def test_sign_and_tolerance_stand_on_the_charts_scale(
    rule: MeasurePolicy, sign: float, tolerance: float
) -> None:
    chart = Chart.of("x", rule, None)
    assert chart.sign == sign
    assert chart.tolerance == pytest.approx(tolerance)


def test_the_scale_is_undone_and_distances_are_said_as_the_policy_means_them() -> None:
    """Relative: log and exp, a factor of 1.25 is +25 %. Absolute: as it is. No overflow."""
    relative, absolute = Chart.of("x", LOWER, None), Chart.of("x", HIGHER, None)
    assert relative.raw(relative.scaled(3.0)) == pytest.approx(3.0)
    assert relative.change(math.log(1.25)) == pytest.approx(0.25)
    assert math.isnan(relative.scaled(0.0))
    assert math.isfinite(relative.raw(1e6) + relative.change(1e6))
    assert (absolute.scaled(-3.0), absolute.raw(-3.0), absolute.change(-3.0)) == (-3.0,) * 3
