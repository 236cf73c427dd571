"""Counters of a day: whatever order they come in, each event is counted once."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.sources.hourly import Hours
from upkeep.sources.points import DAY_S, Window
from upkeep.sources.prometheus_series import Beginning, Grid, Series, gains, identities

DAY = date(2026, 3, 5)
WINDOW = Window.of(DAY, datetime(2026, 3, 9, tzinfo=UTC))
GRID = Grid.of(WINDOW, 3600)


def series(values: list[float], **labels: str) -> Series:
    """A series of the day's full hours."""
    made = Series({"__name__": "requests_total", **labels})
    made.add(
        {"values": [[WINDOW.start_s + n * 3600, str(value)] for n, value in enumerate(values)]}
    )
    return made


def gained(one: Series) -> float:
    """What a counter gained over the day."""
    beginning = Beginning.after([], [one], GRID)
    return sum(gains(one, beginning, Hours("test"))[1].values())


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(0, 1000), min_size=25, max_size=25),
    restart=st.integers(1, 24) | st.none(),
    seed=st.integers(0, 99),
)
def test_A16_shuffled_and_repeated_points_are_the_same_counter(  # noqa: N802 - the case's id
    steps: list[int], restart: int | None, seed: int
) -> None:
    """What it gained is what happened after the first point, less nothing but the unseen."""
    values = list(accumulate(steps))
    true = values[-1] - values[0]
    if restart is not None:
        lost = values[restart - 1]
        values[restart:] = [value - lost for value in values[restart:]]
        if values[restart] >= lost > 0:  # a restart that nobody can see
            true -= lost
    dice = random.Random(seed)
    points = [[WINDOW.start_s + n * 3600, str(value)] for n, value in enumerate(values)]
    shuffled = [*points, *dice.sample(points, 7)]
    dice.shuffle(shuffled)
    messy = Series({"__name__": "requests_total"})
    for point in shuffled:
        messy.add({"values": [point]})
    assert gained(messy) == gained(series([float(value) for value in values])) == true


@pytest.mark.parametrize("step_s", [5, 60, 3600])
@pytest.mark.parametrize("many", [1, 1000, 10**6])
def test_every_time_is_asked_for_once(step_s: int, many: int) -> None:
    """In spans that grow shorter with the number of series."""
    spans = list(Grid.of(WINDOW, step_s).spans(many))
    times = [at for first, last in spans for at in range(int(first), int(last) + 1, step_s)]
    start = int(WINDOW.start_s)
    assert times == list(range(start, start + DAY_S + 1, step_s))


def test_a_day_that_has_not_begun_has_no_times() -> None:
    """Nothing is asked for."""
    early = Window.of(DAY, datetime(2026, 3, 1, tzinfo=UTC))
    assert list(Grid.of(early, 60).spans(1)) == []


def test_of_replicas_the_fullest_is_read_for_all_buckets_alike() -> None:
    """A histogram's buckets are of one replica, and of equals the first by name."""
    found = [
        series([1] * points, pod="a", le=le, replica=replica)
        for le in ("1", "+Inf")
        for replica, points in (("x", 5), ("y", 9 if le == "1" else 7), ("z", 8))
    ]
    (group,) = identities(found, "replica", frozenset({"le"}))
    assert {one.labels["replica"] for one in group} == {"y"}
    assert len(group) == 2


def test_names_are_cut_and_escaped() -> None:
    """A record never holds what a label's value was made of to do harm."""
    name = series([1], pod="\x1b[31m\n" + "x" * 10_000, app="a").name
    assert name.startswith('requests_total{app="a", pod="\\u001b[31m\\n')
    assert len(name) <= 160
