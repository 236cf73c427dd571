"""The context of a day's service, as measures: what a cause is read from. Pure.

How full the machines were, how much work a request asked for, which errors there were, and
whether memory grew with every request. What was not collected stays ``None``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from upkeep.records import DailyMetrics, Gauge, HourMetrics, Interval, MeasureValue

LEAST_HOURS = 6  # of one run of the machines: three points fit any line
RESTART = 0.5  # memory that falls by this part of all that it moved that day was set free,
LEAST_FREED = 0.05  # and by this share of the whole: noise frees nothing
CONFIDENCE = 0.95
PER_1K = 1000.0

Memory = Callable[[HourMetrics], Gauge | None]


class _Fill(NamedTuple):
    """Memory in use (a share) after so many of the day's requests (in thousands)."""

    after_1k: float
    share: float


def context(metrics: DailyMetrics) -> Iterator[MeasureValue]:
    """The day's context, one measure each; units stand in the names, ``_share`` is 0 to 1.

    ``ms_per_token_out`` is the mean time between two tokens of an answer: mean latency less
    mean time to the first token, over the tokens that follow it.
    """
    used, n = metrics.utilisation, metrics.requests or 0
    well = _well(metrics)
    numbers = {
        "tokens_in_mean": _ratio(metrics.tokens_in, metrics.requests),
        "tokens_out_mean": _ratio(metrics.tokens_out, well),
        "ms_per_token_out": _ms_per_token(metrics, _ratio(metrics.tokens_out, well)),
        "generation_error_rate": _ratio(metrics.generation_errors, metrics.requests),
        "api_error_rate": _ratio(metrics.api_errors, metrics.requests),
        "gpu_share": used.gpu.mean if used.gpu else None,
        "cpu_share": used.cpu.mean if used.cpu else None,
        "gpu_memory_share_high": used.gpu_memory.high if used.gpu_memory else None,
        "host_memory_share_high": used.host_memory.high if used.host_memory else None,
        "network_bytes_per_s": used.network_bytes_per_s.mean if used.network_bytes_per_s else None,
    }
    for name, value in numbers.items():
        yield MeasureValue(name=name, value=value, n=n)
    yield growth("gpu_memory_growth_per_1k", metrics.hours, lambda h: h.utilisation.gpu_memory)
    yield growth("host_memory_growth_per_1k", metrics.hours, lambda h: h.utilisation.host_memory)


def _ratio(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _well(metrics: DailyMetrics) -> int | None:
    """The requests that ended well."""
    if None in (metrics.requests, metrics.generation_errors, metrics.api_errors):
        return None
    failed = (metrics.generation_errors or 0) + (metrics.api_errors or 0)
    return max(0, (metrics.requests or 0) - failed)


def _ms_per_token(metrics: DailyMetrics, tokens_out: float | None) -> float | None:
    latency, first = metrics.latency_ms, metrics.ttft_ms
    if latency is None or first is None or tokens_out is None or tokens_out <= 1.0:
        return None
    spent = (latency.mean - first.mean) / (tokens_out - 1.0)
    return spent if spent > 0.0 else None


# ---------------------------------------------------------------- memory that grows


def growth(name: str, hours: Sequence[HourMetrics], memory: Memory) -> MeasureValue:
    """The growth of a memory, in shares of it per 1,000 requests, with its 95 % interval.

    Theil-Sen's slope (Sen 1968: the median of all pairwise slopes, whose interval holds without
    normal noise) of the hourly memory over the requests served until then. A restart sets
    memory free, so that the slope is that of the day's longest run without one. None, with the
    reason, where fewer than ``LEAST_HOURS`` hours of one run are known.
    """
    fills = _fills(hours, memory)
    longest = max(_runs(fills), key=len, default=[])
    if len(longest) < LEAST_HOURS:
        why = f"{len(longest)} hours of one run are known, {LEAST_HOURS} are needed"
        return MeasureValue(name=name, value=None, why=why)
    from scipy.stats import theilslopes

    found = theilslopes([f.share for f in longest], [f.after_1k for f in longest], CONFIDENCE)
    low, high = float(found.low_slope), float(found.high_slope)
    span = Interval(low=low, high=high, confidence=CONFIDENCE)
    return MeasureValue(name=name, value=float(found.slope), interval=span, n=len(longest))


def _fills(hours: Sequence[HourMetrics], memory: Memory) -> list[_Fill]:
    """One point an hour that had requests and whose memory is known."""
    served, fills = 0.0, []
    for hour in sorted(hours, key=lambda h: h.hour):
        gauge, requests = memory(hour), hour.requests or 0
        if gauge is not None and requests:
            fills.append(_Fill((served + requests / 2.0) / PER_1K, gauge.mean))
        served += requests
    return fills


def _runs(fills: Sequence[_Fill]) -> Iterator[list[_Fill]]:
    """The day's runs of the machines: a new one begins where much memory was set free."""
    if not fills:
        return
    shares = [f.share for f in fills]
    freed = max(LEAST_FREED, RESTART * (max(shares) - min(shares)))
    run = [fills[0]]
    for before, fill in pairwise(fills):
        if before.share - fill.share >= freed:
            yield run
            run = []
        run.append(fill)
    yield run
