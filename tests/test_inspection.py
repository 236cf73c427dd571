"""The review job by itself: what it refuses, and that one inspection never stops the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.reviewed_days import DAY, MODEL, decide_days, reviewed_deployment

from upkeep import inspecting, inspections, worker
from upkeep.errors import ArtifactError, ParamError
from upkeep.inspections import INSPECTIONS, Found, Material, inspection
from upkeep.records import FileHash, JobSpec, Review, ReviewFinding, Uninspected
from upkeep.store import get_record, record_key


@pytest.fixture
def job(tmp_path: Path) -> JobSpec:
    """A job as the cycle writes it; its result is not there yet."""
    deployment = reviewed_deployment(tmp_path)
    decide_days(deployment)
    inspecting.review(deployment, MODEL, DAY)
    found = get_record(deployment.store, record_key(MODEL, DAY, "review-job"), JobSpec)
    assert found is not None
    deployment.deployment_path(f"{found.output_prefix}/result.json").unlink()
    return found


class FakeInspection:
    """Finds one thing, or is refused."""

    def __init__(self, area: Any, error: Exception | None = None) -> None:
        self.area, self.error = area, error

    def review(self, material: Material) -> list[Found]:
        """One note; a warning of the last area."""
        if self.error is not None:
            raise self.error
        severity = "warning" if self.area == "dependencies" else "note"
        fields = {"rule": "r", "what": "w", "evidence": {"n": 1.0}, "expected_gain": "none"}
        note = ReviewFinding.model_validate(
            fields | {"area": self.area, "severity": "note", "action": "a"}
        )
        return [note, note.model_copy(update={"severity": severity})]


def run(
    job: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **errors: Exception
) -> Review:
    fakes = {area: FakeInspection(area, errors.get(area)) for area in INSPECTIONS}
    monkeypatch.setattr("upkeep.inspection.inspection", fakes.__getitem__)
    made = worker.run(job, tmp_path / "cache")
    assert isinstance(made, Review)
    return made


def test_the_gravest_of_an_area_comes_first(
    job: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Areas in their own order."""
    made = run(job, tmp_path, monkeypatch)
    assert [f.area for f in made.findings] == [a for a in INSPECTIONS for _ in range(2)]
    assert made.findings[-2].severity == "warning"
    assert (made.model_version, made.job_key) == ("1", f"{MODEL}/{DAY}/review")


def test_an_inspection_that_is_refused_stops_no_other(
    job: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record with its reason, in one line."""
    broken = ArtifactError("config.json", "x", "is\nbroken", "restore it")
    made = run(job, tmp_path, monkeypatch, architecture=broken)
    [unknown] = made.uninspected
    assert isinstance(unknown, Uninspected)
    assert (unknown.area, unknown.what) == ("architecture", "all of it")
    assert "is broken" in unknown.words
    assert {f.area for f in made.findings} == set(INSPECTIONS) - {"architecture"}


def test_an_error_of_ours_is_no_unknown(
    job: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails the job, so that somebody sees it."""
    with pytest.raises(ZeroDivisionError):
        run(job, tmp_path, monkeypatch, training=ZeroDivisionError())


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"generatoins": 30}, "did you mean generations"),
        ({"generations": 3}, "greater than or equal to 12"),
        ({"texts": "many"}, "valid integer"),
    ],
)
def test_unknown_settings_are_refused_before_anything_is_read(
    job: JobSpec, tmp_path: Path, params: dict[str, Any], why: str
) -> None:
    """By name, with the nearest one."""
    gone = job.model_copy(update={"params": params, "data": {}})
    with pytest.raises(ParamError, match=why):
        worker.run(gone, tmp_path / "cache")


def test_a_job_without_facts_is_refused(job: JobSpec, tmp_path: Path) -> None:
    """It cannot be judged without them."""
    with pytest.raises(ParamError, match=r"data\.facts"):
        worker.run(job.model_copy(update={"data": {}}), tmp_path / "cache")


@pytest.mark.parametrize("role", ["facts", "lock"])
def test_files_that_are_not_the_recorded_ones_are_refused(
    job: JobSpec, tmp_path: Path, role: str
) -> None:
    """Their hash says so."""
    known = job.data["facts"]
    other = FileHash(path=known.path, size_bytes=known.size_bytes, sha256="f" * 64)
    data = dict(job.data) | {role: other}
    with pytest.raises(ArtifactError, match="is not the recorded"):
        worker.run(job.model_copy(update={"data": data}), tmp_path / "cache")


def test_every_area_has_its_module() -> None:
    """Each follows the one Protocol."""
    for area in INSPECTIONS:
        assert callable(inspection(area).review)
    assert set(INSPECTIONS) == set(inspections.get_args(inspections.ReviewArea))
