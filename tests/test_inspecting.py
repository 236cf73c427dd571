"""The cycle's side of a review: which day, what the job gets, once; then the real worker on it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment
from fakes.reviewed_days import DAY, MODEL, decide_day, decide_days, reviewed_deployment
from fakes.reviewed_model import PLANTED_BLOCKS, lazy_llama, samples_of

from upkeep import inspecting, promotion, worker
from upkeep.errors import ArtifactError, JobFailed, ParamError
from upkeep.records import (
    Candidate,
    FileHash,
    Folder,
    JobFailure,
    JobSpec,
    LedgerEntry,
    Review,
    ReviewFacts,
    Sample,
)
from upkeep.samples import put_samples, read_samples
from upkeep.sealed import unseal
from upkeep.spec import Jobs
from upkeep.store import adopt_or_put, get_record, record_key

PREFIX = f"{MODEL}/{DAY}/r1/jobs/review"
OLD_LOCK = "torch==2.5.1\nnumpy==2.4.0\n"


@pytest.fixture
def decided(tmp_path: Path) -> FakeDeployment:
    """Three decided days of a sound model."""
    made = reviewed_deployment(tmp_path)
    decide_days(made)
    return made


def job_of(deployment: FakeDeployment, day: date = DAY) -> JobSpec:
    found = get_record(deployment.store, record_key(MODEL, day, "review-job"), JobSpec)
    assert found is not None
    return found


def facts_of(deployment: FakeDeployment) -> ReviewFacts:
    known = job_of(deployment).data["facts"]
    data = deployment.store.get(known.path)
    assert data is not None
    return unseal(known.path, data, ReviewFacts)


# ---------------------------------------------------------------- which day


def test_the_last_decided_day_is_reviewed(decided: FakeDeployment) -> None:
    """A day that is not decided yet is not waited for."""
    later = DAY + timedelta(4)
    assert inspecting.reviewed_day(decided.store, MODEL, later) == DAY
    assert inspecting.reviewed_day(decided.store, MODEL, DAY - timedelta(1)) == DAY - timedelta(1)


@pytest.mark.parametrize(
    ("spec", "day", "why"),
    [
        ({}, DAY + timedelta(31), "no day of docs-assistant was decided"),
        ({}, DAY - timedelta(3), "no day of docs-assistant was decided"),
        ({"quality": {"modality": "image", "measures": ["fid"]}}, DAY, "makes images"),
    ],
)
def test_what_cannot_be_reviewed_is_refused(
    tmp_path: Path, spec: dict[str, Any], day: date, why: str
) -> None:
    """In words, before anything is written."""
    made = reviewed_deployment(tmp_path, spec)
    decide_days(made)
    with pytest.raises(ParamError, match=why):
        inspecting.reviewed_day(made.store, MODEL, day)


def test_a_model_without_a_champion_is_refused(tmp_path: Path) -> None:
    """There is nothing to inspect."""
    made = reviewed_deployment(tmp_path)
    decide_days(made)
    for key in made.store.list(f"{MODEL}/champion"):
        made.deployment_path(key).unlink()
    for key in made.store.list(f"{MODEL}/ledger"):
        made.deployment_path(key).unlink()
    with pytest.raises(ParamError, match="has no champion"):
        inspecting.reviewed_day(made.store, MODEL, DAY)


# ---------------------------------------------------------------- once


def test_a_review_is_made_once_a_day(decided: FakeDeployment) -> None:
    """The second one adopts the record; no second job."""
    first = inspecting.review(decided, MODEL, DAY)
    before = {k: decided.store.get(k) for k in decided.store.list(MODEL)}
    assert inspecting.review(decided, MODEL, DAY) == first
    assert decided.engine(Jobs()).started == [f"{MODEL}/{DAY}/review"]
    assert {k: decided.store.get(k) for k in decided.store.list(MODEL)} == before


@pytest.mark.parametrize("lost", ["review.json", "review-job.json"])
def test_a_review_that_was_killed_between_its_records_ends_the_same(
    decided: FakeDeployment, lost: str
) -> None:
    """The job is found by its key, and its result by its place."""
    first = inspecting.review(decided, MODEL, DAY)
    names = ["review.json"] if lost == "review.json" else ["review.json", "review-job.json"]
    for name in names:
        decided.deployment_path(f"{MODEL}/{DAY}/r1/{name}").unlink()
    assert inspecting.review(decided, MODEL, DAY) == first
    assert decided.engine(Jobs()).started == [f"{MODEL}/{DAY}/review"]


def test_a_job_that_fails_for_good_leaves_a_record(decided: FakeDeployment) -> None:
    """After the last try."""
    decided.engine(Jobs()).fail = True
    for _ in range(3):
        with pytest.raises(JobFailed):
            inspecting.review(decided, MODEL, DAY)
    failure = get_record(decided.store, record_key(MODEL, DAY, "review-failure"), JobFailure)
    assert failure is not None
    assert "a human must look" in failure.words


# ---------------------------------------------------------------- what the job gets


def test_the_job_gets_texts_facts_and_the_lock(tmp_path: Path) -> None:
    """Held-out prompts are judged on, every request is served, and addresses are taken out."""
    lock = tmp_path / "requirements.txt"
    lock.write_text(OLD_LOCK)
    serving = {"threads": 64, "cpus": 2, "lock": str(lock)}
    made = reviewed_deployment(tmp_path, {"serving": serving})
    samples = samples_of(40, 7)
    samples[0] = samples[0].model_copy(update={"prompt": "write to jane@example.org about it"})
    decide_days(made, samples=samples)
    inspecting.review(made, MODEL, DAY)
    job = job_of(made)
    assert (job.kind, job.source.version, sorted(job.data)) == (
        "review", "1", ["evaluation", "facts", "lock", "original", "served"],
    )  # fmt: skip
    assert made.store.get(job.data["lock"].path) == OLD_LOCK.encode()
    served = read_samples(made.store, job.data["served"].path)
    held_out = read_samples(made.store, job.data["evaluation"].path)
    assert len(served) == 120
    assert held_out
    assert {s.prompt for s in held_out} < {s.prompt for s in served}
    assert not any("jane@" in s.prompt for s in served)
    facts = facts_of(made)
    assert [d.day for d in facts.days] == [DAY - timedelta(n) for n in (2, 1, 0)]
    assert facts.threads == {"jobs.benchmark.params.threads": 1, "serving.threads": 64}
    assert facts.serving == {"threads": 64, "cpus": 2}
    assert facts.usd_per_hour == 0.6


def test_a_lock_that_is_gone_is_refused(tmp_path: Path) -> None:
    """Nothing is submitted."""
    made = reviewed_deployment(tmp_path, {"serving": {"lock": str(tmp_path / "none.txt")}})
    decide_days(made)
    with pytest.raises(ArtifactError, match=r"serving\.lock"):
        inspecting.review(made, MODEL, DAY)
    assert made.engine(Jobs()).started == []


def test_days_that_cannot_be_trusted_are_left_out(tmp_path: Path) -> None:
    """Neither their texts nor their numbers count."""
    made = reviewed_deployment(tmp_path)
    decide_day(made, DAY - timedelta(1), samples_of(40, 1))
    decide_day(made, DAY, samples_of(40, 2), trusted=False)
    inspecting.review(made, MODEL, DAY)
    assert [d.day for d in facts_of(made).days] == [DAY - timedelta(1)]
    assert len(read_samples(made.store, job_of(made).data["served"].path)) == 40


def retrained_on(deployment: FakeDeployment, day: date, texts: list[Sample]) -> list[LedgerEntry]:
    """A promoted retraining, as the cycle records it, served as an OpenVINO folder; the ledger."""
    store, key = deployment.store, f"{MODEL}/{day}/retrain"
    data = {"training": put_samples(store, f"{MODEL}/{day}/r1/retrain/training.jsonl", texts)}
    file = FileHash(path="openvino_model.bin", size_bytes=3, sha256="1" * 64)
    folder = Folder(prefix=f"{MODEL}/versions/2", files=(file,))
    inspecting.review(deployment, MODEL, day)
    job = job_of(deployment, day).model_copy(
        update={"key": key, "kind": "retrain", "data": data, "method": "full"}
    )
    made = Candidate(
        model=MODEL, day=day, job_key=key, kind="retrain", method="full", parent_version="1",
        format="openvino", folder=folder, measurements={"train_s": 10.0},
    )  # fmt: skip
    adopt_or_put(store, record_key(MODEL, day, "retrain/job"), job)
    adopt_or_put(store, record_key(MODEL, day, "retrain/candidate"), made)
    [first] = promotion.ledger(store, MODEL)
    entry = LedgerEntry(
        **(dict(first) | {"seq": 2, "key": key, "event": "promote", "version": "2", "day": day,
           "format": "openvino", "folder": folder, "previous_sha256": first.digest()}),
    )  # fmt: skip
    return [first, entry]


def test_the_last_retraining_and_the_network_behind_the_champion_are_given(
    decided: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed champion has no network of its own: that of version 1 is looked at."""
    entries = retrained_on(decided, DAY - timedelta(1), samples_of(9, 8))
    monkeypatch.setattr(promotion, "ledger", lambda *_: entries)
    inspecting.review(decided, MODEL, DAY)
    facts, job = facts_of(decided), job_of(decided)
    assert facts.retrained is not None
    assert facts.retrained.measurements == {"train_s": 10.0}
    assert facts.network_version == "1"
    assert job.source.format == "openvino"
    assert job.tools["network"] == entries[0].folder
    assert len(read_samples(decided.store, job.data["training"].path)) == 9


