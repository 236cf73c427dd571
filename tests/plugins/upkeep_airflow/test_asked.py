"""The day and the parameters of a run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from upkeep_airflow.asked import day_under_review, effective, owner_of, run_of


def _run(**given: Any) -> SimpleNamespace:
    midnight = datetime(2026, 3, 15, tzinfo=UTC)
    later = midnight + timedelta(days=40)  # a backfill is asked for long after its days
    known = {"dag_id": "daily_cycle", "run_id": "r1", "conf": {}}
    return SimpleNamespace(**known | {"logical_date": midnight, "run_after": later} | given)


def test_a_scheduled_run_reviews_the_day_before_its_logical_date() -> None:
    """The logical date counts, not the clock, so that a backfill means its own days."""
    assert day_under_review(_run()) == date(2026, 3, 14)


def test_a_run_by_hand_reviews_the_day_before_it_was_asked_for() -> None:
    """It has no logical date; a retry a day later still means the same day."""
    asked = datetime(2026, 3, 15, 23, 59, 59, tzinfo=UTC)
    assert day_under_review(_run(logical_date=None, run_after=asked)) == date(2026, 3, 14)


def test_days_are_utc_days_wherever_the_run_was_asked_for() -> None:
    """Half past midnight in Tokyo is still the day before in UTC."""
    tokyo = timezone(timedelta(hours=9))
    at = datetime(2026, 3, 15, 0, 30, tzinfo=tokyo)
    assert day_under_review(_run(logical_date=at)) == date(2026, 3, 13)


def test_the_day_of_the_form_stands_over_the_run_s_own() -> None:
    """Whoever names a day gets it."""
    params = effective(_run(conf={"day": "2026-03-02"}), "daily_cycle", ["a"])
    assert params.day == date(2026, 3, 2)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_day_is_the_run_s_own(empty: Any) -> None:
    """What the form sends for an untouched field changes nothing."""
    assert effective(_run(conf={"day": empty}), "daily_cycle", ["a"]).day == date(2026, 3, 14)


@pytest.mark.parametrize(
    "conf",
    [{"modles": ["a"]}, {"models": ["b"]}, {"day": "2026-03-02\n"}, {"dry_run": "true"}],
    ids=["D4-unknown-key", "D16-not-in-fleet", "D5-trailing-newline", "D2-wrong-type"],
)
def test_a_wrong_parameter_ends_the_run_at_once(conf: dict[str, Any]) -> None:
    """Airflow's API lets these pass; a retry would not help, so there is none."""
    with pytest.raises(AirflowFailException):
        effective(_run(conf=conf), "daily_cycle", ["a"])


def test_a_rollback_has_no_day() -> None:
    """Its form has none, and none is put in."""
    run = _run(conf={"models": ["a"], "note": "worse"})
    assert effective(run, "rollback", ["a", "b"]).models == ("a",)


def test_an_owner_names_its_run_and_back() -> None:
    """A lease says which run of which DAG holds it; the command line's is no run."""
    owner = owner_of(_run(run_id="manual__2026-03-15T00:00:00+00:00"))
    assert owner == "airflow:daily_cycle/manual__2026-03-15T00:00:00+00:00"
    assert run_of(owner) == ("daily_cycle", "manual__2026-03-15T00:00:00+00:00")
    assert run_of("cli:host:1") is None
