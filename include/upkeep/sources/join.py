"""Several views of one day become one: the first that knows a measure says it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from upkeep.records import DailyMetrics, Disagreement, HourMetrics, Utilisation
from upkeep.spec import Trust

MEASURES = (
    *("requests", "tokens_in", "tokens_out"),
    *("latency_ms", "ttft_ms", "tokens_out_per_s", "busy_s", "prompt_chars_mean"),
)
ERRORS = ("generation_errors", "api_errors")
HOURLY = ("requests", "tokens_in", "tokens_out", "latency_ms", "ttft_ms", "busy_s")
BY_NAME = ("requests_by_slice", "requests_by_version")
EDGE = 2.0  # so many events at a day's edges may fall to either side


def joined(views: Sequence[DailyMetrics], trust: Trust) -> DailyMetrics:
    """One day of all views, in the order in which the model's file names them.

    A measure and its hours come from one view, the first that knows it: hours of another view
    would not add up to the day. The day is covered where both the first view and the one that
    knows the requests are: a view of the machines alone says nothing of lost requests. What
    differs by more than ``trust`` allows is in ``disagreements``.
    """
    first = views[0]
    if len(views) == 1:
        return first
    lead = _knows(views, "requests") or first
    return first.model_copy(
        update={
            **{name: _first(views, name) for name in MEASURES},
            **_errors_of(views),
            **{name: next((v for m in views if (v := getattr(m, name))), {}) for name in BY_NAME},
            "source": " + ".join(m.source for m in views),
            "coverage": min(first.coverage, lead.coverage),
            "rows_read": sum(m.rows_read for m in views),
            "rows_quarantined": sum(m.rows_quarantined for m in views),
            "utilisation": _utilisation([m.utilisation for m in views]),
            "hours": tuple(_hour(views, (first, lead), n) for n in range(24)),
            "quarantined": tuple(q for m in views for q in m.quarantined),
            "rejected": tuple(r for m in views for r in m.rejected),
            "flags": (*(flag for m in views for flag in m.flags), *_gaps(views, lead)),
            "disagreements": tuple(_disagreements(views, trust)),
        }
    )


def _knows(views: Sequence[DailyMetrics], name: str) -> DailyMetrics | None:
    """The first view that knows a measure of the day."""
    return next((view for view in views if getattr(view, name) is not None), None)


def _knows_errors(views: Sequence[DailyMetrics]) -> DailyMetrics | None:
    return next((view for view in views if _errors(view) is not None), None)


def _errors_of(views: Sequence[DailyMetrics]) -> dict[str, int | None]:
    """Both kinds of errors from one view, if one knows both."""
    view = _knows_errors(views)
    return {name: _first([view] if view else views, name) for name in ERRORS}


def _first(parts: Sequence[Any], name: str) -> Any:
    return next((v for part in parts if (v := getattr(part, name)) is not None), None)


def _utilisation(parts: Sequence[Utilisation]) -> Utilisation:
    return Utilisation(**{name: _first(parts, name) for name in Utilisation.model_fields})


def _of_hour(metrics: DailyMetrics, number: int) -> HourMetrics:
    found = (hour for hour in metrics.hours if hour.hour == number)
    return next(found, HourMetrics(hour=number, covered=False))


def _hour(views: Sequence[DailyMetrics], held: Sequence[DailyMetrics], n: int) -> HourMetrics:
    """Each measure of an hour from the view that the day has it from."""
    measured: dict[str, Any] = {
        name: getattr(_of_hour(view, n), name)
        for name in HOURLY
        if (view := _knows(views, name)) is not None
    }
    view = _knows_errors(views)
    return HourMetrics(
        hour=n,
        covered=all(_of_hour(part, n).covered for part in held),
        errors=_of_hour(view, n).errors if view else None,
        utilisation=_utilisation([_of_hour(view, n).utilisation for view in views]),
        **measured,
    )


def _gaps(views: Sequence[DailyMetrics], lead: DailyMetrics) -> Iterator[str]:
    for view in views:
        if view is not lead and view.coverage < 1.0:
            yield f"{view.source} covers {view.coverage:.3f} of the day"


# ---------------------------------------------------------------- disagreement


def _errors(metrics: DailyMetrics) -> float | None:
    if metrics.generation_errors is None or metrics.api_errors is None:
        return None
    return metrics.generation_errors + metrics.api_errors


def _quantile(name: str, q: str) -> Callable[[DailyMetrics], float | None]:
    def value(metrics: DailyMetrics) -> float | None:
        found = getattr(metrics, name)
        return None if found is None else float(getattr(found, q))

    return value


def _field(name: str) -> Callable[[DailyMetrics], float | None]:
    return lambda metrics: getattr(metrics, name)


# Each count of a day with its hours' name, and how much of a difference is the day's edges.
COUNTS: dict[str, tuple[Callable[[DailyMetrics], float | None], float]] = {
    "requests": (_field("requests"), EDGE),
    "errors": (_errors, EDGE),
    "tokens_in": (_field("tokens_in"), 0.0),
    "tokens_out": (_field("tokens_out"), 0.0),
}
TIMES = {
    f"{name}_{q}_ms": _quantile(f"{name}_ms", q)
    for name in ("latency", "ttft")
    for q in ("p50", "p95")
}


def _disagreements(views: Sequence[DailyMetrics], trust: Trust) -> Iterator[Disagreement]:
    """Each other view against the first one that knows the measure."""
    for measure, (value, edge) in COUNTS.items():
        known = [view for view in views if value(view) is not None]
        for view in known[1:]:
            said, other = _compared(known[0], view, measure, value)
            if abs(other - said) > max(edge, trust.agreement * max(other, said)):
                yield _differ(measure, (known[0], said), (view, other), trust.agreement)
    for measure, value in TIMES.items():
        known = [view for view in views if value(view) is not None]
        for view in known[1:]:
            said, other = value(known[0]) or 0.0, value(view) or 0.0
            if abs(other - said) > trust.agreement_times * max(other, said):
                yield _differ(measure, (known[0], said), (view, other), trust.agreement_times)


def _compared(
    one: DailyMetrics,
    two: DailyMetrics,
    measure: str,
    value: Callable[[DailyMetrics], float | None],
) -> tuple[float, float]:
    """A count of both, over the hours that both cover: a gap is no disagreement."""
    hours = [(_of_hour(one, n), _of_hour(two, n)) for n in range(24)]
    pairs = [
        (said, other)
        for a, b in hours
        if a.covered
        and b.covered
        and (said := getattr(a, measure)) is not None
        and (other := getattr(b, measure)) is not None
    ]
    if not pairs:
        return value(one) or 0.0, value(two) or 0.0
    return float(sum(said for said, _ in pairs)), float(sum(other for _, other in pairs))


def _differ(
    measure: str,
    one: tuple[DailyMetrics, float],
    other: tuple[DailyMetrics, float],
    tolerance: float,
) -> Disagreement:
    return Disagreement(
        measure=measure,
        source=one[0].source,
        value=one[1],
        other_source=other[0].source,
        other_value=other[1],
        tolerance=tolerance,
    )
