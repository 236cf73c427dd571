"""MLflow shows what the store holds: once, whole, and again after anything that went wrong."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakes.mlflow_server import free_port, shared_server
from fakes.recorded_days import record_day
from fakes.searched_days import record_search
from fakes.sixteen_days import Story, tell

from upkeep import faults, tracking_client, tracking_experiment
from upkeep.errors import ParamError, TrackingError
from upkeep.projection import HEADLINE, day_start_ms
from upkeep.records import Folder, Override
from upkeep.report import present
from upkeep.sealed import seal
from upkeep.store import Store, open_store
from upkeep.store_files import scan_folder
from upkeep.tracking import Tracker, first_day
from upkeep.tracking_client import Mlflow, Refused

pytestmark = pytest.mark.stack

QUALITY = (
    "perplexity",
    "perplexity_low",
    "perplexity_high",
    "perplexity_baseline",
    "bleu",
    "rouge_l",
)
NUMBERS = (*HEADLINE, *QUALITY)
QUIET_DAY, HOLD_DAY, RETRAIN_DAY = 7, 12, 13
POINTS = (
    "tracking.run.created",
    "tracking.run.batch",
    "tracking.run.files",
    "tracking.before_marker",
)


@pytest.fixture(scope="module")
def story() -> Story:
    """Sixteen decided days."""
    return tell(seed=3)


@dataclass
class World:
    """One model with its own store and experiment on the shared server."""

    store: Store
    model: str
    uri: str
    artifacts: Path
    story: Story

    def record(self, number: int, *, promoted: bool = True) -> date:
        """Put a day of the story into the store."""
        judged = self.story.days[number]
        return record_day(self.store, judged, promoted=promoted, model=self.model)

    def tracker(self, uri: str | None = None) -> Tracker:
        """The one under test."""
        return Tracker(uri or self.uri, present)

    def project(self, day: date, *, force: bool = False) -> str:
        """Project a day."""
        return self.tracker().project_day(self.store, self.model, day, force=force)

    def client(self) -> Any:
        """MLflow's own client, to look."""
        return tracking_client._client(self.uri)

    def experiment(self) -> Any:
        """The model's experiment, or None."""
        return self.client().get_experiment_by_name(f"upkeep/{self.model}")

    def runs(self) -> dict[str, Any]:
        """All runs that are not deleted, by key; a key that stands twice fails."""
        found = self.client().search_runs([self.experiment().experiment_id])
        keys = [run.data.tags["upkeep.key"] for run in found]
        assert len(keys) == len(set(keys)), keys
        return dict(zip(keys, found, strict=True))

    def shown(self) -> dict[str, Any]:
        """Everything that MLflow shows of the model, without ids."""
        runs = self.runs()
        names = {run.info.run_id: key for key, run in runs.items()}
        return {key: self._shown(run, names) for key, run in runs.items()}

    def _shown(self, run: Any, names: dict[str, str]) -> dict[str, Any]:
        client, run_id = self.client(), run.info.run_id
        tags = dict(run.data.tags)
        if "mlflow.parentRunId" in tags:
            tags["mlflow.parentRunId"] = names[tags["mlflow.parentRunId"]]
        return {
            "name": run.info.run_name,
            "status": run.info.status,
            "times": (run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": tags,
            "points": {
                name: sorted(
                    (m.value, m.timestamp, m.step) for m in client.get_metric_history(run_id, name)
                )
                for name in run.data.metrics
            },
            "files": self.files(run_id),
        }

    def files(self, run_id: str) -> dict[str, bytes]:
        """The artifacts as they lie on the server's disk."""
        top = self.artifacts / self.experiment().experiment_id / run_id / "artifacts"
        found = (path for path in sorted(top.rglob("*")) if path.is_file())
        return {path.relative_to(top).as_posix(): path.read_bytes() for path in found}


def new_world(folder: Path, story: Story) -> World:
    """A model that no other test has."""
    server = shared_server()
    store = open_store(str(folder / "store"))
    return World(store, f"m-{uuid4().hex[:12]}", server.uri, server.folder / "artifacts", story)


@pytest.fixture
def world(tmp_path: Path, story: Story) -> World:
    """A model of the test's own."""
    return new_world(tmp_path, story)


def seen(world: World) -> str:
    """What MLflow shows, as text that is the same for every model's name."""
    shown = json.dumps(world.shown(), sort_keys=True, default=bytes.decode, indent=1)
    text = shown.replace(world.model, "MODEL")
    return re.sub(r"[0-9a-f]{64}", "<sha256>", text)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, story: Story) -> str:
    """What an undisturbed projection of the day that was retrained shows."""
    world = new_world(tmp_path_factory.mktemp("undisturbed"), story)
    world.project(world.record(RETRAIN_DAY))
    return seen(world)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Die at the marked point of this name."""

    def point(reached: str) -> None:
        if reached == name:
            raise Killed(name)

    monkeypatch.setattr(faults, "point", point)


def test_a_day_becomes_one_run_with_decision_numbers_note_and_files(world: World) -> None:
    """A reviewer finds the action, the cause, the headline numbers, the reasons and the page."""
    day = world.record(RETRAIN_DAY)
    run_id = world.project(day)
    run = world.runs()[f"{world.model}/{day}/r1"]
    assert run.info.run_id == run_id
    assert (run.info.run_name, run.info.status) == (day.isoformat(), "FINISHED")
    assert run.data.params["action"] == "retrain"
    assert run.data.params["asked.action"] == "auto"
    assert run.data.tags["upkeep.action"] == "retrain"
    assert run.data.tags["upkeep.cause"] == "traffic_mix"
    assert run.data.tags["upkeep.champion"] == "1"
    assert set(run.data.metrics) == set(NUMBERS)
    assert "Perplexity 9.40 against 5.26" in run.data.tags["mlflow.note.content"]
    files = world.files(run_id)
    expected = {"records/decision.json", "report.html", "plots/perplexity.svg"}
    assert expected | {"great-expectations.json"} <= set(files)
    stored = world.store.get(f"{world.model}/{day}/r1/decision.json")
    assert files["records/decision.json"] == stored


def test_the_trials_of_a_search_are_runs_below_its_compression(world: World) -> None:
    """Each once, however often the day is projected, and the plot is the compression's artifact."""
    number = next(n for n, d in world.story.days.items() if d.decision.action == "compress")
    day = world.record(number)
    record_search(world.store, world.model, day)
    world.project(day)
    world.project(day, force=True)
    runs = world.runs()
    parent = runs[f"{world.model}/{day}/compress"].info.run_id
    trials = [run for key, run in runs.items() if "/trial-" in key]
    assert len(trials) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent}
    assert sorted(run.info.status for run in trials) == ["FAILED", *["FINISHED"] * 3]
    assert "plots/pareto.svg" in world.files(parent)