def test_a_past_day_is_reviewed_with_the_champion_of_its_end(
    decided: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made of a later day is not known to it."""
    entries = retrained_on(decided, DAY - timedelta(1), samples_of(9, 8))
    monkeypatch.setattr(promotion, "ledger", lambda *_: entries)
    past = DAY - timedelta(2)
    inspecting.review(decided, MODEL, past)
    job = job_of(decided, past)
    assert (job.source.version, "training" in job.data) == ("1", False)


# ---------------------------------------------------------------- the real worker


def worked(deployment: FakeDeployment, tmp_path: Path) -> Review:
    """The review that the real worker makes of the job that the cycle wrote."""
    inspecting.review(deployment, MODEL, DAY)
    deployment.deployment_path(f"{PREFIX}/result.json").unlink()
    job = job_of(deployment)
    few = job.model_copy(update={"params": {"texts": 24, "generations": 12, "new_tokens": 2}})
    made = worker.run(few, tmp_path / "cache")
    assert isinstance(made, Review)
    return made


def test_a_sound_model_gives_no_finding_above_a_note(tmp_path: Path) -> None:
    """From the cycle's records through the worker's five inspections, on a real model."""
    lock = tmp_path / "requirements.txt"
    lock.write_text("torch==2.13.0\ntransformers==5.5.4\n")
    made = reviewed_deployment(tmp_path, {"serving": {"threads": 1, "lock": str(lock)}})
    put_samples(made.store, f"{MODEL}/training/base.jsonl", samples_of(40, 100))
    decide_days(made)
    review = worked(made, tmp_path)
    assert [f.what for f in review.findings if f.severity != "note"] == []
    assert {f.area for f in review.findings} == {
        *("architecture", "training", "inference", "infrastructure", "dependencies")
    }
    assert [(u.area, u.what) for u in review.uninspected] == [("training", "hyperparameters")]


def test_everything_that_was_planted_is_found_at_once(tmp_path: Path) -> None:
    """Idle blocks, a leak, a copy, a bad setting of threads, an old version: and nothing else."""
    lock = tmp_path / "requirements.txt"
    lock.write_text(OLD_LOCK)
    made = reviewed_deployment(
        tmp_path, {"serving": {"threads": 64, "lock": str(lock)}}, network=lazy_llama()
    )
    held_out = next(s for s in samples_of(40, 0) if s.held_out)
    base = samples_of(40, 100)
    base += [
        base[3].model_copy(update={"id": "again"}),
        held_out.model_copy(update={"id": "leaked"}),
    ]
    put_samples(made.store, f"{MODEL}/training/base.jsonl", base)
    decide_days(made)
    review = worked(made, tmp_path)
    graver = [(f.area, f.rule) for f in review.findings if f.severity != "note"]
    assert sorted(graver) == [
        *[("architecture", "redundant-block")] * len(PLANTED_BLOCKS),
        *[("dependencies", "unsafe-version")] * 2,
        ("infrastructure", "threads"),
        ("training", "duplicate"),
        ("training", "leak"),
    ]
    assert all(f.evidence and f.expected_gain for f in review.findings)
    assert all(bool(f.action) != bool(f.no_action_because) for f in review.findings)
    severities = [f.severity for f in review.findings if f.area == "training"]
    assert severities == sorted(severities, key=("warning", "advice", "note").index)
