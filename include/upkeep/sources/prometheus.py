"""Prometheus: counters, histograms and gauges by its HTTP API, as one day.

What is asked for is in ``prometheus_queries``, how a day of it is read in ``prometheus_series``
(the grid of times, restarts, counters that begin within the day, replicas). A measure whose
series are not there is not collected; one of which a part cannot be what it says is rejected
as a whole, because a part of a sum is no sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, singledispatchmethod
from itertools import chain
from typing import cast

from upkeep.credentials import Secret
from upkeep.errors import SourceError, shown
from upkeep.records import Quarantined
from upkeep.sources import Asked, Collected
from upkeep.sources.hourly import Buckets, Hour, Hours, merged
from upkeep.sources.points import (
    HOUR_S,
    SCALES,
    Point,
    RejectedSeries,
    Window,
    by_hour,
    clean,
    is_frozen,
    shares,
)
from upkeep.sources.prometheus_absorb import absorb
from upkeep.sources.prometheus_histograms import (
    NATIVE_POINTS,
    WITHIN,
    as_classic,
    buckets_by_hour,
)
from upkeep.sources.prometheus_http import Api
from upkeep.sources.prometheus_promql import matchers, selector, several_models
from upkeep.sources.prometheus_queries import (
    Count,
    Family,
    Histogram,
    Level,
    Query,
    expression,
    plan,
)
from upkeep.sources.prometheus_series import Asking, Beginning, Grid, Series, gains, identities
from upkeep.spec_sources import Measure, PrometheusSource

COVERED_SHARE = 0.9  # of an hour's times that have a value of the decisive series

Times = set[float]  # when there was any value; of nothing, the measure is not collected


def collect(sources: Sequence[PrometheusSource], asked: Asked) -> Collected:
    """Read all Prometheus of a model's UTC day; see :func:`upkeep.sources.collect`.

    An hour is covered if every source that counts requests has values of them at 90 % of the
    hour's times; where no source counts any, if every source has values of anything.
    """
    into = Hours(" + ".join(f"prometheus:{source.url}" for source in sources))
    parts = [_Part.of(source, asked) for source in sources]
    seen = [{query.measure: part.fold(query, into) for query in part.queries} for part in parts]
    for part in parts:
        for warning in part.asking.api.warnings:
            into.flag(warning)
    _drop_partial(seen, into)
    _cover(parts, seen, into)
    return Collected(into.metrics(asked.spec, asked.day))


def probe(source: PrometheusSource, asked: Asked) -> str:
    """The server's version, and how many of the model's series it has now."""
    part = _Part.of(source, asked)
    api = part.asking.api
    built = api.get("status/buildinfo", {})
    version = built.get("version", "unknown") if isinstance(built, dict) else "unknown"
    at_s = asked.now().timestamp()

    def count(*queries: Query) -> int:
        names = tuple(name for query in queries for name in query.names)
        answer = api.vector(f"count({matchers(names, '', part.own)})", at_s)
        return int(answer[0]["value"][1]) if answer else 0

    missing = [query for query in part.queries if not count(query)]
    decisive = [query for query in missing if query.measure == "requests"]
    if decisive or len(missing) == len(part.queries):
        raise SourceError(f"{source.url}: {part.not_found((decisive or missing)[0])}")
    lacks = f"; not found: {', '.join(q.measure for q in missing)}" if missing else ""
    return f"{source.url}: version {shown(str(version))}, {count(*part.queries)} series{lacks}"


def _cover(parts: Sequence[_Part], seen: Sequence[dict[Measure, Times]], into: Hours) -> None:
    counting = [(p, s["requests"]) for p, s in zip(parts, seen, strict=True) if "requests" in s]
    decisive = counting or [
        (p, set(chain.from_iterable(s.values()))) for p, s in zip(parts, seen, strict=True)
    ]
    for number, hour in enumerate(into.hours):
        hour.covered = all(part.covers(number, times) for part, times in decisive)


def _drop_partial(seen: Sequence[dict[Measure, Times]], into: Hours) -> None:
    """A measure that one source lacks, of those that should have it, is not collected."""
    for measure in sorted({measure for one in seen for measure in one}):
        has = [bool(one[measure]) for one in seen if measure in one]
        if all(has):
            continue
        if any(has):
            into.flag(f"{measure}: not in every source that should have it; not collected")
        for hour in into.hours:
            for known in (hour.counts, hour.times, hour.gauges):
                cast("dict[str, object]", known).pop(measure, None)


@dataclass(frozen=True)
class _Part:
    """One source of the model, and what is asked of it."""

    queries: tuple[Query, ...]
    own: str  # the model's labels, as PromQL
    asking: Asking

    @classmethod
    def of(cls, source: PrometheusSource, asked: Asked) -> _Part:
        secret = asked.credentials(source.connection) if source.connection else Secret()
        grid = Grid.of(Window.of(asked.day, asked.now()), source.step_s)
        asking = Asking(Api(source.url, secret), grid, source.max_series, source.replica_label)
        return cls(plan(source), selector(source), asking)

    @property
    def window(self) -> Window:
        return self.asking.grid.window

    def covers(self, hour: int, times: Times) -> bool:
        """Whether enough of an hour's times have a value."""
        there = sum(self.window.hour(at_s) == hour for at_s in times)
        return there >= COVERED_SHARE * HOUR_S / self.asking.grid.step_s

    # -------------------------------------------------------------- one measure

    def fold(self, query: Query, into: Hours) -> Times:
        """Read one measure into the day; the times at which it had any value."""
        notes = Hours(into.source)
        try:
            times = self._read(query, notes)
        except RejectedSeries as error:
            into.reject(query.measure, str(error))
            notes.hours = [Hour() for _ in range(24)]
            times = set()
        else:
            if not times and not notes.points_read:  # not even one that was set aside
                self._note_missing(query, notes)
        absorb(query.measure, notes, into)
        return times

    @singledispatchmethod
    def _read(self, query: Query, notes: Hours) -> Times:  # noqa: ARG002 - each kind's are below
        raise AssertionError(f"a query of no known kind: {query}")

    @_read.register
    def _(self, query: Count, notes: Hours) -> Times:
        times = self._family(query, query.families[0], notes)
        if times:
            for family in query.families[1:]:
                self._family(query, family, notes)
        return times

    def _family(self, query: Count, family: Family, notes: Hours) -> Times:
        series_of = matchers(family.names, family.where, self.own)
        found = self.asking.read(series_of, series_of)
        beginning = Beginning.of(self.asking, series_of, found)
        for words in several_models(series.labels for series in found):
            notes.flag(f"{query.measure}: {words}")
        times: Times = set()
        for (series,) in identities(found, self.asking.replica_label):
            if not family.counts(series.labels):
                evidence = clean(series.name, series.raw(), self.window, Hours(""))
                times |= _of_day(evidence, self.window)
                continue
            points, gained = gains(series, beginning, notes)
            _refuse_fractions(series.name, points)
            times |= _of_day(points, self.window)
            for hour, gain in gained.items():
                counts = notes.hours[hour].counts
                counts[query.measure] = counts.get(query.measure, 0.0) + gain
        for hour in {self.window.hour(at_s) for at_s in times}:
            notes.hours[hour].counts.setdefault(query.measure, 0.0)
        return times

    @_read.register
    def _(self, query: Histogram, notes: Hours) -> Times:
        classic = matchers((f"{query.name}_bucket", f"{query.name}_sum"), "", self.own)
        native = matchers((query.name,), "", self.own)
        found = self.asking.read(classic, classic)
        if found:
            if self.asking.there(native):
                notes.flag(f"{query.name}: native and classic histogram; the classic one is read")
            beginning = Beginning.of(self.asking, classic, found)
        else:
            found, beginning = self._native(native)
        times: Times = set()
        parts: dict[int, list[Buckets]] = {}
        for group in identities(found, self.asking.replica_label, WITHIN):
            for hour, part in buckets_by_hour(group, beginning, SCALES[query.unit], notes).items():
                parts.setdefault(hour, []).append(part)
            times.update(at_s for series in group for at_s in series.times)
        for hour, alike in parts.items():
            whole = merged(alike)
            if whole is not None:
                notes.hours[hour].times[query.measure] = whole
        return times

    def _native(self, series_of: str) -> tuple[list[Series], Beginning]:
        found = self.asking.read(series_of, series_of, NATIVE_POINTS)
        if any(not series.histograms for series in found):
            raise RejectedSeries(f"{found[0].name} is no histogram")
        late = any(min(at for at, _ in series.histograms) > self.window.start_s for series in found)
        classic, before = as_classic(found, self.asking.before(series_of).values() if late else ())
        return classic, Beginning.after(before, classic, self.asking.grid)

    @_read.register
    def _(self, query: Level, notes: Hours) -> Times:
        promql = expression(query, self.own, self.asking.grid.step_s)
        found = self.asking.read(promql, matchers(query.names, "", self.own))
        times: Times = set()
        for (series,) in identities(found, self.asking.replica_label):
            name = f"{query.measure} {series.name}"
            points = _levels(query, name, clean(name, series.raw(), self.window, notes))
            times |= _of_day(points, self.window)
            if is_frozen(points):
                notes.flag(f"{name} is stale: one value all day long")
            for hour, values in by_hour(points, self.window).items():
                notes.hours[hour].gauges.setdefault(query.measure, []).extend(values)
        return times

    # -------------------------------------------------------------- what is missing

    def not_found(self, query: Query) -> str:
        """``series X not found; nearest: Y``, among the names that the model's labels have."""
        near = get_close_matches(query.names[0], self._names, n=1)
        among = f" with {{{self.own}}}" if self.own and not self._names else ""
        nearest = shown(near[0]) if near else "none"
        return f"series {query.names[0]} not found{among}; nearest: {nearest}"

    def _note_missing(self, query: Query, notes: Hours) -> None:
        words = self.not_found(query)
        if query.measure == "requests":  # the day cannot be judged without
            what, _, reason = words.partition(" not found")
            notes.quarantined.append(Quarantined(what=what, reason=f"not found{reason}"))
        else:
            notes.flag(f"{query.measure}: {words}")

    @cached_property
    def _names(self) -> list[str]:
        grid = self.asking.grid
        span = {"start": self.window.start_s, "end": max(grid.end_s, self.window.start_s)}
        own = {"match[]": f"{{{self.own}}}"} if self.own else {}
        return self.asking.api.names("label/__name__/values", **span, **own)


def _refuse_fractions(name: str, points: Sequence[Point]) -> None:
    """Events are whole numbers: a gauge or a share sold as their counter is found by that."""
    odd = next((p.value for p in points if not p.value.is_integer()), None)
    if odd is not None:
        raise RejectedSeries(f"{name}: not a counter of events: {odd:.6g} is no whole number")


def _levels(query: Level, name: str, points: Sequence[Point]) -> list[Point]:
    """A gauge in its canonical unit."""
    if query.measure == "network_bytes_per_s":
        return [Point(p.at_s, p.value * SCALES[query.unit]) for p in points]
    return shares(name, points, query.unit)


def _of_day(points: Sequence[Point], window: Window) -> Times:
    """The times of the day itself: its end belongs to the next one."""
    return {point.at_s for point in points if point.at_s < window.end_s}
