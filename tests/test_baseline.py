"""Which days are the baseline, and which level today's champion is held to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep import baseline
from upkeep.panel import Chart
from upkeep.records import Direction
from upkeep.spec import MeasurePolicy

NEEDED = 5
NAN = float("nan")
WORSE: dict[Direction, float] = {"lower_is_better": 1.0, "higher_is_better": -1.0}


def chart(direction: Direction) -> Chart:
    """A chart in its own unit with a tolerance of 1."""
    rule = MeasurePolicy(direction=direction, tolerance=1.0, kind="absolute")
    return Chart.of("x", rule, None)


def quiet(level: float, days: int) -> list[float]:
    """Days of sd 0.1 or so around a level: room is the tolerance and 3 x 0.25 of it, 1.75."""
    return [level + 0.1 * (-1.0) ** n for n in range(days)]


def joined(values: Sequence[float], direction: Direction = "lower_is_better") -> list[bool]:
    """Which of the days join; a day under review is added."""
    table = np.array([[*values, 0.0]])
    found = baseline.joined(table, [chart(direction)], NEEDED)[0].tolist()
    assert found.pop() is False
    return [bool(x) for x in found]


# ---------------------------------------------------------------- days that count


@pytest.mark.parametrize("direction", list(WORSE))
def test_a_bad_level_does_not_join_however_long_it_lasts(direction: Direction) -> None:
    """Forty days 3 worse: none joins. Ordinary days after them do."""
    bad = [3.0 * WORSE[direction] + x for x in quiet(0.0, 40)]
    found = joined([*quiet(0.0, 10), *bad, *quiet(0.0, 4)], direction)
    assert found == [True] * 10 + [False] * 40 + [True] * 4


def test_room_is_the_tolerance_and_three_sd_of_the_step_between_days() -> None:
    """Steps of 0.2: the prior's 0.25 is larger, 1.75 is the room. Steps of 4: it is 13.6."""
    assert joined([*quiet(0.0, 10), 1.7])[-1]
    assert not joined([*quiet(0.0, 10), 1.9])[-1]
    steep = [0.0, 4.0] * 5  # a robust sd of 4 x 1.4826 / sqrt(2) = 4.19; the level is in between
    assert joined([*steep, 13.5])[-1]
    assert not joined([*steep, 17.7])[-1]


@pytest.mark.parametrize("direction", list(WORSE))
def test_a_better_level_that_lasts_begins_anew(direction: Direction) -> None:
    """Four better days join; at the fifth in a row what was before is not the baseline."""
    better = [-3.0 * WORSE[direction] + x for x in quiet(0.0, 8)]
    assert joined([*quiet(0.0, 10), *better[:4]], direction) == [True] * 14
    assert joined([*quiet(0.0, 10), *better[:5]], direction) == [False] * 10 + [True] * 5
    after = joined([*quiet(0.0, 10), *better, *quiet(0.0, 2)], direction)
    assert after == [False] * 10 + [True] * 8 + [False] * 2


def test_an_ordinary_day_breaks_the_row_of_better_days() -> None:
    """Four better, one ordinary, four better: nothing begins anew."""
    better = quiet(-3.0, 4)
    assert joined([*quiet(0.0, 10), *better, 0.0, *better]) == [True] * 19


def test_a_missing_day_never_joins_and_breaks_no_row() -> None:
    """Five better days with a gap between them begin anew all the same."""
    values = [*quiet(0.0, 10), -3.0, -3.1, NAN, -3.0, -3.1, -3.0]
    assert joined(values) == [False] * 10 + [True, True, False, True, True, True]


@pytest.mark.parametrize("level", [3.0, -3.0])
def test_context_follows_what_comes_on_both_sides(level: float) -> None:
    """A measure without a worse: all days join, and five in a row begin anew."""
    days = quiet(level, 6)
    assert joined([*quiet(0.0, 10), *days[:4]], "neither") == [True] * 14
    assert joined([*quiet(0.0, 10), *days], "neither") == [False] * 10 + [True] * 6


def test_context_that_jumps_to_and_fro_has_no_new_level() -> None:
    """Six days far off, on both sides in turn: nothing begins anew."""
    assert joined([*quiet(0.0, 10), *[3.0, -3.0] * 3], "neither") == [True] * 16


def test_what_lasted_the_whole_memory_is_normal() -> None:
    """The first days that are remembered are the level, whatever was before them."""
    assert joined(quiet(3.0, 30)) == [True] * 30


