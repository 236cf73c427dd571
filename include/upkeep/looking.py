"""Looking at production without writing anything: a day as rows, and whether sources answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from upkeep import sources
from upkeep.config import Fleet, load_fleet
from upkeep.errors import ParamError
from upkeep.records import DailyMetrics, Disagreement, Gauge, Quantiles
from upkeep.sources.log_aside import named_few
from upkeep.spec import ModelSpec

COUNTS = ("requests", "generation_errors", "api_errors", "tokens_in", "tokens_out")
MAX_NAMED = 5
NUMBERS = (
    *("tokens_out_per_s", "busy_s", "cost_usd", "cost_usd_per_1k", "price_usd_per_hour"),
    "prompt_chars_mean",
)


def fleet_from_env(environ: Mapping[str, str] = os.environ) -> Fleet:
    """The fleet of ``UPKEEP_FLEET``, or of this folder; files with problems are left out."""
    return load_fleet(Path(environ.get("UPKEEP_FLEET", "include/fleet")), environ, strict=False)


def collect_day(model: str, day: date) -> DailyMetrics:
    """Read a day as the cycle would, keeping nothing.

    Raises:
        ParamError: the model is not in the fleet.
        SourceError, ConfigError: as :func:`upkeep.sources.collect`.

    """
    fleet = fleet_from_env()
    if model not in fleet.models:
        known = ", ".join(fleet.models) or "no models"
        raise ParamError("model", model, f"is not in the fleet ({known})", "see upkeep check")
    return sources.collect(_asked(fleet.models[model], day)).metrics


def connections() -> Iterator[tuple[str, str, bool, str]]:
    """Each source of each model: (model, source, whether it answers, one line)."""
    today = datetime.now(UTC).date()
    for name, spec in fleet_from_env().models.items():
        for source, answers, words in sources.connect(_asked(spec, today)):
            yield name, source, answers, words


def _asked(spec: ModelSpec, day: date) -> sources.Asked:
    return sources.Asked(spec, day, lambda *_: None)


def day_rows(metrics: DailyMetrics) -> list[dict[str, Any]]:
    """One row a measure that was collected: its name and its value, or its quantiles."""
    rows: list[dict[str, Any]] = [
        {"measure": "coverage", "value": _number(metrics.coverage)},
        {"measure": "read, set aside", "value": f"{metrics.rows_read}, {metrics.rows_quarantined}"},
    ]
    rows += [{"measure": name, "value": _value(metrics, name)} for name in (*COUNTS, *NUMBERS)]
    rows.append({"measure": "error_rate", "value": _number(metrics.error_rate)})
    for name in ("latency_ms", "ttft_ms"):
        rows.append({"measure": name, "value": _quantiles(getattr(metrics, name))})
    for name in type(metrics.utilisation).model_fields:
        rows.append({"measure": name, "value": _gauge(getattr(metrics.utilisation, name))})
    return rows


def not_collected(metrics: DailyMetrics) -> list[str]:
    """The measures that no source gave."""
    return [row["measure"] for row in day_rows(metrics) if row["value"] is None]


def hour_rows(metrics: DailyMetrics) -> list[dict[str, Any]]:
    """One row an hour; None where it was not collected."""
    return [
        {
            "hour": f"{hour.hour:02d}",
            "covered": hour.covered,
            "requests": hour.requests,
            "errors": hour.errors,
            "latency_p95_ms": _number(hour.latency_ms.p95 if hour.latency_ms else None),
            "ttft_p95_ms": _number(hour.ttft_ms.p95 if hour.ttft_ms else None),
            "cost_usd": _number(hour.cost_usd),
        }
        for hour in metrics.hours
    ]


def asides(metrics: DailyMetrics) -> list[str]:
    """What was set aside, one line a reason, with the first few names."""
    named: dict[str, list[str]] = {}
    for aside in metrics.quarantined:
        named.setdefault(aside.reason, []).append(aside.what)
    return [f"{named_few(names, MAX_NAMED)} {reason}" for reason, names in named.items()]


def disagreement(found: Disagreement) -> str:
    """Two sources that say different things, in one line."""
    one, other = f"{found.value:.6g}", f"{found.other_value:.6g}"
    return f"disagreement: {found.measure}: {found.source} {one}, {found.other_source} {other}"


def _value(metrics: DailyMetrics, name: str) -> str | None:
    return _number(getattr(metrics, name))


def _number(value: float | None) -> str | None:
    """Counts in full, everything else in four figures."""
    if value is None or isinstance(value, int):
        return None if value is None else str(value)
    return f"{value:.4g}"


def _quantiles(found: Quantiles | None) -> str | None:
    if found is None:
        return None
    parts = (f"{q} {getattr(found, q):.4g}" for q in ("p50", "p90", "p95", "p99", "mean"))
    return f"{', '.join(parts)} (n {found.n})"


def _gauge(found: Gauge | None) -> str | None:
    return None if found is None else f"mean {found.mean:.4g}, high {found.high:.4g}"
