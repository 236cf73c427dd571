"""The table that ``make run`` ends with: one row a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from upkeep import promotion
from upkeep.records import DailyMetrics, Decision, Drift, Evaluation
from upkeep.store import Store, get_record, record_key

COLUMNS = (
    "day",
    "requests",
    "p95 ms",
    "USD / 1k",
    "quality [95 %]",
    "drifted",
    "cause",
    "action",
    "served by",
    "champion after",
)


def print_days(store: Store, model: str, days: Sequence[date]) -> None:
    """Print what each day saw and what was decided."""
    table = Table(*COLUMNS, title=f"{model}: {days[0]} to {days[-1]}")
    for number, day in enumerate(days, start=1):
        table.add_row(*_row(store, model, number, day))
    Console(width=168).print(table)


def _row(store: Store, model: str, number: int, day: date) -> tuple[str, ...]:
    metrics = get_record(store, record_key(model, day, "metrics"), DailyMetrics)
    quality = get_record(store, record_key(model, day, "quality"), Evaluation)
    drift = get_record(store, record_key(model, day, "drift"), Drift)
    decision = get_record(store, record_key(model, day, "decision"), Decision)
    results = drift.results if drift else ()
    drifted = [r.measure for r in results if r.state == "drifted" and r.slice is None]
    after = [e for e in promotion.ledger(store, model) if e.day is None or e.day <= day]
    return (
        f"{number} {day:%a %d}",
        _number(metrics.requests if metrics else None, ".0f"),
        _number(metrics.latency_ms.p95 if metrics and metrics.latency_ms else None, ".1f"),
        _number(metrics.cost_usd_per_1k if metrics else None, ".5f"),
        escape(_quality(quality)),
        escape(", ".join(drifted)) or "-",
        decision.cause if decision else "-",
        decision.action if decision else "-",
        ",".join(metrics.requests_by_version) if metrics else "-",
        after[-1].version if after else "-",
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _quality(quality: Evaluation | None) -> str:
    """The first of the model's measures, with its interval."""
    if quality is None or not quality.results:
        return "-"
    first = quality.results[0]
    span = f" [{first.interval.low:.3g}, {first.interval.high:.3g}]" if first.interval else ""
    return f"{first.measure} {first.score:.3g}{span}"
