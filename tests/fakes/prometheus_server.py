"""A real Prometheus of Debian's package for tests: own folder, own port, 127.0.0.1 only.

Its blocks are built by promtool from OpenMetrics text; it scrapes nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from fakes.server_process import ServerProcess, answers, free_port

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
        self.port = free_port()
        self._process = ServerProcess(
            "prometheus",
            self._folder / "log",
            start_ceiling_s=START_CEILING_S,
            stop_ceiling_s=STOP_CEILING_S,
        )

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self._build()
            self._process.start(self._command(), lambda: answers(f"{self.url}/-/ready"))
        except BaseException:  # an interrupt too: nothing may be left behind
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
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

    def _command(self) -> list[str]:
        return [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={self._folder / 'empty.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
