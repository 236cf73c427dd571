"""The local engine: one job a key, whatever is killed when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psutil
import pytest

from upkeep.engines import JobHandle, Site, engine_for
from upkeep.engines.local import LocalEngine, worker_environment
from upkeep.errors import EngineError, ParamError
from upkeep.records import Folder, JobSpec, ModelInput, Resources
from upkeep.spec import Jobs
from upkeep.store import open_store

FAKE_WORKER = Path(__file__).parents[1] / "fakes" / "worker.py"
COMMAND = [sys.executable, str(FAKE_WORKER), "job.json"]
KEY = "docs-assistant/2026-03-05/compress"


def job(key: str = KEY, timeout_s: int = 60, **params: object) -> JobSpec:
    """A job for the fake worker."""
    return JobSpec(
        key=key,
        kind="compress",
        model="docs-assistant",
        day=date(2026, 3, 5),
        method="fake",
        source=ModelInput(version="1", format="onnx", folder=Folder(prefix="m", files=())),
        params=params,
        resources=Resources.model_construct(cpus=1, timeout_s=timeout_s),
        store_root="/nowhere",
        output_prefix="m/out",
    )


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    """An engine whose worker is the fake."""
    return LocalEngine(tmp_path, COMMAND, grace_s=0.5)


def until(condition: Callable[[], object], ceiling_s: float = 20.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + ceiling_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def ended(engine: LocalEngine, handle: JobHandle) -> str:
    """The status in which the job ends."""
    until(lambda: engine.status(handle) not in {"queued", "running"})
    return engine.status(handle)


def starts(root: Path, key: str = KEY) -> int:
    """How many real starts the job's own history tells of."""
    folders = list(root.glob(f"{key.replace('/', '--')}-*"))
    files = [f / "effects.jsonl" for f in folders if (f / "effects.jsonl").exists()]
    return sum(len(f.read_text().splitlines()) for f in files)


def held(engine: LocalEngine, tmp_path: Path, part: str = "wait") -> tuple[JobHandle, Path]:
    """A job that runs until a file is made."""
    gate = tmp_path / "gate"
    handle = engine.submit(job(fake=part, until=str(gate)))
    until((Path(handle.place) / "waiting.txt").exists)
    return handle, gate


