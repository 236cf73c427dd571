"""The DAGs under the real scheduler, over a fake cycle: order, isolation, once, answers.

One Airflow (scheduler, DAG processor, triggerer, API server, LocalExecutor, SQLite) serves all
tests of this file; the steps are ``fakes.cycle``, so that no model and no MLflow run is made.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from fakes.replayed_store import renamed_days, told
from fakes.sixteen_days import DEFAULTS

from examples.stack import Stack, StackError
from upkeep import reviews
from upkeep.errors import CorruptRecord
from upkeep.records import Answers, Sample, canonical_json
from upkeep.replay_records import FleetReplay
from upkeep.samples import put_samples, samples_key
from upkeep.spec import Reviews
from upkeep.store import Store, get_record, open_store

pytestmark = pytest.mark.stack
SITE = Path(__file__).parents[1] / "fakes" / "site"
ENDS_WITHIN_S = 300.0
WAITING, READ_S = "awaiting_input", 4.0
POLL_S = 0.5
PUBLIC = {"/api/v2/version", "/api/v2/monitor/health", "/api/v2/auth/login", "/api/v2/auth/logout"}
FLEET = ["bad-model", "docs-assistant", "quiet-model"]
REPLAYED = "replayed-model"


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fake cycle; every test writes its own plan."""
    return tmp_path_factory.mktemp("fake")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, fake: Path) -> Iterator[Stack]:
    """A running stack whose tasks get the fake cycle."""
    (fake / "plan.json").write_bytes(canonical_json({"fleet": {"models": ["docs-assistant"]}}))
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]  # the home that other tests use
    os.environ |= {"UPKEEP_FAKE": str(fake), "PYTHONPATH": str(SITE)}
    made = Stack(tmp_path_factory.mktemp("stack"))
    try:
        made.start(lambda words: None)
        yield made
    finally:
        made.stop()
        os.environ.clear()
        os.environ |= before


@pytest.fixture
def plan(fake: Path) -> Callable[..., None]:
    """Write what the fake cycle decides, and forget what was called."""

    def write(**plan: Any) -> None:
        (fake / "plan.json").write_bytes(canonical_json({"fleet": {"models": FLEET}} | plan))
        (fake / "calls.jsonl").unlink(missing_ok=True)

    return write


def _calls(fake: Path, step: str) -> list[list[str]]:
    path = fake / "calls.jsonl"
    calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [call for call in calls if call[0] == step]


