"""The store on a local folder: temporary file, fsync, hard link, fsync of the folder.

A hard link fails if the name exists: that is put-if-absent, atomic on every POSIX file system,
and a file cut off by a crash never has a key. Temporary files and locks lie under names with
``~``, which no key may contain. Changes of one key (:meth:`LocalStore.replace`) take a lock, so
the folder must not be shared by machines over a network file system without working ``flock``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

from upkeep import faults
from upkeep.errors import StoreError
from upkeep.records import FileHash, Folder, sha256_hex
from upkeep.store_files import check_key, copy_verified, hash_file, place_folder, verify_files

TEMPORARY = "~tmp"
LOCKS = "~locks"
WRITTEN_ONCE = 0o444
REPLACEABLE = 0o644


class LocalStore:
    """See :class:`upkeep.store.Store`. Nothing is made on disk before the first write."""

    def __init__(self, root: Path) -> None:
        """Use the folder ``root``."""
        self._root = Path(os.path.abspath(root))  # noqa: PTH100  (resolve() would follow links)
        self.root = str(self._root)

    def get(self, key: str) -> bytes | None:
        """As :meth:`upkeep.store.Store.get`."""
        path = f"{self.root}/{check_key(key)}"  # a Path costs as much as the reading
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise _failed(Path(path), "cannot be read", error) from error

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """As :meth:`upkeep.store.Store.put_if_absent`."""
        return self._link(self._path(key), lambda file: _write_all(file, data))

    def get_versioned(self, key: str) -> tuple[bytes, str] | None:
        """As :meth:`upkeep.store.Store.get_versioned`; the etag is the content's SHA-256."""
        data = self.get(key)
        return None if data is None else (data, sha256_hex(data))

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """As :meth:`upkeep.store.Store.replace`."""
        path = self._path(key)
        if etag is None:
            return self.put_if_absent(key, data)
        with self._lock(key):
            found = self.get_versioned(key)
            if found is None or found[1] != etag:
                return False
            with _reported(path), self._temporary(REPLACEABLE) as (file, temporary):
                _write_all(file, data)
                _flush(file)
                faults.point("store.replace.before_rename")
                temporary.replace(path)
                _fsync_folder(path.parent)
        return True

    def list(self, prefix: str) -> list[str]:
        """As :meth:`upkeep.store.Store.list`."""
        top = self._path(prefix.removesuffix("/")) if prefix else self._root
        found = []
        for folder, subfolders, names in os.walk(top, onerror=_raise_unless_absent):
            subfolders[:] = [name for name in subfolders if "~" not in name]
            below = folder[len(self.root) + 1 :].replace(os.sep, "/")
            found += [f"{below}/{name}" if below else name for name in names]
        return sorted(key for key in found if "~" not in key)

    def put_folder(self, prefix: str, path: Path) -> Folder:
        """As :meth:`upkeep.store.Store.put_folder`; files are copied and made read-only."""
        return place_folder(check_key(prefix), path, self.list, self._put_file)

    def local_folder(self, folder: Folder, cache: Path) -> Path:  # noqa: ARG002  (nothing to fetch)
        """As :meth:`upkeep.store.Store.local_folder`: the store's own folder, never a copy."""
        return verify_files(self._path(folder.prefix), folder.files)

    def _put_file(self, key: str, source: Path, expected: FileHash) -> bool:
        path = self._path(key)
        new = self._link(path, lambda file: copy_verified(source, file, expected))
        return new or hash_file(path) == (expected.size_bytes, expected.sha256)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _link(self, path: Path, fill: Callable[[IO[bytes]], object]) -> bool:
        with _reported(path):
            if path.exists():
                _fsync_folder(path.parent)  # its writer may have died before the fsync
                return False
            return self._link_new(path, fill)

    def _link_new(self, path: Path, fill: Callable[[IO[bytes]], object]) -> bool:
        with self._temporary(WRITTEN_ONCE) as (file, temporary):
            fill(file)
            _flush(file)
            _make_folder(path.parent)
            faults.point("store.put.before_link")
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            finally:
                _fsync_folder(path.parent)
        return True

    @contextmanager
    def _temporary(self, mode: int) -> Iterator[tuple[IO[bytes], Path]]:
        path = self._root / TEMPORARY / uuid4().hex
        _make_folder(path.parent)
        try:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        path = self._root / LOCKS / sha256_hex(key.encode())[:32]
        with _reported(path):
            _make_folder(path.parent)
            file = path.open("ab")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _write_all(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _make_folder(path: Path) -> None:
    """Make a folder and its parents, each entry durable in the folder above."""
    if path.is_dir():
        return
    _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _fsync_folder(path.parent)


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(path, "cannot be written", error) from error


def _failed(path: Path, what: str, error: OSError) -> StoreError:
    cause = error.strerror or str(error)
    return StoreError(f"{path}: {what}: {cause}; nothing was stored there")


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise StoreError(f"{error.filename}: cannot be listed: {error.strerror}") from error
