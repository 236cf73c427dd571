"""Several days of one model in one process: the same steps, two days observed at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

from upkeep.cycle import Cycle, JobPlan
from upkeep.params import TriggerParams, effective_params
from upkeep.records import Decision

AT_ONCE = 2


def run_days(
    model: str,
    days: Sequence[date],
    asked: Mapping[str, Any],
    owner: str,
    step: Callable[[str], None],
) -> list[Decision]:
    """Observe and evaluate the days ``AT_ONCE`` at a time, then decide and act in order."""
    cycle = Cycle.from_env()
    today = datetime.now(UTC).date()
    params = [
        effective_params(
            {**asked, "day": day.isoformat(), "models": [model]}, cycle.fleet_names(), today
        )
        for day in days
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ready = [pool.submit(_prepare, cycle, model, p, owner) for p in params]
        decided = []
        for day, prepared in zip(days, ready, strict=True):
            prepared.result()
            decided.append(_finish(cycle, model, day, owner))
            step(f"{day} {decided[-1].action}")
    return decided


def _prepare(cycle: Cycle, model: str, params: TriggerParams, owner: str) -> None:
    started = cycle.start(params, owner)
    if model not in started.models:
        raise SystemExit(f"{model} {params.day}: attached to {started.attached.get(model)}")
    cycle.evaluate(model, params.day)


def _finish(cycle: Cycle, model: str, day: date, owner: str) -> Decision:
    decision = cycle.decide(model, day)
    plan = cycle.act(model, day, owner)
    if plan is not None:
        follow(cycle, plan)
    cycle.report(model, day, owner)
    return decision


def follow(cycle: Cycle, plan: JobPlan) -> None:
    """Carry out what a decision asks for, without Airflow."""
    if plan.kind == "rollback":
        cycle.rollback(plan.model, None, "decided by the policy", plan.run_id)
        return
    cycle.run_job(plan.model, plan.day, plan.kind)
    if cycle.gate(plan.model, plan.day, plan.kind).passed:
        cycle.promote(plan.model, plan.day, plan.kind, None)
