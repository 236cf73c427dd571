"""What both stores share: which keys are allowed, and which files a folder may hold."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from upkeep.errors import ArtifactError, ConflictingRecord, StoreError, shown
from upkeep.records import FileHash, Folder

CHUNK_BYTES = 1 << 20
MAX_KEY_CHARS = 900  # S3 allows 1,024 bytes with the store's own prefix
MAX_SEGMENT_CHARS = 200  # most file systems allow 255 bytes
_SEGMENT = rf"(?!\.\.?(?:/|$))[A-Za-z0-9._-]{{1,{MAX_SEGMENT_CHARS}}}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def check_key(key: str) -> str:
    """``key`` itself if it is allowed, StoreError otherwise.

    A key is segments of ``A-Z a-z 0-9 . _ -`` joined by ``/``; no segment is ``.`` or ``..``.
    """
    if len(key) > MAX_KEY_CHARS or _KEY.fullmatch(key) is None:
        raise StoreError(
            f"key {shown(key)}: must be segments of A-Z a-z 0-9 . _ - joined by '/', "
            f"none of them '.' or '..', {MAX_KEY_CHARS} characters at most"
        )
    return key


def hash_file(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, read in pieces of 1 MiB."""
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()


def scan_folder(path: Path) -> tuple[FileHash, ...]:
    """Every file of a folder with its hash, sorted by path; links and devices are refused."""
    if not path.is_dir():
        raise ArtifactError(str(path), path.name, "must be a folder", "give the model's folder")
    found = []
    for file in sorted(_files_below(path)):
        size, digest = hash_file(file)
        name = file.relative_to(path).as_posix()
        found.append(FileHash(path=_storable(name, path), size_bytes=size, sha256=digest))
    return tuple(sorted(found, key=lambda f: f.path))


def _files_below(path: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(path):
        for name in subfolders + names:
            entry = Path(folder, name)
            if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
                raise ArtifactError(
                    str(entry), name, "must be a regular file", "links and devices are not stored"
                )
        yield from (Path(folder, name) for name in names)


def _storable(name: str, folder: Path) -> str:
    try:
        return check_key(name)
    except StoreError as error:
        raise ArtifactError(
            str(folder), name, "not a name that can be stored", "rename the file"
        ) from error


def copy_verified(source: Path, target: IO[bytes], expected: FileHash) -> None:
    """Copy a file; ArtifactError if it is no longer the one that was hashed."""
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != expected.sha256:
        raise ArtifactError(
            str(source), digest.hexdigest(), "changed while it was stored", "write it only once"
        )


def place_folder(
    prefix: str,
    path: Path,
    list_keys: Callable[[str], list[str]],
    put_file: Callable[[str, Path, FileHash], bool],
) -> Folder:
    """Put every file of ``path`` under ``prefix``, or beside it if other content lies there.

    ``put_file`` says whether the file of that hash now lies under the key.
    """
    files = scan_folder(path)
    if not files:
        raise ArtifactError(str(path), path.name, "holds no file", "give the model's folder")
    beside = f"{prefix}.{Folder(prefix=prefix, files=files).files_sha256[:16]}"
    for place in (prefix, beside):
        ours = {f"{place}/{f.path}" for f in files}
        if ours.issuperset(list_keys(place)) and all(
            put_file(f"{place}/{f.path}", path / f.path, f) for f in files
        ):
            return Folder(prefix=place, files=files)
    raise ConflictingRecord(f"{beside}: holds files that are not those of its own hash")


def verify_files(path: Path, files: tuple[FileHash, ...]) -> Path:
    """``path`` itself if it holds exactly ``files``; ArtifactError names the first difference."""
    found = {f.path: f for f in scan_folder(path)}
    expected = {f.path: f for f in files}
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            raise ArtifactError(str(path), name, "is recorded but absent", "restore the file")
        if name not in expected:
            raise ArtifactError(str(path), name, "was never recorded", "remove the file")
        if found[name] != expected[name]:
            raise ArtifactError(
                f"{path}/{name}",
                found[name].sha256,
                f"recorded SHA-256 is {expected[name].sha256}",
                "the file was changed after it was recorded: restore it",
            )
    return path
