"""Points of one series, cleaned; and what a day's hours gained by a counter. Pure.

A point is (unix seconds, value). Nothing is repaired: what cannot be true is set aside with a
reason, and a series that cannot be what it is said to be is rejected as a whole.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import pairwise
from typing import Any, NamedTuple

from upkeep.sources.hourly import Hours

HOUR_S = 3600
DAY_S = 24 * HOUR_S
EARLIEST_S, LATEST_S = 946_684_800.0, 4_102_444_800.0  # the years 2000 and 2100
IN_THE_FUTURE = "lies in the future"
FROZEN_POINTS = 12  # so many equal values of a gauge in a row, all day long, are no measurement
# To canonical units: ms for times, shares for utilisation, bytes a second, plain counts.
SCALES = {
    "1": 1.0,
    "s": 1000.0,
    "ms": 1.0,
    "us": 0.001,
    "share": 1.0,
    "percent": 0.01,
    "bytes": 1.0,
    "bytes_per_s": 1.0,
    "MiB": 1024.0**2,
    "GiB": 1024.0**3,
}


class Point(NamedTuple):
    """One value at one time."""

    at_s: float
    value: float


class RejectedSeries(ValueError):
    """A series is not what it is said to be; the message is the reason in words."""


@dataclass(frozen=True)
class Window:
    """The UTC day [start, end) in unix seconds, and what time it is now."""

    start_s: float
    now_s: float

    @classmethod
    def of(cls, day: date, now: datetime) -> Window:
        """The window of a day."""
        return cls(datetime.combine(day, time(), UTC).timestamp(), now.timestamp())

    @property
    def end_s(self) -> float:
        """The first second of the next day."""
        return self.start_s + DAY_S

    def hour(self, at_s: float) -> int:
        """Which of the 24 hours a second of the day belongs to."""
        return int((at_s - self.start_s) // HOUR_S)


def number(value: Any) -> float:
    """A number as systems write it in JSON: a number, or plain ASCII digits in a string.

    ``float`` takes more than that ("1_000", Arabic digits); those raise ValueError.
    """
    if type(value) is float:  # nearly all of a day's points: this is asked twice for each
        return value + 0.0  # -0.0 is 0.0, whichever of the two came first
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{type(value).__name__} is no number")  # noqa: TRY004 - one kind
    if isinstance(value, str) and (not value.isascii() or "_" in value or value != value.strip()):
        raise ValueError("is not written as a number")
    try:
        return float(value) + 0.0
    except OverflowError:
        raise ValueError("is larger than any number that is measured") from None


def clean(
    series: str,
    raw: Iterable[tuple[Any, Any]],
    window: Window,
    into: Hours,
    *,
    negative: bool = False,
    edge: bool = False,
) -> list[Point]:
    """The series' points of the day: sorted, each time once, finite, and >= 0.

    ``edge`` keeps the point at the day's very end too, which a counter needs. What is set
    aside is counted in ``into`` under the series' name, each point once however often it came.
    Points of other days are no fault of this one.

    Raises:
        RejectedSeries: its times are in another unit.

    """
    asides: dict[str, set[tuple[str, str]]] = {}
    seen: dict[float, float] = {}
    several: dict[float, set[float]] = {}  # the values of a time that has more than one
    before_s = math.nextafter(window.end_s, math.inf) if edge else window.end_s
    least = -sys.float_info.max if negative else 0.0
    for at, value in raw:
        at_s = _time(at)
        if at_s is not None and at_s <= window.now_s and not window.start_s <= at_s < before_s:
            continue
        found = _value(value)
        if at_s is None or at_s > window.now_s or found is None or not least <= found < math.inf:
            fault = _fault(at_s, found, window)
            asides.setdefault(fault, set()).add((repr(at), repr(value)))
        elif seen.setdefault(at_s, found) != found:
            several.setdefault(at_s, {seen[at_s]}).add(found)
    counted = {reason: len(found) for reason, found in asides.items()}
    if several:
        into.flag(f"{series}: HA pair without dedup label: two values at one time")
        counted["has another value at the same time"] = sum(map(len, several.values()))
    if IN_THE_FUTURE in counted:
        into.flag(f"{series}: the clock of its writer is ahead")
    for reason, count in sorted(counted.items()):
        into.set_aside(series, reason, count)
    points = [Point(at_s, seen[at_s]) for at_s in sorted(seen) if at_s not in several]
    into.points_read += len(points) + sum(counted.values())
    return points


def _time(at: Any) -> float | None:
    """A point's time in seconds; None if it is no number."""
    try:
        at_s = number(at)
    except ValueError:
        return None
    if not EARLIEST_S <= at_s <= LATEST_S:
        raise RejectedSeries(f"timestamp unit: {at_s:.6g} is no time in seconds")
    return at_s


