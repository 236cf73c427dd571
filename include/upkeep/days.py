"""Several days of one model in one process: the same steps, two evaluation jobs at a time.

The fleet's budget of each day holds here too: what another run of the day took of it is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

from upkeep.cycle import Cycle, JobPlan
from upkeep.errors import TrackingError
from upkeep.params import TriggerParams, effective_params
from upkeep.past_jobs import rollback_key
from upkeep.records import Decision

LOG = logging.getLogger(__name__)
AT_ONCE = 2


def run_days(
    model: str,
    days: Sequence[date],
    asked: Mapping[str, Any],
    owner: str,
    step: Callable[[str], None],
) -> list[Decision]:
    """Observe in order, evaluate ``AT_ONCE`` at a time, then decide and act in order."""
    cycle = Cycle.from_env()
    today = datetime.now(UTC).date()
    params = [
        effective_params(
            {**asked, "day": day.isoformat(), "models": [model]}, cycle.fleet_names(), today
        )
        for day in days
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ready = [_prepare(pool, cycle, model, p, owner) for p in params]
        decided = []
        for day, evaluated in zip(days, ready, strict=True):
            evaluated.result()
            decided.append(_finish(cycle, model, day, owner))
            step(f"{day} {decided[-1].action}")
    return decided


def _prepare(
    pool: Executor, cycle: Cycle, model: str, params: TriggerParams, owner: str
) -> Future[Any]:
    """Observe now, because what is usual depends on the days before; evaluate in the pool."""
    started = cycle.start(params, owner)
    if model not in started.models:
        raise SystemExit(f"{model} {params.day}: attached to {started.attached.get(model)}")
    cycle.observe(model, params.day)
    cycle.look_back(model, params.day)
    return pool.submit(cycle.evaluate, model, params.day)


def _finish(cycle: Cycle, model: str, day: date, owner: str) -> Decision:
    decision = cycle.decide(model, day)
    wish = cycle.wish(model, day, owner)
    for answered in cycle.allot(day, [wish] if wish else []):
        LOG.info("%s %s %s: %s", model, day, answered.wish.kind, answered.words)
    plan = cycle.act(model, day, owner)
    if plan is not None:
        follow(cycle, plan)
    try:
        cycle.report(model, day, owner)
    except TrackingError as error:  # the store has it; MLflow is only told later
        LOG.warning("%s; run: upkeep sync %s %s", error, model, day)
    return decision


def follow(cycle: Cycle, plan: JobPlan) -> None:
    """Carry out what a decision asks for, without Airflow."""
    if plan.kind == "rollback":
        key = rollback_key(plan.model, plan.run_id)
        cycle.rollback(plan.model, None, f"decided by the policy on {plan.day}", key, plan.day)
        return
    cycle.run_job(plan.model, plan.day, plan.kind)
    if cycle.gate(plan.model, plan.day, plan.kind).passed:
        cycle.promote(plan.model, plan.day, plan.kind, None)
