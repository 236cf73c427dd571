"""Points are sorted, deduplicated and set aside with a reason; a counter's hours add up."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.sources.hourly import Hours
from upkeep.sources.points import (
    DAY_S,
    HOUR_S,
    Point,
    RejectedSeries,
    Window,
    by_hour,
    clean,
    increases,
    is_frozen,
    number,
    shares,
)

DAY = date(2026, 3, 5)
NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)
WINDOW = Window.of(DAY, NOON)
START = WINDOW.start_s

times = st.integers(0, DAY_S - 1).map(lambda s: START + s)
values = st.one_of(
    st.floats(0, 1e12),
    st.sampled_from([math.nan, math.inf, -math.inf, -1.0, "1_000", "1,234", "12.5", None, True]),
)


def cleaned(raw: list[tuple[Any, Any]], **options: bool) -> tuple[list[Point], Hours]:
    """Clean a series named ``s`` of the day."""
    hours = Hours("fake")
    return clean("s", raw, WINDOW, hours, **options), hours


def aside(hours: Hours) -> dict[str, int]:
    """What was set aside, by reason."""
    return {q.reason: q.rows for q in hours.quarantined}


# ---------------------------------------------------------------- one value

BAD_VALUES = [
    pytest.param(math.nan, "is NaN or infinite", id="A1-nan"),
    pytest.param("NaN", "is NaN or infinite", id="A1-nan-in-words"),
    pytest.param(math.inf, "is NaN or infinite", id="A2-plus-infinity"),
    pytest.param("-Inf", "is NaN or infinite", id="A2-minus-infinity-in-words"),
    pytest.param(-0.001, "is negative", id="A3-negative-latency"),
    pytest.param(-7, "is negative", id="A4-negative-count"),
    pytest.param("1_000", "is not a number", id="A40-underscore"),
    pytest.param("١٢", "is not a number", id="A40-arabic-digits"),
    pytest.param("1,234", "is not a number", id="A40-comma"),
    pytest.param(" 1", "is not a number", id="A40-space"),
    pytest.param("1\n", "is not a number", id="A40-newline"),
    pytest.param("", "is not a number", id="A40-empty"),
    pytest.param("0x10", "is not a number", id="A40-hexadecimal"),
    pytest.param(None, "is not a number", id="A40-null"),
    pytest.param(True, "is not a number", id="A40-boolean"),
    pytest.param([1], "is not a number", id="A40-list"),
    pytest.param(10**400, "is not a number", id="B19-400-digits"),
]


@pytest.mark.parametrize(("value", "reason"), BAD_VALUES)
def test_a_value_that_cannot_be_is_set_aside_and_the_rest_counted(value: Any, reason: str) -> None:
    """It is counted under the series' name and its reason, and among the points that were read."""
    points, hours = cleaned([(START, 1), (START + 60, value), (START + 120, "3")])
    assert points == [(START, 1.0), (START + 120, 3.0)]
    assert [(q.what, q.reason, q.rows) for q in hours.quarantined] == [("s", reason, 1)]
    assert hours.points_read == 3


def test_a_series_that_may_be_negative_is_kept() -> None:
    """Only where the caller says so."""
    assert cleaned([(START, -5)], negative=True)[0] == [(START, -5.0)]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_a_number_reads_the_same_written_in_json(value: float) -> None:
    """A number and its text are one number; zero has no sign."""
    assert number(value) == number(str(value)) == float(value)
    assert math.copysign(1.0, number(0.0 * value)) == 1.0 if value < 0 else True


# ---------------------------------------------------------------- one time


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(START / 1e9, id="A19-ms-read-as-ns-is-1970"),
        pytest.param(0, id="A19-zero"),
        pytest.param(START * 1000, id="A19-milliseconds"),
        pytest.param(START * 1e9, id="A19-nanoseconds"),
        pytest.param(str(START * 1000), id="A19-in-words"),
        pytest.param(-START, id="A19-negative"),
        pytest.param(math.nan, id="A19-nan"),
    ],
)
def test_a_series_with_times_in_another_unit_is_rejected(at: Any) -> None:
    """One such time says that none of them can be believed."""
    with pytest.raises(RejectedSeries, match=r"^timestamp unit: "):
        cleaned([(START, 1), (at, 1)])


@pytest.mark.parametrize("at", ["2026-03-05T00:00:00Z", None, "1_741_132_800"])
def test_a_time_that_is_no_number_is_set_aside(at: Any) -> None:
    """A text of a date is no time in seconds."""
    points, hours = cleaned([(START, 1), (at, 1)])
    assert len(points) == 1
    assert aside(hours) == {"has a time that is not a number": 1}