def test_a_job_runs_to_success_and_its_log_can_be_read_from_any_byte(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """A job runs once, succeeds, and what it printed is there."""
    handle = engine.submit(job())
    assert ended(engine, handle) == "succeeded"
    assert engine.logs(handle).text == "fake worker: succeed\n"
    assert engine.logs(handle, since=5).text == "worker: succeed\n"
    assert starts(tmp_path) == 1


@pytest.mark.parametrize(("part", "code"), [("crash", 1), ("bad_input", 2)])
def test_a_job_that_fails_says_with_which_code(engine: LocalEngine, part: str, code: int) -> None:
    """A failing worker makes a failed job whose log names the exit code."""
    handle = engine.submit(job(fake=part))
    assert ended(engine, handle) == "failed"
    assert f"failed with exit code {code}" in engine.logs(handle).text


def test_a_worker_that_cannot_be_started_is_a_failed_job(tmp_path: Path) -> None:
    """A missing interpreter is named in the log."""
    engine = LocalEngine(tmp_path, ["/no/such/python", "job.json"])
    handle = engine.submit(job())
    assert ended(engine, handle) == "failed"
    assert "/no/such/python: cannot be started" in engine.logs(handle).text


def test_submitting_again_adopts_a_running_and_then_the_succeeded_job(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """The same key gives the same attempt, even when one more is asked for."""
    first, gate = held(engine, tmp_path)
    spec = job(fake="wait", until=str(gate))
    assert engine.submit(spec) == first
    assert engine.submit(spec, attempt=2) == first
    gate.touch()
    assert ended(engine, first) == "succeeded"
    assert engine.submit(spec) == first
    assert engine.submit(spec, attempt=2) == first
    assert starts(tmp_path) == 1


def test_a_failed_job_is_started_again_only_when_asked(engine: LocalEngine, tmp_path: Path) -> None:
    """Submitting adopts the failure; attempt 2 starts it once, however often it is asked."""
    spec = job(fake="crash")
    first = engine.submit(spec)
    assert ended(engine, first) == "failed"
    assert engine.submit(spec) == first
    second = engine.submit(spec, attempt=2)
    assert (second.attempt, engine.submit(spec, attempt=2)) == (2, second)
    assert ended(engine, second) == "failed"
    assert engine.submit(spec, attempt=1) == second
    assert (engine.find(KEY), starts(tmp_path)) == (second, 2)


def test_an_attempt_cannot_be_skipped(engine: LocalEngine, tmp_path: Path) -> None:
    """Attempt 3 without an attempt 2 is refused and starts nothing."""
    with pytest.raises(EngineError, match="attempt 3 was asked for after attempt 0"):
        engine.submit(job(), attempt=3)
    assert starts(tmp_path) == 0


def test_another_job_under_the_same_key_is_refused(engine: LocalEngine, tmp_path: Path) -> None:
    """A key stands for one job: other settings need another key."""
    ended(engine, engine.submit(job()))
    with pytest.raises(EngineError, match="another job was submitted under this key"):
        engine.submit(job(fake="crash"))
    assert starts(tmp_path) == 1


def test_a_job_is_found_by_its_key_alone(engine: LocalEngine, tmp_path: Path) -> None:
    """Another engine object over the same folder finds the job; unknown keys give nothing."""
    handle, gate = held(engine, tmp_path)
    other = LocalEngine(tmp_path, COMMAND)
    assert other.find(KEY) == handle
    assert other.status(handle) == "running"
    assert other.find("docs-assistant/2026-03-05/retrain") is None
    gate.touch()
    assert ended(other, handle) == "succeeded"


def test_keys_that_look_alike_as_folders_are_different_jobs(engine: LocalEngine) -> None:
    """Slashes and double hyphens do not collide."""
    one, two = engine.submit(job("a/b/c")), engine.submit(job("a--b/c"))
    assert one.place != two.place
    assert {ended(engine, one), ended(engine, two)} == {"succeeded"}


SUBMIT = """
import sys
from pathlib import Path
from upkeep.engines.local import LocalEngine
from upkeep.records import JobSpec
spec = JobSpec.model_construct(**JobSpec.parse(Path(sys.argv[2]).read_bytes()).__dict__)
handle = LocalEngine(Path(sys.argv[1]), sys.argv[3:]).submit(spec)
print(handle.place, flush=True)
"""


def submit_elsewhere(
    root: Path, spec: JobSpec, crash_at: str = "", *, stay: bool = False
) -> subprocess.Popen[str]:
    """Submit from another process, that may be killed at a marked point, or stays."""
    file = root / "spec.json"
    file.write_bytes(spec.canonical_bytes())
    return subprocess.Popen(
        [sys.executable, "-c", SUBMIT + "sys.stdin.read()" * stay, str(root), str(file), *COMMAND],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "UPKEEP_CRASH_AT": crash_at},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    "point", ["engine.before_intent", "engine.after_intent", "engine.after_spawn"]
)
def test_killed_anywhere_while_submitting_and_run_again_one_job_has_started(
    engine: LocalEngine, tmp_path: Path, point: str
) -> None:
    """Killed (-9) at each point, then submitted again: one line in effects.jsonl."""
    killed = submit_elsewhere(tmp_path, job(), crash_at=point)
    assert killed.wait(60) == 137
    handle = engine.submit(job())
    assert ended(engine, handle) == "succeeded"
    assert (handle.attempt, starts(tmp_path)) == (1, 1)


def test_a_job_survives_the_death_of_its_submitter(engine: LocalEngine, tmp_path: Path) -> None:
    """The submitter's whole process group is killed; the job goes on and is adopted."""
    gate = tmp_path / "gate"
    spec = job(fake="wait", until=str(gate))
    submitter = submit_elsewhere(tmp_path, spec, stay=True)
    assert submitter.stdout is not None
    place = Path(submitter.stdout.readline().strip())
    until((place / "waiting.txt").exists)
    os.killpg(submitter.pid, signal.SIGKILL)
    assert submitter.wait(60) == -signal.SIGKILL
    handle = engine.submit(spec)
    assert (handle.place, engine.status(handle)) == (str(place), "running")
    gate.touch()
    assert ended(engine, handle) == "succeeded"
    assert starts(tmp_path) == 1


def test_submitters_at_once_start_one_job(engine: LocalEngine, tmp_path: Path) -> None:
    """Whoever comes second adopts; none waits for the job."""
    gate = tmp_path / "gate"
    spec = job(fake="wait", until=str(gate))
    submitters = [submit_elsewhere(tmp_path, spec) for _ in range(4)]
    places = {s.communicate(timeout=120)[0] for s in submitters}
    gate.touch()
    handle = engine.find(KEY)
    assert handle is not None
    assert ended(engine, handle) == "succeeded"
    assert places == {handle.place + "\n"}
    assert starts(tmp_path) == 1


def running(handle: JobHandle, name: str) -> psutil.Process:
    """The process that a job noted."""
    noted = json.loads((Path(handle.place) / name).read_text())
    return psutil.Process((noted.get("child") or noted)["pid"])


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended; a test machine without an init keeps it as a zombie."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_job_that_was_killed_is_failed_in_words_and_not_started_again(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """Holder and worker killed: failed, the log says why, and only attempt 2 starts anew."""
    handle, gate = held(engine, tmp_path)
    worker = running(handle, "worker.json")
    running(handle, "started.json").kill()
    worker.kill()
    assert ended(engine, handle) == "failed"
    assert "left no exit code: it was killed" in engine.logs(handle).text
    spec = job(fake="wait", until=str(gate))
    assert engine.submit(spec) == handle
    gate.touch()
    second = engine.submit(spec, attempt=2)
    assert ended(engine, second) == "succeeded"
    assert starts(tmp_path) == 2


def test_while_the_worker_lives_no_other_attempt_starts(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """The holder alone is killed: the worker still holds the lock, so the job is running."""
    handle, gate = held(engine, tmp_path)
    holder = running(handle, "started.json")
    holder.kill()
    until(lambda: gone(holder))
    spec = job(fake="wait", until=str(gate))
    assert engine.submit(spec, attempt=2) == handle
    assert (engine.status(handle), starts(tmp_path)) == ("running", 1)
    gate.touch()
    assert ended(engine, handle) == "failed"


def test_a_job_over_its_time_is_ended_and_says_so(engine: LocalEngine) -> None:
    """The holder enforces the time-out of the job's resources."""
    handle = engine.submit(job(timeout_s=1, fake="wait", until="/never"))
    assert ended(engine, handle) == "failed"
    assert "ended after its time-out of 1 s" in engine.logs(handle).text
    assert not (Path(handle.place) / "cancel.json").exists()


def test_cancel_ends_this_job_and_no_other(engine: LocalEngine, tmp_path: Path) -> None:
    """The other job goes on; the cancelled one is gone when the call returns."""
    other_gate = tmp_path / "other"
    other = engine.submit(
        job("docs-assistant/2026-03-05/retrain", fake="wait", until=str(other_gate))
    )
    until((Path(other.place) / "waiting.txt").exists)
    handle, _ = held(engine, tmp_path)
    worker = running(handle, "worker.json")
    engine.cancel(handle)
    assert engine.status(handle) == "cancelled"
    assert gone(worker)
    assert engine.status(other) == "running"
    other_gate.touch()
    assert ended(engine, other) == "succeeded"


def test_cancel_of_a_job_that_is_over_changes_nothing(engine: LocalEngine) -> None:
    """A succeeded job stays succeeded."""
    handle = engine.submit(job())
    assert ended(engine, handle) == "succeeded"
    engine.cancel(handle)
    assert engine.status(handle) == "succeeded"


def test_a_cancelled_job_may_be_started_again_when_asked(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """Cancelled is an end, like failed."""
    handle, gate = held(engine, tmp_path)
    engine.cancel(handle)
    gate.touch()
    spec = job(fake="wait", until=str(gate))
    assert engine.submit(spec) == handle
    assert ended(engine, engine.submit(spec, attempt=2)) == "succeeded"


def test_cancel_ends_a_worker_whose_holder_was_killed(engine: LocalEngine, tmp_path: Path) -> None:
    """Nobody is left to be asked: the worker's own group is ended."""
    handle, _ = held(engine, tmp_path)
    worker = running(handle, "worker.json")
    running(handle, "started.json").kill()
    engine.cancel(handle)
    assert engine.status(handle) == "cancelled"
    assert gone(worker)


def test_cancel_never_signals_a_process_that_only_has_the_number(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A noted process id with another start time is another process: it is left alone."""
    handle, gate = held(engine, tmp_path)
    bystander = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    wrong = {"pid": bystander.pid, "create_time": 1.0}
    place = Path(handle.place)
    started = json.loads((place / "started.json").read_text())
    (place / "started.json").write_text(json.dumps({**started, "child": wrong}))
    (place / "worker.json").write_text(json.dumps(wrong))
    monkeypatch.setattr("upkeep.engines.local.ANSWER_S", 0.1)
    with pytest.raises(EngineError, match="cannot be cancelled from here"):
        engine.cancel(handle)
    assert bystander.poll() is None
    bystander.communicate(b"\n", timeout=30)
    gate.touch()
    until(lambda: engine.status(handle) not in {"queued", "running"})


def test_a_worker_deaf_to_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    """SIGTERM first, SIGKILL after the grace."""
    engine = LocalEngine(tmp_path, COMMAND, grace_s=0.1)
    handle, _ = held(engine, tmp_path, "stubborn")
    worker = running(handle, "worker.json")
    engine.cancel(handle)
    assert engine.status(handle) == "cancelled"
    assert gone(worker)


def test_what_a_worker_leaves_behind_is_ended_with_it(engine: LocalEngine) -> None:
    """A process that the worker forgot does not outlive the job."""
    handle = engine.submit(job(fake="litter"))
    assert ended(engine, handle) == "succeeded"
    litter = int((Path(handle.place) / "litter.txt").read_text())
    until(
        lambda: (
            not psutil.pid_exists(litter) or psutil.Process(litter).status() == psutil.STATUS_ZOMBIE
        )
    )


def test_a_process_that_escaped_does_not_keep_the_job_running(engine: LocalEngine) -> None:
    """It has the lock's open file, but the lock was given up when the worker was over."""
    handle = engine.submit(job(fake="escape"))
    try:
        assert ended(engine, handle) == "succeeded"
    finally:
        psutil.Process(int((Path(handle.place) / "litter.txt").read_text())).kill()


def test_a_job_of_another_machine_is_unknown_and_never_started_again(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """A free lock says nothing about another kernel's processes: unknown is not failed."""
    handle, gate = held(engine, tmp_path)
    worker = running(handle, "worker.json")
    running(handle, "started.json").kill()
    worker.kill()
    assert ended(engine, handle) == "failed"
    file = Path(handle.place) / "started.json"
    started = {**json.loads(file.read_text()), "host": "elsewhere", "boot": "another"}
    file.write_text(json.dumps(started))
    assert engine.status(handle) == "unknown"
    spec = job(fake="wait", until=str(gate))
    assert engine.submit(spec, attempt=2) == handle
    assert starts(tmp_path) == 1


def test_a_handle_of_no_job_is_unknown(engine: LocalEngine) -> None:
    """A folder that is gone says nothing about the job."""
    handle = JobHandle(engine="local", key=KEY, attempt=1, place="gone")
    assert engine.status(handle) == "unknown"
    with pytest.raises(EngineError, match="cannot be cancelled from here"):
        engine.cancel(handle)


def test_a_jobs_folder_that_cannot_be_written_is_an_engine_error(tmp_path: Path) -> None:
    """A file in place of the folder: the message names the job and the cause."""
    (tmp_path / "jobs").write_text("in the way")
    with pytest.raises(EngineError, match=r"compress: .*jobs"):
        LocalEngine(tmp_path / "jobs", COMMAND).submit(job())


def test_a_broken_note_is_an_engine_error_and_starts_nothing(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """An exit.json that is not JSON is neither success nor failure."""
    handle = engine.submit(job())
    assert ended(engine, handle) == "succeeded"
    (Path(handle.place) / "exit.json").write_text("{")
    with pytest.raises(EngineError, match=r"exit\.json: not what was written"):
        engine.submit(job(), attempt=2)
    assert starts(tmp_path) == 1


def test_a_job_sees_no_secret_of_its_submitter(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only named variables pass; nothing of the environment is written to the job's notes."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgres://u:hunter2@db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up-secret")
    monkeypatch.setenv("UPKEEP_CACHE", "/cache")
    monkeypatch.setenv("UPKEEP_CRASH_AT", "nowhere")
    handle = engine.submit(job(fake="environment"))
    assert ended(engine, handle) == "succeeded"
    place = Path(handle.place)
    seen = json.loads((place / "environment.json").read_text())
    assert (seen["UPKEEP_CACHE"], seen["HF_HUB_OFFLINE"]) == ("/cache", "1")
    assert seen["AWS_SECRET_ACCESS_KEY"] == "made-up-secret"
    assert not {n for n in seen if n.startswith("AIRFLOW")} | ({"UPKEEP_CRASH_AT"} & set(seen))
    notes = "".join(p.read_text() for p in place.iterdir() if p.name != "environment.json")
    assert "made-up-secret" not in notes
    assert "hunter2" not in notes


def test_the_import_path_of_a_job_does_not_depend_on_its_folder() -> None:
    """A relative PYTHONPATH is made absolute; threads follow the job's CPUs unless set."""
    seen = worker_environment({"PYTHONPATH": f"include{os.pathsep}/abs"}, cpus=3)
    assert seen["PYTHONPATH"] == f"{Path.cwd() / 'include'}{os.pathsep}/abs"
    assert seen["OMP_NUM_THREADS"] == "3"
    assert worker_environment({"OMP_NUM_THREADS": "1"}, cpus=3)["OMP_NUM_THREADS"] == "1"


def test_the_interpreter_of_the_worker_may_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UPKEEP_WORKER_PYTHON names it."""
    monkeypatch.setenv("UPKEEP_WORKER_PYTHON", "/other/python")
    handle = LocalEngine(tmp_path).submit(job())
    engine = LocalEngine(tmp_path)
    assert ended(engine, handle) == "failed"
    assert "/other/python: cannot be started" in engine.logs(handle).text


def test_engines_are_found_by_name(tmp_path: Path) -> None:
    """The default is this machine; any other name is refused with the names that exist."""
    site = Site(tmp_path, open_store(str(tmp_path / "store")))
    assert engine_for(Jobs(), site).find(KEY) is None
    with pytest.raises(ParamError, match="one of aws_batch, kubernetes, local"):
        engine_for(Jobs.model_construct(engine="cloud"), site)


def test_signals_of_the_machine_end_a_job_as_failed(engine: LocalEngine, tmp_path: Path) -> None:
    """SIGTERM that nobody asked for (a shutdown) is a failure, not a cancellation."""
    handle, _ = held(engine, tmp_path)
    running(handle, "started.json").send_signal(signal.SIGTERM)
    assert ended(engine, handle) == "failed"
    assert "ended by SIGTERM" in engine.logs(handle).text
