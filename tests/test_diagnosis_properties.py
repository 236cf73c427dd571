"""Whatever the day: the order of results does not matter, and equal facts give equal bytes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.causes.incidents import CAUSELESS, KINDS, drawn
from benchmarks.causes.play import START, default_policy, facts_of
from benchmarks.causes.service import Days, Model, Truth
from upkeep.diagnosis import diagnose
from upkeep.drift import compare
from upkeep.records import DayFacts, Diagnosis, Drift, DriftResult

ALL = {**KINDS, **CAUSELESS}
PAST_DAYS = 12


def broken_day(kind: str, seed: int) -> tuple[DayFacts, Drift]:
    """The facts and drifts of an incident's first day."""
    rng = random.Random(f"{kind}/{seed}")
    model = Model.drawn(rng)
    incident, days = drawn(kind, ALL[kind], model, rng), Days(model, rng)
    history = [days.measured(START.replace(day=5 + n), Truth()) for n in range(PAST_DAYS)]
    today = days.measured(START.replace(day=5 + PAST_DAYS), incident.truth)
    facts = facts_of(today, history, incident)
    return facts, compare(facts, default_policy())


DAYS = {(kind, seed): broken_day(kind, seed) for kind in ALL for seed in (1, 2)}


@given(st.sampled_from(sorted(DAYS)), st.randoms(use_true_random=False))
def test_the_order_of_results_does_not_matter(
    which: tuple[str, int], shuffled: random.Random
) -> None:
    """Any order of the same results gives the same bytes."""
    facts, drift = DAYS[which]
    results = list(drift.results)
    shuffled.shuffle(results)
    other = drift.model_copy(update={"results": tuple(results)})
    assert diagnose(facts, other).canonical_bytes() == diagnose(facts, drift).canonical_bytes()


@pytest.mark.parametrize("which", sorted(DAYS))
def test_equal_facts_give_equal_bytes(which: tuple[str, int]) -> None:
    """Facts and drift read back from their bytes are diagnosed to the same bytes."""
    facts, drift = DAYS[which]
    read = DayFacts.parse(facts.canonical_bytes()), Drift.parse(drift.canonical_bytes())
    first, second = diagnose(facts, drift), diagnose(*read)
    assert first.canonical_bytes() == second.canonical_bytes()
    assert Diagnosis.parse(first.canonical_bytes()) == first


@pytest.mark.parametrize("which", sorted(DAYS))
def test_scores_are_shares_that_fall(which: tuple[str, int]) -> None:
    """Scores lie in 0 to 1, fall along the ranks, and every cause stands once, with words."""
    ranked = diagnose(*DAYS[which]).ranked
    scores = [c.score for c in ranked]
    assert all(0.0 <= s <= 1.0 for s in scores)
    assert all(a >= b - 1e-9 for a, b in pairwise(scores))
    assert len({c.cause for c in ranked}) == len(ranked)
    assert all(c.words for c in ranked)


def test_results_before_the_engine_of_recent_days_are_read_too() -> None:
    """Stored drifts of old, without sds, need or recent effect, are diagnosed all the same."""
    facts, drift = DAYS["upstream", 1]
    new = {"sds": None, "needed": None, "recent_effect": None, "recent_days": 0, "mix_effect": None}
    results = tuple(_drifted(r).model_copy(update=new) for r in drift.results)
    old = drift.model_copy(update={"results": results})
    assert diagnose(facts, old).cause == "upstream_errors"


def _drifted(result: DriftResult) -> DriftResult:
    harmed = result.measure == "error_rate"
    return result.model_copy(update={"state": "drifted" if harmed else "stable"})