def _until(ready: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while not (found := ready()):
        assert time.monotonic() < deadline
        time.sleep(POLL_S)
    return found


def _backfill(stack: Stack, asked: dict[str, Any]) -> int | None:
    """Its id; None where SQLite was locked: Airflow answers 503 and takes the backfill back."""
    try:
        return int(stack.client().call("POST", "/api/v2/backfills", asked)["id"])
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
            return None
        raise


def _states(stack: Stack, dag_id: str, run_id: str) -> dict[tuple[str, int], str]:
    tasks = stack.client().tasks(dag_id, run_id)
    return {(task["task_id"].split(".")[-1], task["map_index"]): task["state"] for task in tasks}


def _waits(stack: Stack, run_id: str) -> bool:
    """Whether the question has been open for as long as a person needs to read it."""
    tasks = stack.client().tasks("retrain", run_id)
    asked = [t for t in tasks if t["task_id"].endswith("approval") and t["state"] == WAITING]
    return any(_age_s(task["start_date"]) > READ_S for task in asked)


def _age_s(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def _answered(stack: Stack, run_id: str, choice: str, comment: str) -> bool:
    """Answer as often as Airflow asks.

    An answer within the second in which the question is parked is lost: the scheduler takes
    the end of the question for a failure of the task that the answer has queued, and asks
    again after the retry's delay.
    """
    if _waits(stack, run_id):
        _answer(stack, run_id, choice, comment)
    return _states(stack, "retrain", run_id).get(("approval", 0)) == "success"


def _answer(stack: Stack, run_id: str, choice: str, comment: str) -> None:
    path = f"/api/v2/dags/retrain/dagRuns/{run_id}/taskInstances/candidate.approval/0/hitlDetails"
    body = {"chosen_options": [choice], "params_input": {"comment": comment}}
    stack.client().call("PATCH", path, body)


def _status_for_a_stranger(stack: Stack, path: str) -> int:
    try:
        stack.client().call("GET", path.replace("{", "").replace("}", ""), token=False)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def _labels(stack: Stack, dag_id: str, run_id: str, task_id: str) -> set[str]:
    tasks = stack.client().tasks(dag_id, run_id)
    return {t["rendered_map_index"] for t in tasks if t["task_id"].endswith(task_id)}


def test_the_schedule_makes_the_run_for_the_day_before(stack: Stack, fake: Path) -> None:
    """Nobody triggers it: unpaused, the DAG runs once, for yesterday."""
    runs = _until(lambda: stack.client().runs("daily_cycle"))
    assert [run["run_type"] for run in runs] == ["scheduled"]
    stack.wait("daily_cycle", runs[0]["dag_run_id"], ENDS_WITHIN_S)
    day_after = runs[0]["logical_date"][:10]
    [start] = _calls(fake, "start")
    assert start[2] < day_after


def test_one_bad_model_stops_no_other(stack: Stack, fake: Path, plan: Callable[..., None]) -> None:
    """It is red, and so is its run; the others are decided meanwhile, and their jobs follow."""
    plan(
        action={"docs-assistant": "retrain"},
        refused={"broken.yaml": "broken.yaml:3: unknown key"},
        hangs={"bad-model": "observe"},
    )
    note = "{{ 1 + 1 }}"
    stack.trigger("daily_cycle", {"day": "2026-03-05", "note": note}, "isolation")
    others = {"docs-assistant: retrain (none)", "quiet-model: keep (none)"}
    _until(lambda: others <= _labels(stack, "daily_cycle", "isolation", "decide"))
    assert _calls(fake, "allot") == []  # the budget is shared out once all models are decided
    (fake / "go").touch()
    with pytest.raises(StackError, match="bad-model"):
        stack.wait("daily_cycle", "isolation", ENDS_WITHIN_S)
    stack.wait("retrain", "docs-assistant--2026-03-05--retrain", ENDS_WITHIN_S)
    states = _states(stack, "daily_cycle", "isolation")
    assert [states["decide", n] for n in range(4)] == [
        "upstream_failed", "success", "success", "upstream_failed",
    ]  # fmt: skip
    assert others <= _labels(stack, "daily_cycle", "isolation", "decide")
    written = stack.client().run("daily_cycle", "isolation")["note"]
    assert "docs-assistant: **retrain**" in written
    assert "bad-model: **no decision**" in written


def test_the_budget_is_shared_out_once_all_are_decided(
    stack: Stack, fake: Path, plan: Callable[..., None]
) -> None:
    """One model cannot be decided: the others' wishes are answered together, in one task."""
    (fake / "go").unlink(missing_ok=True)
    plan(
        action=dict.fromkeys(FLEET, "compress"),
        hangs={"bad-model": "decide"},
        short={"quiet-model": "6.00 GPU-hours asked, 2.50 left"},
    )
    stack.trigger("daily_cycle", {"day": "2026-03-16"}, "shared")
    _until(lambda: len(_calls(fake, "decide")) == len(FLEET))
    assert _calls(fake, "allot") == []
    (fake / "go").touch()
    with pytest.raises(StackError, match="bad-model"):
        stack.wait("daily_cycle", "shared", ENDS_WITHIN_S)
    stack.wait("compress", "docs-assistant--2026-03-16--compress", ENDS_WITHIN_S)
    answered = {tuple(call[3:]) for call in _calls(fake, "allot")}
    assert answered == {("docs-assistant compress", "quiet-model compress")}
    assert _calls(fake, "run_job") == [
        ["run_job", "docs-assistant", "2026-03-16", "compress"]
    ]  # nothing of the refused model, nothing of the one without a decision
    states = _states(stack, "daily_cycle", "shared")
    assert states["allot", -1] == "success"
    assert [states["act", n] for n in range(3)] == ["success"] * 3
    assert [states["report", n] for n in range(3)] == ["failed", "success", "success"]
    written = stack.client().run("daily_cycle", "shared")["note"]
    assert "quiet-model: compress wished, refused: 6.00 GPU-hours asked, 2.50 left" in written


def test_a_second_run_of_a_day_starts_no_second_job(
    stack: Stack, fake: Path, plan: Callable[..., None]
) -> None:
    """The run that follows exists under its name, and is adopted."""
    plan(action={"docs-assistant": "compress"})
    conf = {"day": "2026-03-06", "models": ["docs-assistant"]}
    for run_id in ("first", "second"):
        stack.trigger("daily_cycle", conf, run_id)
        stack.wait("daily_cycle", run_id, ENDS_WITHIN_S)
    stack.wait("compress", "docs-assistant--2026-03-06--compress", ENDS_WITHIN_S)
    assert len(_calls(fake, "run_job")) == 1
    assert len(_calls(fake, "promote")) == 1


def test_a_day_that_somebody_else_works_on_is_skipped(
    stack: Stack, fake: Path, plan: Callable[..., None]
) -> None:
    """R6: attached to the one who does, with no step taken."""
    plan(held={"docs-assistant": "cli:host:1"})
    conf = {"day": "2026-03-07", "models": ["docs-assistant"]}
    stack.trigger("daily_cycle", conf, "attached")
    stack.wait("daily_cycle", "attached", ENDS_WITHIN_S)
    assert set(_states(stack, "daily_cycle", "attached").values()) == {"skipped"}
    assert "attached to cli:host:1" in stack.client().run("daily_cycle", "attached")["note"]
    assert _calls(fake, "observe") == []


def test_a_wrong_parameter_ends_the_run_without_a_step(
    stack: Stack, fake: Path, plan: Callable[..., None]
) -> None:
    """D4: Airflow's API takes the unknown key; the first task does not, and tries no more."""
    plan()
    stack.trigger("daily_cycle", {"modles": ["docs-assistant"]}, "wrong")
    with pytest.raises(StackError, match="did you mean models"):
        stack.wait("daily_cycle", "wrong", ENDS_WITHIN_S)
    assert _calls(fake, "start") == []


@pytest.mark.parametrize("choice", ["Approve", "Reject"])
def test_a_promotion_waits_for_a_person(
    stack: Stack, fake: Path, plan: Callable[..., None], choice: str
) -> None:
    """The answer, yes or no, reaches the promotion with its author and comment as text."""
    plan()
    run_id = f"asked-{choice}"
    conf = {"day": "2026-03-08", "models": ["docs-assistant"], "require_approval": True}
    stack.trigger("retrain", conf, run_id)
    _until(lambda: _waits(stack, run_id))
    assert _calls(fake, "promote") == []
    _until(lambda: _answered(stack, run_id, choice, "{{ 7 * 6 }}"))
    stack.wait("retrain", run_id, ENDS_WITHIN_S)
    [call] = _calls(fake, "promote")
    said = {"approved": choice == "Approve", "by": "admin", "note": "{{ 7 * 6 }}"}
    assert json.loads(call[4]) == said


def test_a_backfill_goes_day_by_day_and_starts_no_job(
    stack: Stack, fake: Path, plan: Callable[..., None]
) -> None:
    """Airflow starts all of its runs at once; our days wait for each other."""
    plan(fleet={"models": ["docs-assistant"]}, action={"docs-assistant": "retrain"})
    body = {"from_date": "2026-03-11T00:00:00Z", "to_date": "2026-03-13T00:00:00Z"}
    asked = {"dag_id": "daily_cycle", "max_active_runs": 3, **body}
    begun = _until(lambda: _backfill(stack, asked))
    path = f"/api/v2/backfills/{begun}"
    _until(lambda: stack.client().call("GET", path)["completed_at"])
    assert [call[2] for call in _calls(fake, "start")] == ["2026-03-10", "2026-03-11", "2026-03-12"]
    reported = [call[2] for call in _calls(fake, "report")]
    assert reported == ["2026-03-10", "2026-03-11", "2026-03-12"]
    assert _calls(fake, "run_job") == []


def test_the_button_leads_to_mlflow(stack: Stack, plan: Callable[..., None]) -> None:
    """On every task of a model's day."""
    plan()
    conf = {"day": "2026-03-14", "models": ["docs-assistant"]}
    stack.trigger("daily_cycle", conf, "linked")
    stack.wait("daily_cycle", "linked", ENDS_WITHIN_S)
    for task_id in ("model_day.observe", "model_day.decide", "model_end.report"):
        path = "/api/v2/dags/daily_cycle/dagRuns/linked/taskInstances"
        found = stack.client().call("GET", f"{path}/{task_id}/links?map_index=0")
        assert (
            found["extra_links"]["MLflow run"] == "http://127.0.0.1/docs-assistant/2026-03-14/day"
        )


def test_a_rollback_by_hand(stack: Stack, fake: Path, plan: Callable[..., None]) -> None:
    """One model, one version, one note, one call."""
    plan()
    conf = {"models": ["docs-assistant"], "to_version": "2", "note": "worse on {{ x }}"}
    stack.trigger("rollback", conf, "back")
    stack.wait("rollback", "back", ENDS_WITHIN_S)
    [call] = _calls(fake, "rollback")
    assert call[:4] == ["rollback", "docs-assistant", "2", "worse on {{ x }}"]


def _rated(stack: Stack, n: int) -> bool:
    """Answer the form of one output as often as Airflow asks; see ``_answered``."""
    tasks = stack.client().tasks("rate_outputs", "rated")
    ask = [t for t in tasks if t["task_id"] == "rating.ask" and t["map_index"] == n]
    if any(t["state"] == WAITING and _age_s(t["start_date"]) > READ_S for t in ask):
        path = f"/api/v2/dags/rate_outputs/dagRuns/rated/taskInstances/rating.ask/{n}/hitlDetails"
        asked = stack.client().call("GET", path)
        assert "{{ 7 * 6 }}" in asked["body"].replace("\\", "")
        values = {"coherence": 4 + n, "relevance": None}
        stack.client().call("PATCH", path, {"chosen_options": ["Save"], "params_input": values})
    return any(t["state"] == "success" for t in ask)


def test_a_person_rates_two_outputs(stack: Stack, fake: Path, plan: Callable[..., None]) -> None:
    """Each in a form of its own; what was filled in is in the store, under the user's name."""
    plan()
    day, store = date(2026, 3, 9), open_store(str(fake / "store"))
    samples = [Sample(id=n, slice="s", prompt="{{ 7 * 6 }}", completion=n) for n in ("a", "b")]
    put_samples(store, samples_key("docs-assistant", day), samples)
    reviews.offer(store, "docs-assistant", day, Reviews(criteria=("coherence", "relevance")))
    conf = {"day": day.isoformat(), "models": ["docs-assistant"], "how_many": 2}
    stack.trigger("rate_outputs", conf, "rated")
    for n in range(2):
        _until(lambda n=n: _rated(stack, n))
    stack.wait("rate_outputs", "rated", ENDS_WITHIN_S)
    keys = store.list(f"docs-assistant/{day}/r1/ratings")
    answers = [get_record(store, key, Answers) for key in keys]
    ratings = sorted(
        (r.sample_id, r.criterion, r.value, r.rater) for a in answers if a for r in a.ratings
    )
    assert ratings == [("a", "coherence", 4, "admin"), ("b", "coherence", 5, "admin")]


def test_a_what_if_is_answered_and_left_in_the_store(
    stack: Stack, fake: Path, plan: Callable[..., None]
) -> None:
    """A policy that only looks: its flip is in the note, and what it comes to in the records.

    A second trigger of the same question adopts them. The days are in the real store.
    """
    plan()
    store = open_store(str(fake / "store"))
    renamed_days(store, told().days, REPLAYED)
    rule = "{cause: traffic_mix,     action: retrain}"
    looks = DEFAULTS.read_text().replace(rule, "{cause: traffic_mix, action: investigate}")
    conf = {"models": [REPLAYED], "from_day": "2026-03-14", "policy": looks}
    for run_id in ("what-if", "again"):
        stack.trigger("replay", conf, run_id)
        stack.wait("replay", run_id, ENDS_WITHIN_S)
        assert set(_states(stack, "replay", run_id).values()) == {"success"}
        note = stack.client().run("replay", run_id)["note"].replace("\\", "")
        assert "1 decision flipped" in note
        assert "2026-03-17: retrain → investigate" in note
        kept = store.list("replays/")
        assert len(kept) == 3  # the model's survey, its answer, the fleet's
    [sum_] = [found for key in kept if (found := _fleet_replay(store, key)) is not None]
    assert ([m.model for m in sum_.models], sum_.what_if, sum_.failed) == ([REPLAYED], True, False)
    [jobs] = [e for e in sum_.estimates if e.quantity == "jobs"]
    assert (jobs.stored, jobs.other) == (2.0, 1.0)


def _fleet_replay(store: Store, key: str) -> FleetReplay | None:
    try:
        return get_record(store, key, FleetReplay)
    except CorruptRecord:  # another record
        return None


def test_nobody_gets_in_without_a_token(stack: Stack) -> None:
    """Every path of Airflow's API but the public ones answers 401 to a stranger."""
    described = stack.client().call("GET", "/openapi.json", token=False)["paths"]
    paths = [path for path, ways in described.items() if "get" in ways and path not in PUBLIC]
    assert len(paths) > 50
    statuses = {path: _status_for_a_stranger(stack, path) for path in paths}
    assert {path: status for path, status in statuses.items() if status != 401} == {}
