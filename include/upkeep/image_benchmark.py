"""Two image generators side by side: the same classes and seeds, in turn, in one process.

Quality is paired a sample of production: each model paints ``draws`` images of its class with the
same seeds, and the loss is the :mod:`upkeep.energy_score` of these against held-out real images.
FID and KID of the same images are told beside it. Times are those of ``benchmark`` and
``benchmark_load``, an image for a token: batch 1, then the production concurrency.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upkeep import benchmark as bench
from upkeep.energy_score import Table, energy_scores
from upkeep.errors import ArtifactError, ParamError
from upkeep.image_runtime import ImageRuntime, class_of, load_painter, seed_of
from upkeep.image_sets import by_class, features_of, held_out_images
from upkeep.job_inputs import Inputs
from upkeep.job_params import read_params
from upkeep.quality.features import Extractor
from upkeep.quality.fid import FEWEST, FEWEST_PER_FEATURE, frechet_distance
from upkeep.quality.kid import kernel_distance
from upkeep.records import Benchmark, ModelInput, PairedScores, PairedTimes, Sample
from upkeep.runtime import Generation, Runtime

log = logging.getLogger("upkeep.worker")

MEASURE = "energy_score"
BATCH = 256


class ImageBenchmarkParams(bench.BenchmarkParams):
    """As for texts, an image a request; ``draws`` images of each sample are judged.

    ``new_tokens``, ``agreement_prompts`` and ``memory`` are of texts, and nothing here.
    """

    draws: Annotated[int, Field(ge=2, le=1_000)] = 8


class Real(NamedTuple):
    """Held-out real images: features [r, D], and the class [r] of each."""

    features: Table
    labels: NDArray[np.int64]


def benchmark(inputs: Inputs) -> Benchmark:
    """Champion and candidate, paired.

    Raises:
        ParamError: a setting, the real images or what extracts features is missing; a prompt is of
            no class; a class has no held-out real image.
        ArtifactError: the two paint different classes or sizes, or no images.

    """
    job = inputs.job
    params = read_params(ImageBenchmarkParams, "params", job.params)
    if job.candidate is None:
        raise ParamError("candidate", None, "is missing", "name the model to compare with")
    pictures, samples = inputs.pictures(), inputs.samples("evaluation")
    if pictures is None or pictures.features is None or not pictures.references:
        rule = "needs real images and what extracts features"
        raise ParamError("benchmark", sorted(job.data), rule, "set quality.references and features")
    champion, candidate = (_painter(inputs, m, params) for m in (job.source, job.candidate))
    _same(champion, candidate)
    extractor = Extractor(pictures.features[0])
    held_out = held_out_images(pictures.references)
    real = Real(*by_class(extractor, held_out, len(champion.classes)))
    seen = [painted(runtime, extractor, samples, params.draws) for runtime in (champion, candidate)]
    scores = paired_losses(samples, labels_of(champion, samples), seen, real)
    log.info("losses of %d samples, %d images each", len(samples), params.draws)
    return Benchmark(
        model=job.model,
        day=job.day,
        job_key=job.key,
        champion_version=job.source.version,
        champion_files_sha256=job.source.folder.files_sha256,
        candidate_files_sha256=job.candidate.folder.files_sha256,
        scores=(scores,),
        times=_times(champion, candidate, samples, params),
        champion_size_bytes=job.source.folder.size_bytes,
        candidate_size_bytes=job.candidate.folder.size_bytes,
        evaluation_set_sha256=job.data["evaluation"].sha256,
        machine={
            **bench.machine(cast("Runtime", champion), cast("Runtime", candidate), params),
            "latency_ms": f"mean of {params.prompts} images, batch 1",
        },
        concurrency=params.concurrency,
        set_scores=set_scores(seen, real),
    )


def labels_of(runtime: ImageRuntime, samples: Sequence[Sample]) -> list[int]:
    """The class that each sample asks for; ParamError for a prompt of none."""
    return [class_of(runtime.classes, sample.prompt) for sample in samples]


def painted(
    runtime: ImageRuntime, extractor: Extractor, samples: Sequence[Sample], draws: int
) -> Table:
    """Features [samples, draws, D] of what the model paints; seeds follow from the samples' ids."""
    asked = [
        (label, seed_of(f"{sample.id}/{draw}"))
        for sample, label in zip(samples, labels_of(runtime, samples), strict=True)
        for draw in range(draws)
    ]
    parts = []
    for start in range(0, len(asked), BATCH):
        labels, seeds = zip(*asked[start : start + BATCH], strict=True)
        parts.append(features_of(extractor, runtime.paint(labels, seeds)))
    if not parts:
        raise ParamError("evaluation", 0, "samples are there to be painted", "add some")
    return np.concatenate(parts).reshape(len(samples), draws, -1)


