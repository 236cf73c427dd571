"""The bodies of what follows from the decisions, over a fake cycle: allot, then act."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from fakes.cycle import Cycle as FakeCycle

from upkeep_airflow import acting, daily
from upkeep_airflow.shards import Shard


class FakeTask:
    """A task instance that keeps what is pushed."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class Runs:
    """Runs that were started; ``existing`` ones are adopted."""

    def __init__(self, *existing: str) -> None:
        """Nothing is started yet."""
        self.started: list[tuple[str, str, dict[str, Any]]] = []
        self.existing = existing

    def __call__(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str) -> bool:
        """Start a run, or adopt it."""
        self.started.append((dag_id, run_id, conf))
        return run_id not in self.existing


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that map indexes were given."""
    given: list[str] = []
    monkeypatch.setattr(acting, "name_map_index", given.append)
    return given


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: list[str]) -> FakeCycle:
    """The cycle that the tasks get."""
    made = FakeCycle(tmp_path)
    monkeypatch.setattr(daily, "cycle", lambda: made)
    return made


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs that the tasks start."""
    made = Runs()
    monkeypatch.setattr(acting, "start_run", made)
    return made


def _plan(fake: FakeCycle, **plan: Any) -> None:
    (fake.folder / "plan.json").write_text(json.dumps(plan))


def _run(run_type: str = "manual", **conf: Any) -> SimpleNamespace:
    at = datetime(2026, 3, 15, tzinfo=UTC)
    return SimpleNamespace(
        dag_id="daily_cycle",
        run_id="r1",
        run_type=run_type,
        logical_date=at,
        run_after=at,
        conf=conf,
    )


def _shard(*models: str, refused: str = "") -> Shard:
    return Shard(day="2026-03-14", models=list(models), owner="airflow:d/r", refused=refused)


def test_what_was_decided_counts_beside_a_model_that_fails(fake: FakeCycle, runs: Runs) -> None:
    """In a shard of two the good one's run is started; the task still fails."""
    _plan(fake, action={"a": "retrain"}, fails={"b": "act"})
    with pytest.raises(AirflowException, match="b: act of b fails"):
        acting.act(_shard("b", "a"), _run())
    assert [run_id for _, run_id, _ in runs.started] == ["a--2026-03-14--retrain"]


@pytest.mark.parametrize("action", ["keep", "hold", "investigate"])
def test_nothing_is_started_where_nothing_follows(
    fake: FakeCycle, runs: Runs, labels: list[str], action: str
) -> None:
    """The most days."""
    _plan(fake, action={"a": action})
    assert acting.act(_shard("a"), _run()) == []
    assert (runs.started, labels[-1]) == ([], "a: nothing to do")


def test_the_run_that_follows_is_named_by_its_key(fake: FakeCycle, runs: Runs) -> None:
    """The name is the same for every try; the wish for an approval goes along."""
    _plan(fake, action={"a": "compress"})
    acting.act(_shard("a"), _run(require_approval=True))
    conf = {"models": ["a"], "day": "2026-03-14", "require_approval": True}
    assert runs.started == [("compress", "a--2026-03-14--compress", conf)]


def test_a_rollback_is_started_with_its_reason(fake: FakeCycle, runs: Runs) -> None:
    """The form of rollback has no day; the reason goes into the ledger."""
    _plan(fake, action={"a": "rollback"})
    acting.act(_shard("a"), _run())
    conf = {"models": ["a"], "note": "decided by the policy on 2026-03-14"}
    assert runs.started == [("rollback", "a--2026-03-14--rollback", conf)]


def test_a_backfill_decides_and_starts_nothing(fake: FakeCycle, runs: Runs) -> None:
    """D14: a job for a day long past would promote a model made for it."""
    _plan(fake, action={"a": "retrain"})
    assert acting.act(_shard("a"), _run(run_type="backfill")) == []
    assert runs.started == []


def test_the_budget_is_asked_once_for_all_models(fake: FakeCycle) -> None:
    """One question with every wish; a model that wishes nothing is not in it."""
    _plan(fake, action={"a": "retrain", "c": "compress"})
    task = FakeTask()
    told = acting.allot([_shard("a", "b"), _shard("c")], _run(), task)
    assert [call for call in fake.calls() if call[0] == "allot"] == [
        ["allot", "", "2026-03-14", "a retrain", "c compress"]
    ]
    assert len(told) == 2


def test_a_wish_that_cannot_be_read_keeps_nobody_from_the_budget(fake: FakeCycle) -> None:
    """The others are answered, and the task says who failed."""
    _plan(fake, action={"a": "retrain", "b": "retrain"}, fails={"b": "wish"})
    with pytest.raises(AirflowException, match="b: wish of b fails"):
        acting.allot([_shard("a"), _shard("b")], _run(), FakeTask())
    assert ["allot", "", "2026-03-14", "a retrain"] in fake.calls()


def test_a_backfill_asks_for_nothing(fake: FakeCycle) -> None:
    """It starts no run."""
    _plan(fake, action={"a": "retrain"})
    assert acting.allot([_shard("a")], _run(run_type="backfill"), FakeTask()) == []
    assert fake.calls() == []


def test_without_an_opened_day_there_is_nothing_to_share_out() -> None:
    """The task is skipped, as those after it."""
    with pytest.raises(AirflowSkipException):
        acting.allot(None, _run(), FakeTask())