@pytest.mark.parametrize(
    ("at", "days"),
    [
        pytest.param(START, (DAY,), id="A17-first-instant"),
        pytest.param(math.nextafter(START, 0), (DAY - timedelta(1),), id="A17-just-before"),
        pytest.param(math.nextafter(START + DAY_S, 0), (DAY,), id="A17-last-instant"),
        pytest.param(START + DAY_S, (DAY + timedelta(1),), id="A17-A26-next-days-first-instant"),
    ],
)
def test_a_point_on_the_edge_is_in_exactly_one_day(at: float, days: tuple[date, ...]) -> None:
    """[start, end): of three days in a row, one counts it."""
    found = []
    for day in (DAY - timedelta(1), DAY, DAY + timedelta(1)):
        window = Window.of(day, NOON + timedelta(2))
        if clean("s", [(at, 1)], window, Hours("fake")):
            found.append(day)
    assert tuple(found) == days


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2016, 12, 31)])
def test_a_day_has_24_hours_whatever_the_clocks_of_a_country_do(day: date) -> None:
    """A24: 23 and 25 local hours (Berlin), and a day with a leap second (A26), are UTC days."""
    window = Window.of(day, NOON)
    assert window.end_s - window.start_s == DAY_S
    assert [window.hour(window.start_s + h * HOUR_S) for h in range(24)] == list(range(24))
    assert window.hour(math.nextafter(window.end_s, 0)) == 23


def test_the_point_at_the_days_end_is_for_counters_only() -> None:
    """A counter needs it for its last gain; no hour has it as a value."""
    raw = [(START + DAY_S - 60, 1), (START + DAY_S, 5)]
    points, hours = cleaned(raw, edge=True)
    assert len(points) == 2
    assert increases("s", points, WINDOW, hours) == {23: 4.0}
    assert by_hour(points, WINDOW) == {23: [1.0]}


def test_points_of_other_days_are_no_fault_of_this_one() -> None:
    """A18: what is broken there is that day's business."""
    points, hours = cleaned([(START - 60, math.nan), (START + DAY_S + 60, -1), (START, 1)])
    assert (len(points), hours.quarantined, hours.points_read) == (1, [], 1)


@pytest.mark.parametrize(
    ("ahead_s", "kept"),
    [
        pytest.param(-1, True, id="A18-just-now"),
        pytest.param(0, True, id="A18-now"),
        pytest.param(1, False, id="A18-in-a-second"),
        pytest.param(300, False, id="A18-in-five-minutes"),
    ],
)
def test_a_point_of_the_future_is_set_aside_and_the_clock_told_of(
    ahead_s: float, *, kept: bool
) -> None:
    """Nobody can have measured it yet."""
    now = datetime(2026, 3, 5, 12, tzinfo=UTC)
    hours = Hours("fake")
    points = clean("s", [(now.timestamp() + ahead_s, 1)], Window.of(DAY, now), hours)
    assert bool(points) is kept
    assert aside(hours) == ({} if kept else {"lies in the future": 1})
    assert hours.flags == ([] if kept else ["s: the clock of its writer is ahead"])


# ---------------------------------------------------------------- many points


def test_a_point_that_comes_twice_is_counted_once() -> None:
    """A13: the same time and the same value."""
    points, hours = cleaned([(START, 1), (START, 1.0), (START, "1")])
    assert (points, hours.points_read, hours.flags) == ([(START, 1.0)], 1, [])


def test_two_values_at_one_time_are_both_set_aside() -> None:
    """A14: a pair of replicas without a label; nobody knows which is right."""
    points, hours = cleaned([(START, 1), (START, 2), (START + 60, 3)])
    assert points == [(START + 60, 3.0)]
    assert aside(hours) == {"has another value at the same time": 2}
    assert hours.flags == ["s: HA pair without dedup label: two values at one time"]


@given(st.lists(st.tuples(times, values)), st.randoms(use_true_random=False))
def test_a_shuffled_and_duplicated_series_gives_the_same_day(
    raw: list[tuple[float, Any]], rng: random.Random
) -> None:
    """A13, A16: order and repetition change neither the points nor what was set aside."""
    again = raw + [rng.choice(raw) for _ in range(len(raw))]
    rng.shuffle(again)
    (points, hours), (others, other_hours) = cleaned(raw), cleaned(again)
    assert points == others == sorted(points)
    assert hours == other_hours
    assert all(math.isfinite(p.value) and p.value >= 0 for p in points)
    assert len({p.at_s for p in points}) == len(points)
    assert hours.points_read == len(points) + sum(q.rows for q in hours.quarantined)


# ---------------------------------------------------------------- counters


def counter(gains: list[float], restarts: set[int], step_s: int) -> list[Point]:
    """A counter's scrapes; after scrape ``i`` in ``restarts`` the process begins again at 0."""
    points, value = [Point(START, 0.0)], 0.0
    for number_, gain in enumerate(gains, start=1):
        value = (0.0 if number_ in restarts else value) + gain
        points.append(Point(START + number_ * step_s, value))
    return points


