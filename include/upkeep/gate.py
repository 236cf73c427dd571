"""Candidate against champion: one row a check, every row must pass. Pure.

Quality must not be worse (``gate_quality``), times must stay inside the policy's tolerances, a
compression must be faster, smaller or cheaper (``gate_cost``), a retraining better where the
traffic drifted. A number that is missing, NaN, infinite or cannot be computed makes a row that
fails and says so (``gate_row``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from upkeep import gate_cost, gate_quality
from upkeep.compression_methods import control_gain_nats
from upkeep.gate_row import NOT_A_NUMBER, failed, guarded, row
from upkeep.records import Benchmark, Candidate, GateResult, GateRow, sha256_hex
from upkeep.spec import GatePolicy, MeasurePolicy


class _Wanted(NamedTuple):
    candidate: Candidate
    benchmark: Benchmark
    policy: GatePolicy
    tolerances: Mapping[str, MeasurePolicy]
    target_slices: tuple[str, ...]
    usd_per_1k: float | None


def check(
    candidate: Candidate,
    benchmark: Benchmark,
    policy: GatePolicy,
    tolerances: Mapping[str, MeasurePolicy],
    target_slices: tuple[str, ...] = (),
    *,
    usd_per_1k: float | None = None,
) -> GateResult:
    """Judge the candidate by one benchmark run of champion and candidate side by side.

    ``tolerances`` are the measures of the model's policy: those of latency and of the first
    token hold here too. ``target_slices`` are where a retraining must be better (their samples
    together); empty means the whole evaluation set. ``usd_per_1k`` is what 1,000 generations of
    the day cost, where it is known: a row then forecasts the candidate's. Numbers that are no
    numbers never raise: their row fails.
    """
    wanted = _Wanted(candidate, benchmark, policy, tolerances, target_slices, usd_per_1k)
    rows = tuple(_rows(wanted))
    return GateResult(
        model=candidate.model,
        day=candidate.day,
        kind=candidate.kind,
        champion_version=benchmark.champion_version,
        champion_files_sha256=benchmark.champion_files_sha256,
        candidate_files_sha256=benchmark.candidate_files_sha256,
        passed=all(r.passed for r in rows),
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
    benchmark, policy = wanted.benchmark, wanted.policy
    if wanted.candidate.no_candidate:
        yield failed("target met", wanted.candidate.no_candidate)
    yield guarded("files differ", partial(_files_differ, benchmark))
    yield guarded("files measured", partial(_files_measured, wanted))
    yield from gate_quality.not_worse(benchmark, policy)
    if wanted.candidate.kind == "retrain":
        yield guarded(
            "better where it drifted",
            partial(gate_quality.better, benchmark, policy, wanted.target_slices),
        )
    else:
        yield from _of_compression(wanted)
    judged = gate_cost.speed_quantity(benchmark, policy)
    is_retrain = wanted.candidate.kind == "retrain"
    watched = gate_cost.watched(wanted.tolerances, benchmark, None if is_retrain else judged)
    for quantity, tolerance in watched.items():
        make = partial(gate_cost.not_slower, benchmark, policy, quantity, tolerance)
        yield guarded(f"{quantity} tolerable", make, tolerance.tolerance)


def _of_compression(wanted: _Wanted) -> Iterator[GateRow]:
    """Equal training where it trained, the gain, and what it would cost where that is known."""
    benchmark, policy = wanted.benchmark, wanted.policy
    gain = control_gain_nats(wanted.candidate.measurements)
    if gain is not None:
        make = partial(gate_quality.against_control, benchmark, policy, gain)
        yield guarded(gate_quality.CONTROL, make, policy.quality_margin)
    yield guarded(gate_cost.FASTER, partial(gate_cost.cheaper, benchmark, policy))
    if wanted.usd_per_1k is not None:
        yield guarded(
            "cost forecast", partial(gate_cost.forecast, benchmark, policy, wanted.usd_per_1k)
        )


def _files_differ(benchmark: Benchmark) -> GateRow:
    same = benchmark.champion_files_sha256 == benchmark.candidate_files_sha256
    words = "the files are the champion's own: nothing to do" if same else "another model"
    return row("files differ", passed=not same, words=words)


def _files_measured(wanted: _Wanted) -> GateRow:
    made, measured = wanted.candidate.folder.files_sha256, wanted.benchmark.candidate_files_sha256
    same = made == measured and wanted.candidate.model == wanted.benchmark.model
    words = "the benchmark measured exactly these files" if same else (
        f"the benchmark measured {measured[:12]} of {wanted.benchmark.model}, "
        f"the candidate is {made[:12]} of {wanted.candidate.model}"
    )  # fmt: skip
    return row("files measured", passed=same, words=words)
