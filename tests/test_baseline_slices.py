"""Quality is compared within slices: a changed mix is no change, a hidden change is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from upkeep import baseline
from upkeep.panel import Chart, Flags, Floats, Panel
from upkeep.spec import MeasurePolicy

NEEDED = 5
NAN = float("nan")
RULE = MeasurePolicy(direction="lower_is_better", tolerance=1.0, kind="absolute")


def sliced(parts: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Panel:
    """``x`` and its slices, each with values and samples by day; the whole is their mean."""
    part, n = (np.array([p[i] for p in parts.values()], dtype=np.float64) for i in (0, 1))
    known = np.where(np.isnan(part), 0.0, n)
    whole = np.sum(known * np.nan_to_num(part), axis=0) / np.maximum(known.sum(axis=0), 1.0)
    values, counts = np.vstack([whole, part]), np.vstack([known.sum(axis=0), known])
    return Panel(
        charts=tuple(Chart.of(name, RULE, None) for name in ("x", *(f"x[{p}]" for p in parts))),
        ordinals=np.arange(values.shape[1]),
        versions=("1",) * values.shape[1],
        values=values,
        errors=np.zeros_like(values),
        counts=counts,
    )


def all_past(found: Panel) -> Flags:
    old = ~np.isnan(found.values)
    old[:, -1] = False
    return old


def within(found: Panel, old: Flags) -> tuple[Floats, Floats]:
    """The values within slices, and what the mix did."""
    return baseline.within_slices(found, baseline.slices_of(found.charts), old, NEEDED)


def test_a_changed_mix_alone_is_no_change() -> None:
    """Simpson: easy at 1 and hard at 9, unchanged; the share of hard goes from 10 % to 90 %."""
    easy, hard = ([1.0] * 9, [90.0] * 8 + [10.0]), ([9.0] * 9, [10.0] * 8 + [90.0])
    found = sliced({"easy": easy, "hard": hard})
    values, mix = within(found, all_past(found))
    np.testing.assert_allclose(values[0], 1.8)
    assert mix[0] == pytest.approx(8.2 - 1.8)
    np.testing.assert_array_equal(values[1:], found.values[1:])
    assert np.isnan(mix[1:]).all()


def test_a_change_that_the_mix_hides_is_seen() -> None:
    """Both slices 2 worse and fewer hard ones: the whole does not move, the value does by 2."""
    easy, hard = ([1.0] * 8 + [3.0], [50.0] * 8 + [75.0]), ([9.0] * 8 + [11.0], [50.0] * 8 + [25.0])
    found = sliced({"easy": easy, "hard": hard})
    values, mix = within(found, all_past(found))
    assert found.values[0, -1] == found.values[0, 0] == 5.0
    assert (values[0, -1], mix[0]) == (pytest.approx(7.0), pytest.approx(-2.0))


def test_the_weights_are_those_of_cochran_and_mantel_and_haenszel() -> None:
    """They are n N / (n + N): 10 of the day, 8 x 20 of the baseline; 40 and 8 x 5."""
    a, b = ([2.0] * 8 + [3.0], [20.0] * 8 + [10.0]), ([6.0] * 8 + [11.0], [5.0] * 8 + [40.0])
    found = sliced({"a": a, "b": b})
    values, _ = within(found, all_past(found))
    of_a, of_b = 10.0 * 160.0 / 170.0, 40.0 * 40.0 / 80.0
    centre = (2.0 * 20.0 + 6.0 * 5.0) / 25.0
    assert values[0, -1] == pytest.approx(centre + (1.0 * of_a + 5.0 * of_b) / (of_a + of_b))


def test_samples_that_were_not_counted_count_as_one() -> None:
    """Without numbers of samples two slices weigh the same: 1 and 5 worse are 3."""
    found = sliced({"a": ([2.0] * 8 + [3.0], [9.0] * 9), "b": ([6.0] * 8 + [11.0], [9.0] * 9)})
    found.counts[:] = 0.0
    values, _ = within(found, all_past(found))
    assert values[0, -1] == pytest.approx(4.0 + 3.0)


def test_a_new_slice_is_compared_with_the_whole() -> None:
    """Nobody has shown that its questions are harder: 7 against the whole's 2 is 5 worse."""
    a, new = ([2.0] * 9, [50.0] * 8 + [25.0]), ([NAN] * 8 + [7.0], [0.0] * 8 + [25.0])
    found = sliced({"a": a, "new": new})
    values, _ = within(found, all_past(found))
    of_a = 25.0 * 400.0 / 425.0
    assert values[0, -1] == pytest.approx(2.0 + 5.0 * 25.0 / (of_a + 25.0))


def test_a_slice_becomes_its_own_only_after_half_the_memory() -> None:
    """Twenty days known: a slice of the last nine is still held to the whole, one of fifteen not.

    Ten days are the half in which a slice must have been on as many as a baseline needs.
    """
    for days, known in ((9, False), (15, True)):
        a = ([2.0] * 21, [50.0] * 21)
        new = ([NAN] * (20 - days) + [7.0] * (days + 1), [50.0] * 21)
        found = sliced({"a": a, "new": new})
        old = all_past(found)
        values, _ = within(found, old)
        centre = float(np.median(found.values[0, :-1]))
        assert bool(values[0, -1] == pytest.approx(centre)) is known


def test_slices_that_every_sample_has_are_used_only_without_the_logs_own() -> None:
    """The log's own first, then lengths, then scripts: one partition, never two at once."""
    own, length, script = ([1.0] * 8 + [2.0]), ([1.0] * 8 + [4.0]), ([1.0] * 8 + [8.0])
    n, parts = [10.0] * 9, dict[str, tuple[Sequence[float], Sequence[float]]]()
    for name, values, moved in (
        ("script:latin", script, 7.0),
        ("length:short", length, 3.0),
        ("web", own, 1.0),
    ):
        parts[name] = (values, n)
        found = sliced(parts)
        adjusted, _ = within(found, all_past(found))
        assert adjusted[0, -1] == pytest.approx(1.0 + moved), name


def test_a_day_without_slices_or_without_a_value_is_left_as_it_is() -> None:
    """No slice on a day: the whole's value. No whole: no value, whatever the slices say."""
    found = sliced({"a": ([2.0] * 6 + [NAN, 2.0, 2.0], [9.0] * 9)})
    found.values[0, 6:8] = [5.0, NAN]
    values, _ = within(found, all_past(found))
    np.testing.assert_array_equal(values[0], [2.0] * 6 + [5.0, NAN, 2.0])


def test_days_of_another_mix_join_and_worse_days_do_not() -> None:
    """Five days of mostly hard questions join; five days of worse answers do not; today is out."""
    easy = ([1.0] * 20 + [4.0] * 5 + [1.0], [90.0] * 10 + [10.0] * 5 + [90.0] * 11)
    hard = ([9.0] * 20 + [12.0] * 5 + [9.0], [10.0] * 10 + [90.0] * 5 + [10.0] * 11)
    found = sliced({"easy": easy, "hard": hard})
    values, mix, days = baseline.comparable(found, NEEDED)
    assert days[0].tolist() == [True] * 20 + [False] * 6
    np.testing.assert_allclose(values[0], [1.8] * 20 + [4.8] * 5 + [1.8])
    assert mix[0] == pytest.approx(0.0)
