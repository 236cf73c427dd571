"""Times and sizes of candidate against champion, paired a round.

A compression must be faster, much smaller and not slower, or cheaper. And no candidate, however
made, may be slower than what the model's own policy calls nobody's business: what would be a
drift tomorrow is refused today.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from upkeep import stats
from upkeep.gate_row import row
from upkeep.records import Benchmark, GateRow, PairedTimes
from upkeep.spec import GatePolicy, MeasurePolicy

FASTER = "faster or smaller"  # the check whose effect is champion's / candidate's time
LATENCY, FIRST_TOKEN = "latency_ms", "ttft_ms"
CONCURRENT, PER_TOKEN = "concurrent_latency_ms", "concurrent_ms_per_token"
# The measure of production whose tolerance holds for a quantity of the benchmark.
TOLERATED = {
    LATENCY: "latency_p95_ms",
    CONCURRENT: "latency_p95_ms",
    FIRST_TOKEN: "ttft_p95_ms",
}


def cheaper(benchmark: Benchmark, policy: GatePolicy) -> GateRow:
    """A compression must be faster, much smaller and not slower, or cheaper, as the policy says."""
    least = policy.min_speedup
    where = speed_quantity(benchmark, policy)
    times = _times(benchmark.times, where)
    ratio = stats.median_ratio_interval(times.champion_ms, times.candidate_ms, policy.confidence)
    cost = _cost_ratio(benchmark, policy)
    smaller = benchmark.champion_size_bytes / benchmark.candidate_size_bytes
    no_slower = ratio.bounded and ratio.value >= 1.0 and ratio.low * least >= 1.0
    is_small = math.isfinite(smaller) and smaller >= policy.min_size_ratio
    reached = {
        "speed": _surely(ratio, least),
        "size": no_slower and is_small,
        "cost": _surely(cost, least),
    }
    words = (
        f"{ratio.value:.3f} times as fast ({ratio.low:.3f} to {ratio.high:.3f}, {ratio.n} rounds "
        f"in turn, {_at(where, benchmark)}), {smaller:.2f} times smaller, a token "
        f"{cost.value:.3f} times as cheap; needed {_needed(policy)}"
    )
    return row(
        FASTER,
        passed=any(reached[goal] for goal in policy.goals),
        words=words,
        margin=least,
        effect=ratio,
        sides=_medians(times),
    )


def speed_quantity(benchmark: Benchmark, policy: GatePolicy) -> str:
    """What speed is judged by; one request in flight is batch 1, whatever the policy says."""
    alone = policy.speed_at == "batch_1" or benchmark.concurrency == 1
    return LATENCY if alone else CONCURRENT


def _surely(ratio: stats.Estimate, least: float) -> bool:
    """At least so large in the median, and surely over 1."""
    return ratio.bounded and ratio.value >= least and ratio.low > 1.0


def _cost_ratio(benchmark: Benchmark, policy: GatePolicy) -> stats.Estimate:
    """Champion's / candidate's time of a token at the production concurrency: what hours buy."""
    times = _times(benchmark.times, LATENCY if benchmark.concurrency == 1 else PER_TOKEN)
    return stats.median_ratio_interval(times.champion_ms, times.candidate_ms, policy.confidence)


def _at(quantity: str, benchmark: Benchmark) -> str:
    return "one request at a time" if quantity == LATENCY else f"{benchmark.concurrency} in flight"


def _needed(policy: GatePolicy) -> str:
    least = f"{policy.min_speedup:.2f} times as"
    words = {
        "speed": f"{least} fast",
        "size": f"{policy.min_size_ratio:.1f} times smaller and not slower",
        "cost": f"{least} cheap",
    }
    return ", or ".join(words[goal] for goal in policy.goals)


def forecast(benchmark: Benchmark, policy: GatePolicy, usd_per_1k: float) -> GateRow:
    """What 1,000 generations would cost: the day's cost by the ratio of a token's time. No check.

    Holds for hours that are paid while they are busy; machines paid by the clock cost the same
    until there are fewer of them.
    """
    ratio = _cost_ratio(benchmark, policy)
    inverse = [1.0 / end if end > 0.0 else math.inf for end in (ratio.high, ratio.low)]
    effect = ratio._replace(value=1.0 / ratio.value, low=inverse[0], high=inverse[1])
    after = usd_per_1k * effect.value
    words = (
        f"{usd_per_1k:.4g} -> {after:.4g} USD per 1,000 generations ({effect.low:.3f} to "
        f"{effect.high:.3f} of it), at the day's price, as long as hours are paid when busy"
    )
    return row(
        "cost forecast",
        passed=True,
        words=words,
        effect=effect._replace(
            value=effect.value - 1.0, low=effect.low - 1.0, high=effect.high - 1.0
        ),
        sides=(usd_per_1k, after),
    )


def watched(
    tolerances: Mapping[str, MeasurePolicy], benchmark: Benchmark, judged: str | None
) -> dict[str, MeasurePolicy]:
    """The benchmark's quantities that the model's policy watches in production.

    ``judged`` is the one that :func:`cheaper` judges more strictly. The latency at the
    production concurrency is watched where there is more than one request in flight.
    """
    found = {q: tolerances[name] for q, name in TOLERATED.items() if name in tolerances}
    alone = {CONCURRENT} if benchmark.concurrency == 1 else set()
    return {q: t for q, t in found.items() if q not in alone | {judged}}


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
