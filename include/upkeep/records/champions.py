"""The gate's verdict, a person's answer, and the chain of champions."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from upkeep.records.base import Folder, Interval, ModelName, Record, Sha256


class GateRow(Record):
    """One check of the gate. ``interval`` is of the effect; ``margin`` is what is allowed."""

    check: str
    champion: float | None
    candidate: float | None
    effect: float | None
    interval: Interval | None
    margin: float
    passed: bool
    words: str


class GateResult(Record):
    """Whether a candidate may become champion: every row must pass."""

    model: ModelName
    day: date
    kind: Literal["compress", "retrain"]
    champion_version: str
    champion_files_sha256: Sha256
    candidate_files_sha256: Sha256
    passed: bool
    rows: tuple[GateRow, ...]
    benchmark_sha256: Sha256


class Approval(Record):
    """A person's answer to a promotion that waited for it."""

    approved: bool
    by: str
    note: str = ""


class LedgerEntry(Record):
    """One link of a model's chain of champions; ``previous_sha256`` is the link before."""

    seq: Annotated[int, Field(ge=1)]
    key: str
    at: datetime
    model: ModelName
    event: Literal["register", "promote", "rollback"]
    version: str
    replaced_version: str | None
    format: Literal["safetensors", "openvino", "onnx"]
    folder: Folder
    day: date | None
    gate_sha256: Sha256 | None
    approval: Approval | None
    note: str
    previous_sha256: Sha256 | None
