"""Twenty-four hours of counts, histograms and gauges become one day: ``DailyMetrics``. Pure.

Every source of series fills ``Hours`` and is done. Counts add up; histograms of equal bounds
add up and give the day's quantiles; quantiles that a service computed itself cannot be added
up, so that the day's own must be asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any, Literal

from upkeep.records import (
    DailyMetrics,
    Gauge,
    HourMetrics,
    Quantiles,
    Quarantined,
    Rejected,
    Utilisation,
)
from upkeep.spec import ModelSpec

CountName = Literal["requests", "generation_errors", "api_errors", "tokens_in", "tokens_out"]
TimeName = Literal["latency_ms", "ttft_ms"]
GaugeName = Literal["cpu", "gpu", "gpu_memory", "host_memory", "network_bytes_per_s"]
COUNTS: tuple[CountName, ...] = (
    *("requests", "generation_errors", "api_errors"),
    *("tokens_in", "tokens_out"),
)
TIMES: tuple[TimeName, ...] = ("latency_ms", "ttft_ms")
GAUGES: tuple[GaugeName, ...] = ("cpu", "gpu", "gpu_memory", "host_memory", "network_bytes_per_s")


@dataclass(frozen=True)
class Buckets:
    """A histogram: ``counts[i]`` samples in (``bounds[i - 1]``, ``bounds[i]``], all in ms.

    ``bounds`` rise, the last one is infinite; the first bucket begins at 0. ``total`` is the
    sum of the samples, in ms.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float

    @property
    def n(self) -> int:
        """How many samples there are."""
        return round(math.fsum(self.counts))

    def quantile(self, q: float) -> float:
        """Linear in its bucket, as Prometheus' ``histogram_quantile`` is.

        In the infinite bucket it is the highest finite bound: a lower bound of the truth.
        """
        target, below, low = q * math.fsum(self.counts), 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if below + count >= target and count > 0.0:
                if math.isinf(bound):
                    return low
                # Clamped: a rounding error must not lift a quantile over the next one.
                return min(bound, low + (bound - low) * max(0.0, target - below) / count)
            below, low = below + count, bound if math.isfinite(bound) else low
        return low

    def quantiles(self) -> Quantiles | None:
        """The record's quantiles, or None of no samples, or of no finite bound to tell them by."""
        if not self.n or not any(map(math.isfinite, self.bounds)):
            return None
        p50, p90, p95, p99 = (self.quantile(q) for q in (0.5, 0.9, 0.95, 0.99))
        return Quantiles(p50=p50, p90=p90, p95=p95, p99=p99, mean=self.total / self.n, n=self.n)


def merged(parts: Iterable[Buckets]) -> Buckets | None:
    """All samples in one histogram, over the bounds that all parts have; None of no parts.

    Histograms with different bounds (a rollout changed them) meet in the bounds they share,
    which keeps every count true and loses resolution only. Where they share none but infinity,
    nothing is known of their quantiles.
    """
    known = list(parts)
    if not known:
        return None
    shared = sorted(set.intersection(*(set(part.bounds) for part in known)))
    below = [math.fsum(_below(part, bound) for part in known) for bound in shared]
    counts = (below[0], *(high - low for low, high in pairwise(below)))
    return Buckets(tuple(shared), counts, math.fsum(part.total for part in known))


def _below(part: Buckets, bound: float) -> float:
    return math.fsum(c for b, c in zip(part.bounds, part.counts, strict=True) if b <= bound)


@dataclass
class Hour:
    """What is known of one hour; what is missing in the mappings was not collected."""

    covered: bool = False
    counts: dict[CountName, float] = field(default_factory=dict)
    times: dict[TimeName, Buckets | Quantiles] = field(default_factory=dict)
    gauges: dict[GaugeName, list[float]] = field(default_factory=dict)


