"""A retraining from production's log to MLflow: what is learnt, what is kept, what never leaves."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FLEET, FakeDeployment, FakeEngine, make_deployment
from fakes.played_days import MODEL, day_of, play
from fakes.request_logs import rows_of
from fakes.tiny_model import tiny_llama

from upkeep import job_texts, promotion, reviews, worker
from upkeep.day_records import read_day
from upkeep.projection import job_view
from upkeep.records import (
    Candidate,
    JobSpec,
    Offered,
    Rating,
    Record,
    Sample,
    TrainingSelection,
    sha256_hex,
)
from upkeep.report import present
from upkeep.samples import put_samples, read_samples
from upkeep.store import get_record, record_key

PLANTED = "planted.person@example.org"
MARK = b"planted.person"
PARAMS = "params: {steps: 6, check_every: 2, checkpoint_steps: 2, block_tokens: 16, threads: 1}"


class TrainingEngine(FakeEngine):
    """Retrains with the real worker, in this process; the rest is made up as ever."""

    def _result(self, job: JobSpec) -> Record:
        if job.kind != "retrain":
            return super()._result(job)
        return worker.run(job, self.workdir.parent / "cache")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """A deployment whose champion is a real model, and whose retraining is a real one."""
    monkeypatch.setenv("UPKEEP_LOGS", str(tmp_path / "logs"))
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    for name in ("defaults.yaml", f"{MODEL}.yaml"):
        text = (FLEET / name).read_text().replace("params: {steps: 200}", PARAMS)
        (fleet / name).write_text(text)
    made = make_deployment(tmp_path, fleet)
    promotion.register_first(
        made.store,
        made.tracker(),
        MODEL,
        folder=made.store.put_folder(f"{MODEL}/versions/first", tiny_llama()),
        format="safetensors",
        cache=made.cache,
        key=f"{MODEL}/first",
    )
    return replace(made, fake_engine=TrainingEngine(made.store, tmp_path / "work"))


def planted_rows(number: int) -> list[dict[str, Any]]:
    """A day's rows with an address in the prompt, the answer, the reference, and over a seam."""
    places: list[dict[str, str]] = [
        {"prompt": "I am {p}, {i}"},
        {"completion": "write to {p}"},
        {"reference": "ask {p}."},
        {"prompt": "to {i} planted.per", "completion": "son@example.org", "reference": "no"},
        {},
    ]
    rows = []
    for i, row in enumerate(rows_of(day_of(number))):
        planted = {k: v.format(p=PLANTED, i=i) for k, v in places[i % len(places)].items()}
        rows.append(row | {"reference": f"answer {i} of its own {number}"} | planted)
    return rows


