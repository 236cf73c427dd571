"""Quality of candidate against champion, paired a sample: non-inferiority, and superiority.

Non-inferiority: the upper end of the paired interval of the relative change, counted in the
harmful direction, lies under the margin (Piaggio et al. 2012, CONSORT extension for
non-inferiority trials). An interval as wide as the margin cannot tell, unless it shows by itself
that the candidate is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from upkeep import measures, stats
from upkeep.gate_row import NOT_A_NUMBER, failed, guarded, row
from upkeep.records import Benchmark, GateRow, PairedScores
from upkeep.spec import GatePolicy
from upkeep.stats import Estimate

MIN_SAMPLES = 10  # fewer tell nothing, whatever their interval says
MIN_SLICE_SAMPLES = 30  # slices under it are judged within the whole only
CONTROL = "quality against equal training"
PERPLEXITY = "perplexity"  # its scores are sums of logarithms; other measures are plain scores


class Paired(NamedTuple):
    """Paired losses of some samples of one measure."""

    measure: str
    lower_is_better: bool
    champion: tuple[float, ...]
    candidate: tuple[float, ...]
    weights: tuple[float, ...]

    def harm(self, confidence: float) -> Estimate:
        """Relative change in the harmful direction: 0.02 is 2 % worse, -0.02 better."""
        if len(self.champion) < MIN_SAMPLES:
            raise ValueError(f"{len(self.champion)} samples, at least {MIN_SAMPLES} needed")
        if self.measure == PERPLEXITY:
            change = stats.paired_ratio_interval(
                self.champion, self.candidate, self.weights, confidence
            )
        else:
            change = stats.paired_change_interval(self.champion, self.candidate, confidence)
        if self.lower_is_better:
            return change
        return change._replace(value=-change.value, low=-change.high, high=-change.low)

    def sides(self) -> tuple[float, float]:
        """What champion and candidate score: perplexity, or the mean."""
        if self.measure == PERPLEXITY:
            return (
                stats.weighted_ratio_interval(self.champion, self.weights).value,
                stats.weighted_ratio_interval(self.candidate, self.weights).value,
            )
        return stats.mean_interval(self.champion).value, stats.mean_interval(self.candidate).value


def paired_samples(scores: PairedScores, slices: Sequence[str] | None = None) -> Paired:
    """The paired samples, of some slices only if they are named; ValueError on any disorder."""
    lengths = {
        len(column)
        for column in (
            scores.sample_ids,
            scores.slices,
            scores.champion,
            scores.candidate,
            scores.weights,
        )
    }
    if len(lengths) != 1:
        raise ValueError(f"columns of different lengths: {sorted(lengths)}")
    if len(set(scores.sample_ids)) != len(scores.sample_ids):
        raise ValueError("a sample is counted twice")
    if scores.direction not in ("lower_is_better", "higher_is_better"):
        raise ValueError(f"no direction is better: {scores.direction!r}")
    kept = [i for i, s in enumerate(scores.slices) if slices is None or s in slices]
    return Paired(
        scores.measure,
        scores.direction == "lower_is_better",
        tuple(scores.champion[i] for i in kept),
        tuple(scores.candidate[i] for i in kept),
        tuple(scores.weights[i] for i in kept),
    )


def not_worse(benchmark: Benchmark, policy: GatePolicy) -> list[GateRow]:
    """All rows of all measures; one that fails where there is nothing to make rows of."""
    try:
        rows = [r for s in benchmark.scores for r in _quality_rows(s, policy)]
    except NOT_A_NUMBER as why:
        return [failed("quality", f"the scores cannot be read, so they do not pass: {why}")]
    return rows or [failed("quality", "nothing was measured: an unknown is never a pass")]


def _quality_rows(scores: PairedScores, policy: GatePolicy) -> Iterator[GateRow]:
    makers: dict[str, Callable[[str], GateRow]] = {
        f"quality {scores.measure}": partial(_not_worse, scores, policy),
        f"precision {scores.measure}": partial(_precise, scores, policy),
    }
    for slice_ in sorted(set(scores.slices)):
        if scores.slices.count(slice_) >= MIN_SLICE_SAMPLES:
            row = f"quality {measures.sliced(scores.measure, slice_)}"
            makers[row] = partial(_slice, scores, policy, slice_)
    for name, make in makers.items():
        yield guarded(name, partial(make, name), policy.quality_margin)


def _not_worse(scores: PairedScores, policy: GatePolicy, name: str) -> GateRow:
    samples = paired_samples(scores)
    harm = samples.harm(policy.confidence)
    words = _said(harm, policy) + _small_slices(scores)
    passed = harm.bounded and harm.high < policy.quality_margin
    return row(name, passed=passed, words=words, margin=policy.quality_margin,
                effect=harm, sides=samples.sides())  # fmt: skip


def _tells(harm: Estimate, margin: float) -> bool:
    """Whether the interval is narrow enough to judge, or shows improvement by itself."""
    return harm.bounded and (harm.half_width < margin or harm.high < 0.0)


def _precise(scores: PairedScores, policy: GatePolicy, name: str) -> GateRow:
    harm = paired_samples(scores).harm(policy.confidence)
    passed = _tells(harm, policy.quality_margin)
    words = (
        f"the interval is +-{harm.half_width:.2%} wide, the margin {policy.quality_margin:.2%}"
        + ("" if passed else f": {harm.n} samples cannot tell")
    )
    return row(name, passed=passed, words=words, margin=policy.quality_margin, effect=harm)


def _slice(scores: PairedScores, policy: GatePolicy, slice_: str, name: str) -> GateRow:
    samples = paired_samples(scores, (slice_,))
    harm = samples.harm(policy.confidence)
    tells = _tells(harm, policy.quality_margin)
    words = _said(harm, policy) + ("" if tells else "; too wide to tell")
    return row(name, passed=tells and harm.high < policy.quality_margin, words=words,
                margin=policy.quality_margin, effect=harm, sides=samples.sides())  # fmt: skip


def _said(harm: Estimate, policy: GatePolicy) -> str:
    return (
        f"change for the worse {harm.value:+.2%} ({harm.low:+.2%} to {harm.high:+.2%} at "
        f"{harm.confidence:.0%}, {harm.n} samples), must stay under {policy.quality_margin:.2%}"
    )


def _small_slices(scores: PairedScores) -> str:
    counts = {s: list(scores.slices).count(s) for s in sorted(set(scores.slices))}
    small = [f"{s} ({n})" for s, n in counts.items() if n < MIN_SLICE_SAMPLES]
    if not small:
        return ""
    return f"; judged here only, under {MIN_SLICE_SAMPLES} samples: {', '.join(small)}"


def against_control(benchmark: Benchmark, policy: GatePolicy, gain_nats: float) -> GateRow:
    """The loss against a control of equal training: what a compression that trained really lost.

    (1 + change against the champion) x exp(what equal training gave the champion, in nats a
    token) - 1, the interval carried along. The gain was measured on other texts than these, so
    its own noise is not in the interval.
    """
    scores = next(s for s in benchmark.scores if s.measure == PERPLEXITY)
    harm = paired_samples(scores).harm(policy.confidence)
    factor = math.exp(gain_nats)
    moved = harm._replace(
        value=(1.0 + harm.value) * factor - 1.0,
        low=(1.0 + harm.low) * factor - 1.0,
        high=(1.0 + harm.high) * factor - 1.0,
    )
    words = f"equal training gave the champion {gain_nats:.4f} nats a token; {_said(moved, policy)}"
    passed = moved.bounded and moved.high < policy.quality_margin
    return row(CONTROL, passed=passed, words=words, margin=policy.quality_margin, effect=moved)


def better(benchmark: Benchmark, policy: GatePolicy, targets: tuple[str, ...]) -> GateRow:
    """A retraining must be better beyond noise where the traffic drifted."""
    name = "better where it drifted"
    scores = benchmark.scores[0]
    absent = sorted(set(targets) - set(scores.slices))
    if absent:
        return failed(name, f"no sample of {', '.join(absent)} in the evaluation set")
    samples = paired_samples(scores, targets or None)
    harm = samples.harm(policy.confidence)
    where = f"on {', '.join(targets)}" if targets else "on the whole evaluation set"
    words = (
        f"{scores.measure} {where}: change for the worse {harm.value:+.2%} "
        f"({harm.low:+.2%} to {harm.high:+.2%}, {harm.n} samples), must stay under 0 %"
    )
    passed = harm.bounded and harm.high < 0.0
    return row(name, passed=passed, words=words, effect=harm, sides=samples.sides())
