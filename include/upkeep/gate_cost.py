"""Times and sizes of candidate against champion, paired a round.

A compression must be faster, or much smaller and not slower. And no candidate, however made,
may be slower than what the model's own policy calls nobody's business: what would be a drift
tomorrow is refused today.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from upkeep import stats
from upkeep.gate_row import row
from upkeep.records import Benchmark, GateRow, PairedTimes
from upkeep.spec import GatePolicy, MeasurePolicy

FASTER = "faster or smaller"  # the check whose effect is champion's / candidate's time
SMALLER = 1.5  # champion size / candidate size that is worth a promotion without speed
LATENCY, FIRST_TOKEN = "latency_ms", "ttft_ms"
# The measure of production whose tolerance holds for a quantity of the benchmark.
TOLERATED = {LATENCY: "latency_p95_ms", FIRST_TOKEN: "ttft_p95_ms"}


def cheaper(benchmark: Benchmark, policy: GatePolicy) -> GateRow:
    """A compression must be faster, or much smaller and not slower."""
    name, least = FASTER, policy.min_speedup
    times = _times(benchmark.times, LATENCY)
    ratio = stats.median_ratio_interval(times.champion_ms, times.candidate_ms, policy.confidence)
    smaller = benchmark.champion_size_bytes / benchmark.candidate_size_bytes
    faster = ratio.bounded and ratio.value >= least and ratio.low > 1.0
    no_slower = ratio.bounded and ratio.value >= 1.0 and ratio.low * least >= 1.0
    passed = faster or (no_slower and math.isfinite(smaller) and smaller >= SMALLER)
    words = (
        f"{ratio.value:.3f} times as fast ({ratio.low:.3f} to {ratio.high:.3f}, {ratio.n} rounds "
        f"in turn), {smaller:.2f} times smaller; needed {least:.2f} times as fast, or "
        f"{SMALLER:.1f} times smaller and not slower"
    )
    return row(name, passed=passed, words=words, margin=least, effect=ratio, sides=_medians(times))


def watched(
    tolerances: Mapping[str, MeasurePolicy], kind: Literal["compress", "retrain"]
) -> dict[str, MeasurePolicy]:
    """The benchmark's quantities that the model's policy watches in production.

    A compression's whole latency is judged more strictly, by :func:`cheaper`.
    """
    found = {q: tolerances[name] for q, name in TOLERATED.items() if name in tolerances}
    return {q: t for q, t in found.items() if kind == "retrain" or q != LATENCY}


def not_slower(
    benchmark: Benchmark, policy: GatePolicy, quantity: str, tolerance: MeasurePolicy
) -> GateRow:
    """The slow-down stays inside the tolerance of production: the interval's upper end counts."""
    times = _times(benchmark.times, quantity)
    if tolerance.kind == "relative":
        change = stats.median_ratio_interval(
            times.candidate_ms, times.champion_ms, policy.confidence
        )
        effect = change._replace(
            value=change.value - 1.0, low=change.low - 1.0, high=change.high - 1.0
        )
        said = f"{effect.value:+.1%} ({effect.low:+.1%} to {effect.high:+.1%}"
        allowed = f"{tolerance.tolerance:.0%}"
    else:
        pairs = zip(
            stats.finite("champion", times.champion_ms),
            stats.finite("candidate", times.candidate_ms),
            strict=True,
        )
        effect = stats.median_interval(
            [after - before for before, after in pairs], policy.confidence
        )
        said = f"{effect.value:+.1f} ms ({effect.low:+.1f} to {effect.high:+.1f} ms"
        allowed = f"{tolerance.tolerance:g} ms"
    words = f"{said}, {effect.n} rounds in turn), must stay under {allowed}"
    return row(
        f"{quantity} tolerable",
        passed=effect.bounded and effect.high < tolerance.tolerance,
        words=f"{words}, the tolerance of {TOLERATED[quantity]}",
        margin=tolerance.tolerance,
        effect=effect,
        sides=_medians(times),
    )


def _times(times: Sequence[PairedTimes], quantity: str) -> PairedTimes:
    found = next((t for t in times if t.quantity == quantity), None)
    if found is None:
        raise ValueError(f"no {quantity} was measured")
    return found


def _medians(times: PairedTimes) -> tuple[float, float]:
    return (
        stats.median_interval(times.champion_ms).value,
        stats.median_interval(times.candidate_ms).value,
    )
