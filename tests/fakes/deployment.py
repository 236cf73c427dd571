"""A deployment on a temporary folder: the real store and the real steps, a fake engine.

What it does not prove: that a real worker computes what the fake engine makes up. The worker's
own tests and the ones under the real scheduler do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from fakes.registry import FakeRegistry
from fakes.reviewers import FakeDoor

from upkeep import faults, promotion
from upkeep.config import load_fleet
from upkeep.deployment import Deployment
from upkeep.engines import JobHandle, LogPart
from upkeep.records import (
    Benchmark,
    Candidate,
    Evaluation,
    Interval,
    JobSpec,
    JobStatus,
    PairedScores,
    PairedTimes,
    QualityResult,
    Record,
    Review,
    ReviewFinding,
    SliceScore,
)
from upkeep.spec import Jobs
from upkeep.store import Store, open_store, put_record

FLEET = Path(__file__).parents[2] / "include" / "fleet"


@dataclass
class FakeEngine:
    """Makes results up at once; every start is a line of ``history``, shared by processes."""

    store: Store
    workdir: Path
    perplexity: dict[date, float] = field(default_factory=dict)
    candidate_worse_by: float = 0.0
    speedup: float = 2.0
    fail: bool = False
    attempts: dict[str, int] = field(default_factory=dict)

    @property
    def history(self) -> Path:
        return self.workdir / "effects.txt"

    @property
    def started(self) -> list[str]:
        """The keys of every job that was really started, oldest first."""
        return self.history.read_text().splitlines() if self.history.exists() else []

    def find(self, key: str) -> JobHandle | None:
        if key not in self.started:
            return None
        return JobHandle(engine="fake", key=key, attempt=self.attempts.get(key, 1), place=key)

    def submit(self, job: JobSpec, attempt: int = 1) -> JobHandle:
        self.attempts[job.key] = attempt
        if job.key not in self.started:
            self.workdir.mkdir(parents=True, exist_ok=True)
            with self.history.open("a") as out:
                out.write(f"{job.key}\n")
            faults.point("fake_engine.started")
        if not self.fail:  # a real job outlives its submitter
            put_record(self.store, f"{job.output_prefix}/result.json", self._result(job))
        return JobHandle(engine="fake", key=job.key, attempt=attempt, place=job.key)

    def status(self, handle: JobHandle) -> JobStatus:
        return "failed" if self.fail else "succeeded"

    def logs(self, handle: JobHandle, since: int = 0) -> LogPart:
        text = "planted failure" if self.fail else ""
        return LogPart(text[since:], len(text))

    def cancel(self, handle: JobHandle) -> None:
        raise AssertionError(f"nobody cancels {handle.key} here")

    def _result(self, job: JobSpec) -> Record:
        if job.kind == "evaluate":
            return self._evaluation(job)
        if job.kind == "benchmark":
            return self._benchmark(job)
        if job.kind == "review":
            return self._review(job)
        return self._candidate(job)

    def _evaluation(self, job: JobSpec) -> Evaluation:
        score = self.perplexity.get(job.day, 40.0 + 0.3 * (job.day.day % 3))
        interval = Interval(low=score * 0.97, high=score * 1.03)
        result = QualityResult(
            model=job.model,
            day=job.day,
            measure="perplexity",
            score=score,
            interval=interval,
            n=48,
            unit="1",
            direction="lower_is_better",
            model_version=job.source.version,
            evaluation_set_sha256=job.data["evaluation"].sha256,
            signature="fake",
            slices=(SliceScore(name="docs", score=score, interval=interval, n=48),),
        )
        return Evaluation(
            model=job.model, day=job.day, model_version=job.source.version, results=(result,)
        )

    def _review(self, job: JobSpec) -> Review:
        finding = ReviewFinding(
            area="infrastructure",
            rule="threads",
            severity="warning",
            what="64 threads [bold]on[/bold] 1 core",
            evidence={"threads": 64.0},
            expected_gain="faster",
            action="set fewer",
        )
        return Review(
            model=job.model,
            day=job.day,
            job_key=job.key,
            model_version=job.source.version,
            findings=(finding,),
        )

    def _candidate(self, job: JobSpec) -> Candidate:
        folder = self.workdir / job.key.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.txt").write_text(f"made by {job.key}")
        kept = self.store.put_folder(f"{job.output_prefix}/model", folder)
        kind = "compress" if job.kind == "compress" else "retrain"
        return Candidate(
            model=job.model,
            day=job.day,
            job_key=job.key,
            kind=kind,
            method=job.method,
            parent_version=job.source.version,
            format="openvino" if kind == "compress" else "safetensors",
            folder=kept,
            measurements={"seconds": 1.0},
        )

    def _benchmark(self, job: JobSpec) -> Benchmark:
        assert job.candidate is not None
        n = 200
        loss = tuple(40.0 + (i % 7) for i in range(n))
        worse = tuple(
            x * (1 + self.candidate_worse_by) - 0.01 * (i % 3) for i, x in enumerate(loss)
        )
        return Benchmark(
            model=job.model,
            day=job.day,
            job_key=job.key,
            champion_version=job.source.version,
            champion_files_sha256=job.source.folder.files_sha256,
            candidate_files_sha256=job.candidate.folder.files_sha256,
            scores=(
                PairedScores(
                    measure="perplexity",
                    direction="lower_is_better",
                    sample_ids=tuple(str(i) for i in range(n)),
                    slices=("docs",) * n,
                    champion=loss,
                    candidate=worse,
                    weights=(20.0,) * n,
                ),
            ),
            times=(
                PairedTimes(
                    quantity="latency_ms",
                    champion_ms=tuple(50.0 + (i % 5) for i in range(15)),
                    candidate_ms=tuple((50.0 + (i % 4)) / self.speedup for i in range(15)),
                ),
                PairedTimes(
                    quantity="ttft_ms",
                    champion_ms=tuple(10.0 + (i % 5) for i in range(15)),
                    candidate_ms=tuple(11.0 + (i % 4) for i in range(15)),
                ),
            ),
            champion_size_bytes=job.source.folder.size_bytes,
            candidate_size_bytes=job.candidate.folder.size_bytes,
            evaluation_set_sha256=job.data["evaluation"].sha256,
            machine={"cpu": "fake"},
        )


class FakeTracker(FakeRegistry):
    """A registry in memory that also counts the projections it was asked for."""

    def __init__(self, file: Path | None = None) -> None:
        super().__init__(file)
        self.projected: list[tuple[str, date]] = []

    def project_day(
        self, store: Store, model: str, day: date, revision: int = 1, *, force: bool = False
    ) -> str:
        self.projected.append((model, day))
        return f"run-{model}-{day}"


@dataclass(frozen=True)
class FakeDeployment(Deployment):
    """The real places, with a fake engine and a fake MLflow."""

    fake_engine: FakeEngine | None = None
    fake_tracker: FakeTracker | None = None
    fake_door: FakeDoor = field(default_factory=FakeDoor)

    def reviewers(self) -> FakeDoor:  # type: ignore[override]
        return self.fake_door

    def deployment_path(self, key: str) -> Path:
        """Where a key lies on disk: the store is a local one."""
        return Path(self.store.root) / key

    def engine(self, jobs: Jobs) -> FakeEngine:  # type: ignore[override]
        assert self.fake_engine is not None
        return self.fake_engine

    def tracker(self) -> FakeTracker:  # type: ignore[override]
        assert self.fake_tracker is not None
        return self.fake_tracker


def make_deployment(folder: Path, fleet: Path = FLEET) -> FakeDeployment:
    """Everything under ``folder``; request logs are expected in ``folder/logs``."""
    store = open_store(str(folder / "store"))
    return FakeDeployment(
        store=store,
        fleet=load_fleet(fleet, {"UPKEEP_LOGS": str(folder / "logs")}, strict=False),
        jobs=folder / "jobs",
        cache=folder / "cache",
        tracking_uri="fake:",
        fake_engine=FakeEngine(store, folder / "work"),
        fake_tracker=FakeTracker(folder / "registry.jsonl"),
    )


def deployment_with_champion(folder: Path, model: str) -> FakeDeployment:
    """The same with version 1 of ``model`` as its champion."""
    made = make_deployment(folder)
    first = folder / "first"
    first.mkdir()
    (first / "weights.txt").write_text("version 1")
    promotion.register_first(
        made.store,
        made.tracker(),
        model,
        folder=made.store.put_folder(f"{model}/versions/first", first),
        format="safetensors",
        cache=made.cache,
        key=f"{model}/first",
    )
    return made
