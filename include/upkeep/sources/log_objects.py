"""Where a day's files lie: a folder, or ``s3://bucket/prefix``, behind one small interface.

A name from outside is never made a local path: what is fetched is kept under a name of our own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from upkeep.credentials import Credentials
from upkeep.errors import ConfigError, SourceError
from upkeep.sources.aws_session import session
from upkeep.sources.log_file import open_regular
from upkeep.spec_sources import RequestLogSource

ENDPOINT = "UPKEEP_S3_ENDPOINT"
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Place(Protocol):
    """One source's files, a folder a day."""

    where: str

    def days(self) -> list[str]:
        """The days that are there, by name."""

    def names(self, day: date) -> set[str] | None:
        """The names of the day's files; None where the day has no folder."""

    def fetch(self, day: date, name: str, to: Path) -> Path:
        """A local file with the content: the file itself, or a copy at ``to``.

        Raises:
            FileNotFoundError: it is not there (any more).
            OSError: it cannot be read, or is no regular file.

        """

    def stamp(self, day: date, name: str) -> str:
        """What changes when the file changes; empty if it is gone."""


def place(source: RequestLogSource, model: str, credentials: Credentials) -> Place:
    """The place that a source names, with each ``${VAR}`` taken from the environment.

    Raises:
        ConfigError: a variable is not set, or the path is neither a folder nor s3://.

    """
    path = _path(source, model)
    if path.startswith("s3://"):
        return Bucket(path, source.connection, credentials)
    if "://" in path:
        where = f"{model}: {source.kind} path"
        raise ConfigError(where, path, "is neither a folder nor s3://", "give one of the two")
    return Folder(Path(path))


def _path(source: RequestLogSource, model: str) -> str:
    where = f"{model}: {source.kind} path"

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise ConfigError(where, source.path, f"{match[1]} is not set", f"export {match[1]}")
        return found

    return _VARIABLE.sub(value, source.path)


class Folder:
    """A local folder."""

    def __init__(self, path: Path) -> None:
        """Read below ``path``."""
        self._path, self.where = path, str(path)

    def days(self) -> list[str]:
        """As :meth:`Place.days`."""
        with self._reported(self._path):
            return sorted(p.name for p in self._path.iterdir() if p.is_dir())

    def names(self, day: date) -> set[str] | None:
        """As :meth:`Place.names`."""
        folder = self._path / day.isoformat()
        with self._reported(folder):
            try:
                return {path.name for path in folder.iterdir()}
            except (FileNotFoundError, NotADirectoryError):
                return None

    def fetch(self, day: date, name: str, to: Path) -> Path:  # noqa: ARG002 - no copy is needed
        """As :meth:`Place.fetch`: the file itself."""
        path = self._path / day.isoformat() / name
        open_regular(path).close()
        return path

    def stamp(self, day: date, name: str) -> str:
        """As :meth:`Place.stamp`: size, time of change and identity."""
        try:
            found = (self._path / day.isoformat() / name).stat()
        except OSError:
            return ""
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"

    @contextmanager
    def _reported(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(f"{path} cannot be listed: {error.strerror}") from error


class Bucket:
    """A prefix of a bucket of S3, or of a server that speaks S3 (``UPKEEP_S3_ENDPOINT``)."""

    def __init__(self, path: str, connection: str | None, credentials: Credentials) -> None:
        """Read below ``s3://bucket/prefix``."""
        bucket, _, prefix = path.removeprefix("s3://").rstrip("/").partition("/")
        if not bucket:
            rule, fix = "names no bucket", "give s3://bucket/prefix"
            raise ConfigError("request_log path", path, rule, fix)
        self.where, self._bucket = path.rstrip("/"), bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = _client(self.where, connection, credentials)

    def days(self) -> list[str]:
        """As :meth:`Place.days`."""
        found = self._pages(self._prefix, "CommonPrefixes")
        return sorted(item["Prefix"][len(self._prefix) : -1] for item in found)

    def names(self, day: date) -> set[str] | None:
        """As :meth:`Place.names`: a prefix that no key has is no folder."""
        below = self._key(day, "")
        found = {item["Key"][len(below) :] for item in self._pages(below, "Contents")}
        return found - {""} if found else None

    def fetch(self, day: date, name: str, to: Path) -> Path:
        """As :meth:`Place.fetch`: streamed to ``to``."""
        with self._reported(name):
            self._client.download_file(self._bucket, self._key(day, name), str(to))
        return to

    def stamp(self, day: date, name: str) -> str:
        """As :meth:`Place.stamp`: the ETag."""
        try:
            with self._reported(name):
                head = self._client.head_object(Bucket=self._bucket, Key=self._key(day, name))
        except FileNotFoundError:
            return ""
        return str(head["ETag"])

    def _key(self, day: date, name: str) -> str:
        return f"{self._prefix}{day.isoformat()}/{name}"

    def _pages(self, prefix: str, kind: str) -> list[dict[str, Any]]:
        with self._reported(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            return [item for page in pages for item in page.get(kind, [])]

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        """FileNotFoundError for a key that is not there, SourceError for all else."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if name and error.response.get("Error", {}).get("Code") in _ABSENT:
                raise FileNotFoundError(name) from error
            raise SourceError(f"{self.where}: {error}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise SourceError(f"{self.where}: {error}") from error


def _client(where: str, connection: str | None, credentials: Credentials) -> Any:
    """S3 by the connection's keys or role, or by boto3's own chain of credentials."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    endpoint = os.environ.get(ENDPOINT) or None
    # Servers other than AWS's often do not know the newer default checksums.
    checksums = "when_required" if endpoint else "when_supported"
    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
    )
    secret = None if connection is None else credentials(connection)
    try:
        return session(secret, config=config).client("s3", endpoint_url=endpoint, config=config)
    except (BotoCoreError, ClientError) as error:
        raise SourceError(f"{where}: {error}") from error
