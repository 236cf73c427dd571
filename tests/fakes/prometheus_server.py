"""A real Prometheus of Debian's package for tests: own folder, own port, 127.0.0.1 only.

Its blocks are built by promtool from OpenMetrics text; it scrapes nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Self

START_CEILING_S = 60.0
STOP_CEILING_S = 20.0


def installed() -> bool:
    """Whether both programs are there."""
    return all(shutil.which(program) for program in ("prometheus", "promtool"))


class Prometheus:
    """One server over blocks made of ``text``; gone with all that it wrote on exit."""

    def __init__(self, text: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="upkeep-prometheus-"))
        self._text = text
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self._build()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            _signal_group(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):  # SIGKILL follows
                process.wait(STOP_CEILING_S)
            _signal_group(process.pid, signal.SIGKILL)
            process.wait(STOP_CEILING_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _build(self) -> None:
        """One block of all days: promtool reads the whole text again for every block."""
        source = self._folder / "text"
        source.write_text(self._text)
        subprocess.run(
            [
                *("promtool", "tsdb", "create-blocks-from", "openmetrics"),
                *("--max-block-duration=8760h", str(source), str(self._folder / "data")),
            ],
            check=True,
            capture_output=True,
        )
        (self._folder / "empty.yml").touch()

    def _start(self) -> None:
        program = shutil.which("prometheus") or "prometheus"
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder / 'empty.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    "--storage.tsdb.retention.time=100y",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_CEILING_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._folder / "log").read_text()[-2000:]
                raise RuntimeError(f"prometheus did not start:\n{said}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, number)
