"""Jobs as processes of this machine, that outlive whoever submitted them.

::

    <root>/<slug of the key>/
        effects.jsonl           one line a real start
        submit.lock, job.lock   flock: somebody submits now; a job of this key lives
        attempt-1/              job.json, log.txt, started.json, worker.json, exit.json

A job is a session of its own. ``job.lock`` is taken by the submitter and handed down as an open
file to the job and its worker: the kernel gives it up when the last of them is gone, so there is
no moment in which a job lives and its lock does not say so, and none in which two of a key live.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from upkeep import faults
from upkeep.engines import OVER, JobHandle, LogPart, Site, local_child
from upkeep.engines.local_child import CANCEL, EXIT, STARTED, write_whole
from upkeep.engines.local_processes import kill, read_json, terminate
from upkeep.engines.remote import MAX_LOG_BYTES, log_part
from upkeep.errors import EngineError
from upkeep.records import JobSpec, JobStatus, sha256_hex
from upkeep.spec import Jobs

JOB, LOG = "job.json", "log.txt"
GRACE_S = 10.0
ANSWER_S = 5.0
KILLED = "upkeep: the job's process is gone and left no exit code: it was killed\n"
PASSED = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME"}
PASSED_PREFIXES = ("UPKEEP_", "AWS_", "OMP_", "MKL_", "CUDA_", "NVIDIA_")

_children: list[subprocess.Popen[bytes]] = []  # kept so that they can be reaped


def open_engine(jobs: Jobs, site: Site) -> LocalEngine:  # noqa: ARG001  (it has no settings)
    """The engine of this machine."""
    return LocalEngine(site.root)


class LocalEngine:
    """See :class:`upkeep.engines.Engine`; memory and CPU are asked for, not enforced."""

    def __init__(
        self, root: Path, command: Sequence[str] | None = None, grace_s: float = GRACE_S
    ) -> None:
        """Keep jobs under ``root``; ``command`` runs in the attempt's folder, beside job.json.

        The default command is the worker, by ``UPKEEP_WORKER_PYTHON`` or this interpreter. A
        worker that is to end is asked by SIGTERM, and killed ``grace_s`` seconds later.
        """
        self._grace_s = grace_s
        self._root = Path(os.path.abspath(root))  # noqa: PTH100  (resolve() would follow links)
        python = os.environ.get("UPKEEP_WORKER_PYTHON") or sys.executable
        self._command = list(command or (python, "-m", "upkeep.worker", JOB))

    def find(self, key: str) -> JobHandle | None:
        """As :meth:`upkeep.engines.Engine.find`."""
        folder = self._folder(key)
        with _reported(key):
            if not folder.is_dir():
                return None
            with _locked(folder / "submit.lock", fcntl.LOCK_SH):
                latest = _latest(folder)
                begun = latest and (_alive(folder) or _attempt(folder, latest, STARTED).exists())
        return self._handle(key, latest) if begun else None

    def submit(self, spec: JobSpec, attempt: int = 1) -> JobHandle:
        """As :meth:`upkeep.engines.Engine.submit`."""
        folder = self._folder(spec.key)
        faults.point("engine.before_intent")
        with _reported(spec.key):
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder / "submit.lock", fcntl.LOCK_EX):
                _refuse_other_job(folder, spec)
                latest = _latest(folder)
                number = _to_start(folder, latest, attempt)
                if number is not None:
                    self._start(folder, number, spec)
        return self._handle(spec.key, number or latest)

    def status(self, handle: JobHandle) -> JobStatus:
        """As :meth:`upkeep.engines.Engine.status`."""
        _reap()
        folder = self._folder(handle.key)
        with _reported(handle.key):
            if not _attempt(folder, handle.attempt).is_dir():
                return "unknown"
            with _locked(folder / "submit.lock", fcntl.LOCK_SH):
                return _status(folder, handle.attempt)

    def logs(self, handle: JobHandle, since: int = 0) -> LogPart:
        """As :meth:`upkeep.engines.Engine.logs`."""
        status = self.status(handle)  # before the log is read: what is over prints no more
        log = _attempt(self._folder(handle.key), handle.attempt, LOG)
        data, begin = b"", since
        if log.exists():
            with log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = file.seek(max(since, size - MAX_LOG_BYTES))
                data = file.read(MAX_LOG_BYTES)
        part = log_part(data, since, over=status in OVER, begin=begin)
        if status == "failed" and not log.with_name(EXIT).exists():
            return part._replace(text=part.text + KILLED)
        return part

    def cancel(self, handle: JobHandle) -> None:
        """As :meth:`upkeep.engines.Engine.cancel`; returns when the job is gone."""
        status = self.status(handle)
        if status in OVER:
            return
        attempt = _attempt(self._folder(handle.key), handle.attempt)
        with _reported(handle.key):
            if status != "unknown":
                write_whole(attempt / CANCEL, {"asked_at": time.time()})
                for step in (terminate, kill):
                    if self._over_after(handle, partial(step, attempt)):
                        return
        raise EngineError(f"{handle.key}: {status}, and cannot be cancelled from here")

    def _over_after(self, handle: JobHandle, step: Callable[[], None]) -> bool:
        deadline, pause = time.monotonic() + self._grace_s + ANSWER_S, 0.02
        while self.status(handle) not in OVER:
            if time.monotonic() > deadline:
                return False
            step()
            time.sleep(pause)
            pause = min(0.5, pause * 1.5)
        return True

    def _folder(self, key: str) -> Path:
        return self._root / f"{key.replace('/', '--')[:150]}-{sha256_hex(key.encode())[:8]}"

    def _handle(self, key: str, attempt: int) -> JobHandle:
        place = str(_attempt(self._folder(key), attempt))
        return JobHandle(engine="local", key=key, attempt=attempt, place=place)

    def _start(self, folder: Path, number: int, spec: JobSpec) -> None:
        attempt = _attempt(folder, number)
        attempt.mkdir(exist_ok=True)
        write_whole(attempt / JOB, spec.model_dump(mode="json"))
        faults.point("engine.after_intent")
        child = [sys.executable, "-P", local_child.__file__, str(folder)]
        with (folder / "job.lock").open("ab") as lock, (attempt / LOG).open("ab") as log:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            limits = [str(lock.fileno()), str(spec.resources.timeout_s), str(self._grace_s)]
            process = subprocess.Popen(
                [*child, *limits, *self._command],
                cwd=attempt,
                env=worker_environment(os.environ, spec.resources.cpus) | spec.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
        _children.append(process)
        faults.point("engine.after_spawn")


def worker_environment(environ: Mapping[str, str], cpus: int) -> dict[str, str]:
    """What a job sees of ``environ``: paths, Upkeep's and AWS's variables, hubs offline."""
    passed = {
        name: value
        for name, value in environ.items()
        if (name in PASSED or name.startswith(PASSED_PREFIXES)) and name != "UPKEEP_CRASH_AT"
    }
    if path := environ.get("PYTHONPATH"):  # the job has another working folder
        passed["PYTHONPATH"] = os.pathsep.join(os.path.abspath(p) for p in path.split(os.pathsep))  # noqa: PTH100
    threads = {"OMP_NUM_THREADS": str(cpus)}
    return {**threads, **passed, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def _attempt(folder: Path, number: int, name: str = "") -> Path:
    return folder / f"attempt-{number}" / name


def _latest(folder: Path) -> int:
    return max((int(p.name.partition("-")[2]) for p in folder.glob("attempt-*")), default=0)


def _refuse_other_job(folder: Path, spec: JobSpec) -> None:
    found = read_json(_attempt(folder, 1, JOB))
    if found is not None and found != spec.model_dump(mode="json"):
        raise EngineError(f"{spec.key}: another job was submitted under this key; see {folder}")


def _to_start(folder: Path, latest: int, asked: int) -> int | None:
    """The number of the attempt to start now; None to adopt the latest."""
    if asked > latest + 1:
        raise EngineError(f"{folder}: attempt {asked} was asked for after attempt {latest}")
    if latest == 0:
        return 1
    if _alive(folder):
        return None
    if not _attempt(folder, latest, STARTED).exists():
        return latest  # its submitter died before it began
    failed = _status(folder, latest) in ("failed", "cancelled")
    return latest + 1 if asked > latest and failed else None


def _status(folder: Path, number: int) -> JobStatus:
    """How an attempt stands; the lock is looked at before what the job wrote last."""
    alive = number == _latest(folder) and _alive(folder)
    ended = read_json(_attempt(folder, number, EXIT))
    started = read_json(_attempt(folder, number, STARTED))
    if alive:  # also for the moment between its last note and its end
        return "running" if started else "queued"
    if ended is not None and ended["code"] == 0:
        return "succeeded"
    if ended is None and started is not None and not _lock_tells(started):
        return "unknown"
    return _failed_or_cancelled(folder, number)


def _failed_or_cancelled(folder: Path, number: int) -> JobStatus:
    return "cancelled" if _attempt(folder, number, CANCEL).exists() else "failed"


def _lock_tells(started: dict[str, Any]) -> bool:
    """Whether the job ran under this kernel, or under an earlier boot of this machine."""
    here = local_child.this_machine()
    return bool(started["boot"] == here["boot"] or started["host"] == here["host"])


def _alive(folder: Path) -> bool:
    """Whether a job of this key lives. Only under submit.lock: the look itself takes the lock."""
    with (folder / "job.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, how)
        yield


@contextmanager
def _reported(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(f"{key}: {error}") from error


def _reap() -> None:
    """Let ended children of this process go; others are reaped by init."""
    _children[:] = [child for child in _children if child.poll() is None]