def paired_losses(
    samples: Sequence[Sample], labels: Sequence[int], seen: Sequence[Table], real: Real
) -> PairedScores:
    """The energy score of each sample, of champion and candidate (``seen`` in this order).

    Raises:
        ParamError: a class has no real image.

    """
    losses = [np.empty(len(samples)) for _ in seen]
    for label in sorted(set(labels)):
        rows = np.flatnonzero(np.equal(labels, label))
        references = real.features[real.labels == label]
        if not len(references):
            rule = "has no held-out real image"
            raise ParamError("references", f"class {label}", rule, "give real images of it")
        for loss, features in zip(losses, seen, strict=True):
            loss[rows] = energy_scores(features[rows], references)
    return PairedScores(
        measure=MEASURE,
        direction="lower_is_better",
        sample_ids=tuple(sample.id for sample in samples),
        slices=tuple(sample.slice for sample in samples),
        champion=tuple(map(float, losses[0])),
        candidate=tuple(map(float, losses[1])),
        weights=(1.0,) * len(samples),
    )


def set_scores(seen: Sequence[Table], real: Real) -> dict[str, tuple[float, float]]:
    """KID, and FID where there are images enough, of champion and candidate against real ones."""
    flat = [features.reshape(-1, features.shape[-1]) for features in seen]
    found = {"kid": [kernel_distance(real.features, made) for made in flat]}
    needed = max(FEWEST, FEWEST_PER_FEATURE * real.features.shape[1])
    if min(len(real.features), len(flat[0])) >= needed:
        found["fid"] = [frechet_distance(real.features, made) for made in flat]
    return {name: (pair[0], pair[1]) for name, pair in found.items()}


class Requests:
    """An image model behind the face that times are taken by: a prompt in, one image out."""

    def __init__(self, runtime: ImageRuntime) -> None:
        """Every request of a prompt has the prompt's own seed."""
        self._runtime = runtime
        self.format = runtime.format

    def generate(self, prompt: str, max_new_tokens: int, *, ignore_end: bool = False) -> Generation:
        """Paint one image."""
        del ignore_end
        return self.generate_batch([prompt], max_new_tokens)[0]

    def generate_batch(self, prompts: Sequence[str], max_new_tokens: int) -> list[Generation]:
        """Paint an image of each prompt at once."""
        started = time.perf_counter()
        labels = [class_of(self._runtime.classes, prompt) for prompt in prompts]
        self._runtime.paint(labels, [seed_of(prompt) for prompt in prompts])
        taken_ms = (time.perf_counter() - started) * 1e3
        return [Generation("", 1, max_new_tokens, taken_ms, taken_ms) for _ in prompts]


def _times(
    champion: ImageRuntime,
    candidate: ImageRuntime,
    samples: Sequence[Sample],
    params: ImageBenchmarkParams,
) -> tuple[PairedTimes, ...]:
    one = params.model_copy(update={"new_tokens": 1})
    # They only generate: what else a Runtime of texts has, no time is taken of.
    pair = [cast("Runtime", Requests(runtime)) for runtime in (champion, candidate)]
    alone = bench.paired_times(pair[0], pair[1], samples, one)
    together = bench.paired_concurrent(pair[0], pair[1], samples, one)
    return tuple(t for t in (*alone, *together) if t.quantity != "ttft_ms")


def _painter(inputs: Inputs, model: ModelInput, params: ImageBenchmarkParams) -> ImageRuntime:
    threads = params.threads or inputs.job.resources.cpus
    loaded = load_painter(inputs.folder(model), model.format, threads)
    log.info("version %s: %s", model.version, loaded.precision)
    return loaded


def _same(champion: ImageRuntime, candidate: ImageRuntime) -> None:
    """Equal seeds are equal requests only where classes, latent numbers and sizes are the same."""
    sides: list[Mapping[str, object]] = [
        {"classes": one.classes, "latent": one.latent, "shape": one.shape}
        for one in (champion, candidate)
    ]
    for what, value in sides[1].items():
        if value != sides[0][what]:
            rule = f"is not the champion's {sides[0][what]!r}"
            fix = "their images of a seed cannot be compared"
            raise ArtifactError(f"candidate's {what}", value, rule, fix)
