"""Histograms of Prometheus, classic and native, as the buckets of each hour.

A histogram is one thing: all its buckets and its sum restart together, although a bucket that
is fuller after the restart than before does not show it. Restarts are therefore looked for in
all of them at once. A native histogram is read as the classic one that it is worth: its counts
at or below those bounds that no bucket of the day straddles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from upkeep.sources.hourly import Buckets, Hours
from upkeep.sources.points import Point, RejectedSeries, Window, clean, increases, number
from upkeep.sources.prometheus_series import Beginning, Series

WITHIN = frozenset({"__name__", "le"})
NATIVE_POINTS = 160  # buckets that a native histogram has by default, at most
_SUM = -math.inf  # the column of the sum: below every bound
_ROUNDING = 1e-9

Columns = Mapping[float, Mapping[float, float]]  # by bound, by time: how many at or below it


def buckets_by_hour(
    group: Sequence[Series], beginning: Beginning, scale: float, into: Hours
) -> dict[int, Buckets]:
    """What one histogram counted in each hour; ``scale`` takes its unit to ms.

    ``group`` are its ``_bucket`` and ``_sum`` series.

    Raises:
        RejectedSeries: it has no ``+Inf`` bucket or no sum, or is not cumulative (A32).

    """
    name = group[0].name
    columns = _columns(group, beginning, into)
    if math.inf not in columns:
        raise RejectedSeries(f'{name}: the histogram has no le="+Inf" bucket')
    if _SUM not in columns:
        raise RejectedSeries(f"{name}: the histogram has no _sum")
    times = sorted(set.intersection(*(set(column) for column in columns.values())))
    bounds = sorted(bound for bound in columns if bound != _SUM)
    _check_cumulative(name, columns, bounds, times)
    gained = _gained(name, columns, times, beginning.grid.window, into)
    hours = sorted({hour for column in gained.values() for hour in column})
    return {
        hour: Buckets(
            bounds=tuple(bound * scale for bound in bounds),
            counts=_apart(name, [gained[bound].get(hour, 0.0) for bound in bounds]),
            total=gained[_SUM].get(hour, 0.0) * scale,
        )
        for hour in hours
    }


def _columns(
    group: Sequence[Series], beginning: Beginning, into: Hours
) -> dict[float, dict[float, float]]:
    columns: dict[float, dict[float, float]] = {}
    for series in group:
        bound = _bound(series)
        notes = into if bound == math.inf else Hours("")  # one histogram, one flag
        window = beginning.grid.window
        points = clean(series.name, series.raw(), window, into, edge=True)
        columns.setdefault(bound, {}).update(beginning.points(series, points, notes))
    return columns


def _bound(series: Series) -> float:
    if series.labels.get("__name__", "").endswith("_sum"):
        return _SUM
    le = series.labels.get("le", "")
    try:
        bound = number(le)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise RejectedSeries(f"{series.name}: le {le[:40]!r} is no bound")
    return bound


def _check_cumulative(
    name: str, columns: Columns, bounds: Sequence[float], times: Iterable[float]
) -> None:
    for at_s in times:
        for low, high in pairwise(bounds):
            below, more = columns[low][at_s], columns[high][at_s]
            if more < below - _ROUNDING * below:
                said = f"{more:.6g} at le={high:g} after {below:.6g} at le={low:g}"
                raise RejectedSeries(f"{name}: the buckets are not cumulative: {said}")


def _gained(
    name: str, columns: Columns, times: Sequence[float], window: Window, into: Hours
) -> dict[float, dict[int, float]]:
    """What each column gained by the hour; at a restart of any, all of them begin at 0."""
    gained: dict[float, dict[int, float]] = {bound: {} for bound in columns}
    whole: list[Point] = []  # all samples, as a counter that shows every restart
    for before, after in pairwise(times):
        restarted = any(column[after] < column[before] for column in columns.values())
        hour = window.hour(before)
        for bound, column in columns.items():
            gain = column[after] - (0.0 if restarted else column[before])
            gained[bound][hour] = gained[bound].get(hour, 0.0) + gain
        whole.append(Point(before, columns[math.inf][before]))
        whole += [Point(before, 0.0)] if restarted else []
    whole += [Point(at_s, columns[math.inf][at_s]) for at_s in times[-1:]]
    increases(name, whole, window, into)  # flags the restarts; refuses what is no counter
    return gained


def _apart(name: str, below: Sequence[float]) -> tuple[float, ...]:
    """Counts of each bucket from the counts at or below each bound."""
    counts = (below[0], *(high - low for low, high in pairwise(below)))
    if min(counts) < -_ROUNDING * max(below):
        raise RejectedSeries(f"{name}: the buckets are not cumulative: one of them lost samples")
    return tuple(max(0.0, count) for count in counts)


# ------------------------------------------------------------------ native


def as_classic(
    found: Iterable[Series], known: Iterable[Series]
) -> tuple[list[Series], list[Series]]:
    """Native histograms of the day, and those from before it, over the same bounds.

    Raises:
        RejectedSeries: an answered histogram cannot be read.

    """
    day, before = list(found), list(known)
    try:
        bounds = _shared_bounds(h for series in (*day, *before) for _, h in series.histograms)
        converted = [
            [one for series in part for one in _converted(series, bounds)] for part in (day, before)
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RejectedSeries(f"a native histogram that cannot be read ({error!r:.60})") from error
    return converted[0], converted[1]


def _cells(histogram: Mapping[str, Any]) -> Iterator[tuple[float, float, float]]:
    """(low, high, count) of each bucket; the zero bucket begins at 0, as times do."""
    for _, low, high, count in histogram.get("buckets") or ():
        yield max(0.0, number(low)), number(high), number(count)


def _shared_bounds(histograms: Iterable[Mapping[str, Any]]) -> list[float]:
    """The bounds of all buckets, without those that lie inside another one.

    Native buckets are cells of one grid whose resolution halves when there are too many: the
    bounds of the coarser grid are bounds of the finer one too.
    """
    cells = {(low, high) for histogram in histograms for low, high, _ in _cells(histogram)}
    widest: list[tuple[float, float]] = []
    for low, high in sorted(cells, key=lambda cell: (cell[0], -cell[1])):
        if not widest or low >= widest[-1][1]:
            widest.append((low, high))
    inside = {bound for cell in widest for bound in cell if 0.0 < bound < math.inf}
    return [*sorted(inside), math.inf]


def _converted(series: Series, bounds: Sequence[float]) -> Iterator[Series]:
    name = series.labels["__name__"]
    columns = [
        Series({**series.labels, "__name__": f"{name}_bucket", "le": str(bound)})
        for bound in bounds
    ]
    sums = Series({**series.labels, "__name__": f"{name}_sum"})
    for at, histogram in series.histograms:
        cells = sorted((high, count) for _, high, count in _cells(histogram))
        below, done = 0.0, 0
        for bound, column in zip(bounds, columns, strict=True):
            while done < len(cells) and cells[done][0] <= bound:
                below, done = below + cells[done][1], done + 1
            value = number(histogram["count"]) if math.isinf(bound) else below
            column.add({"values": [(at, value)]})
        sums.add({"values": [(at, number(histogram["sum"]))]})
    yield from (*columns, sums)
