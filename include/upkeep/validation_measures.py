"""What a day says of each measure, and what sound days usually say. None is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from upkeep.records import DailyMetrics, Gauge, Quantiles, Utilisation
from upkeep.spec import Trust

SHARES = ("cpu", "gpu", "gpu_memory", "host_memory")
TIMES = ("latency_ms", "ttft_ms")

Value = float | None
Row = dict[str, Value]
Reading = Callable[[DailyMetrics], Value]


def finite(value: Value) -> Value:
    """The number itself, or None for NaN and the infinities."""
    return value if value is not None and math.isfinite(value) else None


def times_reading(name: str, q: str) -> Reading:
    """One quantile of a time; unknown where none was measured."""

    def value(metrics: DailyMetrics) -> Value:
        found: Quantiles | None = getattr(metrics, name)
        return getattr(found, q) if found is not None and found.n else None

    return value


def _a_request(name: str) -> Reading:
    """Tokens of a request; unknown where there were none, as on a day when all failed."""
    return lambda m: (getattr(m, name) or 0) / m.requests or None if m.requests else None


def _mean(name: str) -> Reading:
    def value(metrics: DailyMetrics) -> Value:
        found: Gauge | None = getattr(metrics.utilisation, name)
        return None if found is None else found.mean

    return value


UNITS: Mapping[str, Reading] = {
    "latency_ms": times_reading("latency_ms", "p50"),
    "ttft_ms": times_reading("ttft_ms", "p50"),
    "tokens_in": _a_request("tokens_in"),
    "tokens_out": _a_request("tokens_out"),
    "gpu_memory": _mean("gpu_memory"),
    "host_memory": _mean("host_memory"),
    "error_rate": lambda m: m.error_rate,
}
WATCHED: Mapping[str, Reading] = {
    "requests": lambda m: m.requests,
    "error_rate": lambda m: m.error_rate,
    "latency_p95_ms": times_reading("latency_ms", "p95"),
    "ttft_p95_ms": times_reading("ttft_ms", "p95"),
    "tokens_out_per_s": lambda m: m.tokens_out_per_s,
    "cost_usd_per_1k": lambda m: m.cost_usd_per_1k,
    "price_usd_per_hour": lambda m: m.price_usd_per_hour,
    "prompt_chars_mean": lambda m: m.prompt_chars_mean,
}
SUMS: Mapping[str, Reading] = {
    "requests": lambda m: m.requests,
    "errors": lambda m: (
        None
        if m.generation_errors is None or m.api_errors is None
        else m.generation_errors + m.api_errors
    ),
    "tokens_in": lambda m: m.tokens_in,
    "tokens_out": lambda m: m.tokens_out,
}
# What must be known for most of the requests; not every request has a first token to wait for.
WHOLE = ("errors", "tokens_in", "tokens_out", "latency_ms")
MEASURES = tuple(dict.fromkeys((*SUMS, "latency_ms", "ttft_ms", *SHARES)))


def step_ms(found: Quantiles | None) -> Value:
    """The smallest step from one quantile to the next; below 0 where they fall."""
    if found is None:
        return None
    q = (found.p50, found.p90, found.p95, found.p99)
    return finite(min(b - a for a, b in pairwise(q)))


def highest_share(used: Utilisation) -> Value:
    """The highest of all shares that were collected."""
    known = [gauge for name in SHARES if (gauge := getattr(used, name)) is not None]
    return finite(max((max(g.mean, g.high) for g in known), default=None))


def numbers(value: Any) -> Iterator[float]:
    """All numbers of a dumped record."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, float | int):
        yield float(value)


def believable(trust: Trust, day: DailyMetrics) -> bool:
    """Whether a day looks sound by itself."""
    return (
        day.coverage >= trust.min_coverage
        and (day.requests or 0) >= trust.min_requests
        and day.rows_quarantined <= trust.max_bad_share * day.rows_read
    )


def usual(days: Sequence[DailyMetrics]) -> dict[str, tuple[float, int]]:
    """The median of each of ``UNITS`` over earlier sound days, and over how many of them."""
    known = {name: [v for d in days if (v := of(d)) is not None] for name, of in UNITS.items()}
    return {name: (median(values), len(values)) for name, values in known.items() if values}
