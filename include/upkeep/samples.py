"""A day's texts in the store, and what was set aside of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date

from upkeep.errors import StoreError
from upkeep.records import FileHash, Sample, canonical_json, sha256_hex
from upkeep.store import Store


def samples_key(model: str, day: date) -> str:
    """Where a day's samples lie."""
    return f"{model}/{day.isoformat()}/r1/samples.jsonl"


def put_samples(store: Store, key: str, samples: Iterable[Sample]) -> FileHash:
    """Write samples as JSON lines, once; the hash is of what lies there."""
    lines = b"".join(canonical_json(s.model_dump(mode="json")) + b"\n" for s in samples)
    store.put_if_absent(key, lines)
    stored = store.get(key)
    if stored is None:
        raise StoreError(f"{key}: was written and is gone")
    return FileHash(path=key, size_bytes=len(stored), sha256=sha256_hex(stored))


def read_samples(store: Store, key: str) -> list[Sample]:
    """Read what ``put_samples`` wrote; nothing there gives no samples."""
    data = store.get(key) or b""
    return [Sample.model_validate(json.loads(line)) for line in data.split(b"\n") if line]


def choose_samples(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most ``most`` samples, chosen by the hash of their id: the same ones every time."""
    ranked = sorted(samples, key=lambda s: sha256_hex(s.id.encode("utf-8", "replace")))
    return sorted(ranked[:most], key=lambda s: s.id)


class Quarantine:
    """Keeps the raw bytes of what was set aside; names from outside never become paths."""

    def __init__(self, store: Store, model: str, day: date) -> None:
        """Keep under ``<model>/<day>/quarantine/``."""
        self._store, self._prefix = store, f"{model}/{day.isoformat()}/quarantine"

    def __call__(self, name: str, data: bytes, reason: str) -> None:
        """Keep ``data`` and why it is here; the same thing twice is kept once."""
        digest = sha256_hex(name.encode("utf-8", "replace") + b"\0" + data)
        self._store.put_if_absent(f"{self._prefix}/{digest}.bin", data)
        shown = name.encode("utf-8", "replace").decode()
        words = canonical_json({"name": shown, "reason": reason, "sha256": sha256_hex(data)})
        self._store.put_if_absent(f"{self._prefix}/{digest}.json", words)
