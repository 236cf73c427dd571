"""A review as people read it: escaped, whole, the gravest first; the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.reviewed_days import DAY, MODEL, decide_days, reviewed_deployment
from pydantic import ValidationError

from upkeep import inspecting
from upkeep.day_records import read_day
from upkeep.records import Review, ReviewFinding, Severity, Uninspected
from upkeep.report import note as day_note
from upkeep.report import present
from upkeep.review_page import MAX_NOTE_CHARS, headline, note, review_view, rows, table
from upkeep.tracking import Tracker


def finding(severity: Severity = "warning", **changes: object) -> ReviewFinding:
    fields: dict[str, object] = {
        "area": "infrastructure",
        "rule": "threads",
        "severity": severity,
        "what": "64 threads",
        "evidence": {"threads": 64.0, "field": "serving.threads"},
        "expected_gain": "faster",
        "action": "set fewer",
    }
    return ReviewFinding.model_validate(fields | changes)


def review(*findings: ReviewFinding, uninspected: tuple[Uninspected, ...] = ()) -> Review:
    return Review(
        model=MODEL,
        day=DAY,
        job_key="k",
        model_version="1",
        findings=findings,
        uninspected=uninspected,
    )


UNKNOWN = Uninspected(area="training", what="hyperparameters", words="nothing is recorded")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (review(), "nothing"),
        (review(finding()), "1 warning"),
        (review(finding("note"), finding(), finding(), finding("advice"), finding("advice")),
         "2 warnings, 2 advice, 1 note"),
        (review(uninspected=(UNKNOWN,)), "1 not inspected"),
    ],
)  # fmt: skip
def test_the_headline_counts_what_was_found_and_what_was_not_looked_at(
    made: Review, words: str
) -> None:
    """The gravest first."""
    assert headline(made) == words


@pytest.mark.parametrize(
    "changes",
    [
        {"action": None},
        {"action": "do it", "no_action_because": "no"},
        {"action": ""},
        {"evidence": {}},
        {"evidence": {"share": float("nan")}},
        {"severity": "terrible"},
    ],
)
def test_a_finding_has_evidence_and_either_an_action_or_a_reason(
    changes: dict[str, object],
) -> None:
    """Never both, never neither; numbers are numbers."""
    with pytest.raises(ValidationError):
        finding(**changes)  # type: ignore[arg-type]


def test_the_gravest_comes_first_and_what_is_unknown_last() -> None:
    """With its evidence in words, and what to do."""
    quiet = finding("note", action=None, no_action_because="it is small", what="quiet")
    made = rows(review(quiet, finding(), uninspected=(UNKNOWN,)))
    assert [row["severity"] for row in made] == ["warning", "note", "not inspected"]
    assert made[0]["evidence"] == "threads 64, field serving.threads"
    assert made[1]["action"] == "no action, because it is small"
    assert made[2]["what"] == "hyperparameters"


def test_text_from_outside_does_nothing_in_the_note() -> None:
    """Names of slices and of packages are other people's."""
    evil = finding(what="![x](http://evil) <b>bold</b>", expected_gain="`a`", action="# do")
    said = note(review(evil))
    assert "![x]" not in said
    assert "<b>" not in said


def test_a_long_review_is_cut_between_findings() -> None:
    """The gravest stay, none is cut in the middle; the table has them all."""
    many = [finding(what=f"{n} " + "x" * 300) for n in range(100)]
    made = review(*many)
    assert len(note(made)) <= MAX_NOTE_CHARS
    assert note(made).endswith(".")
    assert len(json.loads(table(made))["data"]) == 100


def test_a_days_review_is_a_run_of_its_own_below_the_days(tmp_path: Path) -> None:
    """With a table that MLflow shows, its record, and a line in the day's note."""
    deployment = reviewed_deployment(tmp_path)
    decide_days(deployment)
    before = read_day(deployment.store, MODEL, DAY)
    made = inspecting.review(deployment, MODEL, DAY)
    records = read_day(deployment.store, MODEL, DAY)
    assert records.review == made
    assert records.digest() != before.digest(), "so that the day is projected anew"
    assert "**review: 1 warning**" in day_note(records)
    assert "review" not in day_note(before)
    view = review_view(made, records.files["review.json"])
    assert view.key == f"{MODEL}/{DAY}/review"
    assert view.tags["upkeep.outcome"] == "1 warning"
    assert json.loads(view.tags["mlflow.loggedArtifacts"])[0]["path"] == "review.json"
    assert [len(row) for row in json.loads(view.files["review.json"])["data"]] == [7]
    assert view.metrics["review/warning"] == 1.0
    assert view == review_view(made, records.files["review.json"])


def test_a_projection_sends_the_review_as_a_nested_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the day's run; without a review there is none."""
    from upkeep import tracking

    sent: list[tuple[str, str | None]] = []

    def write(self: object, experiment: str, view: object, parent: str | None = None) -> str:
        sent.append((view.key, parent))  # type: ignore[attr-defined]
        return f"run-{len(sent)}"

    monkeypatch.setattr(tracking._Projection, "_write", write)
    monkeypatch.setattr(tracking, "ensure_experiment", lambda *_: "7")
    monkeypatch.setattr(tracking, "describe_experiment", lambda *_, **__: None)
    deployment = reviewed_deployment(tmp_path)
    decide_days(deployment)
    tracker = Tracker("http://127.0.0.1:1", present)
    monkeypatch.setattr(tracker, "_mlflow", lambda: None)
    tracker.project_day(deployment.store, MODEL, DAY)
    assert [key for key, _ in sent] == [f"{MODEL}/{DAY}/r1", f"{MODEL}/timeline"]
    sent.clear()
    inspecting.review(deployment, MODEL, DAY)
    tracker.project_day(deployment.store, MODEL, DAY)
    assert sent[1] == (f"{MODEL}/{DAY}/review", "run-1")