def _value(value: Any) -> float | None:
    """A point's value; None if it is no number."""
    try:
        return number(value)
    except ValueError:
        return None


def _fault(at_s: float | None, found: float | None, window: Window) -> str:
    """Why a point cannot be; its time is looked at first."""
    if at_s is None:
        return "has a time that is not a number"
    if at_s > window.now_s:
        return IN_THE_FUTURE
    if found is None:
        return "is not a number"
    return "is negative" if math.isfinite(found) else "is NaN or infinite"


def increases(
    series: str, points: Sequence[Point], window: Window, into: Hours
) -> dict[int, float]:
    """What a counter gained in each hour that it was seen in; resets are followed.

    A fall is a restart: the counter began again at 0, and what it gained before the next point
    is lost, so that the sum is a lower bound (a flag says so). A gain belongs to the hour in
    which its interval begins.

    Raises:
        RejectedSeries: it falls more often than a process restarts: it is no counter.

    """
    falls = sum(b.value < a.value for a, b in pairwise(points))
    rises = sum(b.value > a.value for a, b in pairwise(points))
    # What falls is a gauge, unless it mostly rises; of a few points, unless it rises as often.
    # A fall to 0 is how a restart looks: a rare event's counter may fall twice and rise once.
    partly = sum(0.0 < b.value < a.value for a, b in pairwise(points))
    if falls > max(5, rises // 4) or partly > max(1, rises):
        raise RejectedSeries(f"not a counter: it fell {falls} times and rose {rises} times")
    if falls:
        words = "restarted" if falls == 1 else f"restarted {falls} times"
        into.flag(f"{series} {words}; undercounted by what came between the last points")
    gained: dict[int, float] = {}
    for before, after in pairwise(points):
        gain = after.value - before.value if after.value >= before.value else after.value
        hour = window.hour(before.at_s)
        gained[hour] = gained.get(hour, 0.0) + gain
    return gained


def by_hour(points: Sequence[Point], window: Window) -> dict[int, list[float]]:
    """The values of each hour; the point at the day's very end is the next day's."""
    found: dict[int, list[float]] = {}
    for point in points:
        if point.at_s < window.end_s:
            found.setdefault(window.hour(point.at_s), []).append(point.value)
    return found


def shares(series: str, points: Sequence[Point], unit: str) -> list[Point]:
    """Utilisation as shares of 0 to 1.

    Raises:
        RejectedSeries: a value is over 1: it is in another unit than said.

    """
    scaled = [Point(p.at_s, p.value * SCALES[unit]) for p in points]
    highest = max((p.value for p in scaled), default=0.0)
    if highest > 1.0 + 1e-9:
        hint = "is it percent? set unit: percent" if unit == "share" else "over 100 %"
        raise RejectedSeries(
            f"{series}: {highest / SCALES[unit]:.6g} > {1 / SCALES[unit]:g}; {hint}"
        )
    return [Point(p.at_s, min(p.value, 1.0)) for p in scaled]


def is_frozen(points: Sequence[Point]) -> bool:
    """Whether a gauge said one and the same value all day long (0 is a value that can last)."""
    values = {p.value for p in points}
    return len(points) >= FROZEN_POINTS and len(values) == 1 and values != {0.0}
