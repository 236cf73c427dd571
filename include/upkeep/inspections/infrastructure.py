"""Infrastructure: rules over what is paid for, what is asked of it, and how it is set.

Each rule is a pure function of one :class:`~upkeep.serving_situation.Situation` and gives what it
found, or nothing. What a rule would need and nobody knows is listed in one note at the end, with
the field to fill in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from upkeep.inspections import Found, Material, finder
from upkeep.records import ReviewFinding
from upkeep.serving_situation import Situation, situation

MIB, GIB = 2**20, 2**30
SMALL_BYTES = 64 * MIB
"""Weights that lie in a processor's cache: neither their precision nor threads matter much."""

TARGET = 0.7  # of a machine's time: above it queues grow fast (M/M/1 waits 1 / (1 - load))
FULL = 0.9
MOSTLY_FULL = 0.95
BUSY_HOUR = 0.95  # the hour that 95 % of the hours stay under
LEAST_HOURS = 24
NEAR = 0.8  # of a limit
OVERLAP = 1.5  # requests under way at once, on the mean
HOURS_A_DAY = 24.0
TENSOR_32 = "F32"

_find = finder("infrastructure")


Rule = Callable[[Situation], Iterator[ReviewFinding]]


def review(material: Material) -> Sequence[Found]:
    """Every rule over the model's situation."""
    network = material.network() if material.job.source.format == "safetensors" else None
    return judge(situation(material.job, material.facts, network[0] if network else None))


def judge(found: Situation) -> Sequence[ReviewFinding]:
    """What the rules find; what could not be judged comes last."""
    return [*(finding for rule in RULES for finding in rule(found)), _looked_at(found)]


# ---------------------------------------------------------------- the rules


def _dtype(s: Situation) -> Iterator[ReviewFinding]:
    """32-bit weights where the device computes in bf16."""
    wide = s.weights.get(TENSOR_32, 0)
    if not s.bf16 or not wide:
        return
    small = sum(s.weights.values()) < SMALL_BYTES
    yield _find(
        "dtype",
        "note" if small else "advice",
        f"{wide / MIB:,.1f} MiB of the weights are 32-bit floats, and the device computes in bf16",
        {"weights_f32_bytes": float(wide), "weights_bytes": float(sum(s.weights.values()))},
        "none that can be measured"
        if small
        else f"{wide / 2 / MIB:,.0f} MiB less to read for every token: up to 2 times as fast where "
        "memory is the limit, which it is at batch 1",
        action=None if small else "compress to bf16; the gate measures what it gains and costs",
        because=f"all weights together are under {SMALL_BYTES / MIB:.0f} MiB" if small else None,
    )


def _batch(s: Situation) -> Iterator[ReviewFinding]:
    """One request at a time on a GPU, while several are under way."""
    if not (s.serving.gpus or s.gpus) or s.serving.batch is None or s.serving.batch > 1:
        return
    at_once = fmean(s.load) if s.load else None
    evidence: dict[str, float | str] = {"batch": 1.0, "gpus": float(s.serving.gpus or s.gpus)}
    if at_once is not None:
        evidence["requests_at_once_mean"] = at_once
    waits = at_once is not None and at_once >= OVERLAP
    yield _find(
        "batch-1",
        "advice" if waits else "note",
        "a GPU computes one request at a time"
        + (f", while {at_once:.1f} are under way on the mean" if at_once is not None else ""),
        evidence,
        f"up to {at_once:.1f} times the throughput of each machine: a token of one request reads "
        "all weights, and so does one of each of several"
        if waits
        else "little: a batch needs requests that overlap",
        action="serve with continuous batching, batch above 1" if waits else None,
        because=None
        if waits
        else ("requests seldom overlap" if at_once is not None else "the load is not known"),
    )


def _threads(s: Situation) -> Iterator[ReviewFinding]:
    """More threads than cores: they wait for each other."""
    limits = {"serving.threads": s.serving.cpus or s.cpus}
    for field, threads in s.threads.items():
        cpus = limits.get(field, s.cpus)
        if threads > cpus:
            yield _find(
                "threads",
                "warning",
                f"{field} is {threads}, and {cpus} CPUs are given: threads take turns on a core "
                "and wait for each other at the end of every operator",
                {"threads": float(threads), "cpus": float(cpus), "field": field},
                f"up to {threads / cpus:.0f} times the speed where they spin while they wait",
                action=f"set {field} to at most {cpus}",
            )


def _idle_threads(s: Situation) -> Iterator[ReviewFinding]:
    """Cores that are paid for and that serving may not use; half may be hyper-threads."""
    cpus, threads = s.serving.cpus, s.serving.threads
    if not cpus or not threads or threads * 2 >= cpus or s.serving.gpus:
        return
    if sum(s.weights.values()) < SMALL_BYTES:
        return
    yield _find(
        "idle-cores",
        "advice",
        f"serving uses {threads} of {cpus} cores",
        {"threads": float(threads), "cpus": float(cpus)},
        f"up to {cpus / threads:.0f} times the speed of a request, or {cpus // threads} requests "
        "at once",
        action=f"raise serving's threads, or run {cpus // threads} copies on a machine",
    )


