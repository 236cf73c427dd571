"""Server processes that outlive the program that started them, and are found again.

A process is known by its id and the time it was created at, so that a number that the system
has given to somebody else is never taken for ours. Each is the leader of its own session:
whatever it starts there ends with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

TERMINATE_S = 15.0
KILL_S = 10.0
POLL_S = 0.1
LOG_TAIL_LINES = 25


class StackError(RuntimeError):
    """A server did not start, did not stop, or said no; the end of its log is in the message."""


@dataclass(frozen=True)
class Known:
    """A process as the state file remembers it; ``created_at`` in seconds since 1970, UTC."""

    pid: int
    created_at: float


class Processes:
    """The servers of one state folder, by name."""

    def __init__(self, state: Path) -> None:
        """Remember them in ``state/processes.json``, their words in ``state/logs/NAME.log``."""
        self._file, self._logs = state / "processes.json", state / "logs"

    def alive(self, name: str) -> bool:
        """Whether the server that we started under this name still runs."""
        known = self._read().get(name)
        return known is not None and _runs(known)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        """Start a server, unless it runs."""
        if self.alive(name):
            return
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            started = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created_at = psutil.Process(started.pid).create_time()
        self._write({**self._read(), name: Known(started.pid, created_at)})

    def stop(self) -> None:
        """End exactly what was started here, and see it gone.

        Raises:
            StackError: something of it cannot be ended.

        """
        known = self._read()
        for one in known.values():
            if _runs(one):
                _signal([one.pid], signal.SIGTERM)
        _wait_for_end(known.values(), TERMINATE_S)
        for one in known.values():
            _signal(_session(one), signal.SIGKILL)
        left = _wait_for_end(known.values(), KILL_S)
        if left:
            raise StackError(f"still running after SIGKILL: {left}")
        self._file.unlink(missing_ok=True)

    def dead(self) -> list[str]:
        """The names of servers that were started and run no more."""
        return [name for name, known in self._read().items() if not _runs(known)]

    def log(self, name: str) -> Path:
        """Where a server's words go."""
        return self._logs / f"{name}.log"

    def tail(self, name: str) -> str:
        """The end of a server's log."""
        path = self.log(name)
        text = path.read_text(errors="replace") if path.exists() else "(no log)"
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])

    def _read(self) -> dict[str, Known]:
        if not self._file.exists():
            return {}
        return {name: Known(**known) for name, known in json.loads(self._file.read_text()).items()}

    def _write(self, known: Mapping[str, Known]) -> None:
        text = json.dumps({name: vars(one) for name, one in known.items()}, indent=1)
        new = self._file.with_suffix(".new")
        new.write_text(text)
        new.replace(self._file)


def free_port(wanted: int | None = None) -> int:
    """``wanted`` if nobody listens there, else a port of 127.0.0.1 that the system chooses."""
    if wanted is not None and port_is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether nobody listens on the port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _runs(known: Known) -> bool:
    try:
        process = psutil.Process(known.pid)
        same = abs(process.create_time() - known.created_at) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(known: Known) -> list[int]:
    """The live processes of the session that a server leads, or led."""
    if psutil.pid_exists(known.pid) and not _runs(known) and not _zombie(known.pid):
        return []  # the number is somebody else's now
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == known.pid and not _zombie(pid):
                found.append(pid)
    return found


def _zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_for_end(known: Iterable[Known], ceiling_s: float) -> list[int]:
    """Wait until nothing of these sessions lives; what is left at the ceiling."""
    deadline = time.monotonic() + ceiling_s
    while left := [pid for one in known for pid in _session(one)]:
        if time.monotonic() > deadline:
            return left
        time.sleep(POLL_S)
    _reap()
    return []


def _reap() -> None:
    """Collect our own dead children, so that none stays as a zombie."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
