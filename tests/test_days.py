"""Several days in one process: the same records as one day after the other."""

from __future__ import annotations

from datetime import date

import pytest
from fakes.deployment import FakeDeployment
from fakes.played_days import MODEL, day_of, play
from fakes.request_logs import rows_of, write_day

from upkeep import days
from upkeep.cycle import Cycle
from upkeep.days import run_days
from upkeep.deployment import Deployment
from upkeep.errors import TrackingError
from upkeep.params import effective_params
from upkeep.spec import Jobs
from upkeep.store import record_key

DAYS = [day_of(n) for n in range(1, 5)]
RECORDS = ("metrics", "validation", "quality", "facts", "drift", "diagnosis", "decision")


def logs(deployment: FakeDeployment) -> None:
    for day in DAYS:
        write_day(deployment.cache.parent / "logs" / MODEL, day, rows=rows_of(day))


@pytest.fixture
def here(deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    monkeypatch.setattr(Deployment, "from_env", classmethod(lambda _cls, **_: deployment))
    return deployment


def records(deployment: FakeDeployment) -> dict[str, bytes | None]:
    keys = [record_key(MODEL, day, step) for day in DAYS for step in RECORDS]
    return {key: deployment.store.get(key) for key in keys}


def test_together_they_give_the_records_of_one_after_the_other(here: FakeDeployment) -> None:
    """What is usual for a day never depends on which thread was faster."""
    logs(here)
    seen: list[str] = []
    run_days(MODEL, DAYS, {}, "cli:here:1", seen.append)
    together = records(here)
    assert None not in together.values()
    assert [words.split()[0] for words in seen] == [d.isoformat() for d in DAYS]
    for key in here.store.list(MODEL):
        if key.split("/")[1] not in ("ledger", "versions", "alias"):
            (here.deployment_path(key)).unlink()
    for day in DAYS:
        play(here, day, None)
    assert records(here) == together


def test_a_server_that_is_down_delays_only_what_it_shows(
    here: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R8: every day is decided and recorded; the words say how to tell MLflow later."""
    logs(here)
    said: list[str] = []
    monkeypatch.setattr(days.LOG, "warning", lambda words, *args: said.append(words % args))

    def down(*_: object, **__: object) -> str:
        raise TrackingError("MLflow does not answer")

    monkeypatch.setattr(here.tracker(), "project_day", down)
    decided = run_days(MODEL, DAYS, {}, "cli:here:1", lambda _words: None)
    assert [made.day for made in decided] == DAYS
    assert None not in records(here).values()
    assert [words.rpartition("run: ")[2] for words in said] == [
        f"upkeep sync {MODEL} {day}" for day in DAYS
    ]


def test_a_day_that_another_run_has_ends_the_call(here: FakeDeployment) -> None:
    """R6: the second one says to whom it is attached, and has done nothing."""
    logs(here)
    params = effective_params({"day": DAYS[0].isoformat()}, [MODEL], date(2026, 11, 1))
    Cycle(here).start(params, "airflow:daily_cycle/by-hand")
    with pytest.raises(SystemExit, match="attached to airflow:daily_cycle/by-hand"):
        run_days(MODEL, DAYS, {}, "cli:here:1", lambda _words: None)
    assert here.engine(Jobs()).started == []
