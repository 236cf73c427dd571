"""Series as Prometheus answers them, a day at a time: bounded, told apart, replicas folded.

Values are asked for on a grid whose step divides the hour, from the day's first second to the
next day's first second, both included: an hour's and a day's edges are points of the grid, and
what a counter gained belongs to exactly one hour and one day, because the next day begins with
the value that this one ends with.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from upkeep.sources.hourly import Hours
from upkeep.sources.points import (
    HOUR_S,
    Point,
    RejectedSeries,
    Window,
    clean,
    increases,
    number,
)
from upkeep.sources.prometheus_http import Api

POINTS_A_REQUEST = 200_000  # about 6 MB of JSON
POINTS_A_SERIES = 10_000  # Prometheus answers 11,000 at most
BEFORE_S = 6 * HOUR_S
MAX_NAME_CHARS = 160
MAX_LABELS = 40
# Labels by which the two Prometheus of a pair tell themselves apart, wherever they are.
REPLICA_LABELS = frozenset({"prometheus_replica", "__replica__", "thanos_replica"})


Identity = tuple[tuple[str, str], ...]


@dataclass
class Series:
    """One series: its labels and its points, 16 bytes each.

    ``odd`` are points that no float holds, ``histograms`` those of a native histogram.
    """

    labels: dict[str, str]
    times: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))
    odd: list[tuple[Any, Any]] = field(default_factory=list)
    histograms: list[tuple[Any, Mapping[str, Any]]] = field(default_factory=list)

    def add(self, answered: Mapping[str, Any]) -> None:
        """Take the points of one entry of an answer, of a range or of one time."""
        one = [answered["value"]] if "value" in answered else []
        for at, value in chain(answered.get("values") or (), one):
            try:
                at_s, read = number(at), number(value)
            except ValueError:
                self.odd.append((at, value))
            else:
                self.times.append(at_s)
                self.values.append(read)
        one = [answered["histogram"]] if "histogram" in answered else []
        self.histograms.extend((at, h) for at, h in chain(answered.get("histograms") or (), one))

    def raw(self) -> Iterator[tuple[Any, Any]]:
        """Its points as they came, for ``points.clean``."""
        return chain(zip(self.times, self.values, strict=True), self.odd)

    def __len__(self) -> int:
        """How many points it has."""
        return len(self.times) + len(self.odd) + len(self.histograms)

    @property
    def identity(self) -> Identity:
        """Its labels, to tell it from others."""
        return tuple(sorted(self.labels.items()))

    @property
    def name(self) -> str:
        """As messages show it: escaped, and cut."""
        labels = sorted((k, v) for k, v in self.labels.items() if k != "__name__")
        inside = ", ".join(f"{k}={json.dumps(v[:MAX_NAME_CHARS])}" for k, v in labels)
        text = f"{self.labels.get('__name__', '')}{{{inside}}}"
        return text if len(text) <= MAX_NAME_CHARS else text[: MAX_NAME_CHARS - 2] + "…}"


@dataclass(frozen=True)
class Grid:
    """The times that are asked for: the window's, up to now, ``step_s`` apart."""

    window: Window
    step_s: int

    @classmethod
    def of(cls, window: Window, step_s: int) -> Grid:
        """The step is the largest divisor of an hour that is not over ``step_s``."""
        return cls(window, next(s for s in range(step_s, 0, -1) if HOUR_S % s == 0))

    @property
    def end_s(self) -> float:
        """The last time of the grid: the day's end, or before now."""
        steps = (min(self.window.end_s, self.window.now_s) - self.window.start_s) // self.step_s
        return self.window.start_s + steps * self.step_s

    def spans(self, series: int) -> Iterator[tuple[float, float]]:
        """First and last time of each request, each time of the grid in one of them."""
        steps = min(POINTS_A_SERIES, max(1, POINTS_A_REQUEST // max(1, series)))
        start_s = self.window.start_s
        while start_s <= self.end_s:
            last_s = min(start_s + (steps - 1) * self.step_s, self.end_s)
            yield start_s, last_s
            start_s = last_s + self.step_s


@dataclass(frozen=True)
class Asking:
    """How one source's series are asked for."""

    api: Api
    grid: Grid
    max_series: int
    replica_label: str | None

    def read(self, query: str, selector: str, points_each: int = 1) -> list[Series]:
        """The day's series of a query; no series means not collected.

        ``selector`` are the series that the query is made of. How many there are of its own is
        asked first, hour by hour, and checked again while reading.

        Raises:
            RejectedSeries: there are more than ``max_series``.

        """
        if self.grid.end_s < self.grid.window.start_s:
            return []
        many = self._count(query, selector)
        found: dict[Identity, Series] = {}
        for start_s, end_s in self.grid.spans(many * points_each):
            for answered in self.api.matrix(query, start_s, end_s, self.grid.step_s):
                self._take(answered, found)
            if len(found) > self.max_series:
                raise self._too_many(len(found), *_widest(found.values()))
        return list(found.values())

    def before(self, selector: str) -> dict[Identity, Series]:
        """By its labels, the last point that each series had in the six hours before the day."""
        found: dict[Identity, Series] = {}
        query = f"last_over_time({selector}[{BEFORE_S}s])"
        for answered in self.api.vector(query, self.grid.window.start_s):
            self._take(answered, found)
        return found

    def there(self, selector: str) -> bool:
        """Whether a full hour of the day has any such series."""
        return self._count(selector, selector) > 0

    def _take(self, answered: Mapping[str, Any], found: dict[Identity, Series]) -> None:
        labels = {str(k): str(v) for k, v in answered["metric"].items()}
        if self.replica_label is None:  # a pair that nobody told apart: one series, twice
            labels = {k: v for k, v in labels.items() if k not in REPLICA_LABELS}
        if "__name__" in labels:
            labels["__name__"] = labels["__name__"].replace(":", "_")
        series = Series(labels)
        found.setdefault(series.identity, series).add(answered)

    def _count(self, query: str, selector: str) -> int:
        """The most series that there are at any full hour; more than ``max_series`` raises."""
        start_s, end_s = self.grid.window.start_s, self.grid.end_s
        counts = Series({})
        for answered in self.api.matrix(f"count({query})", start_s, end_s, HOUR_S):
            counts.add(answered)
        most, at_s = max(zip(counts.values, counts.times, strict=True), default=(0.0, start_s))
        if most > self.max_series:
            raise self._too_many(int(most), *self._widest_at(query, selector, at_s))
        return int(most)

    def _widest_at(self, query: str, selector: str, at_s: float) -> tuple[str, int]:
        """The label with the most distinct values, none included; only its count is sent."""
        labels = self.api.names(
            "labels", **{"match[]": selector, "start": at_s - HOUR_S, "end": at_s}
        )
        counts: dict[str, int] = {}
        for label in [name for name in labels if name.isidentifier()][:MAX_LABELS]:
            answer = self.api.vector(f"count(count by ({label}) ({query}))", at_s)
            counts[label] = int(number(answer[0]["value"][1])) if answer else 0
        return max(counts.items(), key=lambda one: (one[1], one[0]), default=("unknown", 0))

    def _too_many(self, many: int, label: str, values: int) -> RejectedSeries:
        said = f"{many} series, max_series is {self.max_series}"
        return RejectedSeries(f"{said}; label {label[:MAX_NAME_CHARS]!r} has {values} values")


def _widest(found: Iterable[Series]) -> tuple[str, int]:
    values: dict[str, set[str]] = {}
    for series in found:
        for label, value in series.labels.items():
            values.setdefault(label, set()).add(value)
    counts = {label: len(distinct) for label, distinct in values.items()}
    return max(counts.items(), key=lambda one: (one[1], one[0]))


def identities(
    found: Iterable[Series], replica_label: str | None, within: frozenset[str] = frozenset()
) -> list[list[Series]]:
    """Series by what they are: those that differ in ``within`` only belong together.

    Of replicas one is read, the one with the most points (A15). Never a bit of each: two
    Prometheus see a counter at different moments, and to go back and forth between them would
    look like restarts.
    """
    groups: dict[Identity, dict[str, list[Series]]] = {}
    for series in found:
        apart = within | {replica_label}
        identity = tuple(sorted((k, v) for k, v in series.labels.items() if k not in apart))
        replica = series.labels.get(replica_label or "", "")
        groups.setdefault(identity, {}).setdefault(replica, []).append(series)
    return [
        min(replicas.items(), key=lambda one: (-sum(len(s) for s in one[1]), one[0]))[1]
        for _, replicas in sorted(groups.items())
    ]


# ------------------------------------------------------------------ counters


@dataclass(frozen=True)
class Beginning:
    """What a family's counters stood at when the day began, for those that were not there then.

    A counter that has no value at the day's first second has, in this order,

    - the value that it had last in the six hours before: what it gained while nobody saw it
      belongs to this day, and to no other. Exact.
    - 0, if the family was seen at any time before it, in those hours or in the day: it began
      when its process, or its label, began (a new pod, the first error). Exact, unless the
      counter is old and was merely not scraped until then; a flag names it.
    - its own first value, if nothing of the family was seen before: what it counted until then
      may be of any day. A lower bound; a flag says so.

    What a counter gains between its last scrape and its end is in no series: with pods that
    come and go, counts are exact up to one scrape interval a pod.
    """

    grid: Grid
    known: Mapping[Identity, Series]
    first_seen_s: float

    @classmethod
    def of(cls, asking: Asking, selector: str, found: Sequence[Series]) -> Beginning:
        """Asks for what was before only if some series needs it."""
        start_s = asking.grid.window.start_s
        late = any(min(series.times) > start_s for series in found if series.times)
        return cls.after(asking.before(selector).values() if late else (), found, asking.grid)

    @classmethod
    def after(cls, before: Iterable[Series], found: Sequence[Series], grid: Grid) -> Beginning:
        """With the series from before the day at hand."""
        known = {series.identity: series for series in before}
        firsts = [min(series.times) for series in found if series.times]
        seen_s = grid.window.start_s - 1 if known else min(firsts, default=0.0)
        return cls(grid, known, seen_s)

    def points(self, series: Series, points: Sequence[Point], into: Hours) -> list[Point]:
        """The counter's points with the one before the first, where that is known."""
        start_s = self.grid.window.start_s
        if not points or points[0].at_s <= start_s:
            return list(points)
        known = self.known.get(series.identity)
        if known is not None and known.values:
            return [Point(start_s, known.values[-1]), *points]
        first = points[0]
        if self.first_seen_s < first.at_s:
            into.flag(f"{series.name} began within the day and is counted from 0")
            return [Point(max(start_s, first.at_s - self.grid.step_s), 0.0), *points]
        if first.value:
            into.flag(f"{series.name} stood at {first.value:.6g} when first seen; not counted")
        return list(points)


def gains(
    series: Series, beginning: Beginning, into: Hours
) -> tuple[list[Point], dict[int, float]]:
    """A counter's clean points, and what it gained in each hour."""
    window = beginning.grid.window
    points = clean(series.name, series.raw(), window, into, edge=True)
    return points, increases(series.name, beginning.points(series, points, into), window, into)
