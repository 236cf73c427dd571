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


def panel_of(facts: DayFacts, policy: Policy) -> Panel | None:
    """The table of the policy's measures that were ever collected, their slices, the shares.

    Days that cannot be trusted, and days before ``baseline.since``, are left out. None where
    nothing was ever collected that the policy names.
    """
    history, since = facts.history, policy.baseline.since
    places = [
        n
        for n, day in enumerate(history.days)
        if history.trusted[n] and day < facts.day and (since is None or day >= since)
    ]
    charts = tuple(_charts(facts, policy))
    if not charts:
        return None
    values, errors, counts = _columns(facts, charts, places)
    for row, chart in enumerate(charts):
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
    named = {n: rule for n, rule in sorted(policy.measures.items()) if not _is_share(n)}
    yield from (Chart.of(n, rule, today.get(n)) for n, rule in named.items() if n in seen)
    for name in sorted(today):
        parent, slice_ = measures.split(name)
        if slice_ is not None and parent in named and name not in named and not _is_share(name):
            yield Chart.of(name, policy.measures[parent], today[name])
    rule = policy.measures.get(measures.SHARE, SHARE_POLICY)
    shares = sorted(n for n in seen if _is_share(n))
    has_shares = any(name in today for name in shares)
    for name in shares:
        absent = MeasureValue(name=name, value=0.0) if has_shares else None
        yield Chart.of(name, policy.measures.get(name, rule), today.get(name, absent))


def _is_share(name: str) -> bool:
    parent, slice_ = measures.split(name)
    return parent == measures.SHARE and slice_ is not None


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


def _columns(
    facts: DayFacts, charts: Sequence[Chart], places: Sequence[int]
) -> tuple[Floats, Floats, Floats]:
    """Values, errors and counts of the earlier days on their charts' scale; today stays NaN."""
    nothing = (None,) * len(facts.history.days)
    empty = Series(name="", signature="", values=nothing, errors=nothing, n=(0,) * len(nothing))
    series = [_series(facts, chart) or empty for chart in charts]
    wanted = np.array([*places, -1], dtype=np.int64)
    padded = [*((s.values, s.errors, s.n) for s in series)]
    # None becomes NaN; a last column for the day under review
    raw, inner, counts = (
        np.array([(*row[kind], np.nan) for row in padded], dtype=np.float64)[:, wanted]
        for kind in range(3)
    )
    relative = np.array([chart.relative for chart in charts])[:, None]
    usable = np.where(relative & ~(raw > 0.0), np.nan, raw)
    errors = np.where(relative, inner / usable, inner)
    values = np.where(relative, np.log(np.where(relative, usable, 1.0)), usable)
    shares = np.array([chart.parent == measures.SHARE for chart in charts])[:, None]
    shared = np.array([*_days_with_shares(facts, places), False])[None, :]
    values = np.where(shares & ~relative & shared & np.isnan(values), 0.0, values)
    return values, np.where(np.isnan(errors), 0.0, errors), np.where(counts == counts, counts, 0.0)  # noqa: PLR0124


def _today(chart: Chart, value: float, past: Floats) -> float:
    """The day's value on the scale; one that fell to 0 is a millionth of the usual."""
    if not chart.relative or value > 0.0:
        return chart.scaled(value)
    known = past[~np.isnan(past)]
    return float(np.median(known)) + math.log(VANISHED) if known.size else math.nan


def _error(chart: Chart, value: float, error: float | None) -> float:
    if error is None:
        return 0.0
    if not chart.relative:
        return error
    return error / value if value > 0.0 else 0.0
