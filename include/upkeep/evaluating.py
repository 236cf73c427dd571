"""What the evaluate job gets: the day's samples, the images, and the models that measure."""

from __future__ import annotations

from datetime import date
from typing import Any

from upkeep import promotion
from upkeep.candidate import job_key, model_input, output_prefix
from upkeep.facts import champion_on, serving_version
from upkeep.image_jobs import references_of, tools_of
from upkeep.pictures import images_key, put_file
from upkeep.records import DailyMetrics, FileHash, JobSpec, ModelInput, Sample
from upkeep.samples import choose_samples, put_samples, read_samples, samples_key
from upkeep.spec import ModelSpec, Quality
from upkeep.store import Store, adopt_or_put, get_record, record_key

OPTIONS = ("min_samples", "lowercase", "tokenize", "stemmer", "slice_by")


def evaluate_job(store: Store, spec: ModelSpec, day: date) -> JobSpec | None:
    """The evaluation of the version that served the day, written once.

    None if that version is none of ours, or too few requests are there to be measured.
    """
    model = spec.name
    known = get_record(store, record_key(model, day, "evaluate-job"), JobSpec)
    if known is not None:
        return known
    metrics = get_record(store, record_key(model, day, "metrics"), DailyMetrics)
    source = _served(store, metrics) if metrics else None
    samples = choose_samples(read_samples(store, samples_key(model, day)), spec.quality.max_samples)
    if source is None or len(samples) < spec.quality.min_samples:
        return None
    prefix = output_prefix(model, day, "evaluate")
    quality = spec.quality
    job = JobSpec(
        key=job_key(model, day, "evaluate"),
        kind="evaluate",
        model=model,
        day=day,
        method="+".join(quality.measures),
        source=source,
        data=_data(store, spec, day, prefix, samples),
        tools=tools_of(store, quality),
        params={"measures": list(quality.measures), **_options(quality)},
        resources=spec.jobs.resources,
        store_root=store.root,
        output_prefix=prefix,
    )
    return adopt_or_put(store, record_key(model, day, "evaluate-job"), job)


def _served(store: Store, metrics: DailyMetrics) -> ModelInput | None:
    champion = champion_on(store, metrics.model, metrics.day)
    version = serving_version(metrics, champion.version if champion else None)
    entries = [e for e in promotion.ledger(store, metrics.model) if e.version == version]
    return model_input(entries[-1]) if entries else None


def _options(quality: Quality) -> dict[str, Any]:
    """What differs from the job's own defaults, and the fewest samples."""
    usual = Quality()
    return {
        name: value
        for name in OPTIONS
        if (value := getattr(quality, name)) != getattr(usual, name) or name == "min_samples"
    }


def _data(
    store: Store, spec: ModelSpec, day: date, prefix: str, samples: list[Sample]
) -> dict[str, FileHash]:
    found = {"evaluation": put_samples(store, f"{prefix}/evaluation.jsonl", samples)}
    if spec.quality.modality == "image":
        found["images"] = put_file(store, images_key(spec.name, day), None)
    return found | references_of(store, spec.quality, prefix)
