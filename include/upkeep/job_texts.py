"""The texts that a job gets: those of trusted days, each prompt once, and redacted.

Nothing of a text is written for a job before :mod:`upkeep.redaction` has been over it: neither
the job's files in the store nor what comes of them holds an address that was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from upkeep.deployment import Deployment
from upkeep.errors import ParamError, StoreError
from upkeep.judgement_answers import Output, admit
from upkeep.records import FileHash, Sample, ValidationResult, sha256_hex
from upkeep.records.training import TrainingSelection
from upkeep.redaction import redact_samples
from upkeep.reviews import collect_answers
from upkeep.samples import put_samples, read_samples, samples_key
from upkeep.spec import ModelSpec
from upkeep.store import Store, get_record, record_key
from upkeep.training_data import Dated, ratings_of


def production_texts(store: Store, spec: ModelSpec, day: date) -> tuple[list[Dated], list[Sample]]:
    """The last trusted days' prompts, each once: for training, and held out.

    Raises:
        ParamError: there is none.

    """
    unique: dict[str, Dated] = {}
    for trusted in trusted_days(store, spec, day):
        for sample in read_samples(store, samples_key(spec.name, trusted)):
            unique.setdefault(sample.prompt, (trusted, sample))
    ordered = sorted(unique.values(), key=lambda dated: dated[1].id)
    if not ordered:
        raise ParamError(
            "day",
            day.isoformat(),
            f"no trusted production text for {spec.name}",
            "run the daily cycle for this day first",
        )
    held_out = [sample for _, sample in ordered if sample.held_out]
    return [dated for dated in ordered if not dated[1].held_out], held_out


def trusted_days(store: Store, spec: ModelSpec, day: date) -> list[date]:
    """The days up to ``day`` that a job may use, the newest first."""
    days = (day - timedelta(n) for n in range(spec.jobs.retrain.days))
    return [d for d in days if _trusted(store, spec.name, d)]


def _trusted(store: Store, model: str, day: date) -> bool:
    found = get_record(store, record_key(model, day, "validation"), ValidationResult)
    return found is not None and found.trusted


def ratings_for(deployment: Deployment, spec: ModelSpec, day: date) -> dict[Output, float]:
    """What people gave the outputs that a retraining may learn from; see ``training_data``."""
    asked = spec.reviews
    if asked is None:
        return {}
    days = sorted(trusted_days(deployment.store, spec, day))
    found = collect_answers(deployment.store, deployment.reviewers(), spec.name, days)
    window = asked.model_copy(update={"window_days": spec.jobs.retrain.days})
    return ratings_of(admit(day, window, found.ratings, found.offered), asked.min_raters)


def original_texts(store: Store, model: str) -> list[Sample]:
    """What the model was first trained on, mixed in so that it forgets nothing."""
    return [s for key in store.list(f"{model}/training/") for s in read_samples(store, key)]


def untouched(samples: Sequence[Sample]) -> list[Sample]:
    """The samples in which nothing is redacted.

    A retrained model has seen placeholders and its champion has not: judged on texts that hold
    them, it would be better by that alone.

    Raises:
        ParamError: there is none.

    """
    clean, _ = redact_samples(samples)
    kept = [old for old, new in zip(samples, clean, strict=True) if old == new]
    if not kept:
        rule = "held-out texts, and something is redacted in each of them: none can be judged"
        raise ParamError("evaluation", len(samples), rule, "collect texts without personal data")
    return kept


def put_texts(
    store: Store, folder: str, data: Mapping[str, Sequence[Sample]]
) -> tuple[dict[str, FileHash], dict[str, int]]:
    """Redact and write the texts of each role; their files, and what was taken out by kind."""
    counted: Counter[str] = Counter()
    files = {}
    for role, samples in data.items():
        clean, found = redact_samples(samples)
        files[role] = put_samples(store, f"{folder}/{role}.jsonl", clean)
        counted.update(found)
    return files, dict(sorted(counted.items()))


def put_selection(store: Store, folder: str, selection: TrainingSelection) -> FileHash:
    """Write how the texts were chosen, once; the hash is of what lies there."""
    key = f"{folder}/selection.json"
    store.put_if_absent(key, selection.canonical_bytes())
    stored = store.get(key)
    if stored is None:
        raise StoreError(f"{key}: was written and is gone")
    return FileHash(path=key, size_bytes=len(stored), sha256=sha256_hex(stored))
