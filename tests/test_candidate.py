"""What the cycle hands to a compression's jobs, and what the gate is told besides the numbers."""

from __future__ import annotations

import pytest
from fakes.deployment import FakeDeployment
from fakes.played_days import MODEL, day_of, play_until
from test_earlier import put_trial, trial

from upkeep.candidate import CandidateRoute
from upkeep.records import DayOpen, Earlier, JobSpec
from upkeep.store import get_record, record_key

DAYS = 4


def route(deployment: FakeDeployment) -> CandidateRoute:
    """The route of a compression of the last played day."""
    play_until(deployment, DAYS)
    key = record_key(MODEL, day_of(DAYS), "open")
    opened = get_record(deployment.store, key, DayOpen)
    assert opened is not None
    return CandidateRoute(deployment, opened, "compress")


def job_of(deployment: FakeDeployment) -> JobSpec:
    """The job as it was handed out."""
    key = record_key(MODEL, day_of(DAYS), "compress/job")
    job = get_record(deployment.store, key, JobSpec)
    assert job is not None
    return job


def test_a_search_is_handed_what_earlier_days_found(deployment: FakeDeployment) -> None:
    """A trial of the day before, and none of the day itself."""
    made = route(deployment)
    for number, day in enumerate((day_of(DAYS - 1), day_of(DAYS))):
        known = trial(number)
        put_trial(deployment.store, known, day, model=MODEL)
    made.run_job("search")
    told = job_of(deployment).data["earlier"]
    lines = (deployment.store.get(told.path) or b"").splitlines()
    assert [Earlier.parse(line).day for line in lines] == [day_of(DAYS - 1)]


def test_another_method_is_not_told(deployment: FakeDeployment) -> None:
    """It would not read it."""
    route(deployment).run_job("openvino-int8")
    assert "earlier" not in job_of(deployment).data


def test_the_gate_forecasts_the_cost_from_the_days_own(deployment: FakeDeployment) -> None:
    """The price of the day under review by the measured ratio: twice as fast, half."""
    gate = route(deployment).gate()
    cost = next(row for row in gate.rows if row.check == "cost forecast")
    assert cost.champion is not None
    assert cost.candidate == pytest.approx(cost.champion / 2, rel=0.1)
