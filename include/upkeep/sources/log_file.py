"""Files of a log as bytes: named, opened safely, measured, and cut into lines."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

from pydantic import BaseModel, ConfigDict

from upkeep.records import Count, Sha256
from upkeep.sources.log_codec import Format
from upkeep.sources.log_row import BadRow, read_json

CHUNK_BYTES = 2**20
MANIFEST = "_complete.json"
MANIFEST_BYTES = 2**20
_HOUR_FILE = re.compile(r"([01][0-9]|2[0-3])\.(jsonl|jsonl\.gz|jsonl\.zst|parquet)")


class FileEntry(BaseModel):
    """What the writer recorded of one file."""

    model_config = ConfigDict(strict=True)

    size_bytes: Count
    sha256: Sha256


class Manifest(BaseModel):
    """What the writer of a day left as its last word: the files of the day, by name."""

    model_config = ConfigDict(strict=True)

    files: dict[str, FileEntry]


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest of at most a mebibyte.

    Raises:
        BadRow: it is longer, or no strict JSON.
        ValidationError: it has another shape.

    """
    if len(data) > MANIFEST_BYTES:
        raise BadRow(f"is longer than {MANIFEST_BYTES} bytes")
    return Manifest.model_validate(read_json(data))


@dataclass(frozen=True, order=True)
class HourFile:
    """One file of an hour, by its name: ``03.jsonl.gz``."""

    hour: int
    format: Format

    @property
    def name(self) -> str:
        """Its name in the day's folder."""
        return f"{self.hour:02d}.{self.format}"


def hour_files(names: Iterable[str]) -> list[HourFile]:
    """Those of the names that are files of an hour, in order."""
    found = (_HOUR_FILE.fullmatch(name) for name in names)
    return sorted(HourFile(int(m[1]), cast("Format", m[2])) for m in found if m)


class Digest(Protocol):
    """A hash that is fed with bytes."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        OSError: it cannot be opened, or is a folder, a device or a pipe (which could block).

    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "it is not a regular file")
    return path.open("rb", buffering=CHUNK_BYTES)


def measure(file: BinaryIO) -> tuple[int, int, str]:
    """Bytes, lines and SHA-256 of the rest of a file; a last line without an end counts too."""
    size, ends, last, digest = 0, 0, b"\n", hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        size, ends, last = size + len(chunk), ends + chunk.count(b"\n"), chunk[-1:]
        digest.update(chunk)
    return size, ends + (last != b"\n"), digest.hexdigest()


def lines(file: IO[bytes], limit_bytes: int, digest: Digest) -> Iterator[bytes]:
    """Cut the rest of a file into lines, ends included; ``digest`` sees every byte.

    Of a line of more than ``limit_bytes`` (a CRLF not counted) only the first
    ``limit_bytes + 2`` bytes are given; the rest is passed over in pieces.
    """
    most = limit_bytes + 2
    while raw := file.readline(most):
        digest.update(raw)
        yield raw
        rest, asked = raw, most
        while len(rest) == asked and not rest.endswith(b"\n"):
            rest, asked = file.readline(CHUNK_BYTES), CHUNK_BYTES
            digest.update(rest)
