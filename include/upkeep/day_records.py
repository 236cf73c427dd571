"""Everything that the store holds about one model's day, read for those who show it.

Texts are not among it, they stay in the store; of an image model some images are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, Protocol

from upkeep.allotment_chain import answers_of
from upkeep.pictures import unpack
from upkeep.records import (
    Allotted,
    Approval,
    Benchmark,
    Candidate,
    DailyMetrics,
    DayFacts,
    Decision,
    Diagnosis,
    Drift,
    Evaluation,
    GateResult,
    JobFailure,
    JobSpec,
    LedgerEntry,
    Override,
    People,
    Review,
    Revision,
    ScalingHint,
    SearchResult,
    Trial,
    ValidationResult,
    canonical_json,
    sha256_hex,
)
from upkeep.sealed import R, unseal

JOB_KINDS = ("compress", "retrain")
MOST_IMAGES = 40
GX_DOCUMENT = "great-expectations.json"
DAY_STEPS = (
    *("open", "metrics", "validation", "quality", "prompts", "facts"),
    *("drift", "diagnosis", "scaling", "decision", "override", "people", "review"),
)
JOB_STEPS = ("job", "candidate", "benchmark", "gate", "approval", "promotion", "failure")


class Records(Protocol):
    """What is asked of a store here; see :class:`upkeep.store.Store`."""

    def get(self, key: str) -> bytes | None:
        """The bytes under ``key``, or None."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write once; False if ``key`` exists."""

    def get_versioned(self, key: str) -> tuple[bytes, str] | None:
        """The bytes under ``key`` with their etag, or None."""

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """Compare-and-swap."""

    def list(self, prefix: str) -> list[str]:
        """All keys below ``prefix``, sorted."""


@dataclass(frozen=True)
class JobRecords:
    """The records of one job of the day, and their stored bytes by file name.

    ``events`` are TensorBoard's files of a training; one that is not what was recorded is absent.
    ``trials`` and ``search`` are of a compression that searched; a finalist stands as it was
    measured last.
    """

    kind: str
    job: JobSpec | None
    candidate: Candidate | None
    benchmark: Benchmark | None
    gate: GateResult | None
    approval: Approval | None
    promotion: LedgerEntry | None
    failure: JobFailure | None
    files: Mapping[str, bytes]
    events: Mapping[str, bytes] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    search: SearchResult | None = None


