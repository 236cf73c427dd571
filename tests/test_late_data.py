"""A39: data that comes late makes a revision that anybody can see, and changes no decision."""

from __future__ import annotations

import shutil
from datetime import date
from typing import Any

import pytest
from fakes.deployment import FakeDeployment
from fakes.played_days import MODEL, day_of, play, play_until
from fakes.request_logs import rows_of, write_day

from upkeep import late, sources
from upkeep.cycle import Cycle
from upkeep.day_records import read_day
from upkeep.errors import ConfigError, SourceError
from upkeep.facts import day_measures
from upkeep.records import DailyMetrics, Decision, ValidationResult
from upkeep.report import note
from upkeep.report_page import html
from upkeep.store import get_record, record_key

LATE = day_of(7)


def deliver(deployment: FakeDeployment, day: date, rows: list[dict[str, Any]]) -> None:
    """What the servers write of a day, from now on."""
    logs = deployment.cache.parent / "logs" / MODEL
    shutil.rmtree(logs / day.isoformat())
    write_day(logs, day, rows=rows)


def first_of(deployment: FakeDeployment, day: date) -> DailyMetrics:
    found = get_record(deployment.store, record_key(MODEL, day, "metrics"), DailyMetrics)
    assert found is not None
    return found


@pytest.fixture
def half_a_day(deployment: FakeDeployment) -> FakeDeployment:
    """Six ordinary days, and a seventh of which half of each hour's rows come a day later."""
    play_until(deployment, 6)
    play(deployment, LATE, rows_of(LATE)[::2])
    return deployment


def test_a39_late_data_makes_a_revision_with_the_differences(half_a_day: FakeDeployment) -> None:
    """The next day's cycle finds 48 requests where 24 were counted."""
    before = {k: half_a_day.store.get(k) for k in half_a_day.store.list(MODEL)}
    deliver(half_a_day, LATE, rows_of(LATE))
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    [found] = late.revisions(half_a_day.store, MODEL, LATE)
    assert found.revision == 2
    assert (first_of(half_a_day, LATE).requests, found.metrics.requests) == (24, 48)
    changed = {change.measure: (change.before, change.after) for change in found.changes}
    assert changed["requests"] == (24.0, 48.0)
    assert changed["latency_ms.n"] == (24.0, 48.0)
    assert {k: half_a_day.store.get(k) for k in before} == before, "the first revision stays"


def test_a39_the_decision_stands(half_a_day: FakeDeployment) -> None:
    """A day that is run again after its data came late adopts what it decided."""
    decided = get_record(half_a_day.store, record_key(MODEL, LATE, "decision"), Decision)
    deliver(half_a_day, LATE, rows_of(LATE, latency=500.0))
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    assert late.revisions(half_a_day.store, MODEL, LATE)
    assert play(half_a_day, LATE, None) == decided


def test_later_days_compare_themselves_with_the_newest_revision(
    half_a_day: FakeDeployment,
) -> None:
    """History is what is known now: the eighth day sees 48 requests on the seventh."""
    deliver(half_a_day, LATE, rows_of(LATE))
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    seen = day_measures(half_a_day.store, MODEL, LATE)
    assert seen is not None
    assert seen.value("requests") == 48.0


def test_the_difference_is_in_the_note_and_on_the_page(half_a_day: FakeDeployment) -> None:
    """A reviewer of the seventh day reads what it was decided on, and what is known now."""
    deliver(half_a_day, LATE, rows_of(LATE))
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    records = read_day(half_a_day.store, MODEL, LATE)
    assert "Late data: revision 2" in note(records)
    assert "24 → 48" in note(records)
    assert b"Late data: revision 2; the decision was made without it" in html(records)
    assert half_a_day.tracker().projected[-2:] == [(MODEL, LATE), (MODEL, day_of(8))]


def test_nothing_changed_is_no_revision(half_a_day: FakeDeployment) -> None:
    """The same files again, however often they are looked at."""
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    assert Cycle(half_a_day).look_back(MODEL, day_of(8)) == []
    assert late.revisions(half_a_day.store, MODEL, LATE) == []


def test_data_that_comes_in_two_parts_makes_two_revisions(half_a_day: FakeDeployment) -> None:
    """Each look that sees something new counts on; an old one is never written over."""
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    for number, rows in ((2, rows_of(LATE)[:36]), (3, rows_of(LATE))):
        deliver(half_a_day, LATE, rows)
        [found] = Cycle(half_a_day).look_back(MODEL, day_of(8))
        assert found.revision == number
    counts = [r.metrics.requests for r in late.revisions(half_a_day.store, MODEL, LATE)]
    assert counts == [36, 48]


def test_a_day_is_looked_at_again_for_as_long_as_its_model_says(
    half_a_day: FakeDeployment,
) -> None:
    """``late_days`` is 3: on the fourth day after, nobody looks any more."""
    for number in (8, 9, 10):
        play(half_a_day, day_of(number), rows_of(day_of(number)))
    play(half_a_day, day_of(11), rows_of(day_of(11)))
    deliver(half_a_day, LATE, rows_of(LATE))
    assert Cycle(half_a_day).look_back(MODEL, day_of(11)) == []
    assert [r.day for r in Cycle(half_a_day).look_back(MODEL, day_of(10))] == [LATE]


def test_a_killed_look_is_looked_again(half_a_day: FakeDeployment) -> None:
    """A revision is one record, written once: two that look at the same time write the same."""
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    deliver(half_a_day, LATE, rows_of(LATE))
    [one] = Cycle(half_a_day).look_back(MODEL, day_of(8))
    assert Cycle(half_a_day).look_back(MODEL, day_of(8)) == []

    def judged_otherwise(metrics: DailyMetrics) -> ValidationResult:
        raise AssertionError("what is known is not judged again")

    assert late.look_again(half_a_day.store, one.metrics, judged_otherwise) is None


def test_data_that_has_gone_is_no_news_of_its_day(half_a_day: FakeDeployment) -> None:
    """A retention of one day: the folder is away, and what was known of the day stays known."""
    shutil.rmtree(half_a_day.cache.parent / "logs" / MODEL / LATE.isoformat())
    play(half_a_day, day_of(8), rows_of(day_of(8)))
    assert late.revisions(half_a_day.store, MODEL, LATE) == []
    seen = day_measures(half_a_day.store, MODEL, LATE)
    assert seen is not None
    assert seen.value("requests") == 24.0


@pytest.mark.parametrize("error", [SourceError("no answer"), ConfigError("c", "x", "gone", "add")])
def test_a_source_that_cannot_be_read_now_leaves_the_days_as_they_are(
    half_a_day: FakeDeployment, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A server that is down, a connection that was taken away: today goes on, tomorrow looks."""
    play(half_a_day, day_of(8), rows_of(day_of(8)))

    def collect(_: sources.Asked) -> sources.Collected:
        raise error

    monkeypatch.setattr(sources, "collect", collect)
    assert Cycle(half_a_day).look_back(MODEL, day_of(8)) == []
