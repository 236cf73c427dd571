"""A training's state on disk: whole or not there, checked before it is used, no pickle.

::

    <folder>/step-00000120/     state.json, weights.safetensors, optimizer.safetensors, ..

A checkpoint is written beside its place, flushed, and renamed: a process that is killed leaves
the one before it. ``state.json`` has the SHA-256 of every file and of itself, and says of which
job it is (``fingerprint``). The last two are kept; a broken one is skipped for the one before it,
and a note says so. A disk that is full costs the checkpoint, not the training.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upkeep import faults
from upkeep.records import canonical_json, sha256_hex
from upkeep.store_files import hash_file

log = logging.getLogger("upkeep.worker")

STATE = "state.json"
KEPT = 2
_TEMPORARY = ".tmp-"

Tensors = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Snapshot:
    """A training as it stood after ``step`` steps: groups of tensors by name, and plain values."""

    step: int
    tensors: dict[str, dict[str, Any]]
    state: dict[str, Any]


@dataclass
class Checkpoints:
    """The checkpoints of one job in ``folder``; those of another job are not used.

    ``notes`` are sentences for a reviewer: what was resumed, what was skipped and why.
    """

    folder: Path
    fingerprint: str
    notes: list[str] = field(default_factory=list)

    def save(self, step: int, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Write a checkpoint, then let older ones go; a note where the disk does not take it."""
        beside = self.folder / f"{_TEMPORARY}{step}"
        try:
            self._write(beside, step, tensors, state)
            place = self.folder / f"step-{step:08d}"
            shutil.rmtree(place, ignore_errors=True)  # of an earlier try, and skipped as broken
            faults.point("checkpoint.before_rename")
            beside.rename(place)
            _flush(self.folder)
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            self._note(f"no checkpoint at step {step}: {error.strerror or error}")
            return
        faults.point("checkpoint.before_prune")
        for old in self._places()[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def latest(self) -> Snapshot | None:
        """The newest whole checkpoint of this job, or None."""
        for place in reversed(self._places()):
            try:
                found = self._read(place)
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._note(f"checkpoint {place.name} skipped: {' '.join(str(error).split())}")
                continue
            self._note(f"resumed after step {found.step}")
            return found
        return None

    def clear(self) -> None:
        """Let all of them go: the job's result is kept elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self, words: str) -> None:
        log.info("%s", words)
        self.notes.append(words)

    def _places(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _write(self, beside: Path, step: int, tensors: Tensors, state: Mapping[str, Any]) -> None:
        from safetensors.torch import save

        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for name, group in tensors.items():
            plain = {key: t.detach().cpu().contiguous() for key, t in group.items()}
            _write_whole(beside / f"{name}.safetensors", save(plain))
            faults.point(f"checkpoint.after_{name}")
        files = {path.name: hash_file(path)[1] for path in sorted(beside.iterdir())}
        content = {"fingerprint": self.fingerprint, "step": step, "files": files, "state": state}
        sealed = {"content": content, "sha256": sha256_hex(canonical_json(content))}
        _write_whole(beside / STATE, canonical_json(sealed))
        _flush(beside)

    def _read(self, place: Path) -> Snapshot:
        """Raises ValueError, KeyError or OSError where it is not what was written."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        sealed = json.loads((place / STATE).read_bytes())
        content = sealed["content"]
        if sha256_hex(canonical_json(content)) != sealed["sha256"]:
            raise ValueError(f"{STATE} is not what was written")
        if content["fingerprint"] != self.fingerprint:
            raise ValueError("it is of another job, or of other settings")
        tensors = {}
        for name, digest in content["files"].items():
            data = (place / name).read_bytes()
            if sha256_hex(data) != digest:
                raise ValueError(f"{name} is not what was written")
            try:
                tensors[name.removesuffix(".safetensors")] = load(data)
            except SafetensorError as error:
                raise ValueError(f"{name} cannot be read: {error}") from error
        return Snapshot(int(content["step"]), tensors, content["state"])


def _write_whole(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
