"""The ledger of champions, and the alias that is derived from it.

``<model>/ledger/<seq>.json`` is written once per number, and each entry names the hash of the one
before: putting number n + 1 is the compare-and-swap on the head n. The order of every change is

    version in the registry -> entry in the ledger (the truth) -> alias -> alias seen to be right

and each step finds what an earlier try left, so that a change which was killed anywhere is
finished by doing it again. ``<model>/alias/<seq>.json`` notes that the alias was seen right: only
an alias that is wrong *after* that was moved by somebody else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from upkeep.champion_change import CHAMPION, Change, Registry, is_settled
from upkeep.errors import ArtifactError, PromotionRefused
from upkeep.ledger import champion, ledger
from upkeep.promotion_rules import refuse_unless_allowed, refuse_unless_approved, rollback_target
from upkeep.records import Approval, Candidate, Folder, GateResult, LedgerEntry
from upkeep.store import Store

__all__ = [
    "CHAMPION",
    "Registry",
    "champion",
    "ledger",
    "promote",
    "reconcile",
    "register_first",
    "rollback",
]

Format = Literal["safetensors", "openvino", "onnx"]


def register_first(
    store: Store,
    registry: Registry,
    model: str,
    *,
    folder: Folder,
    format: Format,  # noqa: A002 - the field's name in the ledger
    cache: Path,
    key: str,
    note: str = "first champion",
) -> LedgerEntry:
    """Make the first champion; the same key again gives the same entry.

    Raises:
        PromotionRefused: the model has a champion already, or the files are not as recorded.

    """
    with Change.alone(store, registry, model) as change:
        if done := change.done(key, folder):
            return done
        if change.entries:
            raise PromotionRefused(f"{model} has a champion: version {change.entries[-1].version}")
        version = change.register(_verified(store, folder, cache), folder, {"format": format}, key)
        return change.append(
            key=key, event="register", version=version, format=format, folder=folder, note=note
        )


def promote(  # noqa: PLR0913 - each is a fact of the promotion, given by name
    store: Store,
    registry: Registry,
    *,
    candidate: Candidate,
    gate: GateResult,
    key: str,
    cache: Path,
    approval: Approval | None = None,
    require_approval: bool = False,
    promote_old: bool = False,
) -> LedgerEntry:
    """Make the candidate champion; the same key again gives the same entry.

    ``promote_old`` lets a day replace the champion of a later day.

    Raises:
        PromotionRefused: the gate, a person, the ledger or the alias says no, or the files are
            no longer those that the gate saw.
        TrackingError: MLflow cannot be reached; run it again.

    """
    with Change.alone(store, registry, candidate.model) as change:
        if done := change.done(key, candidate.folder):
            return done
        refuse_unless_allowed(change.entries, candidate, gate, promote_old=promote_old)
        refuse_unless_approved(candidate.model, approval, required=require_approval)
        change.refuse_if_alias_was_moved()
        path = _verified(store, candidate.folder, cache)
        version = change.register(path, candidate.folder, _tags(candidate, gate), key)
        change.refuse_if_alias_was_moved()
        return change.append(
            key=key,
            event="promote",
            version=version,
            format=candidate.format,
            folder=candidate.folder,
            day=candidate.day,
            gate_sha256=gate.digest(),
            approval=approval,
            note=f"{candidate.kind} by {candidate.method}",
        )


def rollback(
    store: Store,
    registry: Registry,
    model: str,
    *,
    to: str | None = None,
    note: str,
    key: str,
    day: date | None = None,
    approval: Approval | None = None,
) -> LedgerEntry:
    """Put the champion before this one back, or version ``to`` of the ledger: one new entry.

    A version that was deleted from the registry is registered anew from the store's files, under
    a new number. What the alias names now does not matter: a rollback is also the way back from
    an alias moved by hand. ``day`` is the day whose decision asks for it; by hand, and by
    default, it is the UTC day on which it is done.

    Raises:
        PromotionRefused: there is no such champion in the ledger, it stands already, a person
            said no, or its files are no longer as recorded.

    """
    with Change.alone(store, registry, model) as change:
        if done := change.done(key, None):
            return done
        refuse_unless_approved(model, approval, required=False)
        target = rollback_target(change.entries, model, to)
        with _cache(None) as place:
            path = _verified(store, target.folder, place)
            version = target.version
            if registry.version_tags(model, version) is None:
                tags = {"upkeep.copy_of": version, "upkeep.format": target.format}
                version = change.register(path, target.folder, tags, key)
        return change.append(
            key=key,
            event="rollback",
            day=day or datetime.now(UTC).date(),
            version=version,
            format=target.format,
            folder=target.folder,
            approval=approval,
            note=note,
        )


def reconcile(store: Store, registry: Registry, model: str) -> LedgerEntry | None:
    """Put the alias where the ledger's head is, whoever moved it; the head."""
    head = champion(store, model)
    if head is None or is_settled(store, registry, head):
        return head
    with Change.alone(store, registry, model) as change:
        change.settle()
        return change.entries[-1]


def _verified(store: Store, folder: Folder, cache: Path) -> Path:
    """The files on this disk, hashed now; PromotionRefused if they are not as recorded."""
    try:
        return store.local_folder(folder, cache)
    except ArtifactError as error:
        raise PromotionRefused(f"the files are not those that were recorded: {error}") from error


@contextmanager
def _cache(cache: Path | None) -> Iterator[Path]:
    if cache is not None:
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="upkeep-") as place:
        yield Path(place)


def _tags(candidate: Candidate, gate: GateResult) -> dict[str, str]:
    return {
        "upkeep.parent_version": candidate.parent_version,
        "upkeep.job_key": candidate.job_key,
        "upkeep.kind": candidate.kind,
        "upkeep.method": candidate.method,
        "upkeep.format": candidate.format,
        "upkeep.gate": "passed",
        "upkeep.gate_sha256": gate.digest(),
    }
