"""``upkeep review``: what it prints, its exit codes, and that it is done once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fakes.deployment import FakeDeployment
from fakes.reviewed_days import DAY, MODEL, decide_days, reviewed_deployment

from upkeep import cli
from upkeep.deployment import Deployment
from upkeep.errors import TrackingError
from upkeep.spec import Jobs


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """The command line over three decided days."""
    made = reviewed_deployment(tmp_path)
    decide_days(made)
    monkeypatch.setattr(Deployment, "from_env", classmethod(lambda _cls, **_: made))
    return made


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The exit code of one call."""
    monkeypatch.setattr(sys, "argv", ["upkeep", "review", *args])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_findings_are_lines_with_evidence_gain_and_action(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text from outside is shown as it is; the review is projected."""
    assert run(monkeypatch, MODEL, DAY.isoformat()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{MODEL}, version 1, {DAY}: 1 warning",
        "warning: infrastructure: 64 threads [bold]on[/bold] 1 core",
        "    evidence: threads 64",
        "    expected gain: faster",
        "    action: set fewer",
    ]
    assert places.tracker().projected == [(MODEL, DAY)]


def test_the_same_day_again_starts_nothing(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later day without a decision means the same one."""
    later = "2026-03-20"
    assert run(monkeypatch, MODEL, DAY.isoformat()) == 0
    capsys.readouterr()
    assert run(monkeypatch, MODEL, later, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["day"], len(answer["findings"])) == (DAY.isoformat(), 1)
    assert places.engine(Jobs()).started == [f"{MODEL}/{DAY}/review"]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("docs-asistant",), "did you mean docs-assistant"),
        ((MODEL, "2026-3-5"), "is not an ISO day"),
        ((MODEL, "2999-01-01"), "is not over yet"),
        ((MODEL, "2025-01-01"), "no day of docs-assistant was decided"),
    ],
)
def test_what_is_not_allowed_ends_with_2_and_leaves_nothing(
    places: FakeDeployment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    why: str,
) -> None:
    """One line on stderr."""
    before = places.store.list("")
    assert run(monkeypatch, *args) == 2
    assert why in capsys.readouterr().err
    assert places.store.list("") == before


def test_mlflow_that_is_down_loses_nothing(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The review is shown and kept; how to tell MLflow later is said."""

    def down(*_: object, **__: object) -> str:
        raise TrackingError("MLflow cannot be reached")

    monkeypatch.setattr(type(places.tracker()), "project_day", down)
    assert run(monkeypatch, MODEL, DAY.isoformat()) == 0
    said = capsys.readouterr()
    assert "1 warning" in said.out
    assert f"upkeep sync {MODEL} {DAY}" in said.err