@dataclass(frozen=True)
class DayRecords:
    """The records of one day; ``None`` where a step has not happened.

    ``opened`` is the day's snapshot as JSON; ``files`` are the stored bytes by file name;
    ``allotted`` are the answers of the fleet's budget to what this day wished for.
    """

    model: str
    day: date
    revision: int
    opened: Mapping[str, Any]
    metrics: DailyMetrics | None
    validation: ValidationResult | None
    quality: Evaluation | None
    facts: DayFacts | None
    drift: Drift | None
    diagnosis: Diagnosis | None
    decision: Decision | None
    override: Override | None
    jobs: tuple[JobRecords, ...]
    gx_document: bytes | None
    late: tuple[Revision, ...] = ()
    people: People | None = None
    scaling: ScalingHint | None = None
    review: Review | None = None
    images: tuple[bytes, ...] = ()
    allotted: tuple[Allotted, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def champion(self) -> str | None:
        """The version that was champion when the day was decided."""
        known = (self.decision, self.facts)
        return next((k.champion_version for k in known if k and k.champion_version), None)

    def digest(self) -> str:
        """Identity of all of it: equal where nothing was added since."""
        parts = [*self.files.items(), (GX_DOCUMENT, self.gx_document or b"")]
        for job in self.jobs:
            parts += [(f"{job.kind}/{name}", data) for name, data in job.files.items()]
        parts += [(f"allotted/{a.wish.kind}", a.canonical_bytes()) for a in self.allotted]
        return sha256_hex(canonical_json(sorted((name, sha256_hex(data)) for name, data in parts)))


@dataclass(frozen=True)
class Page:
    """What people read about a day: notes in Markdown, and files by artifact name.

    ``job_notes`` has one note for each kind of job that the day had, ``job_files`` what more is
    shown of it.
    """

    note: str
    job_notes: Mapping[str, str]
    files: Mapping[str, bytes]
    job_files: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


def read_day(store: Records, model: str, day: date, revision: int = 1) -> DayRecords:
    """Read a day from the store; CorruptRecord if one of its records is not what was written."""
    prefix = f"{model}/{day.isoformat()}/r{revision}"
    files = _files(store, prefix, DAY_STEPS)
    read = partial(_record, prefix, files)
    late = _late(store, f"{model}/{day.isoformat()}")
    return DayRecords(
        model=model,
        day=day,
        revision=revision,
        opened=_snapshot(files.get("open.json")),
        metrics=read("metrics", DailyMetrics),
        validation=read("validation", ValidationResult),
        quality=read("quality", Evaluation),
        facts=read("facts", DayFacts),
        drift=read("drift", Drift),
        diagnosis=read("diagnosis", Diagnosis),
        scaling=read("scaling", ScalingHint),
        review=read("review", Review),
        decision=read("decision", Decision),
        override=read("override", Override),
        jobs=tuple(job for kind in JOB_KINDS if (job := _job(store, prefix, kind)) is not None),
        gx_document=store.get(f"{prefix}/{GX_DOCUMENT}"),
        late=tuple(unseal(name, data, Revision) for name, data in late.items()),
        people=read("people", People),
        allotted=answers_of(store, model, day),
        images=_some_images(store.get(f"{prefix}/images.parquet"), prefix),
        files={**files, **{f"{name.split('/')[-2]}-late.json": late[name] for name in late}},
    )


def _some_images(data: bytes | None, prefix: str) -> tuple[bytes, ...]:
    """Some of the day's images: the first by name, which is the hash of their bytes."""
    found = unpack(f"{prefix}/images.parquet", data) if data else {}
    return tuple(found[name] for name in sorted(found)[:MOST_IMAGES])


def _late(store: Records, prefix: str) -> dict[str, bytes]:
    """The sealed revisions that late data made, by key, oldest first."""
    found: dict[str, bytes] = {}
    while (data := store.get(key := f"{prefix}/r{len(found) + 2}/late.json")) is not None:
        found[key] = data
    return found


def _job(store: Records, day_prefix: str, kind: str) -> JobRecords | None:
    prefix = f"{day_prefix}/{kind}"
    files = _files(store, prefix, JOB_STEPS)
    read: Callable[..., Any] = partial(_record, prefix, files)
    if not files:
        return None
    searched = _search_files(store, f"{day_prefix}/jobs/{kind}") if kind == "compress" else {}
    candidate = read("candidate", Candidate)
    return JobRecords(
        kind=kind,
        job=read("job", JobSpec),
        candidate=candidate,
        benchmark=read("benchmark", Benchmark),
        gate=read("gate", GateResult),
        approval=read("approval", Approval),
        promotion=read("promotion", LedgerEntry),
        failure=read("failure", JobFailure),
        files={**files, **searched},
        events=_events(store, candidate),
        trials=_trials(searched),
        search=_record("", searched, "search", SearchResult),
    )


def _search_files(store: Records, prefix: str) -> dict[str, bytes]:
    """The stored records of a search by file name: trials by number, finalists, the result."""
    found: dict[str, bytes] = {}
    while (data := store.get(f"{prefix}/{(name := f'trials/{len(found):04d}.json')}")) is not None:
        found[name] = data
    others = (f"finalists/{number:04d}.json" for number in range(len(found)))
    for name in (*others, "search.json") if found else ():
        if (data := store.get(f"{prefix}/{name}")) is not None:
            found[name] = data
    return found


def _trials(files: Mapping[str, bytes]) -> tuple[Trial, ...]:
    """The trials by number, each as it was measured last."""
    numbers = (name.removeprefix("trials/") for name in sorted(files) if name.startswith("trials/"))
    latest = (
        n if (n := f"finalists/{number}") in files else f"trials/{number}" for number in numbers
    )
    return tuple(unseal(name, files[name], Trial) for name in latest)


def _events(store: Records, candidate: Candidate | None) -> dict[str, bytes]:
    """TensorBoard's files of a training, by name."""
    known = candidate.events if candidate else None
    found = ((f, store.get(f"{known.prefix}/{f.path}")) for f in known.files) if known else ()
    return {f.path: data for f, data in found if data is not None and sha256_hex(data) == f.sha256}


def _files(store: Records, prefix: str, steps: tuple[str, ...]) -> dict[str, bytes]:
    found = ((f"{step}.json", store.get(f"{prefix}/{step}.json")) for step in steps)
    return {name: data for name, data in found if data is not None}


def _record(prefix: str, files: Mapping[str, bytes], step: str, cls: type[R]) -> R | None:
    data = files.get(f"{step}.json")
    return None if data is None else unseal(f"{prefix}/{step}.json", data, cls)


def _snapshot(data: bytes | None) -> dict[str, Any]:
    record = json.loads(data).get("record", {}) if data is not None else {}
    return dict(record)
