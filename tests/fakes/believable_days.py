"""Days that pass every check, by kind of source, to be spoilt by tests.

What it does not prove: that a source of that kind gives such days; each source's tests do.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Any

from upkeep.costs import priced
from upkeep.records import DailyMetrics
from upkeep.sources.hourly import Buckets, Hour, Hours
from upkeep.spec import ModelSpec

DAY = date(2026, 3, 5)
SERIES = ("prometheus", "cloudwatch", "azure_monitor", "google_monitoring")
KINDS = ("request_log", *SERIES)
SOURCES: dict[str, dict[str, Any]] = {
    "request_log": {"path": "/logs"},
    "prometheus": {"url": "http://localhost:9090"},
    "cloudwatch": {"region": "eu-west-1", "dimensions": {"EndpointName": "talker"}},
    "azure_monitor": {"resource_id": "/subscriptions/x", "endpoint": "http://localhost:1"},
    "google_monitoring": {"project": "talkers", "labels": {"endpoint_id": "7"}},
}
LATENCY_BOUNDS = (100.0, 200.0, 400.0, math.inf)
TTFT_BOUNDS = (10.0, 20.0, 40.0, math.inf)


def spec_of(*kinds: str, measures: tuple[str, ...] = (), **parts: Any) -> ModelSpec:
    """A model with sources of these kinds, whose policy watches ``measures``; 1 USD an hour."""
    policies = {name: {"direction": "lower_is_better", "tolerance": 0.1} for name in measures}
    whole = {
        "name": "talker",
        "sources": [{"kind": kind, **SOURCES[kind]} for kind in kinds or ("prometheus",)],
        "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
        "policy": {"version": "test", "measures": policies, "rules": []},
    }
    return ModelSpec.model_validate(whole | parts)


def busy_hour(number: int) -> Hour:
    """30 requests, one of which failed; latencies that differ from hour to hour."""
    ok, slow = 29.0, float(number % 5)
    return Hour(
        covered=True,
        counts={
            "requests": 30.0,
            "generation_errors": 1.0,
            "api_errors": 0.0,
            "tokens_in": 300.0,
            "tokens_out": 600.0,
        },
        times={
            "latency_ms": Buckets(LATENCY_BOUNDS, (5.0, 24.0 - slow, slow, 0.0), ok * 150 + number),
            "ttft_ms": Buckets(TTFT_BOUNDS, (5.0, 24.0 - slow, slow, 0.0), ok * 15 + number),
        },
        gauges={
            name: [0.5, 0.6 + number / 100] for name in ("cpu", "gpu", "gpu_memory", "host_memory")
        },
    )


def day_of(*hours: Hour, spec: ModelSpec | None = None, **day: Any) -> DailyMetrics:
    """The day that a source of series makes of these hours (24 busy ones by default)."""
    made = Hours("fake", points_read=24_000, **day)
    for number in range(24):
        made.hours[number] = hours[number] if number < len(hours) else Hour()
    spec = spec or spec_of()
    return priced(spec, made.metrics(spec, DAY))


def good_day(kind: str = "prometheus") -> DailyMetrics:
    """A day on which all is well."""
    day = day_of(*(busy_hour(number) for number in range(24)))
    if kind == "request_log":
        return changed(day, requests_by_slice={"docs": 720}, requests_by_version={"1": 720})
    return day


def changed(metrics: DailyMetrics, **fields: Any) -> DailyMetrics:
    """The day with other values, checked like every record."""
    return DailyMetrics.model_validate(metrics.model_dump() | fields)


def with_hours(metrics: DailyMetrics, *numbers: int, **fields: Any) -> DailyMetrics:
    """The day with other values in some of its hours, its own left as they are."""
    hours = [hour.model_dump() | (fields if hour.hour in numbers else {}) for hour in metrics.hours]
    return changed(metrics, hours=hours)
