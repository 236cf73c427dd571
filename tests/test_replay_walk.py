"""The days carried on: a past that another policy made, and nothing else, is changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes.replayed_store import spec, told
from fakes.sixteen_days import METHODS

from upkeep.decision import decide, reads_the_past
from upkeep.diagnosis import diagnose
from upkeep.records import Action, Decision, PastDecision
from upkeep.replay_hashed import HashedPolicy, hashed_policy
from upkeep.replay_lived import NO_HISTORY
from upkeep.replay_records import AskingDay, Costs, LivedDay, Outcome
from upkeep.replay_walk import Walk

DAY_BEFORE, HARM, DEAR = 12, 13, 15
NOTHING = Costs(gpu_hours=None, usd=None)


def lived(
    number: int,
    decided: Action | None = None,
    outcome: Outcome = "none",
    form: str | None = None,
    past: tuple[PastDecision, ...] | None = None,
) -> LivedDay:
    """A day of the story as a survey has it; ``form`` and ``past`` stand over its facts'."""
    judged = told().days[number]
    changed = {"champion_format": form or judged.facts.champion_format}
    facts = judged.facts.model_copy(
        update={**changed, **({"past_decisions": past} if past is not None else {})}
    )
    return LivedDay(
        day=facts.day,
        decided=decided or judged.decision.action,
        outcome=outcome,
        replayed=judged.decision.action,
        job=judged.decision.job,
        ordered=False,
        compressed=facts.champion_format == "openvino",
        harm="",
        served_usd=None,
        saving=0.0,
        compress=NOTHING,
        retrain=NOTHING,
        asking=AskingDay(
            facts=facts.model_copy(update={"history": NO_HISTORY}),
            drift=judged.drift,
            diagnosis=judged.diagnosis,
            methods={"compress": "openvino-int8", "retrain": "full"},
            policy=None,
            stored=judged.decision,
            made=judged.decision,
        ),
    )


def policy() -> HashedPolicy:
    """The shipped one."""
    return hashed_policy(spec().policy)


def carried(walk: Walk, day: LivedDay) -> Decision:
    """The day as carried on."""
    assert day.asking is not None
    return walk.decide(day.asking, policy())


def after(action: Action, decided: Action = "hold", expected: Outcome = "promoted") -> Walk:
    """A walk with one day behind it, on which the arms differ."""
    walk = Walk(expected)
    walk.take(lived(DAY_BEFORE, decided), granted=True, carried=action, room=True)
    return walk


def test_where_the_past_is_the_same_the_decision_is_the_same_one() -> None:
    """Nothing is decided twice."""
    day = lived(HARM)
    assert day.asking is not None
    assert carried(after("hold"), day) is day.asking.made


@pytest.mark.parametrize("number", [n for n, judged in told().days.items() if judged])
def test_without_its_history_a_day_is_decided_as_with_it(number: int) -> None:
    """What a survey keeps of a day gives the same action, job and reasons, if it asks for a job."""
    judged, day = told().days[number], lived(number)
    if not reads_the_past(judged.facts, judged.drift, judged.diagnosis, policy()):
        assert judged.decision.job is None
        return
    assert day.asking is not None
    kept = day.asking
    made = decide(kept.facts, kept.drift, kept.diagnosis, policy(), kept.methods)
    assert (made.action, made.job, made.reasons) == (
        judged.decision.action,
        judged.decision.job,
        judged.decision.reasons,
    )


@pytest.mark.parametrize("number", told().days)
def test_days_that_do_not_read_the_past_are_decided_alike_with_any(number: int) -> None:
    """Neither cool-down nor running job nor the champion's format changes them."""
    judged = told().days[number]
    reads = reads_the_past(judged.facts, judged.drift, judged.diagnosis, policy())
    past = PastDecision(day=judged.facts.day - timedelta(1), action="retrain", outcome="running")
    for form, before in (("openvino", ()), ("safetensors", (past,))):
        changed = {"champion_format": form, "past_decisions": before}
        facts = judged.facts.model_copy(update=changed)
        assert diagnose(facts, judged.drift) == judged.diagnosis
        made = decide(facts, judged.drift, judged.diagnosis, policy(), METHODS)
        assert reads or made.reasons == judged.decision.reasons
    assert reads == (number in (HARM, DEAR))


