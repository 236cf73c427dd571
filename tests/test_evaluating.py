"""The evaluate job names all that is measured, by hash; what cannot be measured is no job."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment, deployment_with_champion

from upkeep.errors import ArtifactError, ConfigError
from upkeep.evaluating import evaluate_job
from upkeep.pictures import image_name, images_key, pack
from upkeep.records import DailyMetrics, JobSpec, Sample, sha256_hex
from upkeep.samples import put_samples, samples_key
from upkeep.spec import ModelSpec
from upkeep.store import put_record, record_key

MODEL = "docs-assistant"
DAY = date(2026, 3, 5)
IMAGES = [b"\x89PNG %d" % n for n in range(30)]


@pytest.fixture
def painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """A model of images with a champion, an observed day, references and an extractor."""
    tools = tmp_path / "tools"
    (tools / "features").mkdir(parents=True)
    (tools / "features" / "model.onnx").write_bytes(b"weights")
    (tools / "references.parquet").write_bytes(pack({image_name(b"real"): b"real"}))
    monkeypatch.setenv("TOOLS", str(tools))
    made = deployment_with_champion(tmp_path, MODEL)
    samples = [
        Sample(id=f"s{n:02d}", slice="a", prompt="a 7", completion=image_name(data))
        for n, data in enumerate(IMAGES)
    ]
    put_samples(made.store, samples_key(MODEL, DAY), samples)
    made.store.put_if_absent(images_key(MODEL, DAY), pack({image_name(d): d for d in IMAGES}))
    metrics = DailyMetrics(
        model=MODEL,
        day=DAY,
        source="made up",
        coverage=1.0,
        rows_read=30,
        rows_quarantined=0,
        requests=30,
        requests_by_version={"1": 30},
    )
    put_record(made.store, record_key(MODEL, DAY, "metrics"), metrics)
    return made


def spec_of(**quality: Any) -> ModelSpec:
    """An image model."""
    usual = {
        "modality": "image",
        "measures": ["kid", "fid"],
        "references": "${TOOLS}/references.parquet",
        "features": "${TOOLS}/features",
    }
    return ModelSpec.model_validate(
        {
            "name": MODEL,
            "sources": [{"kind": "request_log", "path": "/logs"}],
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {"version": "test", "measures": {}, "rules": []},
            "quality": usual | quality,
        }
    )


def job_of(deployment: FakeDeployment, **quality: Any) -> JobSpec:
    """The job of the day."""
    job = evaluate_job(deployment.store, spec_of(**quality), DAY)
    assert job is not None
    return job


def test_images_references_and_tools_are_named_by_hash(
    painted: FakeDeployment, tmp_path: Path
) -> None:
    """Whatever a score depends on is in the store, and in the job."""
    job = job_of(painted)
    assert set(job.data) == {"evaluation", "images", "references"}
    for file in job.data.values():
        assert sha256_hex(painted.store.get(file.path) or b"") == file.sha256
    assert [f.path for f in job.tools["features"].files] == ["model.onnx"]
    assert job.params == {"measures": ["kid", "fid"], "min_samples": 20}
    assert job.method == "kid+fid"


def test_the_job_is_written_once(painted: FakeDeployment, tmp_path: Path) -> None:
    """References that change later are another day's business."""
    first = job_of(painted)
    (tmp_path / "tools" / "references.parquet").write_bytes(pack({}))
    assert job_of(painted) == first


def test_another_extractor_lies_beside_the_first(painted: FakeDeployment, tmp_path: Path) -> None:
    """Its hash is another one: no score is ever attributed to it that it did not give."""
    first = job_of(painted).tools["features"]
    (tmp_path / "tools" / "features" / "model.onnx").write_bytes(b"other weights")
    painted.deployment_path(record_key(MODEL, DAY, "evaluate-job")).unlink()
    second = job_of(painted).tools["features"]
    assert first.files_sha256 != second.files_sha256
    assert first.prefix != second.prefix


def test_options_that_differ_from_the_usual_are_told(painted: FakeDeployment) -> None:
    """And no others: a job's hash does not change with an option that nobody uses."""
    job = job_of(painted, lowercase=True, tokenize="char", min_samples=5)
    assert job.params["lowercase"] is True
    assert job.params["tokenize"] == "char"
    assert "stemmer" not in job.params


@pytest.mark.parametrize(
    ("quality", "error", "words"),
    [
        ({"references": "${TOOLS}/gone.parquet"}, ArtifactError, "quality.references"),
        ({"references": "${NOWHERE}/x.parquet"}, ConfigError, "NOWHERE is not set"),
        ({"features": "${TOOLS}/gone"}, ArtifactError, "must be a folder"),
    ],
)
def test_what_is_not_there_is_named(
    painted: FakeDeployment, quality: dict[str, str], error: type[Exception], words: str
) -> None:
    """No job without what it needs."""
    with pytest.raises(error, match=words):
        job_of(painted, **quality)


def test_a_day_whose_images_were_never_kept_is_refused(painted: FakeDeployment) -> None:
    """An image model's day is observed with its images."""
    painted.deployment_path(images_key(MODEL, DAY)).unlink()
    with pytest.raises(ArtifactError, match="observe the day first"):
        job_of(painted)


def test_too_few_requests_are_no_job(painted: FakeDeployment) -> None:
    """The decision then says that quality was not collected."""
    assert evaluate_job(painted.store, spec_of(min_samples=31), DAY) is None


def test_a_model_of_texts_has_neither_images_nor_tools(painted: FakeDeployment) -> None:
    """The same job as ever."""
    job = job_of(painted, modality="text", measures=["bleu"], references=None, features=None)
    assert (set(job.data), job.tools) == ({"evaluation"}, {})
