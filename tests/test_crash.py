"""R1, R2, R4, R16: kill -9 at every marked point of a day, then run the day again.

Each case forks a process, lets the marked point end it as ``kill -9`` would, and runs the day
once more: one job a key, one version, one entry in the ledger, one decision.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment, deployment_with_champion, make_deployment
from fakes.played_days import FIRST, MODEL
from fakes.request_logs import rows_of, write_day

from upkeep import promotion
from upkeep.cycle import Cycle
from upkeep.days import follow
from upkeep.params import effective_params
from upkeep.records import Decision
from upkeep.spec import Jobs
from upkeep.store import get_record, record_key

QUIET = 6
DAY = FIRST + timedelta(QUIET)
STEPS = (
    *("open", "metrics", "validation", "evaluate-job", "quality"),
    *("prompts", "facts", "drift", "diagnosis", "decision", "override", "allotment"),
    *("compress/job", "compress/candidate", "compress/benchmark-job", "compress/benchmark"),
    *("compress/gate", "compress/promotion"),
)
POINTS = (
    *(f"{when} {step}" for step in STEPS for when in ("before", "after")),
    "fake_engine.started",
    "promotion.before_register",
    "promotion.after_register",
    "promotion.after_ledger",
    "promotion.after_alias",
    "store.put.before_link",
)
ORDER = {"action": "compress", "override": True, "note": "a crash test"}


def run_day(folder: Path, day: date, conf: dict[str, Any]) -> None:
    """One day's cycle, as a program of its own would run it."""
    os.environ["UPKEEP_LOGS"] = str(folder / "logs")
    cycle = Cycle(make_deployment(folder))
    asked = {"day": day.isoformat(), "models": [MODEL], **conf}
    owner = f"cli:{socket.gethostname()}:{os.getpid()}"
    cycle.start(effective_params(asked, [MODEL], date(2026, 11, 1)), owner)
    cycle.evaluate(MODEL, day)
    cycle.decide(MODEL, day)
    wish = cycle.wish(MODEL, day, owner)
    cycle.allot(day, [wish] if wish else [])
    plan = cycle.act(MODEL, day, owner)
    if plan is not None:
        follow(cycle, plan)


def killed(folder: Path, point: str) -> int | None:
    """Run the day in a process that ends at ``point``; its exit code."""

    def child() -> None:
        os.environ["UPKEEP_CRASH_AT"] = point
        run_day(folder, DAY, ORDER)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Six quiet days of one model, and the seventh day's log."""
    before = os.environ.get("UPKEEP_LOGS")
    folder = tmp_path_factory.mktemp("quiet")
    os.environ["UPKEEP_LOGS"] = str(folder / "logs")
    deployment_with_champion(folder, MODEL)
    for number in range(QUIET + 1):
        day = FIRST + timedelta(number)
        write_day(folder / "logs" / MODEL, day, rows=rows_of(day))
        if day < DAY:
            run_day(folder, day, {})
    yield folder
    if before is not None:
        os.environ["UPKEEP_LOGS"] = before


def check(deployment: FakeDeployment) -> None:
    """The checker of FAILURE-MODES: every effect once, the decision there, the alias right."""
    started = deployment.engine(Jobs()).started
    assert len(started) == len(set(started)), f"a job was started twice: {started}"
    ours = [key for key in started if key.startswith(f"{MODEL}/{DAY}/")]
    kinds = ("evaluate", "compress", "compress-benchmark")
    assert ours == [f"{MODEL}/{DAY}/{kind}" for kind in kinds]
    entries = promotion.ledger(deployment.store, MODEL)
    assert [(e.event, e.version) for e in entries] == [("register", "1"), ("promote", "2")]
    made = [e for e in deployment.tracker().history if e["do"] == "register"]
    assert [e["version"] for e in made] == ["1", "2"]
    assert deployment.tracker().get_alias(MODEL, "champion") == "2"
    decision = get_record(deployment.store, record_key(MODEL, DAY, "decision"), Decision)
    assert decision is not None
    assert decision.reasons


@pytest.mark.parametrize("point", POINTS)
def test_a_day_killed_anywhere_is_finished_by_running_it_again(
    quiet: Path, tmp_path: Path, point: str
) -> None:
    """One job, one version, one promotion, one decision, wherever the first try died."""
    folder = tmp_path / "state"
    shutil.copytree(quiet, folder, symlinks=True)
    assert killed(folder, point) == 137, f"{point} was not reached"
    run_day(folder, DAY, ORDER)
    check(make_deployment(folder))


def test_a_day_run_twice_at_once_is_done_once(quiet: Path, tmp_path: Path) -> None:
    """R6: two processes start the same day together; the effects are those of one."""
    folder = tmp_path / "state"
    shutil.copytree(quiet, folder, symlinks=True)
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=run_day, args=(folder, DAY, ORDER)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    run_day(folder, DAY, ORDER)
    check(make_deployment(folder))


def test_the_ledger_file_is_one_json_object_a_link(quiet: Path) -> None:
    """What the crash tests read is what a person would read."""
    entries = sorted((quiet / "store" / MODEL / "ledger").glob("*.json"))
    assert [json.loads(e.read_text())["record"]["event"] for e in entries] == ["register"]
