"""Day records on a local folder or on S3: written once, hashed, read back verified.

The store is the journal: a record is here before anything else is told of it. ``open_store``
gives the store of a root; ``put_record``, ``adopt_or_put`` and ``get_record`` are how records
go in and out; ``Lease`` says who works on something now.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Protocol

from upkeep import faults
from upkeep.errors import ConflictingRecord, ParamError, StoreError
from upkeep.lease import Lease
from upkeep.records import Folder, Record, RecordRef
from upkeep.sealed import R, seal, unseal
from upkeep.store_files import check_key

__all__ = [
    "Lease",
    "Store",
    "adopt_or_put",
    "check_key",
    "get_record",
    "open_store",
    "put_record",
    "record_key",
]


class Store(Protocol):
    """A place for bytes under keys. Keys as :func:`check_key` allows; errors are StoreError."""

    root: str

    def get(self, key: str) -> bytes | None:
        """The bytes under ``key``, or None."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write once, atomically and durably; False, and nothing changed, if ``key`` exists."""

    def get_versioned(self, key: str) -> tuple[bytes, str] | None:
        """The bytes under ``key`` with an etag for :meth:`replace`, or None."""

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """Compare-and-swap; False if the etag is not current. None: ``key`` must not exist."""

    def list(self, prefix: str) -> list[str]:
        """All keys below the folder ``prefix``, sorted; ``""`` is everything."""

    def put_folder(self, prefix: str, path: Path) -> Folder:
        """Store every file of ``path``, hashed; ArtifactError if one is a link or a device.

        Where other content already lies under ``prefix`` (a try that died halfway), the files
        go beside it, under ``<prefix>.<hash>``: use the prefix of the Folder that is returned.
        """

    def local_folder(self, folder: Folder, cache: Path) -> Path:
        """A folder on this disk with exactly these files; ArtifactError on any difference."""


def open_store(root: str) -> Store:
    """The store at ``root``: ``s3://bucket/prefix``, or a folder (made at the first write)."""
    if root.startswith("s3://"):
        from upkeep.store_s3 import S3Store

        return S3Store(root)
    if not root.strip() or "://" in root:
        raise ParamError("UPKEEP_STORE", root, "must be a folder or s3://bucket/prefix", "set it")
    from upkeep.store_local import LocalStore

    return LocalStore(Path(root))


def record_key(model: str, day: date, step: str, revision: int = 1) -> str:
    """Where the record of a step of a model's day lies."""
    return check_key(f"{model}/{day.isoformat()}/r{revision}/{step}.json")


def put_record(store: Store, key: str, record: Record) -> RecordRef:
    """Write ``record`` once; an equal one that lies there is adopted.

    Raises ConflictingRecord if another one lies there, CorruptRecord if what lies there is none.
    """
    stored = adopt_or_put(store, key, record)
    if stored != record:
        fields = [n for n in type(record).model_fields if getattr(stored, n) != getattr(record, n)]
        raise ConflictingRecord(
            f"{key}: another {type(record).__name__} lies there (SHA-256 {stored.digest()}, "
            f"not {record.digest()}); different: {', '.join(fields)}; "
            "a changed day needs a new revision"
        )
    return RecordRef(key=key, sha256=stored.digest())


def adopt_or_put(store: Store, key: str, record: R) -> R:
    """Write ``record`` unless one lies there; whoever was first wins. Gives what is stored."""
    step = key.rpartition("/r1/")[2].removesuffix(".json")
    faults.point(f"before {step}")
    if store.put_if_absent(key, seal(record)):
        faults.point(f"after {step}")
        return record
    stored = get_record(store, key, type(record))
    if stored is None:
        raise StoreError(f"{key}: exists and cannot be read: was it deleted just now?")
    return stored


def get_record(store: Store, key: str, cls: type[R]) -> R | None:
    """The record under ``key``, its hash and schema verified (CorruptRecord), or None."""
    data = store.get(key)
    return None if data is None else unseal(key, data, cls)
