"""Once before the services start: buckets, the administrator's password file, Airflow's schema.

Every step can be repeated: what exists is left as it is, except the password, which is always
the one of the environment.
"""

# ruff: noqa: INP001 - a program of the image, not a package

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

USER = "admin"
MIGRATE = ("airflow", "db", "migrate")


def bucket_of(address: str) -> str:
    """The bucket of an ``s3://bucket/prefix`` address; SystemExit for any other address."""
    bucket = address.removeprefix("s3://").partition("/")[0]
    if not address.startswith("s3://") or not bucket:
        raise SystemExit(f"{address!r} is no s3://bucket/prefix address")
    return bucket


def make_buckets(addresses: list[str], client: Any) -> list[str]:
    """Make the buckets that are not there yet; their names."""
    known = {found["Name"] for found in client.list_buckets()["Buckets"]}
    missing = sorted({bucket_of(address) for address in addresses} - known)
    for bucket in missing:
        client.create_bucket(Bucket=bucket)
    return missing


def write_password(path: Path, password: str) -> None:
    """Write the file of Airflow's simple auth manager, readable by its owner only."""
    unfinished = path.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps({USER: password}) + "\n", encoding="utf-8")
    unfinished.replace(path)


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Prepare everything that ``docker-compose.yaml`` names; the exit code of the migration."""
    import boto3

    client = boto3.client("s3", endpoint_url=environ["UPKEEP_S3_ENDPOINT"])
    made = make_buckets([environ["UPKEEP_STORE"], environ["MLFLOW_ARTIFACTS"]], client)
    sys.stdout.write(f"buckets made: {', '.join(made) or 'none'}\n")
    passwords = Path(environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    write_password(passwords, environ["AIRFLOW_ADMIN_PASSWORD"])
    return subprocess.run(MIGRATE, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
