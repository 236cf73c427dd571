"""One day as validation sees it: the two frames' rows, and each check in words with its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from upkeep.records import DailyMetrics, Quantiles, Quarantined
from upkeep.spec import Trust

MAX_UNIT_RATIO = 200  # between s and ms lie 1000, between a good and a bad day never 200
MAX_NAMED = 24
MAX_REASONS = 5

Row = dict[str, float | None]


def usual_latency_ms(trust: Trust, history: Sequence[DailyMetrics]) -> tuple[float | None, int]:
    """The median over earlier days' median latencies (ms), and over how many days."""
    medians = [
        day.latency_ms.p50
        for day in history
        if day.latency_ms is not None
        and day.coverage >= trust.min_coverage
        and (day.requests or 0) >= trust.min_requests
        and day.rows_quarantined <= trust.max_bad_share * day.rows_read
    ]
    return (median(medians) if medians else None), len(medians)


def finite(value: float | None) -> float | None:
    """The number itself, or None for NaN and the infinities."""
    return value if value is not None and math.isfinite(value) else None


def _numbers(value: Any) -> Iterator[float]:
    """All numbers of a dumped record."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, float | int):
        yield float(value)


def _quantile_columns(name: str, found: Quantiles | None) -> Row:
    values = found.model_dump() if found else {}
    return {f"{name}_{q}_ms": finite(values.get(q)) for q in ("p50", "p90", "p95", "p99")}


@dataclass(frozen=True)
class Day:
    """One day as the frames and the words need it."""

    trust: Trust
    metrics: DailyMetrics
    usual: tuple[float | None, int]

    def parameters(self) -> dict[str, float]:
        """The thresholds that the suite names."""
        return {
            "min_coverage": self.trust.min_coverage,
            "max_bad_share": self.trust.max_bad_share,
            "min_requests": self.trust.min_requests,
            "max_unit_ratio": MAX_UNIT_RATIO,
            "min_unit_ratio": 1 / MAX_UNIT_RATIO,
        }

    def row(self) -> Row:
        """The one row of the day's frame."""
        m = self.metrics
        return {
            "sources_missing": len(self.missing),
            "numbers_not_finite": sum(not math.isfinite(n) for n in _numbers(m.model_dump())),
            "coverage": finite(m.coverage),
            "bad_share": self.bad_share,
            "requests": m.requests,
            "requests_or_none": m.requests or 0,
            "hours_requests": sum(hour.requests or 0 for hour in m.hours),
            "no_traffic": float(self.no_traffic),
            "error_rate": finite(m.error_rate),
            "latency_ratio": self.latency_ratio,
            "flags": len(m.flags),
            **_quantile_columns("latency", m.latency_ms),
            **_quantile_columns("ttft", m.ttft_ms),
        }

    def hours(self) -> list[Row]:
        """The rows of the hours' frame."""
        return [
            {"hour": h.hour, "requests": h.requests, "errors": h.errors} for h in self.metrics.hours
        ]

    @property
    def missing(self) -> tuple[Quarantined, ...]:
        """The sources without a folder for the day."""
        return tuple(q for q in self.metrics.quarantined if q.reason == "no_source")

    @property
    def bad_share(self) -> float:
        """Rows set aside, as a share of the rows that were there; 0 where there were none."""
        read, bad = self.metrics.rows_read, self.metrics.rows_quarantined
        return min(1.0, bad / read) if read else float(bad > 0)

    @property
    def no_traffic(self) -> bool:
        """Whether whole logs say that nothing was requested."""
        m = self.metrics
        return m.requests == 0 and m.coverage == 1.0 and m.rows_read == 0

    @property
    def latency_ratio(self) -> float | None:
        """Today's median latency over the usual one, or None where either is not known."""
        latency, usual = self.metrics.latency_ms, self.usual[0]
        return finite(latency.p50 / usual) if latency and usual else None

    # ------------------------------------------------------------------ in words

    def words(self, check: str) -> tuple[str, str]:
        """What a check of the suite observed, short, and the whole finding in words."""
        said: tuple[str, str] = getattr(self, f"_say_{check}")()
        return said

    def _say_source(self) -> tuple[str, str]:
        if not self.missing:
            return "0 missing", "every source has a folder for the day"
        named = _named(q.what for q in self.missing)
        return f"{len(self.missing)} missing", f"no_source: there is no log folder for {named}"

    def _say_numbers(self) -> tuple[str, str]:
        count = self.row()["numbers_not_finite"] or 0
        words = f"{count:.0f} numbers are NaN or infinite" if count else "every number is finite"
        return f"{count:.0f}", words

    def _say_coverage(self) -> tuple[str, str]:
        needed = f"coverage {self._coverage}, at least {self.trust.min_coverage:.2f} is needed"
        if not self._lost:
            return self._coverage, f"all hours could be read ({needed})"
        words = f"{len(self._lost)} of 24 hours could not be read ({needed})"
        return self._coverage, words + _because(f"{q.what} {q.reason}" for q in self._causes())

    def _say_gaps(self) -> tuple[str, str]:
        hours = _named(f"{hour:02d}" for hour in self._lost) or "none"
        return self._coverage, f"hours that are not in the day's numbers as a whole: {hours}"

    def _say_bad_share(self) -> tuple[str, str]:
        m, most = self.metrics, f"at most {self.trust.max_bad_share:.1%} is allowed"
        words = f"{m.rows_quarantined} of {m.rows_read} rows were set aside"
        bad = sorted((q for q in m.quarantined if q.rows), key=lambda q: (-q.rows, q.what))
        why = _because((f"{q.what} {q.reason}" for q in bad), MAX_REASONS)
        return f"{self.bad_share:.4f}", f"{words} ({self.bad_share:.1%}, {most}){why}"

    def _say_requests(self) -> tuple[str, str]:
        requests = self.metrics.requests
        if requests is None:
            return "unknown", "no_data: how many requests there were is not known"
        if self.no_traffic:
            return "0", "no_traffic: whole logs say that nothing was requested"
        needed = f"at least {self.trust.min_requests} are needed to judge a day"
        return str(requests), f"{requests} requests, {needed}"

    def _say_latency_quantiles(self) -> tuple[str, str]:
        return _say_quantiles("latency", self.metrics.latency_ms)

    def _say_ttft_quantiles(self) -> tuple[str, str]:
        return _say_quantiles("time to first token", self.metrics.ttft_ms)

    def _say_error_rate(self) -> tuple[str, str]:
        rate = self.metrics.error_rate
        if rate is None:
            return "unknown", "the error rate is not known"
        words = f"{rate:.2%} of the requests failed"
        more = "" if 0 <= rate <= 1 else ", which is no share; is it percent?"
        return f"{rate:.4f}", words + more

    def _say_hours(self) -> tuple[str, str]:
        hours, row = self.metrics.hours, self.row()
        observed = f"{len(hours)} hours, {row['hours_requests']:.0f} requests"
        words = f"{observed}; the day has {row['requests_or_none']:.0f} requests"
        broken = [h.hour for h in hours if (h.errors or 0) > (h.requests or 0)]
        more = f"; more errors than requests in {_named(f'{h:02d}h' for h in broken)}"
        return observed, words + (more if broken else "")

    def _say_inconsistent(self) -> tuple[str, str]:
        m = self.metrics
        p95 = "unknown" if m.latency_ms is None else f"{m.latency_ms.p95:.6g} ms"
        rate = "unknown" if m.error_rate is None else f"{m.error_rate:.4f}"
        observed = f"latency p95 {p95}, error rate {rate}"
        contradicts = m.requests and "unknown" in (p95, rate)
        lead = f"inconsistent: {m.requests} requests, but " if contradicts else ""
        return observed, lead + observed

    def _say_unit_suspect(self) -> tuple[str, str]:
        ratio, (usual, days) = self.latency_ratio, self.usual
        if ratio is None or self.metrics.latency_ms is None:
            return "unknown", "nothing to compare the median latency with"
        today = f"the median latency is {self.metrics.latency_ms.p50:.6g} ms"
        words = f"{today}, {ratio:.3g} times the {usual:.6g} ms of {days} earlier days"
        usual_unit = 1 / MAX_UNIT_RATIO <= ratio <= MAX_UNIT_RATIO
        return f"{ratio:.6g}", words + ("" if usual_unit else ": is it in another unit?")

    def _say_odd(self) -> tuple[str, str]:
        flags = self.metrics.flags
        return f"{len(flags)}", "; ".join(flags) or "nothing odd"

    @property
    def _coverage(self) -> str:
        coverage = finite(self.metrics.coverage)
        return "unknown" if coverage is None else f"{coverage:.2f}"

    @property
    def _lost(self) -> list[int]:
        return [hour.hour for hour in self.metrics.hours if not hour.covered]

    def _causes(self) -> Iterator[Quarantined]:
        """What was set aside that explains the lost hours: their files, or what stands for all."""
        files = {f"{hour:02d}.jsonl" for hour in self._lost}
        for aside in self.metrics.quarantined:
            hourly = [word for word in aside.what.split() if word.endswith(".jsonl")]
            if not hourly or files.intersection(hourly):
                yield aside


def _say_quantiles(name: str, found: Quantiles | None) -> tuple[str, str]:
    if found is None:
        return "unknown", f"{name}: no quantiles"
    values = {q: getattr(found, q) for q in ("p50", "p90", "p95", "p99")}
    observed = ", ".join(f"{q} {value:.6g}" for q, value in values.items()) + " ms"
    falls = list(values.values()) != sorted(values.values())
    return observed, f"{name}: {observed}" + ("; quantiles cannot fall" if falls else "")


def _because(causes: Iterable[str], most: int = MAX_NAMED) -> str:
    named = _named(causes, most)
    return f": {named}" if named else ""


def _named(what: Iterable[str], most: int = MAX_NAMED) -> str:
    """The first of them with commas, and how many more there are."""
    names = list(what)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
