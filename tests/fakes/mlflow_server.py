"""A real ``mlflow server`` for tests: sqlite, artifacts through its proxy, one worker."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Self

from fakes.server_process import ServerProcess, answers, free_port

START_CEILING_S = 240.0  # imports and migrations, on a busy machine
STOP_CEILING_S = 15.0

QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_TELEMETRY": "false",
}


class MlflowServer:
    """One server over the state in ``folder``; stop it and start it again on the same port."""

    def __init__(self, folder: Path) -> None:
        """Choose a port; nothing runs yet."""
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process = ServerProcess(
            "mlflow server",
            folder / "server.log",
            start_ceiling_s=START_CEILING_S,
            stop_ceiling_s=STOP_CEILING_S,
        )

    def __enter__(self) -> Self:
        """Start, and wait until the server answers."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and everything that it started."""
        self.stop()

    def start(self) -> None:
        """Start, and wait until the server answers; RuntimeError with its log otherwise."""
        if self._answers():
            raise RuntimeError(f"port {self.port} is taken by somebody else")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process.start(
            self._command(), self._answers, cwd=self.folder, env={**os.environ, **QUIET}
        )

    def stop(self) -> None:
        """End the server's whole process group; done when nothing of it is left."""
        self._process.stop()

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"),
            *("--serve-artifacts", "--artifacts-destination", str(self.folder / "artifacts")),
            *("--allowed-hosts", f"127.0.0.1:{self.port}"),
        ]

    def _answers(self) -> bool:
        return answers(f"{self.uri}/health")


@functools.cache
def shared_server() -> MlflowServer:
    """One server for all tests of this process; it ends with the process."""
    folder = tempfile.mkdtemp(prefix="upkeep-mlflow-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = MlflowServer(Path(folder))
    atexit.register(server.stop)
    server.start()
    return server
