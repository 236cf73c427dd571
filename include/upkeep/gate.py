"""Candidate against champion: one row a check, every row must pass. Pure.

Quality is non-inferiority: the upper end of the paired interval of the relative change, counted
in the harmful direction, must lie under the margin (Piaggio et al. 2012, CONSORT extension for
non-inferiority trials). An interval as wide as the margin cannot tell, unless it shows by itself
that the candidate is better. A retrained candidate must be better beyond noise where the
traffic drifted; a compressed one faster, or much smaller and not slower. A number that is
missing, NaN, infinite or cannot be computed makes a row that fails and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from upkeep import measures, stats
from upkeep.records import (
    Benchmark,
    Candidate,
    GateResult,
    GateRow,
    Interval,
    PairedScores,
    PairedTimes,
    sha256_hex,
)
from upkeep.spec import GatePolicy
from upkeep.stats import Estimate

MIN_SAMPLES = 10  # fewer tell nothing, whatever their interval says
MIN_SLICE_SAMPLES = 30  # slices under it are judged within the whole only
SMALLER = 1.5  # champion size / candidate size that is worth a promotion without speed
LATENCY = "latency"  # the times that decide are the first whose quantity starts so
PERPLEXITY = "perplexity"  # its scores are sums of logarithms; other measures are plain scores
NOT_A_NUMBER = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError)


class _Wanted(NamedTuple):
    candidate: Candidate
    benchmark: Benchmark
    policy: GatePolicy
    target_slices: tuple[str, ...]


def check(
    candidate: Candidate,
    benchmark: Benchmark,
    policy: GatePolicy,
    target_slices: tuple[str, ...] = (),
) -> GateResult:
    """Judge the candidate by one benchmark run of champion and candidate side by side.

    ``target_slices`` are where a retraining must be better (their samples together); empty means
    the whole evaluation set. Numbers that are no numbers never raise: their row fails.
    """
    rows = tuple(_rows(_Wanted(candidate, benchmark, policy, target_slices)))
    return GateResult(
        model=candidate.model,
        day=candidate.day,
        kind=candidate.kind,
        champion_version=benchmark.champion_version,
        champion_files_sha256=benchmark.champion_files_sha256,
        candidate_files_sha256=benchmark.candidate_files_sha256,
        passed=all(row.passed for row in rows),
        rows=rows,
        benchmark_sha256=_digest(benchmark),
    )


def _digest(benchmark: Benchmark) -> str:
    """The record's hash; of its ``repr`` where it holds what canonical JSON refuses."""
    try:
        return benchmark.digest()
    except NOT_A_NUMBER:
        return sha256_hex(repr(benchmark).encode("utf-8", "backslashreplace"))


def _rows(wanted: _Wanted) -> Iterator[GateRow]:
    yield _guarded("files differ", lambda: _files_differ(wanted.benchmark))
    yield _guarded("files measured", lambda: _files_measured(wanted))
    yield from _quality(wanted)
    if wanted.candidate.kind == "retrain":
        yield _guarded("better where it drifted", lambda: _superior(wanted))
    else:
        yield _guarded("faster or smaller", lambda: _cheaper(wanted))


# ---------------------------------------------------------------- rows


def _guarded(name: str, make: Callable[[], GateRow], margin: float = 0.0) -> GateRow:
    """The row, or one that fails and says why it could not be computed."""
    try:
        return make()
    except NOT_A_NUMBER as why:
        return _failed(name, f"cannot be computed, so it does not pass: {why}", margin)


def _failed(name: str, words: str, margin: float = 0.0) -> GateRow:
    return _row(name, passed=False, margin=margin, words=words)


def _row(
    name: str,
    *,
    passed: bool,
    words: str,
    margin: float = 0.0,
    effect: Estimate | None = None,
    sides: tuple[float, float] | None = None,
) -> GateRow:
    """A row of finite numbers only; ``sides`` are champion and candidate."""
    interval = None
    if effect is not None and effect.bounded:
        interval = Interval(low=effect.low, high=effect.high, confidence=effect.confidence)
    return GateRow(
        check=name,
        champion=sides[0] if sides else None,
        candidate=sides[1] if sides else None,
        effect=effect.value if effect else None,
        interval=interval,
        margin=margin,
        passed=passed,
        words=f"{name}: {words}",
    )


def _files_differ(benchmark: Benchmark) -> GateRow:
    same = benchmark.champion_files_sha256 == benchmark.candidate_files_sha256
    words = "the files are the champion's own: nothing to do" if same else "another model"
    return _row("files differ", passed=not same, words=words)


def _files_measured(wanted: _Wanted) -> GateRow:
    made, measured = wanted.candidate.folder.files_sha256, wanted.benchmark.candidate_files_sha256
    same = made == measured and wanted.candidate.model == wanted.benchmark.model
    words = "the benchmark measured exactly these files" if same else (
        f"the benchmark measured {measured[:12]} of {wanted.benchmark.model}, "
        f"the candidate is {made[:12]} of {wanted.candidate.model}"
    )  # fmt: skip
    return _row("files measured", passed=same, words=words)


