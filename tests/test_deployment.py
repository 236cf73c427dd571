"""Where things are, and how a job is waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from fakes.deployment import FakeDeployment, make_deployment

from upkeep.deployment import MAX_ATTEMPTS, Deployment
from upkeep.engines import JobHandle, LogPart
from upkeep.errors import JobFailed, ParamError
from upkeep.records import FileHash, Folder, JobSpec, JobStatus, ModelInput
from upkeep.spec import Jobs

PLACES = {
    "UPKEEP_STORE": "store",
    "UPKEEP_FLEET": "include/fleet",
    "UPKEEP_JOBS": "jobs",
    "UPKEEP_CACHE": "cache",
    "UPKEEP_LOGS": "logs",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
}


def job(root: str) -> JobSpec:
    evaluation = FileHash(path="m/e.jsonl", size_bytes=0, sha256="0" * 64)
    return JobSpec(
        key="m/2026-03-05/evaluate",
        kind="evaluate",
        model="m",
        day=date(2026, 3, 5),
        method="perplexity",
        source=ModelInput(version="1", format="safetensors", folder=Folder(prefix="m", files=())),
        data={"evaluation": evaluation},
        store_root=root,
        output_prefix="m/2026-03-05/r1/jobs/evaluate",
    )


@pytest.mark.parametrize("name", sorted(set(PLACES) - {"UPKEEP_LOGS"}))
def test_a_place_that_is_not_set_is_named(name: str) -> None:
    """The message says which variable is missing."""
    with pytest.raises(ParamError, match=name):
        Deployment.from_env({k: v for k, v in PLACES.items() if k != name})


class AttemptsEngine:
    """A named fake: an engine whose attempts end as it is told."""

    def __init__(self, *ends: JobStatus) -> None:
        self.ends, self.started = ends, 0

    def find(self, key: str) -> JobHandle | None:
        return self._handle(key) if self.started else None

    def submit(self, spec: JobSpec, attempt: int = 1) -> JobHandle:
        self.started = max(self.started, attempt)
        return self._handle(spec.key)

    def status(self, handle: JobHandle) -> JobStatus:
        return self.ends[handle.attempt - 1]

    def logs(self, handle: JobHandle, since: int = 0) -> LogPart:
        return LogPart(f"the end of attempt {handle.attempt}", 24)

    def _handle(self, key: str) -> JobHandle:
        return JobHandle(engine="fake", key=key, attempt=self.started, place="here")


def with_engine(tmp_path: Path, engine: AttemptsEngine) -> FakeDeployment:
    return replace(make_deployment(tmp_path), fake_engine=engine)  # type: ignore[arg-type]


def test_a_failed_job_says_how_it_ended(tmp_path: Path) -> None:
    """The end of the job's own log is in the message."""
    deployment = with_engine(tmp_path, AttemptsEngine("failed"))
    with pytest.raises(JobFailed, match="the end of attempt 1"):
        deployment.run(job(deployment.store.root), Jobs())


def test_a_retry_starts_one_more_attempt_of_the_same_key(tmp_path: Path) -> None:
    """What failed before is tried again when somebody asks again."""
    engine = AttemptsEngine("failed", "succeeded")
    deployment = with_engine(tmp_path, engine)
    with pytest.raises(JobFailed):
        deployment.run(job(deployment.store.root), Jobs())
    deployment.run(job(deployment.store.root), Jobs())
    assert engine.started == 2


def test_attempts_are_bounded(tmp_path: Path) -> None:
    """R13: a job that always fails is not started for ever."""
    engine = AttemptsEngine(*["failed"] * 10)
    deployment = with_engine(tmp_path, engine)
    for _ in range(6):
        with pytest.raises(JobFailed):
            deployment.run(job(deployment.store.root), Jobs())
    assert engine.started == MAX_ATTEMPTS


def test_a_job_that_succeeded_is_adopted(tmp_path: Path) -> None:
    """Asking again for finished work starts nothing."""
    engine = AttemptsEngine("succeeded")
    deployment = with_engine(tmp_path, engine)
    for _ in range(3):
        deployment.run(job(deployment.store.root), Jobs())
    assert engine.started == 1


def test_a_job_whose_state_is_unknown_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R12: unknown is not failed; after the time-out a human must look."""
    clock = iter(range(0, 10**9, 400))
    monkeypatch.setattr("upkeep.deployment.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("upkeep.deployment.time.sleep", lambda _s: None)
    engine = AttemptsEngine("unknown")
    deployment = with_engine(tmp_path, engine)
    with pytest.raises(Exception, match="human must look"):
        deployment.run(job(deployment.store.root), Jobs())
    assert engine.started == 1
