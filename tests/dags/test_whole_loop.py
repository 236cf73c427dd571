"""The real cycle under the real scheduler on PostgreSQL: real store, MLflow, engine and worker.

The model is a very small one with random weights (``fakes.tiny_model``), the logs are made up
(``fakes.request_logs``): what is proved is that the parts work together, not that a model is good.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from fakes.postgres import Postgres, server_programs
from fakes.request_logs import write_day
from fakes.tiny_model import tiny_llama
from test_cycle import rows_of

from examples.stack import Stack, environment
from upkeep import promotion
from upkeep.records import Candidate, Decision, Evaluation, GateResult
from upkeep.store import Store, get_record, open_store, record_key

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
MODEL = "docs-assistant"
DAYS = [date(2026, 3, 5) + timedelta(n) for n in range(3)]
ENDS_WITHIN_S = 400.0
RECORDS = ("metrics", "validation", "quality", "facts", "drift", "diagnosis", "decision")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Airflow on PostgreSQL and MLflow, with a champion and three days of logs."""
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]  # the home that other tests use
    state = tmp_path_factory.mktemp("loop")
    with Postgres(programs) as database:
        os.environ |= {"UPKEEP_AIRFLOW_DATABASE": database.url}
        made = Stack(state)
        try:
            made.start(lambda words: None)
            for day in DAYS:
                write_day(state / "logs" / MODEL, day, rows=rows_of(day))
            _upkeep(state, "register", MODEL, str(tiny_llama()))
            yield made
        finally:
            made.stop()
            os.environ.clear()
            os.environ |= before


def _upkeep(state: Path, *args: str, **env: str) -> str:
    """One call of the command line; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "upkeep", *args],
        env=environment(state) | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _store(stack: Stack) -> Store:
    return open_store(str(stack.state / "store"))


def _backfill(stack: Stack) -> None:
    """Let Airflow run the three days, each on the day after it, and wait for their end."""
    first, last = (f"{day + timedelta(1)}T00:00:00Z" for day in (DAYS[0], DAYS[-1]))
    asked = {"dag_id": "daily_cycle", "from_date": first, "to_date": last, "max_active_runs": 1}
    begun = stack.client().call("POST", "/api/v2/backfills", asked)["id"]
    deadline = time.monotonic() + ENDS_WITHIN_S
    while not stack.client().call("GET", f"/api/v2/backfills/{begun}")["completed_at"]:
        assert time.monotonic() < deadline, stack.client().runs("daily_cycle")
        time.sleep(0.5)


def test_a_backfill_gives_the_records_of_the_days_themselves(stack: Stack, tmp_path: Path) -> None:
    """Three past days through Airflow, and day by day on the command line: the same bytes."""
    _backfill(stack)
    runs = [r for r in stack.client().runs("daily_cycle") if r["run_type"] == "backfill"]
    assert [run["state"] for run in runs] == ["success"] * len(DAYS)
    alone = {f"UPKEEP_{name}": str(tmp_path / name) for name in ("STORE", "JOBS", "CACHE")}
    _upkeep(stack.state, "register", MODEL, str(tiny_llama()), **alone)
    first, last = (day.isoformat() for day in (DAYS[0], DAYS[-1]))
    _upkeep(stack.state, "day", MODEL, first, "--through", last, **alone)
    for day in DAYS:
        for step in RECORDS:
            key = record_key(MODEL, day, step)
            theirs = open_store(alone["UPKEEP_STORE"]).get(key)
            assert theirs is not None, key
            assert _store(stack).get(key) == theirs, key


def test_each_day_was_really_evaluated(stack: Stack) -> None:
    """The worker measured the served version; the decision names its inputs."""
    for day in DAYS:
        quality = get_record(_store(stack), record_key(MODEL, day, "quality"), Evaluation)
        decision = get_record(_store(stack), record_key(MODEL, day, "decision"), Decision)
        assert quality is not None
        assert quality.results[0].measure == "perplexity"
        assert quality.results[0].score > 1
        assert decision is not None
        assert (decision.action, decision.cause) == ("keep", "learning")


def test_a_compression_by_hand_is_made_measured_and_judged(stack: Stack) -> None:
    """The real worker quantises; the gate judges real measurements; the alias follows them."""
    conf = {"day": DAYS[-1].isoformat(), "models": [MODEL], "note": "does it get faster?"}
    stack.trigger("compress", conf, "by-hand")
    stack.wait("compress", "by-hand", ENDS_WITHIN_S)
    made = get_record(_store(stack), record_key(MODEL, DAYS[-1], "compress/candidate"), Candidate)
    judged = get_record(_store(stack), record_key(MODEL, DAYS[-1], "compress/gate"), GateResult)
    assert made is not None
    assert made.format == "openvino"
    assert judged is not None
    entries = promotion.ledger(_store(stack), MODEL)
    assert len(entries) == (2 if judged.passed else 1)


def test_the_page_of_a_run_is_known_to_the_listing(stack: Stack) -> None:
    """Every decided day has its MLflow run; replay gives every decision again."""
    decided = json.loads(_upkeep(stack.state, "decisions", "--json"))
    pages = {row["day"]: row["mlflow_run_id"] for row in decided}
    assert all(pages[day.isoformat()] for day in DAYS)
    replayed = json.loads(_upkeep(stack.state, "replay", MODEL, "--json"))["days"]
    assert {row["identical"] for row in replayed} == {True}
    assert len(replayed) == len(decided)
