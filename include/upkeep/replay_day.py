"""One stored day decided again: its facts, and what each step makes of them now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import NamedTuple, Self, TypeVar

from pydantic import PrivateAttr

from upkeep.decision import decide
from upkeep.diagnosis import diagnose
from upkeep.drift import compare
from upkeep.errors import CorruptRecord, StoreError
from upkeep.records import (
    DayFacts,
    DayOpen,
    Decision,
    Diagnosis,
    Drift,
    Record,
    canonical_json,
    sha256_hex,
)
from upkeep.sealed import R, Sealed, parsed, schema_of, sealed
from upkeep.spec import ModelSpec, Policy, spec_of
from upkeep.store import Store, record_key

STEPS: Mapping[str, type[Record]] = {
    "open": DayOpen,
    "facts": DayFacts,
    "drift": Drift,
    "diagnosis": Diagnosis,
    "decision": Decision,
}
H = TypeVar("H", bound="_Hashed")


class _Hashed(Record):
    """A record whose hash is known already, so that nobody computes it twice."""

    _sha256: str = PrivateAttr()

    def digest(self) -> str:
        """The hash that it was read or written under."""
        return self._sha256

    def under(self, sha256: str) -> Self:
        """The same record, known by this hash."""
        self._sha256 = sha256
        return self


class HashedFacts(_Hashed, DayFacts):
    """Facts as they lie in the store."""


class HashedDrift(_Hashed, Drift):
    """Drift whose bytes were written once."""


class Reader:
    """A store that is read once a key: bytes verified, hashes kept."""

    def __init__(self, store: Store) -> None:
        """Read from ``store``; nothing is read yet."""
        self._store = store
        self.digests: dict[str, str] = {}
        self._specs: dict[bytes, ModelSpec] = {}

    def sealed(self, key: str, cls: type[Record]) -> Sealed | None:
        """The verified bytes under a key, or None; its hash is kept either way.

        Raises:
            CorruptRecord: they are not what was written.

        """
        data = self._store.get(key)
        if data is None:
            self.digests[key] = ""
            return None
        try:
            found = sealed(key, data, schema_of(cls))
        except CorruptRecord:
            self.digests[key] = f"corrupt {sha256_hex(data)}"
            raise
        self.digests[key] = found.sha256
        return found

    def known(self, key: str, cls: type[Record]) -> None:
        """Keep the hash of what lies under a key, be it whole or not."""
        if key not in self.digests:
            with suppress(CorruptRecord):
                self.sealed(key, cls)

    def record(self, key: str, cls: type[R]) -> R | None:
        """The record under a key, or None."""
        found = self.sealed(key, cls)
        return parsed(key, found.body, cls) if found else None

    def spec(self, opened: DayOpen) -> ModelSpec:
        """The specification of a day's snapshot; the same one is parsed once."""
        text = canonical_json(opened.spec)
        if text not in self._specs:
            self._specs[text] = spec_of(opened)
        return self._specs[text]

    def inputs_sha256(self) -> str:
        """Identity of everything that was read so far."""
        return sha256_hex(canonical_json(self.digests))


class StoredDay(NamedTuple):
    """A day as it lies in the store; what it came to is not parsed."""

    day: date
    spec: ModelSpec
    facts: HashedFacts
    drift: Sealed
    diagnosis: Sealed
    decision: Sealed


class Made(NamedTuple):
    """What the steps make of a day's facts now."""

    drift: HashedDrift
    drift_bytes: bytes
    diagnosis: Diagnosis
    decision: Decision


def read_day(reader: Reader, model: str, day: date) -> StoredDay:
    """Everything that a decided day is decided again from, and compared with.

    Raises:
        StoreError: one of its records is not there.
        CorruptRecord: one is not what was written.

    """
    found: dict[str, Sealed] = {}
    for step, cls in STEPS.items():
        record = reader.sealed(record_key(model, day, step), cls)
        if record is None:
            raise StoreError(f"{model} {day}: no {step} in the store, so it cannot be replayed")
        found[step] = record
    opened = parsed(record_key(model, day, "open"), found["open"].body, DayOpen)
    facts = parsed(record_key(model, day, "facts"), found["facts"].body, HashedFacts)
    return StoredDay(
        day=day,
        spec=reader.spec(opened),
        facts=facts.under(found["facts"].sha256),
        drift=found["drift"],
        diagnosis=found["diagnosis"],
        decision=found["decision"],
    )


def methods_of(spec: ModelSpec) -> dict[str, str]:
    """The job method of each kind, as decisions name it."""
    return {"compress": spec.jobs.compress.method, "retrain": spec.jobs.retrain.method}


def decide_again(stored: StoredDay, policy: Policy) -> Made:
    """Compare, diagnose and decide the day from its stored facts."""
    drift = compare(stored.facts, policy)
    made_bytes = drift.canonical_bytes()
    known = HashedDrift.model_construct(**dict(drift)).under(sha256_hex(made_bytes))
    diagnosis = diagnose(stored.facts, known)
    made = decide(stored.facts, known, diagnosis, policy, methods_of(stored.spec))
    return Made(known, made_bytes, diagnosis, made)


def differing(stored: StoredDay, made: Made) -> tuple[str, ...]:
    """The records that are not byte for byte what is stored, in the order of the day."""
    pairs = (
        ("drift", stored.drift, made.drift_bytes),
        ("diagnosis", stored.diagnosis, made.diagnosis.canonical_bytes()),
        ("decision", stored.decision, made.decision.canonical_bytes()),
    )
    return tuple(name for name, kept, now in pairs if kept.body != now)


def stored_decision(stored: StoredDay, made: Made, differs: tuple[str, ...]) -> Decision:
    """What was decided; parsed only where it is not what is decided now."""
    if "decision" not in differs:
        return made.decision
    key = record_key(stored.facts.model, stored.day, "decision")
    return parsed(key, stored.decision.body, Decision)
