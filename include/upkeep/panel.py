"""All measures of one model over its days as one table of numbers: what drift is computed on. Pure.

A row is a chart: a measure that the policy names, one of its slices, or the share of a slice. A
column is a day, the day under review last. Relative measures stand in logarithms, so that a
factor is a distance and a unit does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upkeep import measures
from upkeep.records import DayFacts, MeasureValue, Series
from upkeep.spec import MeasurePolicy, Policy

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Role = Literal["page", "slice", "context"]

VANISHED = 1e-6  # of the usual value: what fell to 0 is this much, for there is no log of 0
SHARE_POLICY = MeasurePolicy(direction="neither", tolerance=0.2, kind="absolute")


class Chart(NamedTuple):
    """One row: a measure and how it is judged. ``today`` is its value of the day, if any.

    ``role`` says whether it may page by itself, as a slice of such a one, or is context;
    ``sign`` is +1 where more is worse or there is no worse, -1 where less is worse;
    ``tolerance`` stands on the chart's scale, in logarithms where ``relative``.
    """

    name: str
    parent: str
    slice: str | None
    rule: MeasurePolicy
    today: MeasureValue | None
    role: Role
    relative: bool
    sign: float
    tolerance: float

    @classmethod
    def of(cls, name: str, rule: MeasurePolicy, today: MeasureValue | None) -> Chart:
        """The chart of a measure under a rule."""
        parent, slice_ = measures.split(name)
        own: Role = "page" if slice_ is None else "slice"
        relative = rule.kind == "relative"
        return cls(
            name=name,
            parent=parent,
            slice=slice_,
            rule=rule,
            today=today,
            role="context" if rule.direction == "neither" else own,
            relative=relative,
            sign=-1.0 if rule.direction == "higher_is_better" else 1.0,
            tolerance=math.log1p(rule.tolerance) if relative else rule.tolerance,
        )

    def scaled(self, value: float) -> float:
        """A value on the chart's scale; NaN where it has no place there."""
        if not self.relative:
            return value
        return math.log(value) if value > 0.0 else math.nan

    def raw(self, scaled: float) -> float:
        """A value of the chart in the measure's own unit."""
        return math.exp(min(scaled, 700.0)) if self.relative else scaled

    def change(self, distance: float) -> float:
        """A distance on the chart as the policy's tolerance is meant: a share, or in the unit."""
        return math.expm1(min(distance, 700.0)) if self.relative else distance


class Panel(NamedTuple):
    """``values``, ``errors`` (within the day) and ``counts`` have a row a chart, a column a day.

    NaN where there is no value; ``ordinals`` are the days as proleptic Gregorian ordinals;
    ``versions`` the champion of each day. The last column is the day under review.
    """

    charts: tuple[Chart, ...]
    ordinals: NDArray[np.int64]
    versions: tuple[str, ...]
    values: Floats
    errors: Floats
    counts: Floats


def panel_of(facts: DayFacts, policy: Policy) -> Panel:
    """The table of the policy's measures that were ever collected, their slices, the shares.

    Days that cannot be trusted, and days before ``baseline.since``, are left out.
    """
    history, since = facts.history, policy.baseline.since
    places = [
        n
        for n, day in enumerate(history.days)
        if history.trusted[n] and day < facts.day and (since is None or day >= since)
    ]
    charts = tuple(_charts(facts, policy))
    shape = (len(charts), len(places) + 1)
    values, errors, counts = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    shared = _days_with_shares(facts, places)
    for row, chart in enumerate(charts):
        series = _series(facts, chart)
        if series is not None:
            _fill(values[row], errors[row], counts[row], chart, series, places)
        if chart.parent == measures.SHARE:
            values[row, :-1] = np.where(np.isnan(values[row, :-1]) & shared, 0.0, values[row, :-1])
        if chart.today is not None and chart.today.value is not None:
            values[row, -1] = _today(chart, chart.today.value, values[row, :-1])
            errors[row, -1] = _error(chart, chart.today.value, chart.today.error)
            counts[row, -1] = chart.today.n
    return Panel(
        charts=charts,
        ordinals=np.array([*(history.days[n].toordinal() for n in places), facts.day.toordinal()]),
        versions=(*(history.versions[n] for n in places), facts.current.champion_version),
        values=values,
        errors=errors,
        counts=counts,
    )


def _charts(facts: DayFacts, policy: Policy) -> Iterator[Chart]:
    today = {m.name: m for m in facts.current.measures if m.value is not None}
    seen = {*today, *facts.history.names()}
    yield from (Chart.of(n, rule, today.get(n)) for n, rule in policy.measures.items() if n in seen)
    for name in sorted(today):
        parent, slice_ = measures.split(name)
        if slice_ is not None and parent in policy.measures and parent != measures.SHARE:
            yield Chart.of(name, policy.measures[parent], today[name])
    rule = policy.measures.get(measures.SHARE, SHARE_POLICY)
    shares = sorted(n for n in seen if measures.split(n)[0] == measures.SHARE and n.endswith("]"))
    has_shares = any(name in today for name in shares)
    for name in shares:
        absent = MeasureValue(name=name, value=0.0) if has_shares else None
        yield Chart.of(name, rule, today.get(name, absent))


def _series(facts: DayFacts, chart: Chart) -> Series | None:
    """The chart's past, measured as today; where today has none, as it was measured last."""
    if chart.today is not None:
        return facts.history.get(chart.name, chart.today.signature)
    return max(facts.history.of_measure(chart.name), key=_last, default=None)


def _last(series: Series) -> int:
    return max((n for n, value in enumerate(series.values) if value is not None), default=-1)


def _days_with_shares(facts: DayFacts, places: Sequence[int]) -> Flags:
    prefix = f"{measures.SHARE}["
    columns = [s.values for s in facts.history.series if s.name.startswith(prefix)]
    return np.array([any(c[n] is not None for c in columns) for n in places], dtype=bool)


def _fill(
    values: Floats, errors: Floats, counts: Floats, chart: Chart, series: Series, places: list[int]
) -> None:
    raw = np.array([series.values[n] for n in places], dtype=np.float64)  # None becomes NaN
    inner = np.array([series.errors[n] for n in places], dtype=np.float64)
    counts[:-1] = [series.n[n] for n in places]
    if chart.relative:
        raw = np.where(raw > 0.0, raw, np.nan)
        inner, raw = inner / raw, np.log(raw)
    values[:-1], errors[:-1] = raw, np.nan_to_num(inner, nan=0.0)


def _today(chart: Chart, value: float, past: Floats) -> float:
    """The day's value on the scale; one that fell to 0 is a millionth of the usual."""
    if not chart.relative or value > 0.0:
        return chart.scaled(value)
    known = past[~np.isnan(past)]
    return float(np.median(known)) + math.log(VANISHED) if known.size else math.nan


def _error(chart: Chart, value: float, error: float | None) -> float:
    if error is None:
        return 0.0
    return error / max(abs(value), VANISHED) if chart.relative else error