@given(
    st.lists(st.integers(1, 10_000), min_size=40, max_size=200),
    st.sets(st.integers(1, 200), max_size=5),
)
def test_a_counter_gives_the_truth_over_random_restarts(
    gains: list[float], restarts: set[int]
) -> None:
    """A9: exactly where a fall shows the restart, else less by what went unseen; never more."""
    points = counter(gains, restarts, step_s=60)
    hours = Hours("fake")
    found = increases("s", points, WINDOW, hours)
    unseen = sum(
        a.value
        for i, (a, b) in enumerate(pairwise(points), start=1)
        if i in restarts and b.value >= a.value
    )
    assert sum(found.values()) == pytest.approx(sum(gains) - unseen)
    falls = sum(b.value < a.value for a, b in pairwise(points))
    assert bool(hours.flags) is bool(falls)
    for hour, gained in found.items():
        inside = [b - a for (t, a), (_, b) in pairwise(points) if hour == _h(t)]
        assert gained >= sum(g for g in inside if g > 0)


def _h(at_s: float) -> int:
    return WINDOW.hour(at_s)


def test_a_restart_between_two_scrapes_loses_only_what_came_between_them() -> None:
    """A9: 1 % of the truth; A10: the flag says that the sum is a lower bound."""
    points = counter([10.0] * 1439, {700}, step_s=60)
    hours = Hours("fake")
    found = increases("s", points, WINDOW, hours)
    assert sum(found.values()) == pytest.approx(14_390, rel=0.01)
    assert hours.flags == ["s restarted; undercounted by what came between the last points"]


def test_several_restarts_are_one_flag_with_their_number() -> None:
    """A10: undercounted, in words."""
    hours = Hours("fake")
    increases("s", counter([10.0] * 100, {30, 60, 61}, step_s=60), WINDOW, hours)
    assert hours.flags == ["s restarted 2 times; undercounted by what came between the last points"]


@pytest.mark.parametrize(
    "values_",
    [
        pytest.param([float(1000 - i) for i in range(1440)], id="A11-slowly-falling"),
        pytest.param([9.0, 8.0, 7.0], id="A11-three-points"),
        pytest.param([5.0, 4.0, 5.0, 4.0, 5.0, 4.0], id="A11-up-and-down"),
        pytest.param([50 + 10 * math.sin(i / 3) for i in range(500)], id="A11-a-gauge-in-waves"),
    ],
)
def test_what_falls_as_often_as_it_rises_is_no_counter(values_: list[float]) -> None:
    """A gauge sold as a counter would be counted many times over."""
    points = [Point(START + 60 * i, v) for i, v in enumerate(values_)]
    with pytest.raises(RejectedSeries, match=r"^not a counter: it fell "):
        increases("s", points, WINDOW, Hours("fake"))


@pytest.mark.parametrize("points", [[], [Point(START, 7.0)]], ids=["A20-none", "one"])
def test_a_counter_seen_less_than_twice_gained_nothing_known(points: list[Point]) -> None:
    """No hour is named, so that none has 0."""
    assert increases("s", points, WINDOW, Hours("fake")) == {}


def test_a_counter_that_stands_still_gained_zero() -> None:
    """A21: no traffic is a number; the hours that were not seen are not named."""
    points = [Point(START + 60 * i, 7.0) for i in range(61)]
    assert increases("s", points, WINDOW, Hours("fake")) == {0: 0.0}


# ---------------------------------------------------------------- gauges


@pytest.mark.parametrize(
    ("unit", "value", "share"),
    [("share", 0.5, 0.5), ("percent", 50.0, 0.5), ("percent", 100.0, 1.0), ("share", 0.0, 0.0)],
)
def test_shares_are_of_0_to_1(unit: str, value: float, share: float) -> None:
    """Percent and shares are the same shares."""
    assert shares("s", [Point(START, value)], unit) == [(START, share)]


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        pytest.param(
            "share", 1.7, "s: 1.7 > 1; is it percent\\? set unit: percent", id="A5-percent-as-share"
        ),
        pytest.param("percent", 140.0, "s: 140 > 100; over 100 %", id="A34-140-percent"),
        pytest.param("share", 8e9, "s: 8e.09 > 1; is it percent", id="A7-bytes-as-share"),
    ],
)
def test_more_than_all_is_rejected(unit: str, value: float, words: str) -> None:
    """The message names the value, the limit and what to do."""
    with pytest.raises(RejectedSeries, match=words):
        shares("s", [Point(START, 0.5), Point(START + 60, value)], unit)


@pytest.mark.parametrize(
    ("values_", "frozen"),
    [
        pytest.param([0.7] * 24, True, id="A12-one-value-all-day"),
        pytest.param([0.7] * 23 + [0.71], False, id="A12-moves-once"),
        pytest.param([0.7] * 11, False, id="A12-too-few-to-tell"),
        pytest.param([0.0] * 24, False, id="A12-idle"),
    ],
)
def test_a_gauge_that_never_moves_is_no_measurement(values_: list[float], *, frozen: bool) -> None:
    """Nothing can be idle all day long but at 0."""
    assert is_frozen([Point(START + HOUR_S * i, v) for i, v in enumerate(values_)]) is frozen
