"""Real servers of the tests as processes: a free port, a start that is waited for, a whole end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

KILLED_WITHIN_S = 30.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody has that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - on this machine
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class ServerProcess:
    """One server, the leader of a session of its own; its words go to ``log``."""

    def __init__(
        self, name: str, log: Path, *, start_ceiling_s: float, stop_ceiling_s: float
    ) -> None:
        """Nothing runs yet."""
        self._name, self._log = name, log
        self._start_ceiling_s, self._stop_ceiling_s = start_ceiling_s, stop_ceiling_s
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], is_ready: Callable[[], bool], **options: Any) -> None:
        """Start, and wait until it is ready; RuntimeError with the end of its log otherwise."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, **options
            )
        deadline = time.monotonic() + self._start_ceiling_s
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = self._log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{self._name} did not start:\n{said}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End its whole process group; done when nothing of it is left."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # SIGKILL follows
            process.wait(self._stop_ceiling_s)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait(KILLED_WITHIN_S)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # already gone
        os.killpg(leader, number)
