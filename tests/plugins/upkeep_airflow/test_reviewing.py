"""The bodies of the tasks of ``review``, over a fake cycle."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from fakes.cycle import Cycle as FakeCycle

from upkeep_airflow import daily, reviewing
from upkeep_airflow.links import URL_KEY
from upkeep_airflow.notes import SAID_KEY
from upkeep_airflow.reviewing import AskedReview

ASKED = AskedReview(model="a", day="2026-03-14")


class FakeTask:
    """A task instance that keeps what is pushed."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that map indexes were given."""
    given: list[str] = []
    monkeypatch.setattr(reviewing, "name_map_index", given.append)
    return given


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: list[str]) -> FakeCycle:
    """The cycle that the tasks get: a fleet of two models."""
    made = FakeCycle(tmp_path)
    monkeypatch.setattr(daily, "cycle", lambda: made)
    plan(made)
    return made


def plan(fake: FakeCycle, **more: Any) -> None:
    known = {"fleet": {"models": ["a", "b"]}, **more}
    (fake.folder / "plan.json").write_text(json.dumps(known))


def run(**conf: Any) -> SimpleNamespace:
    at = datetime(2026, 3, 15, tzinfo=UTC)
    return SimpleNamespace(
        dag_id="review", run_id="r1", run_type="manual", logical_date=None, run_after=at, conf=conf
    )


def test_a_weekly_run_reviews_the_whole_fleet(fake: FakeCycle) -> None:
    """Nobody names a model; the day is the one before."""
    asked = reviewing.open_review(run(), FakeTask())
    assert asked == [
        {"model": "a", "day": "2026-03-14"},
        {"model": "b", "day": "2026-03-14"},
    ]


def test_a_model_without_a_decided_day_is_left_out_of_the_fleet(fake: FakeCycle) -> None:
    """And the note says so."""
    plan(fake, undecided={"a": True})
    ti = FakeTask()
    assert [a["model"] for a in reviewing.open_review(run(), ti)] == ["b"]
    assert "a: not reviewed" in ti.pushed[SAID_KEY][0]
    plan(fake, undecided={"a": True, "b": True})
    with pytest.raises(AirflowSkipException, match="no day of a was decided"):
        reviewing.open_review(run(), FakeTask())


def test_a_model_that_is_named_and_has_no_decided_day_fails_the_run(fake: FakeCycle) -> None:
    """Who asks for it is told."""
    plan(fake, undecided={"a": True})
    with pytest.raises(AirflowFailException, match="no day of a was decided"):
        reviewing.open_review(run(models=["a"]), FakeTask())


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ({"models": ["c"]}, "is not in the fleet"),
        ({"day": "2026-3-1"}, "is not an ISO day"),
        ({"day": "2999-01-01"}, "is not over yet"),
        ({"dry_run": True}, "unknown parameter"),
        ({"models": "a"}, "must be a list"),
    ],
)
def test_what_is_not_allowed_ends_the_run_at_once(
    fake: FakeCycle, conf: dict[str, Any], why: str
) -> None:
    """In the first task; nothing is submitted."""
    with pytest.raises(AirflowFailException, match=why):
        reviewing.open_review(run(**conf), FakeTask())
    assert fake.calls() == []


def test_the_note_counts_and_names_the_gravest(fake: FakeCycle, labels: list[str]) -> None:
    """Escaped; the notes of a review are not in it."""
    ti = FakeTask()
    assert reviewing.inspect(ASKED, ti) == "1 warning, 1 note"
    assert labels[-1] == "a: 1 warning, 1 note"
    assert ti.pushed[SAID_KEY] == [
        "a 2026-03-14: **1 warning, 1 note**",
        r"warning: 64 \*threads\*",
    ]
    assert fake.calls() == [["review", "a", "2026-03-14"]]


def test_a_job_that_crashed_is_tried_again(fake: FakeCycle) -> None:
    """It is no refused input."""
    plan(fake, fails={"a": "review"})
    with pytest.raises(AirflowException) as raised:
        reviewing.inspect(ASKED, FakeTask())
    assert not isinstance(raised.value, AirflowFailException)


def test_the_button_leads_to_the_review_and_no_review_is_a_failure(fake: FakeCycle) -> None:
    """What there is is projected in any case."""
    ti = FakeTask()
    reviewing.report(ASKED, "1 note", ti)
    assert ti.pushed[URL_KEY] == "http://127.0.0.1/a/2026-03-14/review"
    with pytest.raises(AirflowFailException, match="a: not reviewed"):
        reviewing.report(ASKED, None, FakeTask())
