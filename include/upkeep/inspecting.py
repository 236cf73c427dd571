"""What the review job gets, and its result: the cycle's side of a review.

A review is of the last decided day up to the day that was asked for: it reads what is recorded
and collects nothing. It is keyed ``model/day/review``, so that there is one a model and day.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from upkeep import promotion
from upkeep.candidate import job_key, model_input, output_prefix
from upkeep.config_places import expanded
from upkeep.deployment import MAX_ATTEMPTS, Deployment
from upkeep.errors import ArtifactError, JobFailed, ParamError, PromotionRefused
from upkeep.job_texts import original_texts, production_texts, put_texts, trusted_days
from upkeep.late import newest
from upkeep.opening import opened_day
from upkeep.pictures import put_file
from upkeep.records import (
    Candidate,
    DailyMetrics,
    Decision,
    FileHash,
    Folder,
    JobFailure,
    JobSpec,
    LedgerEntry,
    Review,
    ReviewFacts,
    Sample,
    sha256_hex,
)
from upkeep.samples import choose_samples, read_samples, samples_key
from upkeep.sealed import seal
from upkeep.spec import ModelSpec, spec_of
from upkeep.store import Store, adopt_or_put, get_record, record_key

STEP = "review"
LOOK_BACK_DAYS = 31
WEEK_DAYS = 7
MOST_SERVED = 5_000
NETWORK = "network"


def reviewed_day(store: Store, model: str, day: date) -> date:
    """The last decided day of the model up to ``day``.

    Raises:
        ParamError: there is none in the month before it, or the model cannot be reviewed: it
            makes images, or has no champion.

    """
    days = (day - timedelta(back) for back in range(LOOK_BACK_DAYS))
    decided = (d for d in days if get_record(store, record_key(model, d, "decision"), Decision))
    found = next(decided, None)
    if found is None:
        rule = f"no day of {model} was decided in the {LOOK_BACK_DAYS} days up to it"
        raise ParamError("day", day.isoformat(), rule, "run the daily cycle first")
    if spec_of(opened_day(store, model, found)).quality.modality != "text":
        raise ParamError("model", model, "makes images", "review a language model")
    if promotion.champion(store, model) is None:
        fix = f"register one: upkeep register {model} DIR"
        raise ParamError("model", model, "has no champion", fix)
    return found


def review(deployment: Deployment, model: str, day: date) -> Review:
    """Review a decided day's model on the cluster, or adopt the review that is there.

    Raises:
        ParamError: the day was not opened, or no text of it is trusted.
        JobFailed: the job failed; after its last try a human must look.

    """
    store = deployment.store
    known = get_record(store, record_key(model, day, STEP), Review)
    if known is not None:
        return known
    spec = spec_of(opened_day(store, model, day))
    job = get_record(store, record_key(model, day, f"{STEP}-job"), JobSpec)
    job = job or adopt_or_put(store, record_key(model, day, f"{STEP}-job"), _job(store, spec, day))
    try:
        made = deployment.result(job, spec.jobs, Review)
    except JobFailed as failed:
        if failed.final:
            words = f"{job.key} failed {MAX_ATTEMPTS} times; a human must look"
            failure = JobFailure(key=job.key, attempts=MAX_ATTEMPTS, words=words)
            adopt_or_put(store, record_key(model, day, f"{STEP}-failure"), failure)
        raise
    return adopt_or_put(store, record_key(model, day, STEP), made)


def _job(store: Store, spec: ModelSpec, day: date) -> JobSpec:
    champion = _champion(store, spec.name, day)
    prefix = output_prefix(spec.name, day, STEP)
    network = _network(store, champion)
    facts = _facts(store, spec, day, network)
    return JobSpec(
        key=job_key(spec.name, day, STEP),
        kind="review",
        model=spec.name,
        day=day,
        method="five-inspections",
        source=model_input(champion),
        data=_data(store, spec, day, prefix, facts),
        tools=_tools(network),
        params=dict(spec.jobs.review.params),
        resources=spec.jobs.resources,
        store_root=store.root,
        output_prefix=prefix,
    )


def _champion(store: Store, model: str, day: date) -> LedgerEntry:
    """The champion after the day's own job, if it had one: of the last day the one that serves.

    Raises:
        PromotionRefused: there was none.

    """
    entries = [e for e in promotion.ledger(store, model) if e.day is None or e.day <= day]
    if not entries:
        raise PromotionRefused(f"{model} had no champion on {day}")
    return entries[-1]


def _data(
    store: Store, spec: ModelSpec, day: date, prefix: str, facts: ReviewFacts
) -> dict[str, FileHash]:
    _, held_out = production_texts(store, spec, day)
    retrain = facts.retrain_job.data if facts.retrain_job else {}
    texts = {
        "served": choose_samples(_served(store, spec, day), MOST_SERVED),
        "evaluation": choose_samples(held_out, spec.quality.max_samples),
    }
    if not retrain:  # before the first retraining it is what the model was registered with
        texts["original"] = original_texts(store, spec.name)
    data, _ = put_texts(store, prefix, texts)
    data |= {role: retrain[role] for role in ("training", "original") if role in retrain}
    data["facts"] = _put_facts(store, f"{prefix}/facts.json", facts)
    if spec.serving is not None and spec.serving.lock is not None:
        place = expanded(spec.serving.lock)
        data["lock"] = put_file(store, f"{prefix}/lock.txt", _read(place))
    return data


def _served(store: Store, spec: ModelSpec, day: date) -> list[Sample]:
    """Every request of the last week's trusted days; the same prompt may come twice."""
    days = _week(store, spec, day)
    return [
        sample.model_copy(update={"id": f"{each.isoformat()}/{sample.id}"})
        for each in days
        for sample in read_samples(store, samples_key(spec.name, each))
    ]


