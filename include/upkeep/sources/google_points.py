"""Google's time series as points and histograms. Pure: no SDK is imported here.

A series is what ListTimeSeries gives, aligned to hours: each of its points ends an hour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

from upkeep.sources.hourly import Buckets
from upkeep.sources.points import HOUR_S, SCALES, RejectedSeries

LATENCY_TYPE = "latency_type"
_TYPES = ("total", "model", "user")  # the first one that there is
_TIME_UNITS = ("s", "ms", "us")


def numbers(series: Any) -> Iterator[tuple[float, Any]]:
    """When each hour began (unix seconds), and its number.

    Raises:
        RejectedSeries: a value is no number.

    """
    for point in series.points:
        kind = point.value._pb.WhichOneof("value")  # noqa: SLF001 - proto-plus has no other way
        if kind not in ("int64_value", "double_value"):
            raise RejectedSeries(f"its values are of the kind {kind}, not numbers")
        yield _began(point), getattr(point.value, kind)


def distributions(series: Any) -> Iterator[tuple[float, Any]]:
    """When each hour began (unix seconds), and its distribution.

    Raises:
        RejectedSeries: a value is no distribution.

    """
    for point in series.points:
        kind = point.value._pb.WhichOneof("value")  # noqa: SLF001 - proto-plus has no other way
        if kind != "distribution_value":
            raise RejectedSeries(f"its values are of the kind {kind}, not distributions")
        yield _began(point), point.value.distribution_value


def _began(point: Any) -> float:
    return float(point.interval.end_time.timestamp()) - HOUR_S


def check_time_unit(series: Any, unit: str) -> None:
    """The unit that the service states, where it is one of time, is the configured one.

    Raises:
        RejectedSeries: it is another.

    """
    if series.unit in _TIME_UNITS and series.unit != unit:
        raise RejectedSeries(f"is in {series.unit}, not {unit}; set unit: {series.unit}")


def gauge_unit(series: Any, unit: str) -> str:
    """A series that says ``%`` is in percent, whatever was configured."""
    return "percent" if series.unit == "%" and unit == "share" else unit


def latency_series(found: Sequence[Any]) -> tuple[list[Any], str]:
    """The series of one type of latency, and which types were left out, in words."""
    types = sorted({series.metric.labels.get(LATENCY_TYPE, "") for series in found})
    chosen = next((t for t in _TYPES if t in types), types[0] if types else "")
    kept = [s for s in found if s.metric.labels.get(LATENCY_TYPE, "") == chosen]
    others = [t or "unnamed" for t in types if t != chosen]
    return kept, f"{chosen or 'unnamed'} is read, {', '.join(others)} is not" if others else ""


def as_buckets(distribution: Any, unit: str) -> Buckets | str:
    """A distribution as a histogram in ms, or why it cannot be one."""
    counts = [float(count) for count in distribution.bucket_counts]
    bounds = [*_bounds(distribution.bucket_options), math.inf]
    if len(bounds) == 1:
        return "has no buckets"
    if len(counts) > len(bounds) or any(count < 0.0 for count in counts):
        return "has counts that fit no buckets"
    if math.fsum(counts) != distribution.count:
        return "has buckets that do not add up to its count"
    if any(low >= high for low, high in pairwise(bounds)) or not math.isfinite(distribution.mean):
        return "has bounds that do not rise, or no mean"
    counts += [0.0] * (len(bounds) - len(counts))
    if distribution.mean < 0.0 or any(c for b, c in zip(bounds, counts, strict=True) if b <= 0.0):
        return "has negative samples"
    kept = [(b * SCALES[unit], c) for b, c in zip(bounds, counts, strict=True) if b > 0.0]
    total = distribution.mean * SCALES[unit] * distribution.count
    return Buckets(tuple(b for b, _ in kept), tuple(c for _, c in kept), total)


def _bounds(options: Any) -> list[float]:
    """The finite bounds between the buckets, by whichever rule they are given."""
    exponential, linear = options.exponential_buckets, options.linear_buckets
    if exponential.num_finite_buckets:
        factors = [exponential.growth_factor] * exponential.num_finite_buckets
        return list(accumulate(factors, float.__mul__, initial=exponential.scale))
    if linear.num_finite_buckets:
        steps = range(linear.num_finite_buckets + 1)
        return [linear.offset + linear.width * step for step in steps]
    return list(options.explicit_buckets.bounds)
