"""Files of a log as bytes: opened safely, measured, and cut into lines of bounded length."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from pydantic import BaseModel, ConfigDict

from upkeep.records import Count, Sha256
from upkeep.sources.log_row import BadRow, read_json

CHUNK_BYTES = 2**20
MANIFEST_BYTES = 2**20


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


def lines(file: BinaryIO, limit_bytes: int, digest: Digest) -> Iterator[bytes]:
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