@given(st.lists(st.floats(-9.0, 9.0) | st.just(NAN), min_size=1, max_size=40))
def test_the_first_days_join_unless_a_better_level_began_anew(values: list[float]) -> None:
    """Whatever the days, at least as many join as a baseline needs, or as there are."""
    known = [not np.isnan(x) for x in values]
    for direction in ("lower_is_better", "higher_is_better", "neither"):
        found = joined(values, direction)
        assert sum(found) >= min(NEEDED, sum(known))
        assert not any(join and not k for join, k in zip(found, known, strict=True))


@pytest.mark.parametrize(("n", "kept"), [(3, 3), (5, 5), (6, 5), (20, 15), (56, 42), (90, 76)])
def test_settled_are_the_days_before_any_change_that_is_looked_for(n: int, kept: int) -> None:
    """All but the last fourteen days, at most a quarter; never fewer than are needed."""
    days = np.zeros((1, 2 * n), dtype=bool)
    days[0, ::2] = True
    found = baseline.settled(days, NEEDED)[0]
    assert np.flatnonzero(found).tolist() == list(range(0, 2 * kept, 2))


# ---------------------------------------------------------------- champions


def levels(values: Sequence[float], versions: str) -> baseline.Levels:
    """Levels of one chart; all days but the last are baseline."""
    days = np.ones((1, len(values)), dtype=bool)
    days[0, -1] = False
    return baseline.levels(np.array([values]), days, days, versions, NEEDED)


def test_a_champion_with_days_enough_has_its_own_level() -> None:
    """Six days at 10, then six of the next at 20: today's 23 is 3 off; each day off its own."""
    found = levels([10.0] * 5 + [11.0] + [20.0] * 6 + [23.0], "aaaaaabbbbbbb")
    assert (found.centre[0], found.pooled[0]) == (20.0, False)
    assert found.residuals[0].tolist() == [0.0] * 5 + [1.0] + [0.0] * 6 + [3.0]
    assert found.days[0].tolist() == [0.0] * 6 + [1.0] * 6 + [0.0]


def test_a_young_champion_is_held_to_its_predecessors_level() -> None:
    """Four days are too few: 10 is the level, and it is known from the predecessor's days."""
    found = levels([10.0] * 6 + [20.0] * 4 + [23.0], "aaaaaabbbbb")
    assert found.centre[0] == 10.0
    assert found.residuals[0].tolist() == [0.0] * 6 + [10.0] * 4 + [13.0]
    assert found.days[0].tolist() == [1.0] * 6 + [0.0] * 5


def test_days_of_a_short_lived_predecessor_tell_nothing() -> None:
    """The last champion whose level is known is asked; the one between has no residuals."""
    found = levels([10.0] * 6 + [50.0] * 2 + [20.0, 20.0], "aaaaaabbcc")
    assert found.centre[0] == 10.0
    np.testing.assert_array_equal(found.residuals[0], [0.0] * 6 + [NAN] * 2 + [10.0] * 2)


def test_of_two_predecessors_the_one_that_served_last_is_asked() -> None:
    """a, b, then a again by a rollback, then c: c is held to a."""
    found = levels([10.0] * 5 + [20.0] * 5 + [10.0] + [12.0], "aaaaabbbbbac")
    assert found.centre[0] == 10.0
    assert found.days[0].tolist() == [1.0] * 5 + [0.0] * 5 + [1.0, 0.0]


def test_where_no_champion_has_days_enough_all_are_taken_together() -> None:
    """A new version every other day: one level, the median of all days."""
    found = levels([10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 20.0], "aabbccd")
    assert (found.centre[0], found.pooled[0]) == (12.5, True)
    assert found.residuals[0].tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 7.5]
    assert found.days[0].tolist() == [1.0] * 6 + [0.0]


def test_each_chart_has_the_champion_that_it_knows() -> None:
    """A chart with gaps in the new champion's days is held to the old one, its neighbour not."""
    values = np.array([[10.0] * 6 + [20.0] * 6 + [20.0]] * 2)
    days = np.ones((2, 13), dtype=bool)
    days[:, -1] = False
    days[1, 6:9] = False
    found = baseline.levels(values, days, days, "aaaaaabbbbbbb", NEEDED)
    assert found.centre.tolist() == [20.0, 10.0]
