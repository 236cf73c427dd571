"""A benchmark's numbers as metrics: medians and ratios of times, paired quality with its error.

Ratios are champion / candidate of the median round for times (1.4 is 1.4 times as fast), and the
relative change of the whole for quality (0.01 is 1 % worse perplexity). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from upkeep import stats
from upkeep.measures import sliced
from upkeep.records import Benchmark, PairedScores, PairedTimes
from upkeep.student import student_t_quantile

PERPLEXITY = "perplexity"
SIDES = ("champion", "candidate")
MIN_SAMPLES = 2


def benchmark_metrics(benchmark: Benchmark) -> dict[str, float]:
    """Every number by its name; what was not measured, or has no number, is absent."""
    found = dict(_memory(benchmark))
    for times in benchmark.times:
        found |= _times(times)
    for scores in benchmark.scores:
        found |= _quality(scores)
    if benchmark.agreement is not None and benchmark.agreement.share is not None:
        found["token_agreement"] = benchmark.agreement.share
    return found


def _memory(benchmark: Benchmark) -> Iterator[tuple[str, float]]:
    for side in SIDES:
        yield f"{side}_size_bytes", float(getattr(benchmark, f"{side}_size_bytes"))
        peak = getattr(benchmark, f"{side}_peak_bytes")
        if peak is not None:
            yield f"{side}_peak_bytes", float(peak)


def _times(times: PairedTimes) -> dict[str, float]:
    """Medians of both sides and of the ratio; tokens/s where the time is that of a token."""
    if not times.champion_ms or min(*times.champion_ms, *times.candidate_ms) <= 0.0:
        return {}
    ratio = stats.median_ratio_interval(times.champion_ms, times.candidate_ms)
    found = {f"{times.quantity}/speedup": ratio.value}
    if ratio.bounded:
        found[f"{times.quantity}/speedup_low"] = ratio.low
        found[f"{times.quantity}/speedup_high"] = ratio.high
    for side, values in zip(SIDES, (times.champion_ms, times.candidate_ms), strict=True):
        middle = stats.median_interval(values).value
        found[f"{times.quantity}/{side}"] = middle
        if times.quantity.endswith("_ms_per_token"):
            found[f"concurrent_tokens_per_s/{side}"] = 1e3 / middle
    return found


def _quality(scores: PairedScores) -> dict[str, float]:
    """The change with its standard error, of the whole set and of each slice."""
    found: dict[str, float] = {}
    for name in (None, *sorted(set(scores.slices))):
        kept = [i for i, s in enumerate(scores.slices) if name is None or s == name]
        if len(kept) < MIN_SAMPLES:
            continue
        change = _change(scores, kept)
        called = scores.measure if name is None else sliced(scores.measure, name)
        found[f"{called}/change"] = change.value
        if change.bounded:
            error = change.half_width / student_t_quantile(change.confidence, change.n - 1)
            found[f"{called}/change_se"] = error
    return found


def _change(scores: PairedScores, kept: list[int]) -> stats.Estimate:
    champion, candidate, weights = (
        [column[i] for i in kept] for column in (scores.champion, scores.candidate, scores.weights)
    )
    change = (
        partial(stats.paired_ratio_interval, weights=weights)
        if scores.measure == PERPLEXITY
        else stats.paired_change_interval
    )
    return change(champion, candidate)
