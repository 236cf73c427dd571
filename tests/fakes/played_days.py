"""Days of one model played through the cycle, on a deployment with a fake engine."""

from __future__ import annotations

import atexit
import shutil
from datetime import date, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from fakes.deployment import FakeDeployment
from fakes.request_logs import rows_of, write_day

from upkeep.cycle import Cycle
from upkeep.days import follow
from upkeep.params import effective_params
from upkeep.records import Decision
from upkeep.store import get_record, record_key

MODEL = "docs-assistant"
FIRST = date(2026, 3, 5)
_PLAYED: dict[int, Path] = {}  # a deployment's folder after so many ordinary days


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
    wish = cycle.wish(MODEL, day, f"run-{day}")
    cycle.allot(day, [wish] if wish else [])
    plan = cycle.act(MODEL, day, f"run-{day}")
    if plan is not None:
        follow(cycle, plan)
    cycle.report(MODEL, day, f"run-{day}")
    return decision


def play_until(deployment: FakeDeployment, last: int) -> list[Decision]:
    """Ordinary days 1 to ``last`` of a new deployment: played once a process, copied afterwards.

    A day costs a second of Great Expectations; nothing in the folder knows where it lies.
    """
    root = deployment.cache.parent
    done = max((n for n in _PLAYED if n <= last), default=0)
    if done:
        shutil.rmtree(deployment.store.root)
        shutil.copytree(_PLAYED[done], root, dirs_exist_ok=True)
    for number in range(done + 1, last + 1):
        play(deployment, day_of(number), rows_of(day_of(number)))
    if done < last:
        kept = Path(mkdtemp(prefix="upkeep-played-"))
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
        _PLAYED[last] = Path(shutil.copytree(root, kept, dirs_exist_ok=True))
    keys = (record_key(MODEL, day_of(n), "decision") for n in range(1, last + 1))
    found = (get_record(deployment.store, key, Decision) for key in keys)
    return [decision for decision in found if decision is not None]