def _replicas(s: Situation) -> Iterator[ReviewFinding]:
    """Machines against the load of the busy hour."""
    if not s.machines or s.usd_per_hour is None or not (needed := _needed(s)):
        return
    share, machines = needed
    evidence: dict[str, float | str] = {
        "machines": float(s.machines),
        "machines_needed": float(machines),
        "load_share_busy_hour": share,
        "hours": float(len(s.busy or s.load)),
    }
    if share > FULL:
        yield _find(
            "too-few-machines",
            "warning",
            f"in a busy hour {share:.0%} of {s.machines} machines are in use",
            evidence,
            f"waiting falls by about {1 - (1 - min(share, 0.99)) / (1 - TARGET):.0%} at "
            f"{TARGET:.0%} load",
            action=f"serve with {machines} machines",
        )
    elif machines < s.machines:
        saved = (s.machines - machines) * HOURS_A_DAY * s.usd_per_hour
        yield _find(
            "too-many-machines",
            "advice",
            f"in a busy hour {share:.0%} of {s.machines} machines are in use; {machines} would be "
            f"at {share * s.machines / machines:.0%}",
            evidence | {"usd_per_day_saved": saved},
            f"{saved:,.2f} USD a day",
            action=f"serve with {machines} machines, {TARGET:.0%} in use at most",
        )


def _needed(s: Situation) -> tuple[float, int] | None:
    """The share of the machines that a busy hour takes, and the machines for ``TARGET``."""
    if s.machines is None:
        return None
    shares = s.busy or (
        tuple(x / s.machines / s.serving.batch for x in s.load) if s.serving.batch else ()
    )
    if len(shares) < LEAST_HOURS:
        return None
    share = sorted(shares)[math.ceil(BUSY_HOUR * len(shares)) - 1]
    return share, max(1, math.ceil(share * s.machines / TARGET))


def _time_out(s: Situation) -> Iterator[ReviewFinding]:
    """A client's time-out that the slowest requests come near."""
    limit = s.serving.timeout_ms
    if limit is None or s.p99_ms is None or s.p99_ms < NEAR * limit:
        return
    yield _find(
        "time-out-near-p99",
        "warning",
        f"one request in a hundred takes {s.p99_ms:,.0f} ms or more, clients give up after "
        f"{limit:,.0f} ms: what was computed for those is thrown away, and asked for again",
        {"p99_ms": s.p99_ms, "timeout_ms": limit, "share": s.p99_ms / limit},
        "about one request in a hundred fewer that fails or is computed twice",
        action=f"raise the time-out to at least {2 * s.p99_ms:,.0f} ms, or limit the tokens out",
    )


def _job_time_out(s: Situation) -> Iterator[ReviewFinding]:
    if s.job_seconds is None or s.job_seconds < NEAR * s.job_timeout_s:
        return
    yield _find(
        "job-time-out",
        "warning",
        f"the last retraining took {s.job_seconds:,.0f} s of the {s.job_timeout_s:,} s that it may",
        {"seconds": s.job_seconds, "timeout_s": float(s.job_timeout_s)},
        "the next one, with more data, is not killed before its end",
        action=f"set jobs.resources.timeout_s to {math.ceil(s.job_seconds * 2)}",
    )


def _memory(s: Situation) -> Iterator[ReviewFinding]:
    for name, share in (("host", s.host_memory), ("GPU", s.gpu_memory)):
        if share is not None and share > MOSTLY_FULL:
            yield _find(
                "memory-full",
                "warning",
                f"{share:.0%} of the {name} memory was in use at its highest",
                {"memory_share_high": share, "memory": name},
                "no request is lost to a process that is killed",
                action="limit the requests at once or their tokens, compress, or take more memory",
            )


def _no_gpu(s: Situation) -> Iterator[ReviewFinding]:
    """A job that is given GPUs and finds none."""
    if s.gpus and not s.cuda:
        yield _find(
            "gpu-not-found",
            "warning",
            f"jobs are given {s.gpus} GPUs, and this worker finds none: it computed on "
            f"{s.cores} CPU cores",
            {"gpus": float(s.gpus), "cores": float(s.cores)},
            "the GPUs that are paid for are used",
            action="install a build of torch for the GPU, or set jobs.resources.gpus to 0",
        )


def _job_cores(s: Situation) -> Iterator[ReviewFinding]:
    """A job that is told more CPUs than it has."""
    if s.cpus > s.cores:
        yield _find(
            "job-cpus",
            "warning",
            f"jobs.resources.cpus is {s.cpus}, and the worker may use {s.cores} cores: what it "
            "measures with so many threads is slower than production",
            {"cpus": float(s.cpus), "cores": float(s.cores)},
            "times that mean what they say",
            action=f"set jobs.resources.cpus to {s.cores}, or give the job the cores",
        )


RULES: tuple[Rule, ...] = (
    _threads,
    _job_cores,
    _no_gpu,
    _memory,
    _time_out,
    _job_time_out,
    _replicas,
    _batch,
    _dtype,
    _idle_threads,
)


def _looked_at(s: Situation) -> ReviewFinding:
    """What could not be judged, and what to fill in."""
    serving = s.serving
    unknown = {
        "serving.threads": serving.threads is None,
        "serving.cpus": serving.cpus is None,
        "serving.batch": serving.batch is None,
        "serving.timeout_ms": serving.timeout_ms is None,
        "prices.machines": s.machines is None,
        "a latency of production": s.p99_ms is None,
        "the machines' utilisation": not s.busy,
        "number types of the weights": not s.weights,
    }
    missing = sorted(name for name, is_missing in unknown.items() if is_missing)
    fields = [name for name in missing if "." in name]
    return _find(
        "looked-at",
        "note",
        f"{len(RULES)} rules were applied; not known: {', '.join(missing) or 'nothing'}",
        {"rules": float(len(RULES)), "unknown": float(len(missing))},
        "rules that need what is missing can then be applied" if missing else "none",
        action=f"say {', '.join(fields)} in the model's file" if fields else None,
        because=None if fields else "nothing that the model's file could say is missing",
    )
