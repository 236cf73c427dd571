"""A day's table of requests becomes ``DailyMetrics``, by DuckDB's aggregates.

Sums of durations are exact, so that no order of rows changes a digit: they are taken over whole
numbers of 2^-64 ms, which every double of at least 2^-12 ms is. Quantiles are the linear
interpolation of order statistics (definition 7 of Hyndman & Fan 1996, ``quantile_cont``) over
the requests that ended well. ``busy_s``, which money is billed by, is the sum of all latencies,
of failed requests too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Any

from upkeep.records import DailyMetrics, HourMetrics, Quantiles, Sample
from upkeep.sources.log_aside import Reading
from upkeep.sources.log_table import LogTable
from upkeep.spec import ModelSpec

MAX_SLICES = 100
MAX_SAMPLES = 50_000
SAMPLE_BUDGET_CHARS = 64 * 2**20
OTHER = "(other)"
FIXED = 2**64  # units of a millisecond
_SUMS = f"""
SELECT hour, count(*),
    count(*) FILTER (status = 'generation_error'), count(*) FILTER (status = 'api_error'),
    coalesce(sum(tokens_in) FILTER (status = 'ok'), 0),
    coalesce(sum(tokens_out) FILTER (status = 'ok'), 0),
    coalesce(sum((latency_ms * {FIXED}.0::DOUBLE)::HUGEINT) FILTER (status = 'ok'), 0),
    coalesce(sum((ttft_ms * {FIXED}.0::DOUBLE)::HUGEINT) FILTER (status = 'ok'), 0),
    coalesce(sum((latency_ms * {FIXED}.0::DOUBLE)::HUGEINT), 0),
    count(*) FILTER (prompt_chars > 0), coalesce(sum(prompt_chars), 0),
    count(*) FILTER (prompt_chars > 0 AND status = 'ok'),
    count(ttft_ms) FILTER (status = 'ok'), count(latency_ms)