@dataclass
class Hours:
    """A day in the making. ``times`` holds quantiles of the whole day that a service gave."""

    source: str
    hours: list[Hour] = field(default_factory=lambda: [Hour() for _ in range(24)])
    times: dict[TimeName, Quantiles] = field(default_factory=dict)
    points_read: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def set_aside(self, what: str, reason: str, points: int) -> None:
        """Note points that are not counted."""
        if points:
            self.quarantined.append(Quarantined(what=what, reason=reason, rows=points))

    def reject(self, what: str, reason: str) -> None:
        """Note a whole series that is not counted."""
        self.rejected.append(Rejected(what=what, reason=reason))

    def flag(self, words: str) -> None:
        """Note what is odd and accepted, once."""
        if words not in self.flags:
            self.flags.append(words)

    def metrics(self, spec: ModelSpec, day: date) -> DailyMetrics:
        """The day's record, without costs."""
        self._set_contradictions_aside()
        counts = {name: _sum(_whole(h.counts.get(name)) for h in self.hours) for name in COUNTS}
        times = {name: self._quantiles(name) for name in TIMES}
        busy_s = _busy_s(times["latency_ms"], idle=all(map(_is_idle, self.hours)))
        return DailyMetrics(
            model=spec.name,
            day=day,
            source=self.source,
            coverage=sum(hour.covered for hour in self.hours) / 24,
            rows_read=self.points_read,
            rows_quarantined=sum(q.rows for q in self.quarantined),
            tokens_out_per_s=_ratio(counts["tokens_out"], busy_s),
            busy_s=busy_s,
            utilisation=_utilisation(self.hours),
            hours=tuple(_hour(number, hour) for number, hour in enumerate(self.hours)),
            quarantined=tuple(self.quarantined),
            rejected=tuple(self.rejected),
            flags=tuple(self.flags),
            **counts,
            **times,
        )

    def _quantiles(self, name: TimeName) -> Quantiles | None:
        if name in self.times:
            return self.times[name]
        parts = [hour.times[name] for hour in self.hours if name in hour.times]
        whole = merged(part for part in parts if isinstance(part, Buckets))
        if whole is None or any(isinstance(part, Quantiles) for part in parts):
            return None  # quantiles do not add up, and a part is not the day
        found = whole.quantiles()
        if found is None and whole.n:
            self.flag(f"{name}: the day's histograms have no finite bound in common")
        return found

    def _set_contradictions_aside(self) -> None:
        """An hour that contradicts itself is not counted: nobody knows which half is true."""
        for number, hour in enumerate(self.hours):
            requests, errors = _whole(hour.counts.get("requests")), _errors(hour)
            if requests is not None and errors is not None and errors > requests:
                reason = f"more errors than requests ({errors} of {requests})"
                self.set_aside(f"hour {number:02d}", reason, 1)
                self.points_read += 1
                self.hours[number] = Hour()
            for name in TIMES:
                part = hour.times.get(name)
                if isinstance(part, Quantiles) and not _rises(part):
                    self.set_aside(f"{name} of hour {number:02d}", "quantiles not monotone", 1)
                    self.points_read += 1
                    del hour.times[name]


def _hour(number: int, hour: Hour) -> HourMetrics:
    times: dict[str, Quantiles | None] = {
        name: part.quantiles() if isinstance(part, Buckets) else part
        for name, part in hour.times.items()
    }
    return HourMetrics(
        hour=number,
        covered=hour.covered,
        requests=_whole(hour.counts.get("requests")),
        errors=_errors(hour),
        tokens_in=_whole(hour.counts.get("tokens_in")),
        tokens_out=_whole(hour.counts.get("tokens_out")),
        busy_s=_busy_s(times.get("latency_ms"), idle=_is_idle(hour)),
        utilisation=_utilisation([hour]),
        **times,
    )


def _errors(hour: Hour) -> int | None:
    """Errors of both kinds; unknown where one kind is."""
    generation, api = (_whole(hour.counts.get(n)) for n in ("generation_errors", "api_errors"))
    return None if generation is None or api is None else generation + api


def _rises(found: Quantiles) -> bool:
    return found.p50 <= found.p90 <= found.p95 <= found.p99


def _utilisation(hours: Sequence[Hour]) -> Utilisation:
    found: dict[str, Any] = {}
    for name in GAUGES:
        values = [v for hour in hours for v in hour.gauges.get(name, ())]
        if values:
            found[name] = Gauge(mean=math.fsum(values) / len(values), high=max(values))
    return Utilisation(**found)


def _sum(parts: Iterable[int | None]) -> int | None:
    """The sum of what is known, or None where no hour knows it.

    Of the hours' whole numbers, so that a day is the sum of its hours.
    """
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _is_idle(hour: Hour) -> bool:
    """Whether it is known that nothing was requested."""
    return hour.covered and _whole(hour.counts.get("requests")) == 0


def _busy_s(latency: Quantiles | None, *, idle: bool) -> float | None:
    """The sum of all latencies: of no requests it is 0, of requests without latency unknown."""
    if latency is None:
        return 0.0 if idle else None
    return latency.mean * latency.n / 1000


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
