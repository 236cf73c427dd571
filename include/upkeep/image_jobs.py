"""What jobs on image models get: requests of production, real images, and what extracts features.

Prompts of an image model repeat, so that requests are held out by their id: 30 % of them judge a
candidate, the others say what a compression is calibrated for.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from upkeep.config_places import expanded
from upkeep.errors import ArtifactError, ParamError
from upkeep.job_texts import trusted_days
from upkeep.pictures import put_file
from upkeep.records import FileHash, Folder, Sample, sha256_hex
from upkeep.records.production import HELD_OUT_TENTHS
from upkeep.samples import choose_samples, read_samples, samples_key
from upkeep.spec import ModelSpec, Quality
from upkeep.store import Store


def production_requests(
    store: Store, spec: ModelSpec, day: date
) -> tuple[list[Sample], list[Sample]]:
    """The last trusted days' requests: to calibrate on, and held out; at most ``max_samples`` each.

    Raises:
        ParamError: there is none.

    """
    unique: dict[str, Sample] = {}
    for trusted in trusted_days(store, spec, day):
        for sample in read_samples(store, samples_key(spec.name, trusted)):
            unique.setdefault(sample.id, sample)
    held_out = [sample for sample in unique.values() if _is_held_out(sample)]
    others = [sample for sample in unique.values() if not _is_held_out(sample)]
    if not held_out or not others:
        rule = f"too few trusted production requests for {spec.name}"
        raise ParamError("day", day.isoformat(), rule, "run the daily cycle for this day first")
    most = spec.quality.max_samples
    return choose_samples(others, most), choose_samples(held_out, most)


def references_of(store: Store, quality: Quality, prefix: str) -> dict[str, FileHash]:
    """The file of real images in the store, by its role; nothing where the model has none.

    Raises:
        ArtifactError: it cannot be read.

    """
    if quality.references is None:
        return {}
    place = expanded(quality.references)
    try:
        content = Path(place).read_bytes()
    except OSError as error:
        rule = f"cannot be read ({error.strerror})"
        raise ArtifactError("quality.references", place, rule, "give the Parquet file") from error
    return {"references": put_file(store, f"{prefix}/references.parquet", content)}


def tools_of(store: Store, quality: Quality) -> dict[str, Folder]:
    """Models that measure, kept in the store under the hash of their files."""
    named = {"features": quality.features, "clip": quality.clip}
    return {
        role: store.put_folder(f"models/tools/{role}", Path(expanded(path)))
        for role, path in named.items()
        if path is not None
    }


def _is_held_out(sample: Sample) -> bool:
    digest = sha256_hex(sample.id.encode("utf-8", "replace"))
    return int(digest[:8], 16) % 10 < HELD_OUT_TENTHS
