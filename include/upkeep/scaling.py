"""When of the week the machines are needed: from the hours of past days. Pure.

An hour's load is the machines at work in it: the share of the GPUs in use times the machines
where that is collected, else the requests that are served at once, which is the sum of their
latencies over the hour (Little 1961). The pattern is the median over the weeks of each of the
168 hours. It is believed where it foretells the hours of weeks that it was not learnt from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date
from statistics import median
from typing import Literal, NamedTuple

from upkeep.records import DailyMetrics, HourMetrics, ScalingHint
from upkeep.scaling_words import hint_words

DAY_HOURS, WEEK_HOURS = 24, 168
WINDOW_DAYS = 28
LEAST_WEEKS = 2
LEAST_SHARE = 0.9  # of the week's hours seen in as many weeks
LEAST_PATTERN = 0.2
TARGET = 0.7
QUIET = 0.5  # of the fullest hour's machines, or load
FULL = 0.9

Basis = Literal["gpu_share", "concurrency"]


class _Hour(NamedTuple):
    """One hour that was seen: its place in the week, the week it lies in, and its load."""

    place: int
    week: int
    load: float


def hint(
    model: str,
    day: date,
    days: Sequence[DailyMetrics],
    *,
    machines: int | None = None,
    per_machine: float | None = None,
    target_share: float = TARGET,
) -> ScalingHint:
    """What a schedule by the hour of the week would save, seen from ``day``.

    ``days`` are stored days in any order; those of the last 28 days up to ``day`` count.
    ``machines`` are those that serve now, ``per_machine`` the requests that one of them serves
    at once. Each hour needs ceil(load / (capacity of one x ``target_share``)) machines, one at
    least; without a known capacity the load itself, over that of the fullest hour, says what a
    schedule saves.

    Raises:
        ValueError: ``target_share`` is not in (0, 1], or a number of machines is not positive.

    """
    _check(machines, per_machine, target_share)
    known = sorted((d for d in days if 0 <= (day - d.day).days < WINDOW_DAYS), key=lambda d: d.day)
    basis: Basis = "gpu_share" if machines is not None and _has_gpu(known) else "concurrency"
    hours = [h for d in known for h in _hours(d, day, basis, machines or 1)]
    week = _by_place(hours)
    pattern = [_median([h.load for h in place]) for place in week]
    capacity = 1.0 if basis == "gpu_share" else per_machine
    found = ScalingHint(
        model=model,
        day=day,
        basis=basis if hours else "none",
        target_share=target_share,
        weeks_seen=len(hours) / WEEK_HOURS,
        load=tuple(pattern),
        machines=(),
        quiet_hours=(),
        full_hours=(),
        pattern_share=_foretold(week),
        saved_share=None,
        words="",
    )
    if _enough(week) and (found.pattern_share or 0.0) >= LEAST_PATTERN:
        found = _planned(found, pattern, capacity, target_share)
    return found.model_copy(update={"words": hint_words(found, machines)})


def _check(machines: int | None, per_machine: float | None, target_share: float) -> None:
    if not 0.0 < target_share <= 1.0:
        raise ValueError(f"target_share is {target_share!r}, allowed is above 0 and up to 1")
    for name, value in (("machines", machines), ("per_machine", per_machine)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} is {value!r}, allowed is above 0: leave it out if unknown")


# ---------------------------------------------------------------- the hours


def _has_gpu(days: Sequence[DailyMetrics]) -> bool:
    """Whether at least half of the hours that had requests say how busy their GPUs were."""
    hours = [h for d in days for h in d.hours if h.covered and h.requests is not None]
    return bool(hours) and sum(h.utilisation.gpu is not None for h in hours) * 2 >= len(hours)


def _hours(metrics: DailyMetrics, last: date, basis: Basis, machines: int) -> Iterator[_Hour]:
    """The hours of a day whose load is known; one without requests has none."""
    week = (last - metrics.day).days // 7
    for hour in metrics.hours:
        load = _load(hour, basis, machines) if hour.covered else None
        if load is not None:
            yield _Hour(metrics.day.weekday() * DAY_HOURS + hour.hour, week, load)


def _load(hour: HourMetrics, basis: Basis, machines: int) -> float | None:
    if hour.requests == 0:
        return 0.0
    if basis == "gpu_share":
        return hour.utilisation.gpu.mean * machines if hour.utilisation.gpu else None
    return hour.busy_s / 3600.0 if hour.busy_s is not None else None


def _median(loads: Sequence[float]) -> float | None:
    return median(loads) if loads else None


def _by_place(hours: Sequence[_Hour]) -> list[list[_Hour]]:
    """What was seen of each of the week's hours."""
    week: list[list[_Hour]] = [[] for _ in range(WEEK_HOURS)]
    for hour in hours:
        week[hour.place].append(hour)
    return week


def _enough(week: Sequence[Sequence[_Hour]]) -> bool:
    """Whether nearly every hour of the week was seen in two weeks."""
    return sum(len(place) >= LEAST_WEEKS for place in week) >= LEAST_SHARE * WEEK_HOURS


def _foretold(week: Sequence[Sequence[_Hour]]) -> float | None:
    """The share of the hours' absolute deviation that other weeks' same hours foretell.

    1 - sum |load - median of that hour in other weeks| / sum |load - median of other weeks|.
    """
    left = usual = 0.0
    hours = [h for place in week for h in place]
    numbers = sorted({h.week for h in hours})
    whole = {n: _median([h.load for h in hours if h.week != n]) for n in numbers}
    for hour in hours:
        others = [h.load for h in week[hour.place] if h.week != hour.week]
        centre = whole[hour.week]
        if others and centre is not None:
            left += abs(hour.load - median(others))
            usual += abs(hour.load - centre)
    return 1.0 - left / usual if usual > 0.0 else None


# ---------------------------------------------------------------- the plan


def _planned(
    found: ScalingHint, pattern: Sequence[float | None], capacity: float | None, target: float
) -> ScalingHint:
    """Machines of every hour, and what they save; an hour that was never seen gets the most."""
    most = max(load for load in pattern if load is not None)
    loads = [most if load is None else load for load in pattern]
    plan: tuple[int, ...] = ()
    if capacity is None or most <= 0.0:
        needed = loads
    else:
        plan = tuple(max(1, math.ceil(load / (capacity * target) - 1e-9)) for load in loads)
        needed = [float(n) for n in plan]
    peak = max(needed)
    if peak <= 0.0:
        return found
    return found.model_copy(
        update={
            "machines": plan,
            "quiet_hours": tuple(n for n, x in enumerate(needed) if x <= QUIET * peak),
            "full_hours": tuple(n for n, x in enumerate(needed) if x >= FULL * peak),
            "saved_share": 1.0 - math.fsum(needed) / (peak * len(needed)),
        }
    )
