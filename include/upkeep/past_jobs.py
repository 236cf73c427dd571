"""What became of past jobs, as the store and the ledger hold it: their cost, what they saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import NamedTuple

from upkeep.gate_cost import FASTER
from upkeep.promotion_rules import standing_champions
from upkeep.records import (
    Candidate,
    ChampionEvent,
    GateResult,
    JobSpec,
    LedgerEntry,
    PastDecision,
    sha256_hex,
)
from upkeep.store import Store, get_record, record_key

SECONDS = ("seconds", "train_s")  # what a candidate's measurements call the time that it took


class Standing(NamedTuple):
    """The champion of a day: how it came to be it, and which one stood before it."""

    event: ChampionEvent | None
    earlier_version: str | None


def standing(entries: Sequence[LedgerEntry]) -> Standing:
    """Read off the entries of a ledger up to the day; nothing is known of an empty one."""
    if not entries:
        return Standing(None, None)
    before = standing_champions(entries)[:-1]
    return Standing(entries[-1].event, before[-1].version if before else None)


def follow_up(model: str, day: date, kind: str) -> str:
    """The name of the run that follows from a day's decision; the same for every try."""
    return f"{model}--{day.isoformat()}--{kind}"


def decided_on(model: str, run_id: str, kind: str) -> date | None:
    """The day whose decision a run follows from; None for a run that nobody's decision began."""
    day = run_id.removeprefix(f"{model}--").removesuffix(f"--{kind}")
    try:
        return date.fromisoformat(day) if run_id == f"{model}--{day}--{kind}" else None
    except ValueError:
        return None


def rollback_key(model: str, run_id: str) -> str:
    """The key in the ledger of the rollback that a run makes, in Airflow or not."""
    return f"{model}/rollback/{sha256_hex(run_id.encode())[:12]}"


def completed(
    store: Store, model: str, entries: Iterable[LedgerEntry], past: Iterable[PastDecision]
) -> Iterator[PastDecision]:
    """Past decisions with what their jobs took and saved; a rollback that was made is promoted."""
    made = {entry.key for entry in entries if entry.event == "rollback"}
    for each in past:
        if each.action == "rollback":
            key = rollback_key(model, follow_up(model, each.day, "rollback"))
            yield each.model_copy(update={"outcome": "promoted"}) if key in made else each
        elif each.outcome != "none" and each.action in ("compress", "retrain"):
            hours = _gpu_hours(store, model, each)
            yield each.model_copy(
                update={"gpu_hours": hours, "saving": _saving(store, model, each)}
            )
        else:
            yield each


def _gpu_hours(store: Store, model: str, past: PastDecision) -> float | None:
    """GPUs x hours of the job that made the candidate; None where its time was not measured."""
    job = get_record(store, record_key(model, past.day, f"{past.action}/job"), JobSpec)
    made = get_record(store, record_key(model, past.day, f"{past.action}/candidate"), Candidate)
    if job is None or made is None:
        return None
    seconds = next((made.measurements[n] for n in SECONDS if n in made.measurements), None)
    return None if seconds is None else job.resources.gpus * seconds / 3600.0


def _saving(store: Store, model: str, past: PastDecision) -> float | None:
    """1 - candidate's / champion's time of the compression's gate, whether it passed or not."""
    if past.action != "compress":
        return None
    gate = get_record(store, record_key(model, past.day, "compress/gate"), GateResult)
    speed = next((r.effect for r in gate.rows if r.check == FASTER), None) if gate else None
    return 1.0 - 1.0 / speed if speed is not None and speed > 0.0 else None