def test_the_action_filters_runs(world: World) -> None:
    """The documented search finds exactly the day that was retrained."""
    for number in (QUIET_DAY, HOLD_DAY, RETRAIN_DAY):
        world.project(world.record(number))
    found = world.client().search_runs(
        [world.experiment().experiment_id], "tags.upkeep.action = 'retrain'"
    )
    assert [run.info.run_name for run in found] == ["2026-03-17"]


def test_metric_time_is_the_days_start_and_a_retry_adds_no_second_point(world: World) -> None:
    """Projected three times, each metric has one point, at midnight UTC of the day."""
    day = world.record(QUIET_DAY)
    ids = {world.project(day), world.project(day), world.project(day, force=True)}
    assert len(ids) == 1
    shown = world.shown()
    points = shown[f"{world.model}/{day}/r1"]["points"]
    assert {name: [(t, s) for _, t, s in p] for name, p in points.items()} == {
        name: [(day_start_ms(day), 0)] for name in NUMBERS
    }
    timeline = shown[f"{world.model}/timeline"]["points"]
    assert all(len(p) == 1 for p in timeline.values())


def test_a_day_that_is_up_to_date_costs_no_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker in the store answers: MLflow is not even connected."""
    day = world.record(QUIET_DAY)
    run_id = world.project(day)
    monkeypatch.setattr(tracking_client, "_client", lambda uri: pytest.fail("was connected"))
    assert world.project(day) == run_id


def test_neither_tracking_nor_an_up_to_date_day_imports_mlflow(world: World) -> None:
    """An Airflow task that has nothing to do does not pay two seconds for imports."""
    day = world.record(QUIET_DAY)
    world.project(day)
    code = (
        "import sys\n"
        "from datetime import date\n"
        "from upkeep.report import present\n"
        "from upkeep.store import open_store\n"
        "from upkeep.tracking import Tracker\n"
        "root, uri, model, day = sys.argv[1:]\n"
        "day = date.fromisoformat(day)\n"
        "Tracker(uri, present).project_day(open_store(root), model, day)\n"
        "assert not {'mlflow', 'pandas', 'matplotlib'} & set(sys.modules)\n"
    )
    argv = [world.store.root, world.uri, world.model, day.isoformat()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_record_that_comes_later_is_added_to_the_same_run(world: World) -> None:
    """A job's outcome reaches the day's run, and only what changed is sent."""
    day = world.record(RETRAIN_DAY, promoted=False)
    first = world.project(day)
    assert world.runs()[f"{world.model}/{day}/r1"].data.tags["upkeep.outcome"] == (
        "retrain refused by the gate"
    )
    order = Override(model=world.model, day=day, action="keep", note="x" * 2000, by="mara")
    world.store.put_if_absent(f"{world.model}/{day}/r1/override.json", seal(order))
    assert world.project(day) == first
    run = world.runs()[f"{world.model}/{day}/r1"]
    assert (run.data.params["action"], run.data.tags["upkeep.action"]) == ("retrain", "keep")


def test_a_job_is_a_nested_run_with_its_gate_as_a_table(world: World) -> None:
    """Method, parent version, measurements, verdict and the version that was registered."""
    day = world.record(RETRAIN_DAY)
    parent = world.project(day)
    job = world.runs()[f"{world.model}/{day}/retrain"]
    assert job.data.tags["mlflow.parentRunId"] == parent
    assert job.data.params["method"] == "full"
    assert job.data.params["parent_version"] == "1"
    assert job.data.tags["upkeep.gate"] == "passed"
    assert job.data.tags["upkeep.version"] == "2"
    assert job.data.metrics["gate/perplexity"] == pytest.approx(-0.358)
    world.project(day, force=True)
    curve = world.client().get_metric_history(job.info.run_id, "loss_train")
    assert [(point.step, point.value) for point in curve] == [(50, 3.5), (100, 3.25)]
    files = world.files(job.info.run_id)
    assert "records/gate.json" in files
    table = json.loads(files["gate.json"])
    assert [row[:2] for row in table["data"]] == [["perplexity", True], ["latency_ms", True]]


def test_a_version_belongs_to_the_run_of_its_job(world: World, tmp_path: Path) -> None:
    """Registered before the day is projected: the files lie in the job's nested run."""
    day = world.record(RETRAIN_DAY)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    folder = Folder(prefix="p", files=scan_folder(tmp_path / "model"))
    key = f"{world.model}/{day}/retrain"
    assert world.tracker().register(world.model, tmp_path / "model", folder, {}, key) == "1"
    made = world.runs()[key].info.run_id
    parent = world.project(day)
    job = world.runs()[key]
    assert (job.info.run_id, job.data.tags["mlflow.parentRunId"]) == (made, parent)
    assert {"model/config.json", "gate.json"} <= set(world.files(made))


