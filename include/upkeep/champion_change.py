"""One change of a champion, step by step, under a lease; each step adopts what a try left."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from upkeep import faults
from upkeep.errors import LeaseHeld, PromotionRefused, TrackingError
from upkeep.ledger import entry_key, read_chain
from upkeep.records import Folder, LedgerEntry, Record
from upkeep.sealed import seal
from upkeep.store import Lease, Store, adopt_or_put, get_record

CHAMPION = "champion"
LEASE_TTL_S = 900.0  # longer than the upload of a large model takes
WAIT_S = 60.0


class Registry(Protocol):
    """What a promotion needs of MLflow's registry. Errors are TrackingError."""

    def register(
        self, model: str, path: Path, folder: Folder, tags: dict[str, str], key: str
    ) -> str:
        """The version with these files; the one that has ``key`` if there is one."""

    def get_alias(self, model: str, alias: str) -> str | None:
        """The version under an alias, or None."""

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias, by one call."""

    def version_tags(self, model: str, version: str) -> dict[str, str] | None:
        """The tags of a version, or None if there is no such version (it was deleted)."""


class AliasSeen(Record):
    """The alias was seen to name the version of entry ``seq``, whose hash is given."""

    seq: int
    version: str
    entry_sha256: str


class Change:
    """One change of one model's champion, alone: everything here happens under the lease."""

    def __init__(self, store: Store, registry: Registry, model: str, lease: Lease) -> None:
        """Made by :meth:`alone`; the ledger is read here, under the lease."""
        self._store, self._registry, self._model, self._lease = store, registry, model, lease
        self.entries, self._tip = read_chain(store, model)

    @classmethod
    @contextmanager
    def alone(cls, store: Store, registry: Registry, model: str) -> Iterator[Change]:
        """Wait for others up to ``WAIT_S`` seconds, then LeaseHeld."""
        owner = f"process:{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        deadline, pause = time.monotonic() + WAIT_S, 0.02
        while True:
            try:
                lease = Lease.acquire(store, f"{model}/promotion", owner, LEASE_TTL_S)
                break
            except LeaseHeld:
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(0.5, pause * 1.5)
        with lease:
            yield cls(store, registry, model, lease)

    def done(self, key: str, folder: Folder | None) -> LedgerEntry | None:
        """The entry that has this key, its alias settled if it was interrupted; or None."""
        found = next((e for e in self.entries if e.key == key), None)
        if found is None:
            return None
        if folder is not None and found.folder.files_sha256 != folder.files_sha256:
            raise PromotionRefused(f"{key}: was used for version {found.version}, of other files")
        if found is self.entries[-1] and not self._seen_right(found):
            self.settle()
        return found

    def refuse_if_alias_was_moved(self) -> None:
        """Finish a move that was interrupted; PromotionRefused if somebody else moved it."""
        head = self.entries[-1]
        seen = self._registry.get_alias(self._model, CHAMPION)
        if seen == head.version:
            return
        if self._seen_right(head):
            raise PromotionRefused(
                f"{self._model}: alias {CHAMPION} names {seen or 'nothing'}, the ledger says "
                f"version {head.version}: somebody moved it or deleted the version. Put a champion "
                "back (rollback), then gate again"
            )
        self.settle()

    def register(self, path: Path, folder: Folder, tags: dict[str, str], key: str) -> str:
        """The version of these files in the registry, made or found by its key."""
        self._lease.check()
        faults.point("promotion.before_register")
        version = self._registry.register(self._model, path, folder, tags, key)
        faults.point("promotion.after_register")
        return version

    def append(self, **fields: Any) -> LedgerEntry:
        """Put the next entry, then the alias."""
        head = self.entries[-1] if self.entries else None
        nothing = {"day": None, "gate_sha256": None, "approval": None}
        entry = LedgerEntry(
            seq=len(self.entries) + 1,
            at=datetime.now(UTC),
            model=self._model,
            replaced_version=head.version if head else None,
            previous_sha256=self._tip,
            **{**nothing, **fields},
        )
        self._lease.check()
        place = entry_key(self._model, entry.seq)
        new = self._store.put_if_absent(place, seal(entry))
        if not new and get_record(self._store, place, LedgerEntry) != entry:
            raise PromotionRefused(f"{place}: another champion came first; gate again")
        faults.point("promotion.after_ledger")
        self.entries = (*self.entries, entry)
        self.settle()
        return entry

    def settle(self) -> None:
        """Put the alias where the head is, look, and note that it was right."""
        head = self.entries[-1]
        self._lease.check()
        if self._registry.get_alias(self._model, CHAMPION) != head.version:
            self._registry.set_alias(self._model, CHAMPION, head.version)
        faults.point("promotion.after_alias")
        seen = self._registry.get_alias(self._model, CHAMPION)
        if seen != head.version:
            raise TrackingError(
                f"{self._model}: alias {CHAMPION} was set to {head.version} and names {seen}: "
                "somebody moves it at the same time; run it again"
            )
        seen_now = AliasSeen(seq=head.seq, version=head.version, entry_sha256=head.digest())
        adopt_or_put(self._store, _seen_key(head), seen_now)

    def _seen_right(self, entry: LedgerEntry) -> bool:
        return get_record(self._store, _seen_key(entry), AliasSeen) is not None


def is_settled(store: Store, registry: Registry, head: LedgerEntry) -> bool:
    """Whether the alias was seen right for ``head``, and is right now."""
    noted = get_record(store, _seen_key(head), AliasSeen) is not None
    return noted and registry.get_alias(head.model, CHAMPION) == head.version


def _seen_key(entry: LedgerEntry) -> str:
    return f"{entry.model}/alias/{entry.seq:06d}.json"
