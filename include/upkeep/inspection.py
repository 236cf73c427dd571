"""The review job: five inspections of one model, none of which stops the others.

An inspection whose input is not allowed or broken is on record with its reason,
``uninspected``; the others stand.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import get_args

from upkeep.errors import ArtifactError, ParamError
from upkeep.inspections import INSPECTIONS, NETWORK, Found, Material, ReviewParams, inspection
from upkeep.job_inputs import Inputs, checked
from upkeep.job_params import read_params
from upkeep.records import (
    ModelInput,
    Review,
    ReviewArea,
    ReviewFacts,
    ReviewFinding,
    Sample,
    Severity,
    Uninspected,
)
from upkeep.sealed import unseal

log = logging.getLogger("upkeep.worker")

GRAVEST: tuple[Severity, ...] = ("warning", "advice", "note")


def review(inputs: Inputs) -> Review:
    """Inspect the job's model; findings by area, the gravest first."""
    material = _material(inputs)
    found = [each for area in get_args(ReviewArea) for each in _inspect(area, material)]
    job = inputs.job
    return Review(
        model=job.model,
        day=job.day,
        job_key=job.key,
        model_version=job.source.version,
        findings=tuple(sorted((f for f in found if isinstance(f, ReviewFinding)), key=_order)),
        uninspected=tuple(u for u in found if isinstance(u, Uninspected)),
    )


def _order(finding: ReviewFinding) -> tuple[int, int]:
    return list(INSPECTIONS).index(finding.area), GRAVEST.index(finding.severity)


def _inspect(area: ReviewArea, material: Material) -> Sequence[Found]:
    started = time.perf_counter()
    try:
        found = inspection(area).review(material)
    except (ParamError, ArtifactError) as error:
        words = " ".join(str(error).split())
        log.warning("%s: not inspected: %s", area, words)
        return [Uninspected(area=area, what="all of it", words=words)]
    log.info("%s: %d findings (%.1f s)", area, len(found), time.perf_counter() - started)
    return found


def _material(inputs: Inputs) -> Material:
    job = inputs.job
    params = read_params(ReviewParams, "params", job.params)
    facts = _facts(inputs)

    @cache
    def network() -> tuple[Path, str] | None:
        if job.source.format == "safetensors":
            return inputs.folder(job.source), job.source.version
        folder, version = job.tools.get(NETWORK), facts.network_version
        if folder is None or version is None:
            return None
        return inputs.folder(
            ModelInput(version=version, format="safetensors", folder=folder)
        ), version

    return Material(
        job=job,
        facts=facts,
        params=params,
        read=lambda role: _samples(inputs, role),
        network=network,
        load=lambda: inputs.runtime(job.source, params.threads),
        lock=_lock(inputs),
    )


def _facts(inputs: Inputs) -> ReviewFacts:
    known = inputs.job.data.get("facts")
    if known is None:
        raise ParamError("data.facts", sorted(inputs.job.data), "is missing", "name the file")
    return unseal(known.path, checked(known, inputs.store.get(known.path)), ReviewFacts)


def _samples(inputs: Inputs, role: str) -> list[Sample]:
    """The samples of a role; none where the job has no such file."""
    return inputs.samples(role) if role in inputs.job.data else []


def _lock(inputs: Inputs) -> str | None:
    known = inputs.job.data.get("lock")
    if known is None:
        return None
    return checked(known, inputs.store.get(known.path)).decode("utf-8", "replace")
