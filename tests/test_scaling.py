"""Hours of the week: what a schedule of machines saves, and when nothing can be said."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest
from fakes.recorded_days import opened, put
from fakes.sixteen_days import MODEL, validated
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.facts import scaling_hint
from upkeep.records import DailyMetrics, Gauge, HourMetrics, ScalingHint, Utilisation
from upkeep.scaling import hint
from upkeep.scaling_words import hours_words
from upkeep.store import open_store

MONDAY = date(2026, 2, 2)
LAST = MONDAY + timedelta(27)
Load = Callable[[int, int], float]


def office(weekday: int, hour: int) -> float:
    """Eight machines at work on weekdays from 8 to 18, one else."""
    return 8.0 if weekday < 5 and 8 <= hour < 18 else 1.0


def flat(_: int, __: int) -> float:
    """The same all week."""
    return 4.0


def days(
    load: Load, count: int = 28, noise: float = 0.05, machines: int | None = None, seed: int = 1
) -> list[DailyMetrics]:
    """Days with this load; in shares of ``machines`` GPUs where stated, else as busy seconds."""
    rng = random.Random(seed)
    return [_day(LAST - timedelta(count - 1 - n), load, noise, machines, rng) for n in range(count)]


def _day(
    day: date, load: Load, noise: float, machines: int | None, rng: random.Random
) -> DailyMetrics:
    found = []
    for hour in range(24):
        busy = load(day.weekday(), hour) * (1 + rng.uniform(-noise, noise))
        gpu = Gauge(mean=busy / machines, high=1.0) if machines else None
        found.append(
            HourMetrics(
                hour=hour,
                covered=True,
                requests=100,
                busy_s=3600 * busy,
                utilisation=Utilisation(gpu=gpu),
            )
        )
    return DailyMetrics(
        model=MODEL,
        day=day,
        source="prometheus",
        coverage=1.0,
        rows_read=0,
        rows_quarantined=0,
        requests=2400,
        hours=tuple(found),
    )


def test_office_hours_are_found_with_their_machines() -> None:
    """By hand: 12 machines in 50 of 168 hours at 70 %, 2 in the others."""
    found = hint(MODEL, LAST, days(office, machines=16, noise=0.01), machines=16)
    assert found.basis == "gpu_share"
    assert found.weeks_seen == pytest.approx(4.0)
    assert (found.machines[8], found.machines[7], found.machines[5 * 24 + 12]) == (12, 2, 2)
    assert found.full_hours == tuple(d * 24 + h for d in range(5) for h in range(8, 18))
    assert len(found.quiet_hours) == 118
    assert found.saved_share == pytest.approx(1 - (50 * 12 + 118 * 2) / (168 * 12))
    assert found.pattern_share == pytest.approx(1.0, abs=0.1)
    assert "would save 59%" in found.words
    assert "full Mon-Fri 08-18" in found.words
    assert "2 to 12 machines at 70% in use (16 now)" in found.words


def test_the_target_sets_the_machines() -> None:
    """At half in use, 8 machines' work needs 16."""
    found = hint(MODEL, LAST, days(office, machines=16, noise=0), machines=16, target_share=0.5)
    assert max(found.machines) == 16


def test_concurrency_says_the_share_where_machines_are_not_known() -> None:
    """Little's law gives the load; what one machine serves is not known, the saving is."""
    found = hint(MODEL, LAST, days(office, noise=0))
    assert (found.basis, found.machines) == ("concurrency", ())
    assert found.load[8] == pytest.approx(8.0)
    assert found.saved_share == pytest.approx(1 - (50 * 8 + 118) / (168 * 8))


def test_a_known_capacity_gives_machines() -> None:
    """Four requests at once on one machine, at 50 %: 8 at once need 4 machines."""
    found = hint(MODEL, LAST, days(office, noise=0), per_machine=4.0, target_share=0.5)
    assert (found.machines[8], found.machines[0]) == (4, 1)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_pattern(seed: int) -> None:
    """A flat week with a fifth of noise: no schedule, whatever the medians look like."""
    found = hint(MODEL, LAST, days(flat, noise=0.2, seed=seed))
    assert found.saved_share is None
    assert found.pattern_share is not None
    assert found.pattern_share < 0.2
    assert "no schedule is proposed" in found.words


