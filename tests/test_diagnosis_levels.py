"""What a fact moved before a harm began did not make the harm."""

from __future__ import annotations

import math

import pytest
from fakes.signs import result
from test_drift_properties import facts_of

from upkeep.diagnosis_levels import without_trend
from upkeep.records import DayFacts, DriftResult, MeasureValue


def volume(jump: float, growth: float, days: int = 60, since: int = 3) -> DayFacts:
    """Requests that grow by ``growth`` a day, and by ``jump`` on one of the last days."""
    values = [
        1000.0 * math.exp(growth * n) * (jump if n > days - since else 1.0) for n in range(days + 1)
    ]
    return facts_of([[MeasureValue(name="requests", value=value)] for value in values])


def judged(facts: DayFacts) -> DriftResult:
    """Today's requests against the middle of the history."""
    today = facts.current.value("requests")
    assert today is not None
    middle = facts.history.get("requests")
    assert middle is not None
    known = sorted(v for v in middle.values if v is not None)
    return result("requests", known[len(known) // 2], today, "drifted")


def slow(since: int) -> list[DriftResult]:
    """A latency that drifted ``since`` days ago, today included."""
    found = result("latency_p95_ms", 100.0, 300.0, "drifted")
    return [found.model_copy(update={"recent_days": since})]


def test_steady_growth_is_not_what_happened_on_one_day() -> None:
    """A volume that has doubled over two months did nothing special three days ago."""
    facts = volume(jump=1.0, growth=0.012)
    before = judged(facts)
    after = without_trend(facts, before, slow(3))
    assert before.effect is not None
    assert after.effect is not None
    assert before.effect > 0.35
    assert after.effect < 0.15
    assert after.state == "stable"
    assert "in the weeks before the harm" in after.words


def test_a_jump_with_the_harm_stays() -> None:
    """Three times the requests since the day that it began: all of it counts, grown or not."""
    flat, grown = volume(jump=3.0, growth=0.0), volume(jump=3.0, growth=0.012)
    assert without_trend(flat, judged(flat), slow(3)) == judged(flat)
    left = without_trend(grown, judged(grown), slow(3))
    assert left.effect == pytest.approx(2.0, abs=0.4)
    assert left.state == "drifted"


@pytest.mark.parametrize("harm", [[], slow(0), slow(14)])
def test_without_a_known_beginning_nothing_is_taken_away(harm: list[DriftResult]) -> None:
    """No harm, or one as old as drift looks back."""
    facts = volume(jump=1.0, growth=0.012)
    assert without_trend(facts, judged(facts), harm) == judged(facts)


def test_a_young_model_has_no_trend() -> None:
    """Under three weeks nothing is said about weeks."""
    facts = volume(jump=1.0, growth=0.03, days=18)
    assert without_trend(facts, judged(facts), slow(2)) == judged(facts)
