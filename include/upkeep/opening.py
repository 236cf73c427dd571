"""What a day runs on: the snapshot of its specification, and what its runs were told."""

from __future__ import annotations

from datetime import date
from typing import Any

from upkeep.errors import ParamError
from upkeep.params import TriggerParams
from upkeep.records import DayOpen, Override, RunParams, sha256_hex
from upkeep.spec import ModelSpec
from upkeep.store import Store, adopt_or_put, get_record, record_key


def open_day(store: Store, spec: ModelSpec, params: TriggerParams, owner: str) -> DayOpen:
    """Write the snapshot that the day runs on, or adopt the one that is there."""
    opened = DayOpen(
        model=spec.name,
        day=params.day,
        revision=1,
        spec=spec.model_dump(mode="json"),
        spec_sha256=spec.digest(),
        params=params.model_dump(mode="json"),
        owner=owner,
    )
    return adopt_or_put(store, record_key(spec.name, params.day, "open"), opened)


def opened_day(store: Store, model: str, day: date) -> DayOpen:
    """The day's snapshot.

    Raises:
        ParamError: the day was not opened.

    """
    opened = get_record(store, record_key(model, day, "open"), DayOpen)
    if opened is None:
        what = f"{model} was not opened for this day"
        raise ParamError("day", day.isoformat(), what, "start the day first")
    return opened


def record_orders(store: Store, model: str, params: TriggerParams, owner: str) -> None:
    """Record what this run was told, and a person's order for the day if it is one.

    Raises:
        ParamError: somebody ordered something else for this day.

    """
    day = params.day
    heard = RunParams(model=model, day=day, owner=owner, params=params.model_dump(mode="json"))
    adopt_or_put(store, _params_key(model, day, owner), heard)
    if params.action not in ("compress", "retrain"):
        return
    ordered = Override(model=model, day=day, action=params.action, note=params.note, by=owner)
    stands = adopt_or_put(store, record_key(model, day, "override"), ordered)
    if stands.action != ordered.action:
        raise ParamError(
            "action",
            ordered.action,
            f"{stands.action} was ordered for this day by {stands.by}",
            "order it for another day",
        )


def told(store: Store, model: str, day: date, owner: str) -> dict[str, Any]:
    """The parameters of one run of a day; of the run that opened it where ``owner`` said none."""
    run = get_record(store, _params_key(model, day, owner), RunParams)
    return run.params if run else opened_day(store, model, day).params


def _params_key(model: str, day: date, owner: str) -> str:
    return record_key(model, day, f"params/{sha256_hex(owner.encode())[:16]}")