def test_the_timeline_has_one_step_a_day(world: World) -> None:
    """Days in any order, some twice: the steps are the days since the first, each once."""
    days = [world.record(number) for number in (16, QUIET_DAY, HOLD_DAY, RETRAIN_DAY)]
    for day in days:
        world.project(day)
    world.project(days[0], force=True)
    timeline = world.runs()[f"{world.model}/timeline"].info.run_id

    def steps(metric: str) -> list[int]:
        return sorted(m.step for m in world.client().get_metric_history(timeline, metric))

    assert steps("requests") == [1, 6, 7, 10]
    assert steps("perplexity") == [1, 7, 10]


def test_step_one_is_decided_once(world: World) -> None:
    """A backfill of an earlier day gets a step below 1 and moves no other."""
    day = world.record(QUIET_DAY)
    assert first_day(world.store, world.model, day) == day
    world.record(2)
    assert first_day(world.store, world.model, date(2026, 3, 6)) == day


def test_two_at_once_end_with_one_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find nothing, both make a run: both return the same one, and it is complete."""
    day = world.record(QUIET_DAY)
    world.client()
    both, real, once = threading.Barrier(2), Mlflow.call, threading.local()

    def call(self: Mlflow, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "create_run" and not getattr(once, "waited", False):
            once.waited = True
            both.wait(120)
        return real(self, method, *args, **kwargs)

    monkeypatch.setattr(Mlflow, "call", call)
    with ThreadPoolExecutor(2) as pool:
        told = [pool.submit(world.project, day, force=True) for _ in range(2)]
        ids = [one.result(180) for one in told]
    monkeypatch.undo()
    run = world.runs()[f"{world.model}/{day}/r1"]
    assert ids == [run.info.run_id] * 2
    assert set(run.data.metrics) == set(NUMBERS)
    assert {"report.html", "records/decision.json"} <= set(world.files(ids[0]))


def test_a_second_run_that_somebody_else_closes_too_is_closed_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow refuses the later of two inserts of one tag: the next try finds the tag there."""
    day = world.record(QUIET_DAY)
    first = world.project(day)
    run = world.client().get_run(first)
    world.client().create_run(run.info.experiment_id, tags=run.data.tags)
    real, refused = Mlflow.call, []

    def call(self: Mlflow, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "set_tag" and args[1] == "upkeep.superseded_by" and not refused:
            refused.append(args[0])
            raise Refused("UNIQUE constraint failed: tags.key", "BAD_REQUEST")
        return real(self, method, *args, **kwargs)

    monkeypatch.setattr(Mlflow, "call", call)
    assert world.project(day, force=True) == first
    assert len(refused) == 1
    monkeypatch.undo()
    assert world.client().get_run(refused[0]).info.lifecycle_stage == "deleted"


@pytest.mark.parametrize("other_wrote", [True, False])
def test_a_batch_that_lost_a_race_is_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch, *, other_wrote: bool
) -> None:
    """The database refuses one of two equal batches as a whole; a refusal by itself stays one."""
    day = world.record(QUIET_DAY)
    world.client()
    real, refused = Mlflow.call, list[str]()

    def call(self: Mlflow, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "log_batch" and not refused:
            refused.append(method)
            if other_wrote:  # the params only: its tags and metrics are still to come
                real(self, method, *args, **{**kwargs, "metrics": [], "tags": []})
            raise Refused("UNIQUE constraint failed: params.key, params.run_uuid", "BAD_REQUEST")
        return real(self, method, *args, **kwargs)

    monkeypatch.setattr(Mlflow, "call", call)
    if not other_wrote:
        with pytest.raises(Refused, match="UNIQUE"):
            world.project(day, force=True)
        return
    world.project(day, force=True)
    run = world.runs()[f"{world.model}/{day}/r1"]
    assert set(run.data.metrics) == set(NUMBERS)
    assert run.data.params["action"] == "keep"


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_the_next_try_ends_with_the_same(
    world: World,
    point: str,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: str,
) -> None:
    """Wherever a projection dies, the next one shows what an undisturbed one shows."""
    day = world.record(RETRAIN_DAY)
    killed_at(monkeypatch, point)
    with pytest.raises(Killed):
        world.project(day)
    monkeypatch.undo()
    world.project(day)
    assert seen(world) == undisturbed


def test_kill_9_right_after_a_run_is_made_cannot_leave_two(world: World) -> None:
    """The key is set in the call that makes the run: the next process finds it."""
    day = world.record(QUIET_DAY)
    code = (
        "import sys\n"
        "from datetime import date\n"
        "from upkeep.report import present\n"
        "from upkeep.store import open_store\n"
        "from upkeep.tracking import Tracker\n"
        "root, uri, model, day = sys.argv[1:]\n"
        "day = date.fromisoformat(day)\n"
        "Tracker(uri, present).project_day(open_store(root), model, day)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["UPKEEP_CRASH_AT"] = "tracking.run.created"
    argv = [world.store.root, world.uri, world.model, day.isoformat()]
    done = subprocess.run([sys.executable, "-c", code, *argv], env=environment, check=False)
    assert done.returncode == 137
    left = world.runs()
    assert list(left) == [f"{world.model}/{day}/r1"]
    assert world.project(day) == left[f"{world.model}/{day}/r1"].info.run_id


def test_a_server_that_fails_at_any_call_loses_nothing(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: str,
) -> None:
    """Each try fails one call later than the one before; the last one shows everything once."""
    day = world.record(RETRAIN_DAY)
    real, failures = Mlflow.call, 0
    left = 0

    def call(self: Mlflow, method: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise TrackingError("planted")
        return real(self, method, *args, **kwargs)

    monkeypatch.setattr(Mlflow, "call", call)
    for allowed in range(0, 60, 2):
        left = allowed
        try:
            world.project(day)
        except TrackingError:
            failures += 1
            continue
        break
    monkeypatch.undo()
    assert failures > 5
    assert seen(world) == undisturbed


def test_a_lost_answer_makes_no_second_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client repeats a POST whose answer was lost: the run is made twice, one stays."""
    day = world.record(QUIET_DAY)
    real = Mlflow.call

    def twice(self: Mlflow, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "create_run":
            real(self, method, *args, **kwargs)
        return real(self, method, *args, **kwargs)

    monkeypatch.setattr(Mlflow, "call", twice)
    world.project(day)
    monkeypatch.undo()
    assert sorted(world.runs()) == [f"{world.model}/{day}/r1", f"{world.model}/timeline"]
    deleted = world.client().search_runs([world.experiment().experiment_id], run_view_type=2)
    assert {run.info.status for run in deleted} == {"KILLED"}
    assert all("upkeep.superseded_by" in run.data.tags for run in deleted)


def test_a_server_that_is_down_is_a_tracking_error_and_nothing_is_lost(
    world: World, undisturbed: str
) -> None:
    """The store keeps the day; when MLflow is back, everything is shown."""
    day = world.record(RETRAIN_DAY)
    with pytest.raises(TrackingError, match="MLflow at http"):
        world.tracker(f"http://127.0.0.1:{free_port()}").project_day(world.store, world.model, day)
    world.project(day)
    assert seen(world) == undisturbed


@pytest.mark.timeout(60)
def test_a_server_that_never_answers_is_a_tracking_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listening socket that says nothing does not hold the day for ever."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    day = world.record(QUIET_DAY)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TrackingError):
            world.tracker(uri).project_day(world.store, world.model, day)


def test_a_spent_budget_is_a_tracking_error(world: World) -> None:
    """A server that answers, but slowly, cannot hold the day longer than the budget."""
    day = world.record(QUIET_DAY)
    with pytest.raises(TrackingError, match="too slow"):
        Tracker(world.uri, present, budget_s=-1.0).project_day(world.store, world.model, day)


def test_what_was_deleted_in_mlflow_is_rebuilt_from_the_store_alone(world: World) -> None:
    """After all runs are deleted, sync shows the same: params, tags, points, files, times."""
    day = world.record(RETRAIN_DAY)
    world.project(day)
    before = world.shown()
    for run in world.runs().values():
        world.client().delete_run(run.info.run_id)
    world.project(day, force=True)
    assert world.shown() == before


def test_a_deleted_run_is_made_whole_when_its_day_changes(world: World) -> None:
    """What was sent to the run that is gone does not count for the one in its place."""
    day = world.record(QUIET_DAY)
    gone = world.project(day)
    before = set(world.files(gone))
    world.client().delete_run(gone)
    order = Override(model=world.model, day=day, action="keep", note="why", by="mara")
    world.store.put_if_absent(f"{world.model}/{day}/r1/override.json", seal(order))
    assert set(world.files(world.project(day))) == before | {"records/override.json"}


def test_texts_of_users_are_never_sent(world: World) -> None:
    """Prompts lie beside the records, and no param, tag, note or file has them."""
    day = world.record(RETRAIN_DAY)
    secret = b"my name is Ada and my card is 4111-2222-3333"  # no hash has it by chance
    world.store.put_if_absent(f"{world.model}/{day}/r1/samples.jsonl", secret)
    world.store.put_if_absent(f"{world.model}/{day}/r1/jobs/evaluate/evaluation.jsonl", secret)
    world.project(day)
    assert b"4111-2222" not in repr(world.shown()).encode()


def test_the_experiment_links_to_a_view_with_the_action(world: World) -> None:
    """The experiment's description leads to the list of days with the action as a column."""
    world.project(world.record(QUIET_DAY))
    tags = world.experiment().tags
    assert "viewStateShareKey=days" in tags["mlflow.note.content"]
    view = json.loads(tags["mlflow.sharedViewState.days"])
    assert view["selectedColumns"][0] == "tags.`upkeep.action`"


def test_a_deleted_experiment_says_how_to_bring_it_back(world: World) -> None:
    """Somebody's deletion is not undone silently, and not hidden."""
    day = world.record(QUIET_DAY)
    world.project(day)
    world.client().delete_experiment(world.experiment().experiment_id)
    with pytest.raises(TrackingError, match="mlflow experiments restore"):
        world.project(day, force=True)


def test_a_day_that_the_store_does_not_know_is_refused(world: World) -> None:
    """Nothing is made in MLflow for a day without records."""
    with pytest.raises(ParamError, match="nothing is recorded"):
        world.project(date(2026, 1, 1))
    assert world.experiment() is None


@pytest.mark.parametrize("is_rated", [True, False])
def test_the_queue_is_linked_where_people_are_asked(is_rated: bool) -> None:  # noqa: FBT001
    """From the experiment's description, which stands above every page of it."""
    note = tracking_experiment._tags("7", "talker", "t", is_rated=is_rated)["mlflow.note.content"]
    assert ("[Outputs to rate](#/experiments/7/review-queue" in note) is is_rated