def _put_facts(store: Store, key: str, facts: ReviewFacts) -> FileHash:
    store.put_if_absent(key, seal(facts))
    stored = store.get(key) or b""
    return FileHash(path=key, size_bytes=len(stored), sha256=sha256_hex(stored))


def _network(store: Store, champion: LedgerEntry) -> LedgerEntry | None:
    """The newest safetensors champion up to this one: what a compressed one was made from."""
    earlier = promotion.ledger(store, champion.model)
    found = [e for e in earlier if e.seq <= champion.seq and e.format == "safetensors"]
    return found[-1] if found else None


def _tools(network: LedgerEntry | None) -> dict[str, Folder]:
    return {NETWORK: network.folder} if network is not None else {}


# ---------------------------------------------------------------- the facts


def _facts(store: Store, spec: ModelSpec, day: date, network: LedgerEntry | None) -> ReviewFacts:
    price = spec.price_on(day)
    retrain_job, retrained = _last_retraining(store, spec.name, day)
    serving = spec.serving.model_dump(exclude_none=True) if spec.serving else {}
    return ReviewFacts(
        model=spec.name,
        day=day,
        days=tuple(_metrics(store, spec, day)),
        machines=price.machines if price else None,
        usd_per_hour=price.usd_per_hour if price else None,
        threads=_threads(spec),
        serving={name: value for name, value in serving.items() if name != "lock"},
        retrain_job=retrain_job,
        retrained=retrained,
        network_version=network.version if network else None,
    )


def _threads(spec: ModelSpec) -> dict[str, int]:
    """Every number of threads that the model's file sets, by field."""
    jobs = spec.jobs
    named: dict[str, Any] = {
        "jobs.benchmark.params.threads": jobs.benchmark.params.get("threads"),
        "jobs.compress.params.threads": jobs.compress.params.get("threads"),
        "jobs.retrain.params.threads": jobs.retrain.params.get("threads"),
        "serving.threads": spec.serving.threads if spec.serving else None,
    }
    return {name: n for name, n in named.items() if isinstance(n, int)}


def _metrics(store: Store, spec: ModelSpec, day: date) -> Iterator[DailyMetrics]:
    for earlier in _week(store, spec, day):
        known = newest(store, spec.name, earlier)
        if known is not None:
            yield known[0]


def _week(store: Store, spec: ModelSpec, day: date) -> list[date]:
    """The trusted days of the last week, oldest first."""
    days = trusted_days(store, spec, day)
    return sorted(d for d in days if (day - d).days < WEEK_DAYS)


def _last_retraining(
    store: Store, model: str, day: date
) -> tuple[JobSpec | None, Candidate | None]:
    """The last promoted retraining up to the day: what it was told, what it made."""
    entries = promotion.ledger(store, model)
    for entry in reversed(entries):
        if entry.day is None or entry.day > day or entry.event != "promote":
            continue
        made = get_record(store, record_key(model, entry.day, "retrain/candidate"), Candidate)
        if made is not None and entry.key == job_key(model, entry.day, "retrain"):
            job = get_record(store, record_key(model, entry.day, "retrain/job"), JobSpec)
            return job, made
    return None, None


def _read(place: str) -> bytes:
    try:
        return Path(place).read_bytes()
    except OSError as error:
        rule = f"cannot be read ({error.strerror})"
        raise ArtifactError("serving.lock", place, rule, "give the requirements file") from error
