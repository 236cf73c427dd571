"""The evaluate job: every measure over one day's outputs, each sample's scores, what failed.

A measure that cannot be computed is recorded with its reason, ``unmeasured``: the others stand,
and whoever reads the result sees that it was asked for.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from upkeep import quality
from upkeep.errors import ArtifactError, ParamError
from upkeep.job_inputs import Inputs
from upkeep.job_params import JobParams, read_params
from upkeep.measures import SliceBy
from upkeep.quality.failure_modes import failure_modes
from upkeep.records import (
    Evaluation,
    FailureMode,
    FileHash,
    JobSpec,
    QualityResult,
    SampleScores,
    Unmeasured,
    sha256_hex,
)
from upkeep.samples import choose_samples
from upkeep.store import Store

log = logging.getLogger("upkeep.worker")

ASKS_THE_MODEL = frozenset({"bits_per_byte", "perplexity"})
_OPTIONS = {field.name for field in dataclasses.fields(quality.Settings)}


class EvaluateParams(JobParams):
    """Which measures, on at most how many samples; see :class:`upkeep.quality.Settings`.

    ``threads`` None means the job's ``cpus``.
    """

    measures: Annotated[list[str], Field(min_length=1)]
    min_samples: Annotated[int, Field(ge=2)] = 20
    max_samples: Annotated[int, Field(ge=2)] | None = None
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0
    lowercase: bool = False
    tokenize: Literal["13a", "char", "intl", "none", "zh"] = "13a"
    stemmer: bool = False
    slice_by: Annotated[tuple[SliceBy, ...], Field(strict=False)] = ()
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None


def evaluate(inputs: Inputs) -> Evaluation:
    """Every measure of ``params.measures`` on the job's samples.

    Raises:
        ParamError: a setting is not allowed, or a measure is not known.
        ArtifactError: the model, the samples or the images are not those that were recorded.

    """
    job = inputs.job
    params = read_params(EvaluateParams, "params", job.params)
    measures = {name: quality.measure(name) for name in params.measures}
    material = _material(inputs, params)
    if ASKS_THE_MODEL & measures.keys():
        material.runtime  # noqa: B018 - a model that cannot be loaded refuses the whole job
    scores: list[quality.Score] = []
    unmeasured: list[Unmeasured] = []
    for name, measure in measures.items():
        started = time.perf_counter()
        try:
            score = measure(material, name)
        except (ParamError, ArtifactError) as error:
            unmeasured.append(_not_measured(name, error))
            continue
        seconds = time.perf_counter() - started
        log.info("%s %.4f on %d samples (%.1f s)", name, score.score, score.n, seconds)
        scores.append(score)
    modes, missing = _failure_modes(material, scores)
    return Evaluation(
        model=job.model,
        day=job.day,
        model_version=job.source.version,
        results=tuple(_result(job, score) for score in scores),
        unmeasured=(*unmeasured, *missing),
        failure_modes=modes,
        scores=_keep(inputs.store, job, material, scores),
    )


def _failure_modes(
    material: quality.Material, scores: Sequence[quality.Score]
) -> tuple[tuple[FailureMode, ...], tuple[Unmeasured, ...]]:
    """The failure modes; where they cannot be found, why: no score is lost for that."""
    try:
        return failure_modes(material, scores), ()
    except (ParamError, ArtifactError) as error:
        return (), (_not_measured("failure_modes", error),)


def _not_measured(name: str, error: Exception) -> Unmeasured:
    log.warning("%s: not measured: %s", name, error)
    return Unmeasured(measure=name, words=" ".join(str(error).split()))


def _material(inputs: Inputs, params: EvaluateParams) -> quality.Material:
    samples = inputs.samples("evaluation")
    if params.max_samples is not None:
        samples = choose_samples(samples, params.max_samples)
    return quality.Material(
        samples,
        quality.Settings(**params.model_dump(include=_OPTIONS)),
        lambda: inputs.runtime(inputs.job.source, params.threads),
        inputs.pictures(),
    )


def _result(job: JobSpec, score: quality.Score) -> QualityResult:
    found = {f.name: getattr(score, f.name) for f in dataclasses.fields(score)}
    del found["per_sample"]
    return QualityResult(
        model=job.model,
        day=job.day,
        model_version=job.source.version,
        evaluation_set_sha256=job.data["evaluation"].sha256,
        **found,
    )


def _keep(
    store: Store, job: JobSpec, material: quality.Material, scores: Sequence[quality.Score]
) -> FileHash | None:
    """The scores of each sample as JSON lines beside the result; None where there are none."""
    lines = b""
    for sample in material.samples:
        found = {s.measure: s.per_sample[sample.id] for s in scores if sample.id in s.per_sample}
        if found:
            record = SampleScores(id=sample.id, slice=sample.slice, scores=found)
            lines += record.canonical_bytes() + b"\n"
    if not lines:
        return None
    key = f"{job.output_prefix}/scores.jsonl"
    store.put_if_absent(key, lines)
    stored = store.get(key) or b""
    return FileHash(path=key, size_bytes=len(stored), sha256=sha256_hex(stored))
