"""One stored day decided again: its facts, and what each step makes of them now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import NamedTuple

from upkeep.decision import decide, methods_of
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
from upkeep.replay_hashed import (
    HashedDiagnosis,
    HashedDrift,
    HashedFacts,
    hashed_diagnosis,
    hashed_drift,
    hashed_policy,
)
from upkeep.replay_history import FactsReader
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


class Reader:
    """A store that is read once a key: bytes verified, hashes kept."""

    def __init__(self, store: Store) -> None:
        """Read from ``store``; nothing is read yet."""
        self._store = store
        self.digests: dict[str, str] = {}
        self._specs: dict[bytes, ModelSpec] = {}
        self._facts = FactsReader()

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

    def spec(self, key: str, day: date, body: bytes) -> ModelSpec:
        """The specification of a day's snapshot; snapshots that differ in the day are parsed once.

        Raises:
            CorruptRecord: the bytes are no snapshot.

        """
        rest = body.removeprefix(b'{"day":"%b"' % day.isoformat().encode())
        if rest not in self._specs:
            spec = spec_of(parsed(key, body, DayOpen))
            hashed = hashed_policy(spec.policy)
            self._specs[rest] = spec.model_copy(update={"policy": hashed})
        return self._specs[rest]

    def facts(self, key: str, found: Sealed) -> HashedFacts:
        """The facts in verified bytes, known by their hash."""
        return self._facts.read(key, found.body).under(found.sha256)

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
    """What the steps make of a day's facts now; ``drift_bytes`` and the like are canonical."""

    drift: HashedDrift
    drift_bytes: bytes
    diagnosis: HashedDiagnosis
    diagnosis_bytes: bytes
    decision: Decision


def read_day(reader: Reader, model: str, day: date) -> StoredDay:
    """Everything that a decided day is decided again from, and compared with.

    Raises:
        StoreError: one of its records is not there.
        CorruptRecord: one is not what was written.

    """
    keys = {step: record_key(model, day, step) for step in STEPS}
    found: dict[str, Sealed] = {}
    for step, cls in STEPS.items():
        record = reader.sealed(keys[step], cls)
        if record is None:
            raise StoreError(f"{model} {day}: no {step} in the store, so it cannot be replayed")
        found[step] = record
    return StoredDay(
        day=day,
        spec=reader.spec(keys["open"], day, found["open"].body),
        facts=reader.facts(keys["facts"], found["facts"]),
        drift=found["drift"],
        diagnosis=found["diagnosis"],
        decision=found["decision"],
    )


def decide_again(stored: StoredDay, policy: Policy) -> Made:
    """Compare, diagnose and decide the day from its stored facts."""
    drift, drift_bytes = hashed_drift(compare(stored.facts, policy))
    diagnosis, diagnosis_bytes = hashed_diagnosis(diagnose(stored.facts, drift))
    made = decide(stored.facts, drift, diagnosis, policy, methods_of(stored.spec))
    return Made(drift, drift_bytes, diagnosis, diagnosis_bytes, made)


def differing(stored: StoredDay, made: Made) -> tuple[str, ...]:
    """The records that are not byte for byte what is stored, in the order of the day."""
    pairs = (
        ("drift", stored.drift, made.drift_bytes),
        ("diagnosis", stored.diagnosis, made.diagnosis_bytes),
        ("decision", stored.decision, made.decision.canonical_bytes()),
    )
    return tuple(name for name, kept, now in pairs if kept.body != now)


def stored_decision(stored: StoredDay, made: Made, differs: tuple[str, ...]) -> Decision:
    """What was decided; parsed only where it is not what is decided now."""
    if "decision" not in differs:
        return made.decision
    key = record_key(stored.facts.model, stored.day, "decision")
    return parsed(key, stored.decision.body, Decision)
