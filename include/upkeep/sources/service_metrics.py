"""A day as a cloud service tells it: numbers that the service itself added up, by the hour.

What such services have in common, and what is decided here for all of them:

- A count is the sum of an hour's points; a quantile is the service's own, of the hour and of
  the whole day, because quantiles cannot be added up.
- No point is no zero. Services write nothing where nothing was requested, and also where they
  were broken. An hour without a point of the request count is a covered hour with 0 requests
  only where the same machines wrote their utilisation in that hour, nothing else speaks of
  traffic, and the service knows the request count by this name. Else it is not covered.
- Quantiles that do not rise (A31) and hours with more errors than requests (A36) are set aside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from upkeep.errors import ConfigError
from upkeep.records import Quantiles
from upkeep.sources.hourly import (
    COUNTS,
    GAUGES,
    TIMES,
    Buckets,
    CountName,
    GaugeName,
    Hour,
    Hours,
    TimeName,
    merged,
)
from upkeep.sources.points import (
    SCALES,
    Point,
    RejectedSeries,
    Window,
    by_hour,
    clean,
    is_frozen,
    shares,
)
from upkeep.spec_sources import MetricName

Raw = Iterable[tuple[Any, Any]]
STATISTICS = ("p50", "p90", "p95", "p99", "mean", "n")
ERRORS: tuple[CountName, CountName] = ("generation_errors", "api_errors")
NOT_MONOTONE = "quantiles not monotone"
TOO_MANY_ERRORS = "more errors than requests"
_UNITS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(COUNTS, ("1",)),
    **dict.fromkeys(TIMES, ("s", "ms", "us")),
    **dict.fromkeys(GAUGES, ("share", "percent")),
    "network_bytes_per_s": ("bytes_per_s",),
}


def check_units(where: str, metrics: Mapping[Any, MetricName]) -> None:
    """Each measure is in a unit that it can have.

    Raises:
        ConfigError: one is not.

    """
    for measure, metric in metrics.items():
        allowed = _UNITS[measure]
        if metric.unit not in allowed:
            rule = f"{measure} is not counted in this unit"
            fix = f"write one of: {', '.join(allowed)}"
            raise ConfigError(f"{where} metrics.{measure}.unit", metric.unit, rule, fix)


@dataclass
class ServiceDay:
    """One resource's day on its way into ``into``; ``prefix`` tells several resources apart.

    ``asked`` are the counts that the service was asked for; ``alive`` the hours in which its
    machines spoke; ``busy`` those in which anything but 0 was said of traffic, also what was then
    set aside.
    """

    into: Hours
    window: Window
    prefix: str = ""
    asked: set[CountName] = field(default_factory=set)
    alive: set[int] = field(default_factory=set)
    busy: set[int] = field(default_factory=set)

    def counts(self, measure: CountName, series: str, raw: Raw) -> None:
        """Add the points of a count to its hours."""
        self.asked.add(measure)
        for number, values in by_hour(self.points(series, raw), self.window).items():
            known = self.into.hours[number].counts
            known[measure] = math.fsum([known.get(measure, 0.0), *values])

    def responses(
        self, series: str, raw: Raw, error: CountName | None, rest: set[CountName]
    ) -> None:
        """Add answers of one kind to the requests, and to the errors that they are.

        A service that counts answers by their code says 0 errors by every other answer.
        ``error`` is the kind of error, None if it is none; ``rest`` are the measures wanted.
        """
        points = self.points(series, raw)
        self.asked |= rest
        for number, values in by_hour(points, self.window).items():
            known = self.into.hours[number].counts
            for measure in rest:
                said = math.fsum(values) if measure in ("requests", error) else 0.0
                known[measure] = known.get(measure, 0.0) + said

    def has(self, measure: CountName) -> bool:
        """Whether a point of the count was seen."""
        return any(measure in hour.counts for hour in self.into.hours)

    def gauges(self, measure: GaugeName, series: str, raw: Raw, unit: str) -> bool:
        """Add the points of a gauge, and note that its machine was alive; whether there are any.

        Shares above 1 reject the series (A5, A34); one value all day long is flagged (A12).
        """
        points = self._cleaned(series, raw)
        try:
            if measure == "network_bytes_per_s":
                points = [Point(p.at_s, p.value * SCALES[unit]) for p in points]
            else:
                points = shares(series, points, unit)
        except RejectedSeries as error:
            self.into.reject(self.prefix + series, str(error))
            return False
        if is_frozen(points):
            self.into.flag(f"{self.prefix}{series}: stale, it said one value all day long")
        for number, values in by_hour(points, self.window).items():
            self.into.hours[number].gauges.setdefault(measure, []).extend(values)
            self.alive.add(number)
        return bool(points)

    def quantiles(
        self,
        measure: TimeName,
        series: str,
        hourly: Mapping[str, Raw],
        daily: Mapping[str, Raw],
        unit: str,
    ) -> None:
        """Add what the service says of a time: each of ``STATISTICS``, by hour and of the day.

        ``n`` is a plain count, the others are in ``unit``. Of an hour (or the day) that lacks
        one of them nothing is known.
        """
        by_number = self._statistics(series, hourly, self.points)
        for number, values in by_number.items():
            found = self._quantiles(f"{series} of hour {number:02d}", values, unit)
            if found:
                self.into.hours[number].times[measure] = found
        whole = self._statistics(f"{series} of the day", daily, self._cleaned).get(0, {})
        of_day = self._quantiles(f"{series} of the day", whole, unit)
        if of_day:
            self.into.times[measure] = of_day
        elif by_number and not whole:
            self.into.flag(f"{self.prefix}{series}: the quantiles of the day were not answered")

    def histogram(self, measure: TimeName, number: int, part: Buckets) -> None:
        """Add a histogram to an hour."""
        times = self.into.hours[number].times
        known = times.get(measure)
        whole = merged([known, part]) if isinstance(known, Buckets) else part
        if whole:
            times[measure] = whole

    def settle(self, *, known: bool = True, strict: bool = True) -> None:
        """Decide what each hour is worth, once everything was added.

        ``known``: the service knows the request count by its name. ``strict``: it writes an
        error count with every request, 0 too, so that its absence is a hole.
        """
        seen = {name for name in COUNTS if self.has(name)}
        for number, hour in enumerate(self.into.hours):
            if "requests" not in hour.counts and known and self._idle(number):
                sure = self.asked & seen if "requests" in seen else self.asked
                hour.counts |= dict.fromkeys(sure | {"requests"}, 0.0)
            self._without_requests(number, hour)
            self._set_aside_impossible(number, hour)
            hour.covered = "requests" in hour.counts if "requests" in self.asked else False
        for name in ERRORS:
            if name in seen:
                self._holes(name, strict=strict)
        if "requests" not in self.asked:
            for number in self.alive | self.busy:
                self.into.hours[number].covered = True

    # ------------------------------------------------------------------ parts

    def points(self, series: str, raw: Raw) -> list[Point]:
        """The day's points of a series of traffic, cleaned; none if its times cannot be."""
        said = list(raw)
        points = self._cleaned(series, said)
        start_s, end_s = self.window.start_s, self.window.end_s
        self.busy |= {
            self.window.hour(at) for at, value in said if value != 0 and start_s <= at < end_s
        }
        return points

    def note_alive(self, series: str, raw: Raw) -> bool:
        """Note that a machine spoke, of a series that says no share; whether it did."""
        points = self._cleaned(series, raw)
        self.alive |= {self.window.hour(point.at_s) for point in points}
        return bool(points)

    def _cleaned(self, series: str, raw: Raw) -> list[Point]:
        try:
            return clean(self.prefix + series, raw, self.window, self.into)
        except RejectedSeries as error:
            self.into.reject(self.prefix + series, str(error))
            return []

    def _statistics(
        self, series: str, raws: Mapping[str, Raw], read: Callable[[str, Raw], list[Point]]
    ) -> dict[int, dict[str, float]]:
        found: dict[int, dict[str, float]] = {}
        for statistic, raw in raws.items():
            for point in read(f"{series} {statistic}", raw):
                found.setdefault(self.window.hour(point.at_s), {})[statistic] = point.value
        return found

    def _quantiles(self, what: str, values: Mapping[str, float], unit: str) -> Quantiles | None:
        if not set(STATISTICS) <= set(values) or values["n"] < 1.0:
            return None
        parts = {name: values[name] * SCALES[unit] for name in STATISTICS[:-1]}
        if any(low > high for low, high in pairwise(parts[name] for name in STATISTICS[:4])):
            self.into.set_aside(self.prefix + what, NOT_MONOTONE, len(STATISTICS))
            return None
        return Quantiles(**parts, n=round(values["n"]))

    def _idle(self, number: int) -> bool:
        """Whether the machines spoke in this hour, and nothing spoke of traffic.

        Where any series was rejected nobody knows what it would have said.
        """
        asked = "requests" in self.asked and not self.into.rejected
        return asked and number in self.alive and number not in self.busy

    def _without_requests(self, number: int, hour: Hour) -> None:
        if "requests" in self.asked and "requests" not in hour.counts:
            if number in self.busy:
                self.into.flag(f"{self.prefix}hour {number:02d}: traffic, yet no request count")
            for name in self.asked:
                hour.counts.pop(name, None)

    def _set_aside_impossible(self, number: int, hour: Hour) -> None:
        """A36: what the hour counted cannot be true."""
        failed = [hour.counts[name] for name in ERRORS if name in hour.counts]
        requests = hour.counts.get("requests")
        if requests is not None and math.fsum(failed) > requests:
            words = f"{TOO_MANY_ERRORS} ({math.fsum(failed):g} > {requests:g})"
            self.into.set_aside(f"{self.prefix}hour {number:02d}", words, len(hour.counts))
            hour.counts.clear()

    def _holes(self, name: CountName, *, strict: bool) -> None:
        holes = [h for h in self.into.hours if h.counts.get("requests") and name not in h.counts]
        if not holes:
            return
        words = "those hours are not covered" if strict else "the sum is a lower bound"
        self.into.flag(f"{self.prefix}{name}: no point in {len(holes)} hours of traffic; {words}")
        for hour in holes:
            hour.covered = hour.covered and not strict
