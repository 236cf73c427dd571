"""How a model is served: what the rules of a review read, gathered into one record."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from upkeep.records import Gauge, HourMetrics, JobSpec, ReviewFacts
from upkeep.spec_serving import Serving

HOUR_S = 3600.0


class Situation(NamedTuple):
    """All that the rules read. None: not known.

    ``cores`` and ``cuda`` are the worker's machine, ``bf16`` says whether it computes in it;
    ``weights`` are bytes by number type as the files say (``F32``, ``BF16``). ``threads`` are the
    settings of the model's file by field, ``cpus`` what those may use. ``load`` is the requests
    under way at once in each hour, ``busy`` the share of the machines in use where it is
    collected. ``job_seconds`` is how long the last retraining took of ``job_timeout_s``.
    """

    cores: int
    cuda: bool
    bf16: bool
    weights: dict[str, int]
    threads: dict[str, int]
    cpus: int
    gpus: int
    memory_gib: float
    serving: Serving
    machines: int | None
    usd_per_hour: float | None
    load: tuple[float, ...]
    busy: tuple[float, ...]
    host_memory: float | None
    gpu_memory: float | None
    p99_ms: float | None
    job_seconds: float | None
    job_timeout_s: int


def situation(job: JobSpec, facts: ReviewFacts, network: Path | None) -> Situation:
    """Gather it from the facts, from this machine, and from the champion's safetensors folder.

    ``network`` is None where the champion has no such folder.
    """
    resources = job.resources
    hours = [hour for day in facts.days for hour in day.hours]
    latest = facts.days[-1] if facts.days else None
    cuda, bf16 = _device()
    made = facts.retrained
    return Situation(
        cores=len(os.sched_getaffinity(0)),
        cuda=cuda,
        bf16=bf16,
        weights=_weights(network),
        threads=dict(sorted(facts.threads.items())),
        cpus=resources.cpus,
        gpus=resources.gpus,
        memory_gib=resources.memory_gib,
        serving=Serving.model_validate(facts.serving),
        machines=facts.machines,
        usd_per_hour=facts.usd_per_hour,
        load=tuple(load for hour in hours if (load := _load(hour)) is not None),
        busy=tuple(g.mean for hour in hours if (g := _in_use(hour)) is not None),
        host_memory=_highest([hour.utilisation.host_memory for hour in hours]),
        gpu_memory=_highest([hour.utilisation.gpu_memory for hour in hours]),
        p99_ms=latest.latency_ms.p99 if latest and latest.latency_ms else None,
        job_seconds=(made.measurements.get("train_s") if made else None),
        job_timeout_s=(facts.retrain_job or job).resources.timeout_s,
    )


def _device() -> tuple[bool, bool]:
    """Whether a CUDA device is here, and whether what computes here has bf16 of its own."""
    import torch

    if torch.cuda.is_available():
        return True, bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return False, bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 - torch has no other


def _weights(network: Path | None) -> dict[str, int]:
    from upkeep.formats.safetensors import signature

    if network is None:
        return {}
    sizes: dict[str, int] = {}
    for kind, shape in signature(network).values():
        digits = "".join(filter(str.isdigit, kind.split("_")[0])) or "8"
        sizes[kind] = sizes.get(kind, 0) + math.prod(shape) * int(digits) // 8
    return sizes


def _load(hour: HourMetrics) -> float | None:
    """Requests under way at once, on the mean: arrivals x time in the system (Little 1961)."""
    if hour.requests is None or hour.latency_ms is None:
        return None
    return hour.requests * hour.latency_ms.mean / 1e3 / HOUR_S


def _in_use(hour: HourMetrics) -> Gauge | None:
    used = hour.utilisation
    return used.gpu or used.cpu


def _highest(gauges: Sequence[Gauge | None]) -> float | None:
    return max((g.high for g in gauges if g is not None), default=None)