def test_a_planted_address_reaches_no_artifact(
    trained: FakeDeployment, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not the job's files, the model, TensorBoard's events, MLflow's run, checkpoints, nor logs.

    The day's own samples are production's record and keep what production wrote.
    """
    store, day = trained.store, day_of(1)
    caplog.set_level("DEBUG")
    old = [Sample(id=f"o{n}", slice="docs", prompt=f"old {n} by {PLANTED}") for n in range(9)]
    put_samples(store, f"{MODEL}/training/old.jsonl", old)
    play(trained, day, planted_rows(1), action="retrain", override=True, note="try")
    prefix = f"{MODEL}/{day}/r1"
    own = (f"{prefix}/samples.jsonl", f"{prefix}/jobs/evaluate/", f"{prefix}/evaluate/")
    written = [key for key in store.list(f"{MODEL}/{day}") if not key.startswith(own)]
    roles = ("training", "original", "evaluation")
    assert {f"{prefix}/retrain/{role}.jsonl" for role in roles} <= set(written)
    assert MARK in (store.get(f"{prefix}/samples.jsonl") or b"")
    for key in written:
        assert MARK not in (store.get(key) or b""), key
    made = get_record(store, record_key(MODEL, day, "retrain/candidate"), Candidate)
    assert made is not None
    assert made.measurements["redacted[EMAIL]"] >= 40.0
    records = read_day(store, MODEL, day)
    view = job_view(records, records.jobs[0], present(records).job_notes["retrain"])
    assert list(view.files).count("tensorboard/events.out.tfevents.0.upkeep") == 1
    assert MARK not in b"".join(view.files.values())
    assert MARK.decode() not in repr((view.params, view.tags, view.metrics))
    assert [step for step, _ in view.curves["loss_train"]] == [2, 4, 6]
    assert not any("[" in name or name.startswith("loss_train_") for name in view.metrics)
    assert MARK.decode() not in caplog.text + "".join(capfd.readouterr())
    for path in (trained.cache, trained.jobs, Path(trained.store.root).parent / "work"):
        for file in path.rglob("*"):
            assert not file.is_file() or MARK not in file.read_bytes(), file


def test_a_killed_job_is_resumed_by_the_next_try_and_leaves_no_checkpoint(
    trained: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's files are those of a job that was never killed."""

    class KilledError(BaseException):
        pass

    def die(code: int) -> None:
        raise KilledError

    day = day_of(1)
    with monkeypatch.context() as patch:
        patch.setenv("UPKEEP_CRASH_AT", "fit.step.5")
        patch.setattr(os, "_exit", die)
        with pytest.raises(KilledError):
            play(trained, day, rows_of(day), action="retrain", override=True, note="try")
    job = get_record(trained.store, record_key(MODEL, day, "retrain/job"), JobSpec)
    assert job is not None
    kept = list((trained.cache / "checkpoints").glob("*/step-*"))
    assert [path.name for path in sorted(kept)] == ["step-00000002", "step-00000004"]
    straight = job.model_copy(update={"output_prefix": f"{job.output_prefix}-straight"})
    expected = worker.run(straight, trained.cache / "elsewhere")
    made = worker.run(job, trained.cache)
    assert isinstance(made, Candidate)
    assert isinstance(expected, Candidate)
    assert "resumed after step 4" in made.notes
    assert made.folder.files_sha256 == expected.folder.files_sha256
    assert made.events is not None
    assert not list((trained.cache / "checkpoints").glob("*/step-*"))


def test_what_people_rated_badly_is_not_learnt(trained: FakeDeployment) -> None:
    """Two people gave a one: the sample is not among the job's texts, and is counted."""
    day = day_of(1)
    rows = [row | {"reference": None} for row in rows_of(day)]
    play(trained, day, rows)
    store = trained.store
    asked = get_record(store, record_key(MODEL, day, "offered"), Offered)
    assert asked is not None
    learnt, _ = job_texts.production_texts(store, trained.fleet.models[MODEL], day)
    bad, good, *_ = [sample.id for _, sample in learnt if sample.id in asked.sample_ids]
    at = datetime(2026, 3, 6, tzinfo=UTC)
    for name, value in ((bad, 1), (good, 5)):
        for rater in ("ann", "bob"):
            rating = Rating(sample_id=name, day=day, criterion="coherence", value=value,
                            rater=rater, at=at, door="airflow")  # fmt: skip
            reviews.rate(store, asked, name, rater, [rating])
    play(trained, day, None, action="retrain", override=True, note="try")
    folder = f"{MODEL}/{day}/r1/retrain"
    texts = {s.id: s for s in read_samples(store, f"{folder}/training.jsonl")}
    assert bad not in texts
    assert texts[good].reference == texts[good].completion
    chosen = TrainingSelection.parse(store.get(f"{folder}/selection.json") or b"")
    assert (chosen.counts["rated_bad_left_out"], chosen.counts["completions_learnt"]) == (1, 1)
    made = get_record(store, record_key(MODEL, day, "retrain/candidate"), Candidate)
    assert made is not None
    assert made.measurements["selected[rated_bad_left_out]"] == 1.0


def test_checkpoints_lie_under_the_cache_by_the_jobs_key(trained: FakeDeployment) -> None:
    """Where the next try of an engine finds them, wherever it runs in."""
    from upkeep.retraining import checkpoint_folder

    job = JobSpec.model_construct(key="m/2026-03-05/retrain")
    inputs = worker.Inputs(job, trained.store, trained.cache)
    name = sha256_hex(b"m/2026-03-05/retrain")[:32]
    assert checkpoint_folder(inputs) == trained.cache / "checkpoints" / name
