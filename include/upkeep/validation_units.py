"""Whether a measure of a day stands in another unit than on the days before. Pure.

A unit is changed where every quantile that is known of a measure is one and the same plain
factor (1000, 60, 1024 ..) away from the model's own recent level, so that the shape is as
before. How near is near is learnt from the model's days: ``NEAR_SDS`` robust standard
deviations (1.4826 x median absolute deviation; Rousseeuw & Croux 1993) of the logarithm of the
day's value, within ``NEAR_SMALL`` or ``NEAR_LARGE``. No service becomes a thousand times as slow
with an unchanged shape, so that near a large factor there is room; near 60 or 100, which an
outage may reach, there is next to none. Other large ratios are suspected, and a person looks.

Not looked at: shares of errors (an outage looks like percent) and counts of requests (a count
has no unit). A cost is looked at only where about as many requests came as usual: machines that
stand idle make the few requests dear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

from upkeep.records import DailyMetrics
from upkeep.validation_measures import UNITS, WATCHED, Reading, times_reading

OF_TIME = (60.0, 1e3, 3600.0, 1e6, 1e9)
OF_SIZE = (1e3, 1024.0, 1e6, 1024.0**2, 1e9, 1024.0**3)
OF_COUNT = (1e3, 1024.0, 1e6)
OF_MONEY = (60.0, 100.0, 1e3, 3600.0, 1e6)
LARGE = 1e3
NEAR_SDS = 4.0
NEAR_SMALL = (math.log(1.1), math.log(1.25))  # at least and at most
NEAR_LARGE = (math.log(1.25), math.log(2.0))
AS_MANY = math.log(3.0)  # requests, for a cost to be compared
MAD_TO_SD = 1.4826


class Scale(NamedTuple):
    """How a measure is read, by one number or by several quantiles, and its unit's factors."""

    readings: tuple[Reading, ...]
    factors: tuple[float, ...]


class UnitChange(NamedTuple):
    """A measure that is in another unit: ``factor`` times the usual, by the ``ratio`` seen."""

    factor: float
    ratio: float
    days: int


_QUANTILES = ("p50", "p90", "p95")
SCALES: Mapping[str, Scale] = {
    "latency_ms": Scale(tuple(times_reading("latency_ms", q) for q in _QUANTILES), OF_TIME),
    "ttft_ms": Scale(tuple(times_reading("ttft_ms", q) for q in _QUANTILES), OF_TIME),
    "tokens_in": Scale((UNITS["tokens_in"],), OF_COUNT),
    "tokens_out": Scale((UNITS["tokens_out"],), OF_COUNT),
    "prompt_chars_mean": Scale((WATCHED["prompt_chars_mean"],), OF_COUNT),
    "gpu_memory": Scale((UNITS["gpu_memory"],), OF_SIZE),
    "host_memory": Scale((UNITS["host_memory"],), OF_SIZE),
    "network_bytes_per_s": Scale(
        (lambda m: g.mean if (g := m.utilisation.network_bytes_per_s) else None,), OF_SIZE
    ),
    "cost_usd_per_1k": Scale((WATCHED["cost_usd_per_1k"],), OF_MONEY),
    "price_usd_per_hour": Scale((WATCHED["price_usd_per_hour"],), OF_MONEY),
}
COSTS = ("cost_usd_per_1k",)


def unit_change(
    name: str, today: DailyMetrics, days: Sequence[DailyMetrics], needed: int
) -> UnitChange | None:
    """The unit that a measure is in today, if it is another one than that of ``days``.

    ``days`` are earlier days that look sound by themselves; under ``needed`` of them nothing is
    known well enough.
    """
    scale = SCALES[name]
    if name in COSTS and not _as_many_requests(today, days):
        return None
    now = _logs(scale, today)
    past = [row for day in days if (row := _logs(scale, day)) is not None]
    if now is None or len(past) < needed:
        return None
    levels = [[row[n] for row in past] for n in range(len(now))]
    shapes = [_shape(row) for row in past]
    off = [value - median(level) for value, level in zip(now, levels, strict=True)]
    forms = [[row[n] for row in shapes] for n in range(len(shapes[0]))]
    bent = [value - median(form) for value, form in zip(_shape(now), forms, strict=True)]
    spread = max(_sd(column) for column in (*levels, *forms))
    factor = min(_both_ways(scale.factors), key=lambda f: abs(off[0] - math.log(f)))
    near = _near(factor, spread)
    if all(abs(o - math.log(factor)) <= near for o in off) and all(abs(b) <= near for b in bent):
        return UnitChange(factor, math.exp(off[0]), len(past))
    return None


def _logs(scale: Scale, day: DailyMetrics) -> tuple[float, ...] | None:
    """The logarithms of a day's numbers; None where one is unknown, or is not above 0."""
    found = [reading(day) for reading in scale.readings]
    if any(value is None or not 0.0 < value < math.inf for value in found):
        return None
    return tuple(math.log(value) for value in found if value is not None)


def _shape(logs: Sequence[float]) -> tuple[float, ...]:
    """How far quantiles lie apart, pair by pair."""
    return tuple(b - a for a, b in combinations(logs, 2))


def _both_ways(factors: Sequence[float]) -> tuple[float, ...]:
    return (*factors, *(1.0 / factor for factor in factors))


def _near(factor: float, spread: float) -> float:
    least, most = NEAR_LARGE if abs(math.log(factor)) >= math.log(LARGE) else NEAR_SMALL
    return min(most, max(least, NEAR_SDS * spread))


def _sd(values: Sequence[float]) -> float:
    centre = median(values)
    return MAD_TO_SD * median(abs(value - centre) for value in values)


def _as_many_requests(today: DailyMetrics, days: Sequence[DailyMetrics]) -> bool:
    usual = [day.requests for day in days if day.requests]
    if not today.requests or not usual:
        return False
    return abs(math.log(today.requests / median(usual))) <= AS_MANY
