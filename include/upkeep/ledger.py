"""The chain of a model's champions as it lies in the store: read, and verified link by link."""

from __future__ import annotations

from upkeep.errors import CorruptRecord, StoreError
from upkeep.records import LedgerEntry
from upkeep.sealed import sealed_digest, unseal
from upkeep.store import Store


def ledger(store: Store, model: str) -> tuple[LedgerEntry, ...]:
    """All entries, oldest first; CorruptRecord names the first that breaks the chain."""
    return read_chain(store, model)[0]


def champion(store: Store, model: str) -> LedgerEntry | None:
    """The entry that stands now, or None before the first."""
    entries = ledger(store, model)
    return entries[-1] if entries else None


def entry_key(model: str, seq: int) -> str:
    """Where entry number ``seq`` lies, counted from 1."""
    return f"{model}/ledger/{seq:06d}.json"


def read_chain(store: Store, model: str) -> tuple[tuple[LedgerEntry, ...], str | None]:
    """The entries, and the hash of the last one that the next must name."""
    entries: list[LedgerEntry] = []
    tip: str | None = None
    for seq, key in enumerate(store.list(f"{model}/ledger"), start=1):
        if key != entry_key(model, seq):
            raise CorruptRecord(f"{entry_key(model, seq)}: is missing from the ledger; found {key}")
        data = store.get(key)
        if data is None:
            raise StoreError(f"{key}: was listed and cannot be read")
        entry = unseal(key, data, LedgerEntry)
        if (entry.seq, entry.model, entry.previous_sha256) != (seq, model, tip):
            raise CorruptRecord(f"{key}: does not follow the entry before it; the chain is broken")
        entries.append(entry)
        tip = sealed_digest(key, data)
    return tuple(entries), tip