# ---------------------------------------------------------------- quality


class _Samples(NamedTuple):
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


def _samples(scores: PairedScores, slices: Sequence[str] | None = None) -> _Samples:
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
    return _Samples(
        scores.measure,
        scores.direction == "lower_is_better",
        tuple(scores.champion[i] for i in kept),
        tuple(scores.candidate[i] for i in kept),
        tuple(scores.weights[i] for i in kept),
    )


def _quality(wanted: _Wanted) -> list[GateRow]:
    """All rows of all measures; one that fails where there is nothing to make rows of."""
    try:
        rows = [r for s in wanted.benchmark.scores for r in _quality_rows(s, wanted.policy)]
    except NOT_A_NUMBER as why:
        return [_failed("quality", f"the scores cannot be read, so they do not pass: {why}")]
    return rows or [_failed("quality", "nothing was measured: an unknown is never a pass")]


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
        yield _guarded(name, partial(make, name), policy.quality_margin)


def _not_worse(scores: PairedScores, policy: GatePolicy, name: str) -> GateRow:
    samples = _samples(scores)
    harm = samples.harm(policy.confidence)
    words = _said(harm, policy) + _small_slices(scores)
    passed = harm.bounded and harm.high < policy.quality_margin
    return _row(name, passed=passed, words=words, margin=policy.quality_margin,
                effect=harm, sides=samples.sides())  # fmt: skip


def _tells(harm: Estimate, margin: float) -> bool:
    """Whether the interval is narrow enough to judge, or shows improvement by itself."""
    return harm.bounded and (harm.half_width < margin or harm.high < 0.0)


def _precise(scores: PairedScores, policy: GatePolicy, name: str) -> GateRow:
    harm = _samples(scores).harm(policy.confidence)
    passed = _tells(harm, policy.quality_margin)
    words = (
        f"the interval is +-{harm.half_width:.2%} wide, the margin {policy.quality_margin:.2%}"
        + ("" if passed else f": {harm.n} samples cannot tell")
    )
    return _row(name, passed=passed, words=words, margin=policy.quality_margin, effect=harm)


def _slice(scores: PairedScores, policy: GatePolicy, slice_: str, name: str) -> GateRow:
    samples = _samples(scores, (slice_,))
    harm = samples.harm(policy.confidence)
    tells = _tells(harm, policy.quality_margin)
    words = _said(harm, policy) + ("" if tells else "; too wide to tell")
    return _row(name, passed=tells and harm.high < policy.quality_margin, words=words,
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


def _superior(wanted: _Wanted) -> GateRow:
    """A retraining must be better beyond noise where the traffic drifted."""
    name, targets = "better where it drifted", wanted.target_slices
    scores = wanted.benchmark.scores[0]
    absent = sorted(set(targets) - set(scores.slices))
    if absent:
        return _failed(name, f"no sample of {', '.join(absent)} in the evaluation set")
    samples = _samples(scores, targets or None)
    harm = samples.harm(wanted.policy.confidence)
    where = f"on {', '.join(targets)}" if targets else "on the whole evaluation set"
    words = (
        f"{scores.measure} {where}: change for the worse {harm.value:+.2%} "
        f"({harm.low:+.2%} to {harm.high:+.2%}, {harm.n} samples), must stay under 0 %"
    )
    passed = harm.bounded and harm.high < 0.0
    return _row(name, passed=passed, words=words, effect=harm, sides=samples.sides())


# ---------------------------------------------------------------- cost


def _cheaper(wanted: _Wanted) -> GateRow:
    """A compression must be faster, or much smaller and not slower."""
    name, least = "faster or smaller", wanted.policy.min_speedup
    times = _latency(wanted.benchmark.times)
    ratio = stats.median_ratio_interval(
        times.champion_ms, times.candidate_ms, wanted.policy.confidence
    )
    smaller = wanted.benchmark.champion_size_bytes / wanted.benchmark.candidate_size_bytes
    faster = ratio.bounded and ratio.value >= least and ratio.low > 1.0
    no_slower = ratio.bounded and ratio.value >= 1.0 and ratio.low * least >= 1.0
    passed = faster or (no_slower and math.isfinite(smaller) and smaller >= SMALLER)
    words = (
        f"{ratio.value:.3f} times as fast ({ratio.low:.3f} to {ratio.high:.3f}, {ratio.n} rounds "
        f"in turn), {smaller:.2f} times smaller; needed {least:.2f} times as fast, or "
        f"{SMALLER:.1f} times smaller and not slower"
    )
    sides = (stats.median_interval(times.champion_ms).value,
             stats.median_interval(times.candidate_ms).value)  # fmt: skip
    return _row(name, passed=passed, words=words, margin=least, effect=ratio, sides=sides)


def _latency(times: Sequence[PairedTimes]) -> PairedTimes:
    found = next((t for t in times if t.quantity.startswith(LATENCY)), None)
    if found is None:
        raise ValueError("no latency was measured")
    return found