FROM requests GROUP BY hour ORDER BY hour
"""  # noqa: S608 - a number
_QUANTILES = "quantile_cont({name}, [0.5, 0.9, 0.95, 0.99])"
_NAMES = """
SELECT upkeep_label(name) AS label, sum(n) AS n
FROM (SELECT {column} AS name, count(*) AS n FROM requests GROUP BY {column})
GROUP BY label ORDER BY n DESC, label LIMIT ?
"""


@dataclass(frozen=True)
class _Sums:
    """Exact sums over requests; durations in units of 2^-64 ms."""

    requests: int = 0
    generation_errors: int = 0
    api_errors: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    latency: int = 0
    ttft: int = 0
    busy: int = 0
    prompts: int = 0
    prompt_chars: int = 0
    texts: int = 0
    first_tokens: int = 0
    timed: int = 0

    @property
    def errors(self) -> int:
        return self.generation_errors + self.api_errors

    @property
    def ok(self) -> int:
        return self.requests - self.errors

    @property
    def busy_s(self) -> float | None:
        """None where requests failed and not one says how long it took."""
        return None if self.requests and not self.timed else self.busy / FIXED / 1000

    def plus(self, other: _Sums) -> _Sums:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Sums(*(a + b for a, b in pairs))


class LogDay:
    """The aggregates of a table in which each request stands once."""

    def __init__(self, table: LogTable, duplicates: int = 0) -> None:
        """Add the table up."""
        self._table, self._duplicates = table, duplicates
        table.flush()
        self._hours = {hour: _Sums(*map(int, rest)) for hour, *rest in table.execute(_SUMS)}
        self._day = _Sums()
        for sums in self._hours.values():
            self._day = self._day.plus(sums)

    def samples(self) -> tuple[Sample, ...]:
        """The texts of the requests that ended well, sorted by id, as many as the budget allows.

        Which they are depends on the ids alone, not on the order in which the rows came.
        """
        kept, left = list[Sample](), SAMPLE_BUDGET_CHARS
        for identifier, name, prompt, completion, reference in self._table.texts(MAX_SAMPLES):
            left -= len(prompt) + len(completion) + len(reference) + 256
            if left < 0:
                break
            kept.append(
                Sample(
                    id=identifier,
                    slice=name,
                    prompt=prompt,
                    completion=completion,
                    reference=reference,
                )
            )
        return tuple(sorted(kept, key=lambda sample: sample.id))

    def metrics(
        self, spec: ModelSpec, source: str, day: date, reading: Reading, kept: int
    ) -> DailyMetrics:
        """The day's aggregates; all None where nothing could be read, zeros where all was.

        ``kept`` is the number of samples: a flag says where texts were left out.
        """
        known: dict[str, Any] = {}
        if self._day.requests or (reading.coverage == 1.0 and not reading.rows_read):
            known = self._traffic()
        latency, ttft = self._by_hour("latency_ms"), self._by_hour("ttft_ms")
        hours = (
            self._hour(n, reading, latency.get(n), ttft.get(n)) for n in range(len(reading.covered))
        )
        return DailyMetrics(
            model=spec.name,
            day=day,
            source=source,
            coverage=reading.coverage,
            rows_read=reading.rows_read,
            rows_quarantined=sum(q.rows for q in reading.quarantined),
            requests_by_slice=self._largest("slice"),
            requests_by_version=self._largest("version"),
            hours=tuple(hours),
            quarantined=reading.quarantined,
            flags=(*reading.flags, *self._flags(kept)),
            **known,
        )

    def _traffic(self) -> dict[str, Any]:
        day = self._day
        return {
            "requests": day.requests,
            "generation_errors": day.generation_errors,
            "api_errors": day.api_errors,
            "tokens_in": day.tokens_in,
            "tokens_out": day.tokens_out,
            "latency_ms": self._of_day("latency_ms", day.latency, day.ok),
            "ttft_ms": self._of_day("ttft_ms", day.ttft, day.first_tokens),
            "tokens_out_per_s": _ratio(day.tokens_out, day.latency / FIXED / 1000),
            "busy_s": day.busy_s,
            "prompt_chars_mean": _ratio(day.prompt_chars, day.prompts),
        }

    def _of_day(self, name: str, total: int, n: int) -> Quantiles | None:
        ((found,),) = self._table.execute(
            f"SELECT {_QUANTILES.format(name=name)} FROM requests WHERE status = 'ok'"  # noqa: S608
        )
        return _quantiles(found, total, n)

    def _by_hour(self, name: str) -> dict[int, Sequence[float]]:
        return dict(
            self._table.execute(
                f"SELECT hour, {_QUANTILES.format(name=name)} FROM requests "  # noqa: S608
                "WHERE status = 'ok' GROUP BY hour"
            )
        )

    def _hour(
        self,
        number: int,
        reading: Reading,
        latency: Sequence[float] | None,
        ttft: Sequence[float] | None,
    ) -> HourMetrics:
        hour, covered = self._hours.get(number, _Sums()), reading.covered[number]
        if not hour.requests and (not covered or number in reading.hours_with_rows):
            return HourMetrics(hour=number, covered=covered)
        return HourMetrics(
            hour=number,
            covered=covered,
            requests=hour.requests,
            errors=hour.errors,
            tokens_in=hour.tokens_in,
            tokens_out=hour.tokens_out,
            latency_ms=_quantiles(latency, hour.latency, hour.ok),
            ttft_ms=_quantiles(ttft, hour.ttft, hour.first_tokens),
            busy_s=hour.busy_s,
        )

    def _largest(self, column: str) -> dict[str, int]:
        """The counts by name; beyond 100 names the smallest are added up under one."""
        ranked = [
            (label, int(n))
            for label, n in self._table.execute(_NAMES.format(column=column), (MAX_SLICES + 1,))
        ]
        if len(ranked) <= MAX_SLICES:
            return dict(sorted(ranked))
        kept = ranked[: MAX_SLICES - 1]
        rest = self._day.requests - sum(count for _, count in kept)
        return {**dict(sorted(kept)), OTHER: rest}

    def _flags(self, kept: int) -> Iterator[str]:
        if self._duplicates:
            yield f"{self._duplicates} rows were delivered again and counted once"
        ((slices,),) = self._table.execute("SELECT count(DISTINCT slice) FROM requests")
        if slices > MAX_SLICES:
            yield f"{slices} slices; all but the {MAX_SLICES - 1} largest are {OTHER}"
        if kept < self._day.texts:
            yield f"texts of {kept} of {self._day.texts} requests were kept, by hash of their id"


def _quantiles(found: Sequence[float] | None, total: int, n: int) -> Quantiles | None:
    """The quantiles that a record holds, or None of nothing.

    Interpolation rounds: where neighbours are equal, a later quantile must not come out below
    an earlier one by the last digit.
    """
    if not found or not n:
        return None
    p50, p90, p95, p99 = accumulate(found, max)
    return Quantiles(p50=p50, p90=p90, p95=p95, p99=p99, mean=total / FIXED / n, n=n)


def _ratio(part: float, whole: float) -> float | None:
    """A quotient, or None where it is not a number: over 0, or over next to nothing."""
    quotient = part / whole if whole else math.inf
    return quotient if math.isfinite(quotient) else None
