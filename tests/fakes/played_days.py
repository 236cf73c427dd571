"""Days of one model played through the cycle, on a deployment with a fake engine."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from fakes.deployment import FakeDeployment
from fakes.request_logs import rows_of, write_day

from upkeep.cycle import Cycle
from upkeep.days import follow
from upkeep.params import effective_params
from upkeep.records import Decision

MODEL = "docs-assistant"
FIRST = date(2026, 3, 5)


def day_of(number: int) -> date:
    return FIRST + timedelta(number - 1)


def play(
    deployment: FakeDeployment, day: date, rows: list[dict[str, Any]] | None, **conf: Any
) -> Decision:
    """One day's log, if any, and one day's cycle."""
    if rows is not None:
        write_day(deployment.cache.parent / "logs" / MODEL, day, rows=rows)
    cycle = Cycle(deployment)
    params = effective_params(
        {"day": day.isoformat(), "models": [MODEL], **conf}, [MODEL], date(2026, 11, 1)
    )
    cycle.start(params, f"run-{day}")
    cycle.observe(MODEL, day)
    cycle.look_back(MODEL, day)
    cycle.evaluate(MODEL, day)
    decision = cycle.decide(MODEL, day)
    plan = cycle.act(MODEL, day, f"run-{day}")
    if plan is not None:
        follow(cycle, plan)
    cycle.report(MODEL, day, f"run-{day}")
    return decision


def play_until(deployment: FakeDeployment, last: int) -> list[Decision]:
    return [play(deployment, day_of(n), rows_of(day_of(n))) for n in range(1, last + 1)]
