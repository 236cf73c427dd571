"""Whether a file of a log is the one that its writer left, and of the format that it says."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from upkeep.sources.log_codec import MAGIC_BYTES, wrong_format
from upkeep.sources.log_file import HourFile, Manifest, measure

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def unbelievable(
    file: HourFile, opened: BinaryIO, manifest: Manifest | None
) -> tuple[str, int] | None:
    """Why no row of the opened file may be believed, and its lines; None if they may.

    Lines are counted of plain JSON lines only: what is damaged cannot be decompressed.
    """
    plain = file.format == "jsonl"
    head = opened.read(MAGIC_BYTES)
    if plain and head.startswith(_UTF16_BOMS):
        return "is UTF-16, not UTF-8", 0
    size = os.fstat(opened.fileno()).st_size
    if manifest is not None:
        opened.seek(0)
        count, sha256 = 0, ""
        if plain:
            size, count, sha256 = measure(opened)
        else:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]
        fault = differs(file, size, sha256, manifest)
        if fault is not None:
            return fault, count
    if not size:
        return None if plain and manifest is not None else ("is empty", 0)
    wrong = wrong_format(file.format, head)
    return (wrong, 0) if wrong else None


def differs(file: HourFile, size: int, sha256: str, manifest: Manifest) -> str | None:
    """How the file differs from what its writer recorded."""
    entry = manifest.files.get(file.name)
    if entry is None:
        return "is not in its manifest"
    if size < entry.size_bytes:
        return f"is cut off ({size} of {entry.size_bytes} bytes)"
    return None if sha256 == entry.sha256 else "differs from its manifest"
