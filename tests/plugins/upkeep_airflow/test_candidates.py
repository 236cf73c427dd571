"""The bodies of the tasks of compress, retrain and rollback, over a fake cycle."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from fakes.cycle import Cycle as FakeCycle

from upkeep_airflow import candidates, daily
from upkeep_airflow.candidates import Asked
from upkeep_airflow.notes import SAID_KEY


class FakeTask:
    """A task instance that keeps what is pushed."""

    def __init__(self) -> None:
        """Nothing is pushed yet."""
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep it."""
        self.pushed[key] = value


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that map indexes were given."""
    given: list[str] = []
    monkeypatch.setattr(candidates, "name_map_index", given.append)
    return given


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: list[str]) -> FakeCycle:
    """The cycle that the tasks get."""
    made = FakeCycle(tmp_path)
    monkeypatch.setattr(daily, "cycle", lambda: made)
    return made


def _plan(fake: FakeCycle, **plan: Any) -> None:
    (fake.folder / "plan.json").write_text(json.dumps(plan))


def _run(dag_id: str, **conf: Any) -> SimpleNamespace:
    at = datetime(2026, 3, 15, tzinfo=UTC)
    return SimpleNamespace(
        dag_id=dag_id, run_id="r1", run_type="manual", logical_date=None, run_after=at, conf=conf
    )


def _asked(*, ask: bool = False) -> Asked:
    return Asked(model="a", day="2026-03-14", kind="retrain", require_approval=ask)


def test_a_run_makes_one_candidate_a_model(fake: FakeCycle) -> None:
    """The kind is the DAG's; the day is the one before, unless one is named."""
    _plan(fake, fleet={"models": ["a", "b"]})
    opened = candidates.open_candidates(_run("compress", models=["b"], require_approval=True))
    assert opened == [
        {"model": "b", "day": "2026-03-14", "kind": "compress", "require_approval": True}
    ]


def test_a_dry_run_submits_no_job(fake: FakeCycle) -> None:
    """It ends skipped, and says what it would have done."""
    with pytest.raises(AirflowSkipException, match="dry run: compress of docs-assistant"):
        candidates.open_candidates(_run("compress", models=["docs-assistant"], dry_run=True))
    assert fake.calls() == []


def test_an_action_is_no_parameter_of_a_candidate(fake: FakeCycle) -> None:
    """Keys of another DAG's form are unknown here."""
    with pytest.raises(AirflowFailException, match="unknown parameter"):
        candidates.open_candidates(_run("retrain", action="auto"))


def test_the_job_is_the_one_of_its_key(fake: FakeCycle) -> None:
    """Model, day and kind, nothing else."""
    candidates.job(_asked())
    assert fake.calls() == [["run_job", "a", "2026-03-14", "retrain"]]


@pytest.mark.parametrize(
    ("by_run", "by_file", "asks"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_a_person_is_asked_where_the_run_or_the_file_wants_it(
    fake: FakeCycle, *, by_run: bool, by_file: bool, asks: bool
) -> None:
    """Either is enough."""
    _plan(fake, asks={"a": by_file})
    verdict = candidates.gate(_asked(ask=by_run), FakeTask())
    assert (verdict["ask"], verdict["passed"]) == (asks, True)


def test_a_refusal_says_which_check_refused(fake: FakeCycle, labels: list[str]) -> None:
    """In the note, with the row's words; in the map index, that it was refused."""
    _plan(fake, refuses={"a": True})
    task = FakeTask()
    assert not candidates.gate(_asked(), task)["passed"]
    assert labels[-1] == "a: refused by the gate"
    assert task.pushed[SAID_KEY][0].startswith(r"a: refused by the gate: 12.0 -\> 10.0")


def test_an_approval_goes_into_the_promotion(fake: FakeCycle, labels: list[str]) -> None:
    """Who said yes, and with which words."""
    answer = {"approved": True, "by": "jo_ann", "note": "fine {{ 1 }}"}
    candidates.promote(_asked(ask=True), answer, FakeTask())
    [call] = fake.calls()
    assert call[:4] == ["promote", "a", "2026-03-14", "retrain"]
    assert json.loads(call[4]) == answer
    assert labels[-1] == "a: version 2 is champion (approved by jo_ann)"


def test_a_rejection_is_handed_on_too(fake: FakeCycle, labels: list[str]) -> None:
    """So that it is recorded; the champion stays."""
    candidates.promote(_asked(), {"approved": False, "by": "jo", "note": "no"}, FakeTask())
    assert labels[-1] == "a: the champion stays (rejected by jo)"


def test_an_answer_that_is_no_answer_promotes_nothing(fake: FakeCycle) -> None:
    """An unknown is never a pass."""
    with pytest.raises(ValueError, match="approved"):
        candidates.promote(_asked(), {"by": "jo"}, FakeTask())
    assert fake.calls() == []


def test_a_candidate_without_an_end_makes_the_run_fail(fake: FakeCycle) -> None:
    """What there is goes to MLflow first."""
    with pytest.raises(AirflowFailException, match="a: not judged"):
        candidates.report(_asked(), None, FakeTask())
    assert fake.calls() == [["report", "a", "2026-03-14", ""]]


def test_a_failed_job_is_tried_again(fake: FakeCycle) -> None:
    """A crash of the engine is not a refused input."""
    _plan(fake, fails={"a": "run_job"})
    with pytest.raises(AirflowException) as raised:
        candidates.job(_asked())
    assert not isinstance(raised.value, AirflowFailException)


def test_a_rollback_has_one_key_a_run(fake: FakeCycle) -> None:
    """A retry of the same run rolls back once; the key is made of safe characters."""
    run = _run("rollback", models=["docs-assistant"], to_version="3", note="worse {{ x }}")
    for _ in range(2):
        candidates.roll_back(run, FakeTask())
    first, second = fake.calls()
    assert first == second
    assert first[:4] == ["rollback", "docs-assistant", "3", "worse {{ x }}"]
    assert first[4].startswith("docs-assistant/rollback/")
    assert first[5] == "None"


def test_a_decided_rollback_carries_its_day(fake: FakeCycle) -> None:
    """The run's name says which day decided it."""
    run = _run("rollback", models=["docs-assistant"], note="n")
    run.run_id = "docs-assistant--2026-03-14--rollback"
    candidates.roll_back(run, FakeTask())
    assert fake.calls()[0][5] == "2026-03-14"


def test_a_rollback_of_the_whole_fleet_is_refused(fake: FakeCycle) -> None:
    """An empty form is not an order to roll everything back."""
    _plan(fake, fleet={"models": ["a", "b"]})
    with pytest.raises(AirflowFailException, match="whole fleet"):
        candidates.roll_back(_run("rollback", note="x"), FakeTask())
