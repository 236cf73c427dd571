"""The bodies of daily_cycle's tasks, over a fake cycle."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from fakes.cycle import Cycle as FakeCycle

from upkeep_airflow import daily
from upkeep_airflow.links import URL_KEY
from upkeep_airflow.notes import SAID_KEY
from upkeep_airflow.shards import Shard


class FakeTask:
    """A task instance that keeps what is pushed and answers what it is told."""

    map_index = 0

    def __init__(self, *, earlier: str = "", owner_state: str = "running") -> None:
        """``earlier``: the state of an earlier run; ``owner_state``: of the lease's holder."""
        self.pushed: dict[str, Any] = {}
        self._earlier, self._owner_state = earlier, owner_state

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep it."""
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, map_indexes: int, key: str = "return_value") -> Any:
        """What was pushed, or was returned."""
        return self.pushed.get(key)

    def get_previous_dagrun(self, state: str) -> Any:
        """An earlier run of that state, if there is one."""
        return object() if state == self._earlier else None

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        """The state of the run that holds the lease."""
        return self._owner_state


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that map indexes were given."""
    given: list[str] = []
    monkeypatch.setattr(daily, "name_map_index", given.append)
    return given


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: list[str]) -> FakeCycle:
    """The cycle that the tasks get."""
    made = FakeCycle(tmp_path)
    monkeypatch.setattr(daily, "cycle", lambda: made)
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


def test_opening_gives_a_shard_a_model_of_the_day_before(fake: FakeCycle) -> None:
    """A scheduled run takes the whole fleet, for the day before its logical date."""
    _plan(fake, fleet={"models": ["a", "b"]})
    opened = daily.open_day(_run(), FakeTask())
    assert [(s["models"], s["day"]) for s in opened.xcom_value] == [
        (["a"], "2026-03-14"),
        (["b"], "2026-03-14"),
    ]
    assert fake.calls() == [["start", "", "2026-03-14", "airflow:daily_cycle/r1", "auto"]]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_day_waits_while_an_earlier_one_is_worked_on(fake: FakeCycle, state: str) -> None:
    """A backfill's days run at once in Airflow; ours go in order, with nothing touched before."""
    assert not daily.open_day(_run(), FakeTask(earlier=state)).is_done
    assert fake.calls() == []


def test_a_day_goes_on_after_an_earlier_one_that_failed(fake: FakeCycle) -> None:
    """One failed day does not stop the days after it."""
    assert daily.open_day(_run(), FakeTask(earlier="failed")).is_done


def test_the_second_run_of_a_day_ends_attached_to_the_first(fake: FakeCycle) -> None:
    """D12, R6: it is skipped, says to whom, and starts nothing."""
    _plan(fake, held={"docs-assistant": "airflow:daily_cycle/first"})
    task = FakeTask(owner_state="running")
    with pytest.raises(AirflowSkipException, match="attached to airflow:daily_cycle/first"):
        daily.open_day(_run(), task)
    assert "attached to" in task.pushed[SAID_KEY][0]


def test_a_lease_that_a_dead_run_left_is_waited_for(fake: FakeCycle) -> None:
    """Skipping in favour of a run that has ended would lose the day."""
    _plan(fake, held={"docs-assistant": "airflow:daily_cycle/first"})
    assert not daily.open_day(_run(), FakeTask(owner_state="failed")).is_done


def test_models_that_nobody_holds_go_on_without_the_others(fake: FakeCycle) -> None:
    """Part of the fleet is worked on elsewhere; the rest is ours."""
    _plan(fake, fleet={"models": ["a", "b"]}, held={"a": "cli:host:1"})
    task = FakeTask()
    assert [s["models"] for s in daily.open_day(_run(), task).xcom_value] == [["b"]]
    assert task.pushed[SAID_KEY] == ["**2026-03-14**", "a: attached to cli:host:1"]


def test_a_refused_file_shows_unless_models_were_named(fake: FakeCycle) -> None:
    """Whoever asks for one model does not see another one's broken file fail."""
    _plan(fake, fleet={"models": ["a"]}, refused={"b.yaml": "no"})
    assert len(daily.open_day(_run(), FakeTask()).xcom_value) == 2
    assert len(daily.open_day(_run(models=["a"]), FakeTask()).xcom_value) == 1


def test_the_decision_is_the_map_index(fake: FakeCycle, labels: list[str]) -> None:
    """What was decided is seen without opening a log."""
    _plan(fake, action={"a": "retrain"})
    task = FakeTask()
    assert daily.decide(_shard("a"), task) == ["a: retrain (none)"]
    assert labels[-1] == "a: retrain (none)"
    assert task.pushed[SAID_KEY] == [r"a: **retrain** (none): perplexity rose \*20 %\*"]


def test_the_report_leaves_the_address_and_gives_the_day_free(fake: FakeCycle) -> None:
    """The button leads to the run; the lease's owner is handed on."""
    task = FakeTask()
    task.xcom_push("return_value", ["a: keep (none)"])
    daily.report(_shard("a"), [], task)
    assert task.pushed[URL_KEY] == "http://127.0.0.1/a/2026-03-14/day"
    assert task.pushed[SAID_KEY] == ["[a in MLflow](http://127.0.0.1/a/2026-03-14/day)"]
    assert fake.calls() == [["report", "a", "2026-03-14", "airflow:d/r"]]


def test_a_day_without_a_decision_fails_and_is_reported(fake: FakeCycle) -> None:
    """What there is goes to MLflow; the run is red, and its note says so."""
    task = FakeTask()
    with pytest.raises(AirflowFailException, match="a: no decision"):
        daily.report(_shard("a"), None, task)
    assert task.pushed[SAID_KEY][0] == "a: **no decision**"
    assert fake.calls() == [["report", "a", "2026-03-14", "airflow:d/r"]]


def test_a_day_that_was_decided_and_not_acted_upon_is_red(fake: FakeCycle) -> None:
    """The decision is shown, and the task that failed is named as the place to look."""
    task = FakeTask()
    task.xcom_push("return_value", ["a: retrain (none)"])
    with pytest.raises(AirflowFailException, match="a: not acted upon"):
        daily.report(_shard("a"), None, task)
    assert fake.calls() == [["report", "a", "2026-03-14", "airflow:d/r"]]


def test_observing_and_evaluating_call_their_step(fake: FakeCycle) -> None:
    """One step, one model, one day."""
    daily.observe(_shard("a"))
    daily.evaluate(_shard("a"))
    steps = ["observe", "look_back", "evaluate"]
    assert fake.calls() == [[step, "a", "2026-03-14"] for step in steps]
