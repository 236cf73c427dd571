"""The fleet's day: which wishes there are, and the chain of allotments that answered them.

``fleet/<day>/r1/allotment.json`` is written once, and r2 and later only for wishes that no
earlier one answered: whoever runs the day again, for the same models or for more, adopts what
was granted and shares out what is left. Each number is written put-if-absent and the next is
computed from all before it, so that two runs at once never grant the same hours twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from upkeep.allotment import Limits, share_out
from upkeep.allotment_chain import allotment_key, answer, read_chain
from upkeep.config import BUDGET, Fleet
from upkeep.errors import StoreError
from upkeep.opening import opened_day, told
from upkeep.payback import cost_of
from upkeep.records import (
    Allotment,
    Allotted,
    DayFacts,
    Decision,
    JobSpec,
    Override,
    Used,
    Wish,
    WishKind,
)
from upkeep.spec import ModelSpec, spec_of
from upkeep.store import Store, adopt_or_put, get_record, record_key

JOB_KINDS: tuple[WishKind, ...] = ("compress", "retrain")
ATTEMPTS = 100


def wish_of(store: Store, model: str, day: date, owner: str) -> Wish | None:
    """What the day of a model would start; None if nothing, also where nothing was decided.

    A person's order stands over the policy's decision; a run that only looks starts nothing.
    """
    decision = get_record(store, record_key(model, day, "decision"), Decision)
    if decision is None:
        return None
    order = get_record(store, record_key(model, day, "override"), Override)
    action = order.action if order else decision.action
    if action not in ("compress", "retrain", "rollback"):
        return None
    params = told(store, model, day, owner)
    if params.get("dry_run") or params.get("action") == "evaluate_only":
        return None
    wish = Wish(model=model, kind=action, ordered_by=order.by if order else None)
    return wish if action == "rollback" else _priced(store, day, wish, decision)


def _priced(store: Store, day: date, wish: Wish, decision: Decision) -> Wish:
    """The wish with what its job takes and is worth, as the decision says, else as expected."""
    model, job = wish.model, decision.job
    there = _started(store, model, day, wish.kind)
    if job is not None and job.kind == wish.kind:
        known = ("gpu_hours", "usd_per_day", "harm_per_day", "payback_days")
        return wish.model_copy(update={"exists": there} | {n: getattr(job, n) for n in known})
    facts = get_record(store, record_key(model, day, "facts"), DayFacts)
    policy = spec_of(opened_day(store, model, day)).policy
    cost = cost_of("compress" if wish.kind == "compress" else "retrain", facts, policy)
    return wish.model_copy(update={"exists": there, "gpu_hours": cost.gpu_hours})


def allot(store: Store, fleet: Fleet, day: date, wishes: Sequence[Wish]) -> tuple[Allotted, ...]:
    """Answer every wish: adopt what was answered before, share out what is left; by model.

    Writes nothing where there is nothing new to answer.

    Raises:
        StoreError: others shared out the day again and again under us.

    """
    for _ in range(ATTEMPTS):
        chain = read_chain(store, day)
        limits = _limits(fleet)
        new = [w for w in wishes if not _answered(chain, w, limits)]
        if not new:
            return tuple(a for w in _by_model(wishes) if (a := answer(chain, w)) is not None)
        made = _next(store, fleet, day, chain, new, limits)
        adopt_or_put(store, allotment_key(day, made.revision), made)
    raise StoreError(f"the budget of {day} was shared out {ATTEMPTS} times under us")


def _answered(chain: Sequence[Allotment], wish: Wish, limits: Limits) -> bool:
    """Whether nothing new can come of asking: granted, or refused under the same limits."""
    known = answer(chain, wish)
    if known is None or known.verdict != "refused":
        return known is not None
    seen = [m for m in chain if known in m.allotted][-1]
    same = (seen.jobs_per_day, seen.gpu_hours_per_day, seen.why_none) == limits
    return same and not wish.exists


def _limits(fleet: Fleet) -> Limits:
    budget = fleet.budget
    if budget is None:
        why = f"{BUDGET} was refused, so nothing is granted: {fleet.errors[BUDGET]}"
        return Limits(None, None, why)
    return Limits(budget.jobs_per_day, budget.gpu_hours_per_day)


def _next(
    store: Store,
    fleet: Fleet,
    day: date,
    chain: Sequence[Allotment],
    new: Sequence[Wish],
    limits: Limits,
) -> Allotment:
    known = _taken(chain)
    by_hand = tuple(_by_hand(store, fleet.models, day, known))
    return Allotment(
        day=day,
        revision=len(chain) + 1,
        jobs_per_day=limits.jobs,
        gpu_hours_per_day=limits.gpu_hours,
        why_none=limits.why_none,
        by_hand=by_hand,
        allotted=share_out(_by_model(new), limits, [*known, *by_hand]),
        previous_sha256=chain[-1].digest() if chain else None,
    )


def _taken(chain: Iterable[Allotment]) -> list[Used]:
    """What was granted, ordered, or found to be started by hand: each job once."""
    jobs: dict[tuple[str, str], Used] = {}
    for made in chain:
        for used in made.by_hand:
            jobs[used.model, used.kind] = used
        for found in made.allotted:
            wish = found.wish
            if found.verdict != "refused" and wish.kind != "rollback":
                used = Used(model=wish.model, kind=wish.kind, gpu_hours=wish.gpu_hours)
                jobs.setdefault((wish.model, wish.kind), used)
    return list(jobs.values())


def _by_hand(
    store: Store, models: Mapping[str, ModelSpec], day: date, known: Iterable[Used]
) -> Iterator[Used]:
    """Jobs of the day that nobody granted: a person started ``compress`` or ``retrain``."""
    granted = {(used.model, used.kind) for used in known}
    for name, spec in models.items():
        for kind in JOB_KINDS:
            if (name, kind) not in granted and _started(store, name, day, kind):
                cost = cost_of("compress" if kind == "compress" else "retrain", None, spec.policy)
                yield Used(model=name, kind=kind, gpu_hours=cost.gpu_hours)


def _started(store: Store, model: str, day: date, kind: str) -> bool:
    return get_record(store, record_key(model, day, f"{kind}/job"), JobSpec) is not None


def _by_model(wishes: Iterable[Wish]) -> list[Wish]:
    return sorted(wishes, key=lambda w: (w.model, w.kind))
