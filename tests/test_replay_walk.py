"""The days carried on: a past that another policy made, and nothing else, is changed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from fakes.replayed_store import spec, told
from fakes.sixteen_days import Judged

from upkeep.records import Action, PastDecision
from upkeep.replay_day import HashedDrift, HashedFacts, Made, StoredDay
from upkeep.replay_jobs import Jobs, Ran
from upkeep.replay_walk import Walk
from upkeep.sealed import Sealed
from upkeep.spec import Policy

NONE = Sealed(b"", "")
DAY_BEFORE, HARM, DEAR = 12, 13, 15
REFUSED = Jobs(
    {
        (date(2026, 1, n), "retrain"): Ran(date(2026, 1, n), "retrain", "refused", 1.0, 1, None)
        for n in (1, 2, 3)
    }
)


def stored(number: int, **changed: object) -> tuple[StoredDay, Made, Judged]:
    """A day of the story as a replay has it."""
    judged = told().days[number]
    facts = HashedFacts.model_construct(**{**dict(judged.facts), **changed}).under("a" * 64)
    day = StoredDay(judged.facts.day, spec(), facts, NONE, NONE, NONE)
    drift = HashedDrift.model_construct(**dict(judged.drift)).under("b" * 64)
    return day, Made(drift, b"", judged.diagnosis, judged.decision), judged


def policy() -> Policy:
    """The shipped one, read back as the cycle does."""
    return Policy.model_validate_json(spec().policy.model_dump_json())


def after(walk: Walk, carried: Action, decided: Action = "hold") -> Walk:
    """The walk with one day behind it, on which the arms differ."""
    day, _, judged = stored(DAY_BEFORE)
    walk.take(day, judged.drift, decided, carried)
    return walk


def test_where_the_past_is_the_same_the_decision_is_the_same_one() -> None:
    """Nothing is decided twice."""
    day, made, _ = stored(HARM)
    assert after(Walk(Jobs({})), "hold").decide(day, made, policy()) is made.decision


def test_a_job_that_only_the_other_policy_did_starts_its_cool_down() -> None:
    """A retraining of the day before, taken as promoted: no second one, a person looks."""
    day, made, _ = stored(HARM)
    assert made.decision.action == "retrain"
    carried = after(Walk(Jobs({})), "retrain").decide(day, made, policy())
    assert carried.action == "investigate"
    assert "cool-down" in {r.rule for r in carried.reasons}


def test_a_job_of_a_model_whose_gates_refuse_is_taken_as_refused() -> None:
    """None of three was promoted: another try is not a cool-down."""
    day, made, _ = stored(HARM)
    carried = after(Walk(REFUSED), "retrain").decide(day, made, policy())
    assert carried.action == "retrain"


def test_what_a_person_ordered_stays_the_past_of_both() -> None:
    """The stored past says what nobody decided: it was ordered, whichever policy there is."""
    day, made, judged = stored(HARM)
    *earlier, last = judged.facts.past_decisions
    ordered = PastDecision(day=last.day, action="compress", outcome="refused")
    day, made, _ = stored(HARM, past_decisions=(*earlier, ordered))
    assert after(Walk(Jobs({})), "retrain").decide(day, made, policy()) is made.decision


def test_a_compression_of_the_other_policy_is_carried_on() -> None:
    """A champion that it compressed is not compressed again."""
    day, made, _ = stored(DEAR)
    assert made.decision.action == "compress"
    carried = after(Walk(Jobs({})), "compress").decide(day, made, policy())
    assert carried.action != "compress"


def test_a_job_of_both_policies_had_the_outcome_that_it_had() -> None:
    """It ran: nothing is expected of it."""
    day, _, judged = stored(HARM)
    ran = Ran(day.day, "retrain", "refused", 1.0, 1, None)
    both = Walk(Jobs({(day.day, "retrain"): ran})).take(day, judged.drift, "retrain", "retrain")
    assert (both.outcome, both.carried_outcome) == ("refused", "refused")
    only = Walk(Jobs({})).take(day, judged.drift, "keep", "retrain")
    assert (only.outcome, only.carried_outcome) == ("none", "promoted")


@pytest.mark.parametrize(
    ("decided", "carried", "expected"),
    [
        (("compress", "keep"), ("keep", "keep"), False),
        (("keep", "keep"), ("compress", "keep"), True),
        (("keep", "retrain"), ("compress", "retrain"), False),
        (("keep", "keep"), ("compress", "retrain"), False),
        (("compress", "keep"), ("compress", "keep"), True),
    ],
)
def test_each_arm_knows_whether_its_champion_is_compressed(
    decided: tuple[Action, Action],
    carried: tuple[Action, Action],
    expected: bool,  # noqa: FBT001 - a case of the table
) -> None:
    """Two days of jobs, all promoted; then the third day as the other policy has it."""
    first = told().days[1].facts.day
    ran = {
        (first + timedelta(n), action): Ran(first + timedelta(n), action, "promoted", 1.0, 1, 2.0)
        for n, action in enumerate(decided)
        if action in ("compress", "retrain")
    }
    walk, real = Walk(Jobs(ran)), False
    for n, (mine, theirs) in enumerate(zip(decided, carried, strict=True)):
        day, _, judged = stored(n + 1, champion_format="openvino" if real else "safetensors")
        walk.take(day, judged.drift, mine, theirs)
        real = {"compress": True, "retrain": False}.get(mine, real)
    day, _, judged = stored(3, champion_format="openvino" if real else "safetensors")
    walked = walk.take(day, judged.drift, "keep", "keep")
    assert (walked.compressed, walked.carried_compressed) == (real, expected)
