"""A fake of MLflow's registry: versions counted from 1, aliases, and a history of every effect.

In memory, or shared by processes through a file of JSON lines. As in MLflow, looking for a key
and making its version are two steps: only the caller's lease keeps two from making one each.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from upkeep.errors import TrackingError
from upkeep.records import Folder
from upkeep.store_files import verify_files


class FakeRegistry:
    """Keeps ``history``; ``down`` names calls that fail, ``drops`` calls whose answer is lost."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.down: set[str] = set()
        self.drops: set[str] = set()
        self._memory: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every effect, oldest first."""
        if self.file is None:
            return list(self._memory)
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def register(
        self, model: str, path: Path, folder: Folder, tags: dict[str, str], key: str
    ) -> str:
        """A version with a number of its own, or the one that has the key."""
        self._fail("register")
        verify_files(path, folder.files)
        for effect in self._versions(model):
            if effect["key"] == key:
                return str(effect["version"])
        version = str(1 + sum(e["do"] == "register" for e in self.history))
        own = {"upkeep.key": key, "upkeep.files_sha256": folder.files_sha256}
        tags = {**tags, **own}
        self._do(do="register", model=model, version=version, key=key, tags=tags)
        self._drop("register")
        return version

    def get_alias(self, model: str, alias: str) -> str | None:
        """The version under an alias; an alias goes with its version, as in MLflow."""
        self._fail("get_alias")
        moves = [e for e in self.history if e["do"] == "alias" and e["model"] == model]
        named = [e["version"] for e in moves if e["alias"] == alias]
        there = named and self.version_tags(model, named[-1]) is not None
        return str(named[-1]) if there else None

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias to a version that exists."""
        self._fail("set_alias")
        if self.version_tags(model, version) is None:
            raise TrackingError(f"fake registry: {model} has no version {version}")
        self._do(do="alias", model=model, alias=alias, version=version)
        self._drop("set_alias")

    def version_tags(self, model: str, version: str) -> dict[str, str] | None:
        """The tags of a version, or None."""
        self._fail("version_tags")
        return next((e["tags"] for e in self._versions(model) if e["version"] == version), None)

    def delete_version(self, model: str, version: str) -> None:
        """What a person may do by hand."""
        self._do(do="delete", model=model, version=version)

    def count(self, do: str, **fields: object) -> int:
        """How many effects of this kind there were."""
        asked = {"do": do, **fields}
        return sum(asked.items() <= e.items() for e in map(_hashable, self.history))

    def _versions(self, model: str) -> Iterator[dict[str, Any]]:
        history = self.history
        deleted = {e["version"] for e in history if e["do"] == "delete" and e["model"] == model}
        for effect in history:
            ours = effect["do"] == "register" and effect["model"] == model
            if ours and effect["version"] not in deleted:
                yield effect

    def _do(self, **effect: Any) -> None:
        with self._lock:
            if self.file is None:
                self._memory.append(effect)
                return
            with self.file.open("a", encoding="utf-8") as history:
                history.write(json.dumps(effect) + "\n")

    def _fail(self, call: str) -> None:
        if call in self.down:
            raise TrackingError(f"fake registry: {call}: connection refused")

    def _drop(self, call: str) -> None:
        if call in self.drops:
            self.drops.discard(call)
            raise TrackingError(f"fake registry: {call}: the response was lost")


def _hashable(effect: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in effect.items() if not isinstance(value, dict)}
