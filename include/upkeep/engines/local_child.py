"""The process that holds one local job: starts the worker, keeps its time, notes how it ended.

Run as a script, with nothing but the standard library and psutil, by ``engines/local``::

    python -P local_child.py JOB_FOLDER LOCK_FD TIMEOUT_S GRACE_S COMMAND...

Its working folder is the attempt's. The lock's file descriptor is inherited by the worker: the
lock is held as long as either of them lives.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NOT_STARTED = 127
EFFECTS, STARTED, WORKER = "effects.jsonl", "started.json", "worker.json"
CANCEL, EXIT = "cancel.json", "exit.json"


def write_whole(path: Path, value: dict[str, Any]) -> None:
    """Write JSON so that a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}~")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def this_machine() -> dict[str, str]:
    """Host name and, on Linux, the id of this boot: within one, file locks tell the truth."""
    boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
    return {"host": socket.gethostname(), "boot": boot}


def identity(pid: int) -> dict[str, float]:
    """A process's id and start time: together they name it for good."""
    return {"pid": pid, "create_time": psutil.Process(pid).create_time()}


@dataclass(frozen=True)
class Held:
    """What the engine hands down: where, the lock, and the limits in seconds."""

    job_folder: Path
    lock_fd: int
    timeout_s: float
    grace_s: float


def main(held: Held, command: list[str]) -> None:
    """Run the command to its end, write ``exit.json``, and only then give up the lock."""
    cancelled, wake = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(wake, b"!"))
    _note_start(held.job_folder)
    if Path(CANCEL).exists():
        code, words = -signal.SIGTERM, "cancelled before it began"
    else:
        code, words = _run(command, held, cancelled)
    if code != 0:
        sys.stdout.write(f"upkeep: {words}\n")
        sys.stdout.flush()
    write_whole(Path(EXIT), {"code": code, "words": words, "ended_at": time.time()})
    fcntl.flock(held.lock_fd, fcntl.LOCK_UN)  # also for a copy that the worker gave away


def _note_start(job_folder: Path) -> None:
    started = {"child": identity(os.getpid()), **this_machine(), "started_at": time.time()}
    line = json.dumps({"effect": "start", "attempt": Path.cwd().name, **started}) + "\n"
    handle = os.open(job_folder / EFFECTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    write_whole(Path(STARTED), started)


def _run(command: list[str], held: Held, cancelled: int) -> tuple[int, str]:
    try:
        worker = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=(held.lock_fd,), process_group=0
        )
    except OSError as error:
        return NOT_STARTED, f"{command[0]}: cannot be started: {error.strerror}"
    ended = os.pidfd_open(worker.pid)
    try:
        write_whole(Path(WORKER), identity(worker.pid))
        ready, _, _ = select.select([ended, cancelled], [], [], held.timeout_s)
    finally:
        code = _end(worker, ended, held.grace_s)
    if ended in ready:
        return code, _words(code)
    if cancelled in ready:
        return -signal.SIGTERM, "cancelled" if Path(CANCEL).exists() else "ended by SIGTERM"
    return -signal.SIGKILL, f"ended after its time-out of {held.timeout_s:g} s"


def _end(worker: subprocess.Popen[bytes], ended: int, grace_s: float) -> int:
    """End the worker and whatever it left behind; its exit code.

    The worker is waited for last: until then its process id, which names the group, cannot be
    given to another process.
    """
    if not select.select([ended], [], [], 0)[0]:
        os.killpg(worker.pid, signal.SIGTERM)
        select.select([ended], [], [], grace_s)
    with suppress(ProcessLookupError, PermissionError):  # only the ended worker is left
        os.killpg(worker.pid, signal.SIGKILL)
    return worker.wait()


def _words(code: int) -> str:
    if code == 0:
        return "succeeded"
    if code < 0:
        return f"killed by signal {-code} ({signal.strsignal(-code)})"
    return f"failed with exit code {code}"


if __name__ == "__main__":
    folder, lock, timeout, grace, *rest = sys.argv[1:]
    main(Held(Path(folder), int(lock), float(timeout), float(grace)), rest)
