"""What every record is, and the few shapes that all of them share."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Action = Literal["keep", "compress", "retrain", "rollback", "hold", "investigate"]
Cause = Literal[
    "none",
    "learning",  # too little history to judge
    "no_traffic",
    "data_breakage",
    "traffic_volume",
    "workload",  # each request asks for more work, and takes as much longer
    "traffic_mix",  # inputs changed and quality fell with them
    "model_quality",
    "infrastructure",
    "memory_leak",  # memory grows with every request
    "release",  # it began with a new version
    "price",
    "upstream_errors",
    "unknown",
]
DriftState = Literal["stable", "watch", "drifted", "improved", "unknown"]
JobKind = Literal["evaluate", "compress", "retrain", "benchmark", "review"]
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "preempted", "unknown"]
ChampionEvent = Literal["register", "promote", "rollback"]
Direction = Literal["lower_is_better", "higher_is_better", "neither"]

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0.0)]


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys, no spaces and no NaN: equal values give equal bytes."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class Record(BaseModel):
    """Base of all records: frozen, strict about fields, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical_bytes(self) -> bytes:
        """The record's one serialised form."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of ``canonical_bytes``."""
        return sha256_hex(self.canonical_bytes())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what ``canonical_bytes`` wrote; pydantic's ValidationError otherwise."""
        return cls.model_validate_json(data)


class Interval(Record):
    """A two-sided interval with its nominal confidence (0.95 = 95 %)."""

    low: float
    high: float
    confidence: Share = 0.95

    @property
    def half_width(self) -> float:
        """Half of the interval's width, in the interval's own unit."""
        return (self.high - self.low) / 2.0


class RecordRef(Record):
    """Where a record lies in the store, and its hash: what XCom carries."""

    key: str
    sha256: Sha256


class FileHash(Record):
    """One file of a folder: POSIX path relative to the folder, size and hash."""

    path: str
    size_bytes: Count
    sha256: Sha256


class Folder(Record):
    """A folder of model files in the store: its key prefix and its files, sorted by path."""

    prefix: str
    files: tuple[FileHash, ...]

    @property
    def files_sha256(self) -> str:
        """Identity of the content: hash over (path, sha256) of every file; not of the place."""
        return sha256_hex(canonical_json([[f.path, f.sha256] for f in self.files]))

    @property
    def size_bytes(self) -> int:
        """Sum of the file sizes."""
        return sum(f.size_bytes for f in self.files)
