"""What a model's stored jobs took and came to: what a replay's estimates are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from statistics import fmean
from typing import Literal, NamedTuple

from upkeep.gate_cost import FASTER
from upkeep.past_jobs import SECONDS
from upkeep.records import (
    Candidate,
    GateResult,
    JobFailure,
    JobSpec,
    LedgerEntry,
)
from upkeep.replay_day import Reader
from upkeep.replay_records import Costs, Gates, Outcome
from upkeep.spec import ModelSpec
from upkeep.store import record_key

Kind = Literal["compress", "retrain"]
KINDS: tuple[Kind, ...] = ("compress", "retrain")
JOBS = frozenset(KINDS)
SECONDS_PER_HOUR = 3600.0

_JOB = re.compile(r"[^/]+/(\d{4}-\d{2}-\d{2})/r1/(compress|retrain)/job\.json")


class Ran(NamedTuple):
    """A job that was started: what came of it, hours of its machine, its GPUs.

    ``speedup`` is how many times as fast its candidate was, by the gate's benchmark.
    """

    day: date
    kind: Kind
    outcome: Outcome
    hours: float | None
    gpus: int
    speedup: float | None


def expected_of(gates: Gates) -> Outcome:
    """What is taken to come of a job that never ran: what came of most of the model's own.

    The promoted share is (promoted + 1) / (judged + 2), Laplace's rule of succession: a
    model without a judged job has an even chance, and even is promoted.
    """
    return "promoted" if 2 * (gates.promoted + 1) >= gates.judged + 2 else "refused"


class Jobs(NamedTuple):
    """All jobs that a model's store knows, by day and kind."""

    ran: dict[tuple[date, Kind], Ran]

    def outcome(self, day: date, action: str) -> Outcome:
        """What came of the job of a day; ``none`` where none was started."""
        found = next((r for r in self._of(action) if r.day == day), None)
        return found.outcome if found else "none"

    def gates(self) -> Gates:
        """How many jobs came to an end, and how many of those were promoted."""
        ended = [r.outcome for r in self.ran.values() if r.outcome != "running"]
        return Gates(promoted=ended.count("promoted"), judged=len(ended))

    def cost(self, day: date, kind: Kind, spec: ModelSpec) -> Costs:
        """What the job of a day took, or would: itself, the mean of its like, the policy's word."""
        itself = self.ran.get((day, kind))
        timed = [r for r in self._of(kind) if r.hours is not None]
        if itself is not None and itself.hours is not None:
            timed = [itself]
        if not timed:
            payback = spec.policy.payback
            stated = payback.compress if kind == "compress" else payback.retrain
            return Costs(gpu_hours=stated.gpu_hours, usd=stated.usd)
        price = spec.price_on(day)
        hourly = price.usd_per_hour if price else None
        hours = fmean(r.hours for r in timed if r.hours is not None)
        gpu_hours = fmean(r.hours * r.gpus for r in timed if r.hours is not None)
        return Costs(gpu_hours=gpu_hours, usd=None if hourly is None else hours * hourly)

    def saving(self, spec: ModelSpec, day: date) -> float:
        """The share of a day's serving cost that a promoted compression saves.

        1 - 1 / (times as fast), the mean of the model's promoted ones; what the policy states
        where there is none. Machines that are paid by the clock save nothing.
        """
        price = spec.price_on(day)
        if price is None or price.usd_per_hour is None or price.machines is not None:
            return 0.0
        known = [
            1.0 - 1.0 / r.speedup
            for r in self._of("compress")
            if r.outcome == "promoted" and r.speedup is not None
        ]
        return fmean(known) if known else spec.policy.payback.compress.saving

    def assumptions(self) -> Iterator[str]:
        """What the estimates take for granted, in words."""
        found = self.gates()
        yield (
            f"a job that never ran is taken to be {expected_of(found)}: {found.promoted} of "
            f"{found.judged} judged jobs were promoted"
        )
        for kind in KINDS:
            n = sum(r.hours is not None for r in self._of(kind))
            said = f"the mean of {n} stored jobs" if n else "what the policy states: none was timed"
            yield f"a {kind} that never ran takes {said}; its benchmark's time is not recorded"
        n = sum(r.outcome == "promoted" and r.speedup is not None for r in self._of("compress"))
        said = f"what {n} gates measured" if n else "what the policy states: no gate measured it"
        yield f"a compression saves {said}"

    def _of(self, kind: str) -> list[Ran]:
        return [r for r in self.ran.values() if r.kind == kind]


def jobs_of(reader: Reader, model: str, keys: Iterable[str]) -> Jobs:
    """The jobs among a model's keys in the store, oldest first."""
    found = (_JOB.fullmatch(key) for key in sorted(keys))
    places = [(date.fromisoformat(m[1]), _kind(m[2])) for m in found if m]
    return Jobs({place: _ran(reader, model, *place) for place in sorted(places)})


def _kind(text: str) -> Kind:
    return "compress" if text == "compress" else "retrain"


def _ran(reader: Reader, model: str, day: date, kind: Kind) -> Ran:
    def key(step: str) -> str:
        return record_key(model, day, f"{kind}/{step}")

    job = reader.record(key("job"), JobSpec)
    made = reader.record(key("candidate"), Candidate)
    gate = reader.record(key("gate"), GateResult)
    outcome: Outcome = "running"
    if reader.record(key("promotion"), LedgerEntry) is not None:
        outcome = "promoted"
    elif gate is not None and not gate.passed:
        outcome = "refused"
    elif gate is None and reader.record(key("failure"), JobFailure) is not None:
        outcome = "failed"
    seconds = _seconds(made)
    return Ran(
        day=day,
        kind=kind,
        outcome=outcome,
        hours=None if seconds is None else seconds / SECONDS_PER_HOUR,
        gpus=job.resources.gpus if job else 0,
        speedup=_speedup(gate),
    )


def _seconds(made: Candidate | None) -> float | None:
    known = made.measurements if made else {}
    return next((known[name] for name in SECONDS if name in known), None)


def _speedup(gate: GateResult | None) -> float | None:
    rows = gate.rows if gate else ()
    found = next((r.effect for r in rows if r.check == FASTER), None)
    return found if found is not None and found > 0.0 else None
