"""The day of ``one_truth`` as CloudWatch, Azure Monitor and Google Cloud Monitoring hold it.

For their stand-ins, which do not prove that the services compute these numbers. Azure averages
the percentiles of minutes; here it is given those of the hour and the day.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Any

import numpy as np
from fakes.azure_monitor_server import series
from fakes.google_monitoring_server import time_series
from fakes.one_truth import Requests, gpu_share, hours_of, in_hour, of_status, times_ms
from fakes.service_days import HOURS, START

from upkeep.sources.azure_day import REQUESTS
from upkeep.sources.google_day import RESPONSES, VERTEX
from upkeep.sources.points import DAY_S, HOUR_S

GOOGLE_SCALE_US, GOOGLE_GROWTH, GOOGLE_FINITE = 1000.0, 1.25, 45
GOOGLE_BOUNDS_MS = tuple(
    bound / 1000
    for bound in accumulate([GOOGLE_GROWTH] * GOOGLE_FINITE, float.__mul__, initial=GOOGLE_SCALE_US)
)
CODES = {"ok": "200", "generation_error": "503", "api_error": "400"}
CLOUDWATCH_NAMES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
AZURE_NAMES = {"_P50": 0.5, "_P90": 0.9, "_P95": 0.95, "_P99": 0.99}
# What the built-in names of a service do not say, as the model's file names it.
TOKENS = {
    "tokens_in": {"name": "TokensIn", "unit": "1"},
    "tokens_out": {"name": "TokensOut", "unit": "1"},
}
TTFT = {"ttft_ms": {"name": "TimeToFirstToken", "unit": "ms"}}
AZURE_GPU = {"gpu": {"name": "GpuUtilizationPercentage", "unit": "percent"}}


# ---------------------------------------------------------------- CloudWatch


def cloudwatch_values(requests: Requests) -> dict[tuple[str, str, int], list[tuple[Any, float]]]:
    """Give a SageMaker endpoint's metrics; nothing where nothing was requested."""
    said: dict[tuple[str, str, int], list[tuple[Any, float]]] = {}
    counts: dict[str, Callable[[Requests], int]] = {
        "Invocations": len,
        "Invocation4XXErrors": lambda part: of_status(part, "api_error"),
        "Invocation5XXErrors": lambda part: of_status(part, "generation_error"),
        "TokensIn": lambda part: sum(r.tokens_in for r in part),
        "TokensOut": lambda part: sum(r.tokens_out for r in part),
    }
    for hour, part in hours_of(requests):
        for name, count in counts.items():
            said.setdefault((name, "Sum", HOUR_S), []).append((_at(hour), float(count(part))))
        _statistics(said, _at(hour), HOUR_S, part)
    _statistics(said, START, DAY_S, requests)
    said["GPUUtilizationNormalized", "Average", HOUR_S] = [
        (_at(hour), 100 * gpu_share(hour)) for hour in HOURS
    ]
    return said


def _statistics(said: dict[Any, list[Any]], at: Any, period_s: int, part: Requests) -> None:
    for metric, name, scale in (
        ("ModelLatency", "latency_ms", 1000.0),
        ("TimeToFirstToken", "ttft_ms", 1.0),
    ):
        values = [scale * value for value in times_ms(part, name)]
        found = {q: float(np.quantile(values, share)) for q, share in CLOUDWATCH_NAMES.items()}
        found |= {"Average": math.fsum(values) / len(values), "SampleCount": float(len(values))}
        for statistic, value in found.items():
            said.setdefault((metric, statistic, period_s), []).append((at, value))


# ---------------------------------------------------------------- Azure Monitor


def azure_series(requests: Requests) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Give an Azure ML endpoint's metrics: requests by the minute and code, times, tokens."""
    held: dict[tuple[str, str], list[dict[str, Any]]] = {(REQUESTS, "PT1M"): []}
    for status, code in CODES.items():
        minutes = Counter(int(r.second // 60) for r in requests if r.status == status)
        values = [float(minutes[m]) if minutes[m] else None for m in range(DAY_S // 60)]
        labels = {"deployment": "blue", "statusCode": code, "statusCodeClass": f"{code[0]}xx"}
        held[REQUESTS, "PT1M"].append(series("PT1M", values, **labels))
    for metric, name in (("RequestLatency", "latency_ms"), ("TimeToFirstToken", "ttft_ms")):
        measured = [times_ms(in_hour(requests, h), name, kind="azure_monitor") for h in HOURS]
        whole = times_ms(requests, name, kind="azure_monitor")
        for suffix, number in {"": None, **AZURE_NAMES}.items():
            hourly = [_statistic(part, number) for part in measured]
            held[metric + suffix, "PT1H"] = [series("PT1H", hourly)]
            held[metric + suffix, "P1D"] = [series("P1D", [_statistic(whole, number)])]
    for metric, field in (("TokensIn", "tokens_in"), ("TokensOut", "tokens_out")):
        tokens = [float(sum(getattr(r, field) for r in in_hour(requests, h))) for h in HOURS]
        held[metric, "PT1H"] = [series("PT1H", tokens)]
    held["GpuUtilizationPercentage", "PT1H"] = [series("PT1H", [100 * gpu_share(h) for h in HOURS])]
    held["NetworkBytes", "PT1H"] = []
    return held


def _statistic(values: Sequence[float], share: float | None) -> float | None:
    """Give a quantile, or the mean where ``share`` is None; None of nothing."""
    if not values:
        return None
    return math.fsum(values) / len(values) if share is None else float(np.quantile(values, share))


# ---------------------------------------------------------------- Google Cloud Monitoring


def google_series(requests: Requests) -> dict[str, list[Any]]:
    """Give a Vertex AI endpoint's series: answers by code, distributions, tokens, the GPU."""
    hours = dict(hours_of(requests))
    held: dict[str, list[Any]] = {RESPONSES: []}
    for status, code in CODES.items():
        seen = {h: n for h, part in hours.items() if (n := of_status(part, status))}
        held[RESPONSES].append(time_series([*seen.values()], hours=[*seen], response_code=code))
    for metric, name, unit, scale in (
        (f"{VERTEX}/prediction_latencies", "latency_ms", "us", 1000.0),
        ("TimeToFirstToken", "ttft_ms", "ms", 1.0),
    ):
        parts = [_distribution(times_ms(part, name), scale) for part in hours.values()]
        held[metric] = [time_series(parts, hours=[*hours], unit=unit)]
    for metric, field in (("TokensIn", "tokens_in"), ("TokensOut", "tokens_out")):
        tokens = [sum(getattr(r, field) for r in part) for part in hours.values()]
        held[metric] = [time_series(tokens, hours=[*hours])]
    held[f"{VERTEX}/accelerator/duty_cycle"] = [time_series([gpu_share(h) for h in HOURS])]
    return held


def _distribution(values_ms: Sequence[float], scale: float) -> Mapping[str, Any]:
    """Give a histogram whose bounds are milliseconds times ``scale``."""
    counts = [0] * (GOOGLE_FINITE + 2)
    for value in values_ms:
        counts[bisect_right(GOOGLE_BOUNDS_MS, value)] += 1
    buckets = {
        "num_finite_buckets": GOOGLE_FINITE,
        "growth_factor": GOOGLE_GROWTH,
        "scale": GOOGLE_SCALE_US / 1000 * scale,
    }
    return {
        "count": len(values_ms),
        "mean": scale * math.fsum(values_ms) / len(values_ms),
        "bucket_options": {"exponential_buckets": buckets},
        "bucket_counts": counts,
    }


def _at(hour: int) -> Any:
    return START + timedelta(hours=hour)
