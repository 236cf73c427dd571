"""What the command line lists: decisions and the ledger. Plain rows, ready for JSON."""

from __future__ import annotations

import os
from datetime import date
from typing import Any

from upkeep import promotion, replay
from upkeep.errors import ParamError, StoreError
from upkeep.records import Decision
from upkeep.store import Store, get_record, open_store, record_key
from upkeep.tracking import run_place


def store_from_env() -> Store:
    """The store that ``UPKEEP_STORE`` names; ParamError if it names none."""
    root = os.environ.get("UPKEEP_STORE", "")
    if not root:
        raise ParamError("UPKEEP_STORE", root, "is not set", "name a folder or s3://bucket/prefix")
    return open_store(root)


def models_of(store: Store) -> list[str]:
    """The models that have anything in the store."""
    names = {key.split("/", 1)[0] for key in store.list("")}
    return sorted(names - {"fleet", "leases", "models", "replays"})


def decision_rows(model: str | None) -> list[dict[str, Any]]:
    """One row a decided day, oldest first."""
    store = store_from_env()
    names = [model] if model else models_of(store)
    return [
        _decision_row(store, name, day)
        for name in names
        for day in replay.decided_days(store.list(f"{name}/"))
    ]


def _decision_row(store: Store, model: str, day: date) -> dict[str, Any]:
    made = get_record(store, record_key(model, day, "decision"), Decision)
    if made is None:
        raise StoreError(f"{model} {day}: its decision was listed and is gone")
    place = run_place(store, model, day)
    return {
        "day": day.isoformat(),
        "model": model,
        "action": made.action,
        "cause": made.cause,
        "reasons": [r.words for r in made.reasons],
        "champion_version": made.champion_version,
        "mlflow_run_id": place.run_id if place else None,
    }


def ledger_rows(model: str | None) -> list[dict[str, Any]]:
    """One row an entry of the ledger, oldest first; the chain is verified."""
    store = store_from_env()
    names = [model] if model else models_of(store)
    return [
        {
            "seq": entry.seq,
            "model": entry.model,
            "event": entry.event,
            "version": entry.version,
            "replaced_version": entry.replaced_version,
            "day": entry.day.isoformat() if entry.day else None,
            "at": entry.at.isoformat(),
            "approved_by": entry.approval.by if entry.approval else None,
            "note": entry.note,
            "sha256": entry.digest(),
        }
        for name in names
        for entry in promotion.ledger(store, name)
    ]
