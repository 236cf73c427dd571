"""What the scheduler imports for its tasks."""

from __future__ import annotations

import sys

import pytest

from upkeep_airflow.preload import SCHEDULER, Preload, preload


class Job:
    """As Airflow's job: its type is not known yet when it starts."""


class TaskRunnerMarker:
    """What a task says it is."""


def test_the_scheduler_imports_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its forks find it there."""
    monkeypatch.setenv("UPKEEP_PRELOAD", "this_is_not_there, colorsys")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    monkeypatch.setitem(sys.modules, SCHEDULER, sys)
    Preload().on_starting(Job())
    assert "colorsys" in sys.modules


@pytest.mark.parametrize(("component", "scheduler"), [(Job(), False), (TaskRunnerMarker(), True)])
def test_nobody_else_pays_for_it(
    monkeypatch: pytest.MonkeyPatch, component: object, *, scheduler: bool
) -> None:
    """The triggerer and the DAG processor import nothing; a task, the scheduler's fork, neither."""
    monkeypatch.delitem(sys.modules, SCHEDULER, raising=False)
    if scheduler:
        monkeypatch.setitem(sys.modules, SCHEDULER, sys)
    monkeypatch.setenv("UPKEEP_PRELOAD", "colorsys")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    Preload().on_starting(component)
    assert "colorsys" not in sys.modules


def test_a_module_that_is_not_there_stops_nothing() -> None:
    """The scheduler starts; the task that needs the module says so itself."""
    assert preload(["this_is_not_there", "", "colorsys"]) == ["colorsys"]