def test_a_job_that_only_the_other_policy_did_starts_its_cool_down() -> None:
    """A retraining of the day before, taken as promoted: no second one, a person looks."""
    assert told().days[HARM].decision.action == "retrain"
    made = carried(after("retrain"), lived(HARM))
    assert made.action == "investigate"
    assert "cool-down" in {r.rule for r in made.reasons}


def test_a_job_of_a_model_whose_gates_refuse_is_taken_as_refused() -> None:
    """Another try is not a cool-down."""
    assert carried(after("retrain", expected="refused"), lived(HARM)).action == "retrain"


def test_a_job_that_the_budget_had_no_room_for_starts_no_cool_down() -> None:
    """It never ran; the next day asks anew."""
    walk = Walk("promoted")
    walked = walk.take(lived(DAY_BEFORE), granted=True, carried="retrain", room=False)
    assert (walked.carried_outcome, walked.carried_did) == ("none", "keep")
    assert carried(walk, lived(HARM)).action == "retrain"


def test_a_job_that_another_budget_has_room_for_is_in_the_past_of_the_next_day() -> None:
    """The stored one was refused by the budget, so that nothing is known of it but its like."""
    walk = Walk("promoted")
    walked = walk.take(lived(DAY_BEFORE, "retrain"), granted=False, carried="retrain", room=True)
    assert (walked.did, walked.carried_did, walked.carried_outcome) == (
        *("keep", "retrain"),
        "promoted",
    )
    judged = told().days[HARM].facts.past_decisions
    refused = PastDecision(day=judged[-1].day, action="retrain", outcome="none")
    assert carried(walk, lived(HARM, past=(*judged[:-1], refused))).action == "investigate"


def test_what_a_person_ordered_stays_the_past_of_both() -> None:
    """The stored past says what nobody decided: it was ordered, whichever policy there is."""
    *earlier, last = told().days[HARM].facts.past_decisions
    ordered = PastDecision(day=last.day, action="compress", outcome="refused")
    day = lived(HARM, past=(*earlier, ordered))
    assert day.asking is not None
    assert carried(after("retrain"), day) is day.asking.made


def test_a_compression_of_the_other_policy_is_carried_on() -> None:
    """A champion that it compressed is not compressed again."""
    assert told().days[DEAR].decision.action == "compress"
    assert carried(after("compress"), lived(DEAR)).action != "compress"


def test_a_job_of_both_policies_had_the_outcome_that_it_had() -> None:
    """It ran: nothing is expected of it."""
    day = lived(HARM, "retrain", "refused")
    both = Walk("promoted").take(day, granted=True, carried="retrain", room=True)
    assert (both.lived.outcome, both.carried_outcome) == ("refused", "refused")
    only = Walk("promoted").take(lived(HARM, "keep"), granted=True, carried="retrain", room=True)
    assert (only.lived.outcome, only.carried_outcome) == ("none", "promoted")


@pytest.mark.parametrize(
    ("decided", "others", "expected"),
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
    others: tuple[Action, Action],
    expected: bool,  # noqa: FBT001 - a case of the table
) -> None:
    """Two days of jobs, all promoted; then the third day as the other policy has it."""
    walk, real = Walk("promoted"), False
    for n, (mine, theirs) in enumerate(zip(decided, others, strict=True)):
        outcome: Outcome = "promoted" if mine in ("compress", "retrain") else "none"
        day = lived(n + 1, mine, outcome, "openvino" if real else "safetensors")
        walk.take(day, granted=True, carried=theirs, room=True)
        real = {"compress": True, "retrain": False}.get(mine, real)
    day = lived(3, "keep", form="openvino" if real else "safetensors")
    walked = walk.take(day, granted=True, carried="keep", room=True)
    assert (walked.lived.compressed, walked.carried_compressed) == (real, expected)
