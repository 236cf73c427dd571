"""Jobs on image models: requests held out by their id, real images and extractor by hash."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment, deployment_with_champion
from fakes.tiny_painter import requests

from upkeep.candidate import CandidateRoute
from upkeep.errors import ArtifactError, ParamError
from upkeep.image_jobs import production_requests, references_of, tools_of
from upkeep.pictures import image_name, pack
from upkeep.records import DayOpen, JobSpec, ValidationResult
from upkeep.samples import put_samples, read_samples, samples_key
from upkeep.spec import ModelSpec
from upkeep.store import get_record, put_record, record_key

MODEL = "docs-assistant"
DAY, BEFORE = date(2026, 3, 5), date(2026, 3, 4)


@pytest.fixture
def painting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """A champion, two trusted days of requests, references and an extractor."""
    tools = tmp_path / "tools"
    (tools / "features").mkdir(parents=True)
    (tools / "features" / "model.onnx").write_bytes(b"weights")
    (tools / "references.parquet").write_bytes(pack({image_name(b"real"): b"real"}))
    monkeypatch.setenv("TOOLS", str(tools))
    made = deployment_with_champion(tmp_path, MODEL)
    asked = requests(200)
    for day, samples in ((DAY, asked[:120]), (BEFORE, asked[100:])):
        put_samples(made.store, samples_key(MODEL, day), samples)
        trusted = ValidationResult(
            model=MODEL, day=day, trusted=True, coverage=1.0, bad_share=0.0, findings=(),
            suite="made up", suite_sha256="0" * 64,
        )  # fmt: skip
        put_record(made.store, record_key(MODEL, day, "validation"), trusted)
    return made


def spec_of(deployment: FakeDeployment, **changes: Any) -> ModelSpec:
    """The fleet's model, as one of images."""
    values = deployment.fleet.models[MODEL].model_dump(mode="json")
    values["quality"] |= {
        "modality": "image",
        "measures": ["kid"],
        "references": "${TOOLS}/references.parquet",
        "features": "${TOOLS}/features",
    } | changes
    values["jobs"]["compress"] = {"method": "onnx-fp32", "params": {}}
    values["jobs"]["retrain"] |= {"params": {"objective": "gan"}}
    return ModelSpec.model_validate(values)


def test_requests_are_held_out_by_id_and_not_by_prompt(painting: FakeDeployment) -> None:
    """Two prompts in all: by prompt, one class would judge and the other be calibrated for."""
    spec = spec_of(painting)
    others, held_out = production_requests(painting.store, spec, DAY)
    assert len(others) + len(held_out) == 200, "a request of two days counts once"
    assert 40 < len(held_out) < 80
    assert not {s.id for s in others} & {s.id for s in held_out}
    assert len({s.prompt for s in held_out}) == len({s.prompt for s in others}) == 2
    again = production_requests(painting.store, spec, DAY)
    assert again == (others, held_out)
    few = production_requests(painting.store, spec_of(painting, max_samples=20), DAY)
    assert [len(part) for part in few] == [20, 20]


def test_a_day_that_is_not_trusted_gives_none(painting: FakeDeployment) -> None:
    """And with no trusted day there is no job."""
    with pytest.raises(ParamError, match="run the daily cycle"):
        production_requests(painting.store, spec_of(painting), date(2025, 1, 1))


def test_references_and_tools_lie_in_the_store(painting: FakeDeployment) -> None:
    """Under their hashes; a file that is gone is named."""
    quality = spec_of(painting).quality
    found = references_of(painting.store, quality, "x")["references"]
    assert painting.store.get(found.path) == pack({image_name(b"real"): b"real"})
    assert set(tools_of(painting.store, quality)) == {"features"}
    missing = quality.model_copy(update={"references": "${TOOLS}/none.parquet"})
    with pytest.raises(ArtifactError, match=r"quality.references.*cannot be read"):
        references_of(painting.store, missing, "x")
    assert references_of(painting.store, quality.model_copy(update={"references": None}), "x") == {}


@pytest.mark.parametrize("kind", ["compress", "retrain"])
def test_a_candidates_job_has_what_images_need(painting: FakeDeployment, kind: Any) -> None:
    """Requests of both sides, real images, extractor; no text of the first training."""
    opened = DayOpen(
        model=MODEL,
        day=DAY,
        revision=1,
        spec=spec_of(painting).model_dump(mode="json"),
        spec_sha256="0" * 64,
        params={},
        owner="r",
    )
    route = CandidateRoute(painting, opened, kind)
    job = route._job(None)
    assert isinstance(job, JobSpec)
    assert set(job.data) == {"training", "evaluation", "references"}
    assert set(job.tools) == {"features"}
    assert (job.kind, job.method) == (kind, "onnx-fp32" if kind == "compress" else "full")
    roles = ("training", "evaluation")
    kept = tuple(read_samples(painting.store, job.data[role].path) for role in roles)
    assert kept == production_requests(painting.store, route.spec, DAY)
    assert get_record(painting.store, record_key(MODEL, DAY, f"{kind}/job"), JobSpec) is None