@pytest.mark.parametrize("count", [0, 1, 7])
def test_one_week_is_too_little(count: int) -> None:
    """An hour of the week that was seen once foretells nothing."""
    found = hint(MODEL, LAST, days(office, count))
    assert (found.saved_share, found.machines) == (None, ())
    assert "too little history" in found.words
    assert found.weeks_seen == pytest.approx(count / 7)


def test_ten_days_are_said_to_be_too_few() -> None:
    """Three days of the week were seen twice: a pattern, and no schedule."""
    found = hint(MODEL, LAST, days(office, 10))
    assert found.saved_share is None
    assert "no schedule is proposed: 1.4 weeks" in found.words


def test_a_spike_of_one_week_is_no_need() -> None:
    """One wild Monday does not order machines for all Mondays."""
    wild = days(office, noise=0)
    first = wild[0]
    hours = tuple(h.model_copy(update={"busy_s": 3600 * 80.0}) for h in first.hours)
    wild[0] = first.model_copy(update={"hours": hours})
    assert hint(MODEL, LAST, wild).load == hint(MODEL, LAST, days(office, noise=0)).load


def test_hours_that_were_not_read_are_not_quiet() -> None:
    """A gap is no idle hour; an hour that was never seen gets the most machines."""
    gap = [
        d.model_copy(
            update={
                "hours": tuple(
                    h if h.hour != 3 else HourMetrics(hour=3, covered=False) for h in d.hours
                )
            }
        )
        for d in days(office, machines=16, noise=0)
    ]
    found = hint(MODEL, LAST, gap, machines=16)
    assert found.load[3] is None
    assert found.machines[3] == max(found.machines)


def test_an_hour_without_requests_is_quiet() -> None:
    """Known to be idle is a load of 0, also where nothing else was measured."""
    idle = HourMetrics(hour=3, covered=True, requests=0)
    some = [
        d.model_copy(update={"hours": tuple(idle if h.hour == 3 else h for h in d.hours)})
        for d in days(office, noise=0)
    ]
    assert hint(MODEL, LAST, some).load[3] == 0.0


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_the_order_of_days_does_not_matter(seed: int) -> None:
    """And days beyond the last 28, or after the day, are not read."""
    known = days(office, 28)
    other = [*days(flat, 60)[:32], known[0].model_copy(update={"day": LAST + timedelta(1)})]
    shuffled = random.Random(seed).sample([*known, *other], len(known) + len(other))
    assert hint(MODEL, LAST, shuffled) == hint(MODEL, LAST, known)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"target_share": 0.0}, "target_share is 0.0"),
        ({"target_share": 70.0}, "target_share is 70.0"),
        ({"machines": 0}, "machines is 0"),
        ({"per_machine": -1.0}, "per_machine is -1.0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, float], name: str) -> None:
    """With the value, and what is allowed."""
    with pytest.raises(ValueError, match=name):
        hint(MODEL, LAST, [], **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ([], "never"),
        (range(168), "Mon-Sun 00-24"),
        ([0, 1, 5], "Mon 00-02 and 05-06"),
        ([23, 24], "Mon 23-24, Tue 00-01"),
    ],
)
def test_hours_in_words(hours: Sequence[int], words: str) -> None:
    """Half-open spans, days with equal hours together."""
    assert hours_words(hours) == words


def test_the_hint_comes_from_the_store_and_from_trusted_days(tmp_path: object) -> None:
    """Days of the store, without those whose data could not be trusted; its bytes are one form."""
    store = open_store(str(tmp_path))
    for n, metrics in enumerate(days(office, noise=0)):
        put(store, MODEL, metrics.day, "open", opened(metrics.day))
        put(store, MODEL, metrics.day, "metrics", metrics)
        checked = validated(metrics.day, trusted=n != 0)
        put(store, MODEL, metrics.day, "validation", checked)
    found = scaling_hint(store, MODEL, LAST, None)
    assert found == hint(MODEL, LAST, days(office, noise=0)[1:])
    assert ScalingHint.parse(found.canonical_bytes()) == found
