"""A day of requests, added row by row in any order, and what becomes of it: ``DailyMetrics``.

Sums of durations are exact (``math.fsum``), so that no order of rows changes a digit. Quantiles
are the linear interpolation of order statistics (definition 7 of Hyndman & Fan 1996, numpy's
``linear``) over the requests that ended well. Money is billed by busy seconds: the sum of all
latencies, at the day's price an hour.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

from upkeep.records import DailyMetrics, HourMetrics, Quantiles, Quarantined, Sample, sha256_hex
from upkeep.sources.log_row import BadRow, Row
from upkeep.spec import ModelSpec

MAX_SLICES = 100
MAX_NAMED_FIELDS = 5
SAMPLE_BUDGET_BYTES = 256 * 2**20
OTHER = "(other)"


def quantiles(values: array[float]) -> Quantiles | None:
    """The quantiles that a record holds, or None of nothing.

    >>> quantiles(array("d", [1.0, 2.0, 4.0])).p50
    2.0
    """
    if not values:
        return None
    import numpy as np

    p50, p90, p95, p99 = np.quantile(np.array(values), (0.5, 0.9, 0.95, 0.99), method="linear")
    mean = math.fsum(values) / len(values)
    return Quantiles(
        p50=float(p50), p90=float(p90), p95=float(p95), p99=float(p99), mean=mean, n=len(values)
    )


class SampleBudget:
    """Keeps the samples whose ids have the smallest SHA-256, as many as fit in the budget.

    Bottom-k sampling (Cohen & Kaplan 2007): which are kept depends on the ids alone, not on the
    order in which they came.
    """

    def __init__(self, budget_bytes: int = SAMPLE_BUDGET_BYTES) -> None:
        """Allow so many bytes of text."""
        self._left, self._limit = budget_bytes, "g"  # above every hexadecimal digest
        self._heap: list[tuple[int, str, Sample, int]] = []
        self.offered = 0

    def offer(self, sample: Sample) -> None:
        """Keep it, or not; a sample that was refused once keeps all later ranks out too."""
        self.offered += 1
        rank = sha256_hex(sample.id.encode())
        if rank >= self._limit:
            return
        size = len(sample.prompt) + len(sample.completion) + len(sample.reference) + 256
        heappush(self._heap, (-int(rank, 16), rank, sample, size))
        self._left -= size
        while self._left < 0:
            _, self._limit, _, size = heappop(self._heap)
            self._left += size

    def kept(self) -> tuple[Sample, ...]:
        """What was kept, sorted by id."""
        return tuple(sorted((s for _, _, s, _ in self._heap), key=lambda s: s.id))


@dataclass
class _Hour:
    requests: int = 0
    errors: int = 0
    latency_ms: array[float] = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class Reading:
    """How the rows were come by: what was read, what was set aside, which hours are whole."""

    covered: tuple[bool, ...]
    coverage: float
    rows_read: int
    quarantined: tuple[Quarantined, ...]
    flags: tuple[str, ...]


class DayTotals:
    """Adds requests up. ``refused`` holds the ids (hashed) that two different requests claim."""

    def __init__(self, refused: frozenset[bytes] = frozenset()) -> None:
        """Start at nothing."""
        self.refused, self.conflicts, self.duplicates = refused, set[bytes](), 0
        self._seen: dict[bytes, bytes] = {}
        self._hours = [_Hour() for _ in range(24)]
        self._status, self._slices, self._versions = (Counter[str]() for _ in range(3))
        self._ttft_ms, self._failed_ms = array("d"), array("d")
        self._tokens_in = self._tokens_out = self._prompts = self._prompt_chars = 0
        self._samples, self._unknown = SampleBudget(), set[str]()

    def add(self, row: Row) -> None:
        """Count a request, once however often it is delivered.

        Raises:
            BadRow: another request has the same id; ``conflicts`` names those found so far.

        """
        key = blake2b(row.id.encode(), digest_size=16).digest()
        if key in self.refused:
            raise BadRow("has the request_id of a different request")
        mark = row.digest()
        known = self._seen.setdefault(key, mark)
        if known is not mark:
            self.duplicates += 1
            if known != mark:
                self.conflicts.add(key)
            return
        self._count(row)
        self._note(row)

    def note_unknown(self, names: tuple[str, ...]) -> None:
        """Remember the first few names, in the order of the alphabet, of fields not known."""
        if names and not self._unknown.issuperset(names):
            self._unknown = set(sorted(self._unknown.union(names))[: MAX_NAMED_FIELDS + 1])

    def _count(self, row: Row) -> None:
        hour = self._hours[row.hour]
        hour.requests += 1
        self._status[row.status] += 1
        self._slices[row.slice] += 1
        self._versions[row.version] += 1
        if row.status != "ok":
            hour.errors += 1
            self._failed_ms.append(row.latency_ms or 0.0)
            return
        hour.latency_ms.append(row.latency_ms or 0.0)
        self._ttft_ms.append(row.ttft_ms or 0.0)
        self._tokens_in += row.tokens_in or 0
        self._tokens_out += row.tokens_out or 0

    def _note(self, row: Row) -> None:
        self.note_unknown(row.unknown)
        if not row.prompt:
            return
        self._prompts += 1
        self._prompt_chars += len(row.prompt)
        if row.status == "ok":
            self._samples.offer(
                Sample(
                    id=row.id,
                    slice=row.slice,
                    prompt=row.prompt,
                    completion=row.completion,
                    reference=row.reference,
                )
            )

    def samples(self) -> tuple[Sample, ...]:
        """The texts of the requests that ended well, sorted by id."""
        return self._samples.kept()

    def metrics(self, spec: ModelSpec, day: date, reading: Reading) -> DailyMetrics:
        """The day's aggregates; all None where nothing could be read, zeros where all was."""
        price = spec.price_on(day)
        known: dict[str, Any] = {}
        if self._status or (reading.coverage == 1.0 and not reading.rows_read):
            known = self._traffic() | self._cost(price)
        return DailyMetrics(
            model=spec.name,
            day=day,
            source=" + ".join(f"{s.kind}:{s.path}" for s in spec.sources),
            coverage=reading.coverage,
            rows_read=reading.rows_read,
            rows_quarantined=sum(q.rows for q in reading.quarantined),
            price_usd_per_hour=price,
            requests_by_slice=_largest(self._slices),
            requests_by_version=_largest(self._versions),
            hours=tuple(
                self._hour(n, covered=covered) for n, covered in enumerate(reading.covered)
            ),
            quarantined=reading.quarantined,
            flags=(*reading.flags, *self._flags()),
            **known,
        )

    def _traffic(self) -> dict[str, Any]:
        latency = self._latency_ms()
        ok_s = math.fsum(latency) / 1000
        return {
            "requests": self._status.total(),
            "generation_errors": self._status["generation_error"],
            "api_errors": self._status["api_error"],
            "tokens_in": self._tokens_in,
            "tokens_out": self._tokens_out,
            "latency_ms": quantiles(latency),
            "ttft_ms": quantiles(self._ttft_ms),
            "tokens_out_per_s": _ratio(self._tokens_out, ok_s),
            "prompt_chars_mean": _ratio(self._prompt_chars, self._prompts),
        }

    def _cost(self, price_usd_per_hour: float | None) -> dict[str, float | None]:
        busy_s = math.fsum([*self._latency_ms(), *self._failed_ms]) / 1000
        if price_usd_per_hour is None:
            return {"busy_s": busy_s}
        cost, ok = busy_s / 3600 * price_usd_per_hour, self._status["ok"]
        return {
            "busy_s": busy_s,
            "cost_usd": cost,
            "cost_usd_per_1k": _ratio(cost * 1000, ok),
        }

    def _latency_ms(self) -> array[float]:
        together = array("d")
        for hour in self._hours:
            together.extend(hour.latency_ms)
        return together

    def _hour(self, number: int, *, covered: bool) -> HourMetrics:
        hour = self._hours[number]
        if not covered and not hour.requests:
            return HourMetrics(hour=number, covered=False)
        latency = quantiles(hour.latency_ms)
        return HourMetrics(
            hour=number,
            covered=covered,
            requests=hour.requests,
            errors=hour.errors,
            latency_p95_ms=latency.p95 if latency else None,
        )

    def _flags(self) -> Iterator[str]:
        if self.duplicates:
            yield f"{self.duplicates} rows were delivered again and counted once"
        if self._unknown:
            names = sorted(self._unknown)
            more = " and more" if len(names) > MAX_NAMED_FIELDS else ""
            named = ", ".join(map(repr, names[:MAX_NAMED_FIELDS]))
            yield f"rows have fields that are not known and not read: {named}{more}"
        if len(self._slices) > MAX_SLICES:
            yield f"{len(self._slices)} slices; all but the {MAX_SLICES - 1} largest are {OTHER}"
        kept, offered = len(self.samples()), self._samples.offered
        if kept < offered:
            yield f"texts of {kept} of {offered} requests were kept, by hash of their id"


def _ratio(part: float, whole: float) -> float | None:
    """A quotient, or None where it is not a number: over 0, or over next to nothing."""
    quotient = part / whole if whole else math.inf
    return quotient if math.isfinite(quotient) else None


def _largest(counts: Counter[str]) -> dict[str, int]:
    """The counts by name; beyond 100 names the smallest are added up under one."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ranked) <= MAX_SLICES:
        return dict(sorted(ranked))
    kept, rest = ranked[: MAX_SLICES - 1], ranked[MAX_SLICES - 1 :]
    return {**dict(sorted(kept)), OTHER: sum(count for _, count in rest)}
