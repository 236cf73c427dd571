"""The DAG files: they parse, they are light, they say when and in what order, and no more."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from airflow.dag_processing.dagbag import DagBag

from upkeep.trigger_form import DagName, param_schema

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
NAMES = get_args(DagName)
HEAVY = {
    "boto3", "duckdb", "great_expectations", "matplotlib", "mlflow", "pandas", "scipy", "torch",
    "transformers", "upkeep.cycle",
}  # fmt: skip

DAILY = {
    "open_day": set(),
    "model_day.observe": {"open_day"},
    "model_day.evaluate": {"open_day", "model_day.observe"},
    "model_day.decide": {"open_day", "model_day.evaluate"},
    "allot": {"open_day", "model_day.decide"},
    "model_end.act": {"open_day", "allot"},
    "model_end.report": {"open_day", "model_end.act"},
}
CANDIDATE = {
    "open_candidates": set(),
    "candidate.job": {"open_candidates"},
    "candidate.gate": {"open_candidates", "candidate.job"},
    "candidate.approval": {"candidate.gate"},
    "candidate.promote": {"open_candidates", "candidate.approval"},
    "candidate.report": {"open_candidates", "candidate.promote"},
}
ORDER = {
    "daily_cycle": DAILY,
    "compress": CANDIDATE,
    "retrain": CANDIDATE,
    "rollback": {"roll_back": set()},
    "rate_outputs": {
        "open_ratings": set(),
        "rating.ask": {"open_ratings"},
        "rating.record": {"open_ratings", "rating.ask"},
    },
    "review": {
        "open_review": set(),
        "reviewed.inspect": {"open_review"},
        "reviewed.report": {"open_review", "reviewed.inspect"},
    },
    "replay": {
        "open_replay": set(),
        "decide_again": {"open_replay"},
        "tell": {"decide_again"},
    },
}


@pytest.fixture(scope="module")
def bag() -> DagBag:
    """Every DAG of the folder, parsed."""
    return DagBag(str(ROOT / "dags"), load_op_links=False)


def test_every_dag_parses(bag: DagBag) -> None:
    """There is no import error, and there is every DAG that has a trigger form."""
    assert bag.import_errors == {}
    assert set(bag.dags) == set(NAMES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_short_and_explains_itself(path: Path, bag: DagBag) -> None:
    """At most 100 lines; its docstring is its page in the UI; no function computes anything."""
    text = path.read_text()
    assert len(text.splitlines()) <= 100
    assert bag.dags[path.stem].doc_md == ast.get_docstring(ast.parse(text), clean=False)


def test_parsing_imports_nothing_heavy() -> None:
    """No DAG file pulls MLflow, Great Expectations, torch or the cycle itself into a parse."""
    code = (
        "import json, runpy, sys\n"
        "for path in sys.argv[2:]: runpy.run_path(path)\n"
        "heavy = json.loads(sys.argv[1])\n"
        "print('found:' + json.dumps([name for name in heavy if name in sys.modules]))"
    )
    command = [sys.executable, "-c", code, json.dumps(sorted(HEAVY)), *map(str, FILES)]
    path = [str(ROOT / "include"), str(ROOT / "plugins")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=_environment(path)
    )
    assert done.stdout.splitlines()[-1] == "found:[]"


def _environment(path: list[str]) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@pytest.mark.parametrize("name", NAMES)
def test_the_tasks_follow_each_other_as_drawn(name: str, bag: DagBag) -> None:
    """Each task waits for exactly the tasks that the page names before it."""
    found = {task.task_id: set(task.upstream_task_ids) for task in bag.dags[name].tasks}
    assert found == ORDER[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_form_is_the_one_description(name: Any, bag: DagBag) -> None:
    """Names, order, defaults, types, choices and help are those of ``upkeep.params``."""
    params = bag.dags[name].params
    described = param_schema(name)
    assert list(params) == list(described)
    for key, field in described.items():
        param = params.get_param(key)
        assert param.value == field["default"]
        assert param.schema["title"] == field["title"]
        assert param.description == field["help"]
        assert param.schema.get("enum") == field["enum"]
        kinds = param.schema["type"]
        assert ([kinds] if isinstance(kinds, str) else kinds) == field["type"]
    params.validate()


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_patient_and_ends(name: str, bag: DagBag) -> None:
    """Every task is tried again, and none but those that wait for a person are endless."""
    for task in bag.dags[name].tasks:
        assert task.retries == 2, task.task_id
        endless = task.task_id in ("candidate.approval", "rating.ask")
        assert (task.execution_timeout is None) == endless, task.task_id


def test_days_go_one_at_a_time_and_never_catch_up_by_themselves(bag: DagBag) -> None:
    """Every night, from a fixed first day, one run at a time, none longer than a day."""
    dag = bag.dags["daily_cycle"]
    assert dag.schedule == "@daily"
    assert dag.start_date == datetime(2026, 1, 1, tzinfo=UTC)
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.dagrun_timeout == timedelta(days=1)


def test_only_the_daily_cycle_and_the_review_have_a_schedule(bag: DagBag) -> None:
    """The others run by decision or by hand; a review comes every week, and never catches up."""
    dag = bag.dags["review"]
    assert (dag.schedule, dag.catchup, dag.max_active_runs) == ("@weekly", False, 1)
    others = set(NAMES) - {"daily_cycle", "review"}
    assert all(bag.dags[name].schedule is None for name in others)


def test_nothing_that_a_person_says_is_a_template(bag: DagBag) -> None:
    """No task's own arguments hold a template but the name of its map index."""
    for name in NAMES:
        for task in bag.dags[name].tasks:
            kwargs = getattr(task, "op_kwargs", {}) or {}
            assert not [value for value in kwargs.values() if isinstance(value, str)]
