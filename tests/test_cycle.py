"""The route of a day: adopted when run again, held when data is missing, isolated by model."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment
from fakes.played_days import MODEL, day_of, play, play_until
from fakes.request_logs import rows_of, write_day

from upkeep import promotion
from upkeep.cycle import Cycle, JobPlan, StartedDay
from upkeep.day_records import read_day
from upkeep.days import follow
from upkeep.errors import JobFailed, ParamError, PromotionRefused
from upkeep.facts import champion_on, past_decision
from upkeep.params import effective_params
from upkeep.past_jobs import follow_up, rollback_key
from upkeep.projection import day_view, job_view, outcome_of
from upkeep.records import Approval, DayFacts, Decision, GateResult, Override
from upkeep.report import note, present
from upkeep.report_page import html
from upkeep.spec import Jobs
from upkeep.spec_payback import Budget
from upkeep.store import get_record, record_key


def test_ten_healthy_days_are_kept(deployment: FakeDeployment) -> None:
    """Ordinary days, the young ones included, are kept."""
    decided = play_until(deployment, 10)
    assert [d.action for d in decided] == ["keep"] * 10
    assert decided[0].cause == "learning"
    assert decided[9].cause == "none"


def test_a_second_run_of_a_day_adopts_everything(deployment: FakeDeployment) -> None:
    """The same day again gives the same bytes and starts no job."""
    play_until(deployment, 2)
    before = {k: deployment.store.get(k) for k in deployment.store.list(MODEL)}
    started = list(deployment.engine(Jobs()).started)
    again = play(deployment, day_of(2), None)
    assert again == get_record(deployment.store, record_key(MODEL, day_of(2), "decision"), Decision)
    assert deployment.engine(Jobs()).started == started
    assert {k: deployment.store.get(k) for k in deployment.store.list(MODEL)} == before


def test_a_day_without_a_log_is_held(deployment: FakeDeployment) -> None:
    """Nothing to read is no reason to keep: the day is held and nothing is evaluated."""
    play_until(deployment, 6)
    decision = play(deployment, day_of(7), None)
    assert decision.action == "hold"
    assert f"{MODEL}/{day_of(7)}/evaluate" not in deployment.engine(Jobs()).started


def test_an_evaluation_that_failed_is_held(deployment: FakeDeployment) -> None:
    """A quality that could not be measured is unknown, and an unknown is never a pass."""
    play_until(deployment, 6)
    deployment.engine(Jobs()).fail = True
    day = day_of(7)
    with pytest.raises(JobFailed, match="planted failure"):
        play(deployment, day, rows_of(day))
    assert Cycle(deployment).decide(MODEL, day).action == "hold"


def test_a_fall_in_quality_ends_in_a_promotion(deployment: FakeDeployment) -> None:
    """Perplexity doubles: retrain, gate, promotion; the next day is kept by version 2."""
    play_until(deployment, 8)
    engine = deployment.engine(Jobs())
    engine.perplexity = {day_of(n): 90.0 for n in (9, 10)}
    day, decided = day_of(9), []
    for number in (9, 10):
        day = day_of(number)
        decided.append(play(deployment, day, rows_of(day)).action)
        if decided[-1] == "retrain":
            break
    assert decided[-1] == "retrain"
    head = promotion.champion(deployment.store, MODEL)
    assert head is not None
    assert (head.event, head.replaced_version, head.day) == ("promote", "1", day)
    engine.perplexity = {}
    after = day + timedelta(1)
    assert play(deployment, after, rows_of(after, version=head.version)).action == "keep"


def test_a_worse_candidate_is_refused_and_stays_refused(deployment: FakeDeployment) -> None:
    """The gate says no: no entry in the ledger, however often the day is run again."""
    play_until(deployment, 6)
    deployment.engine(Jobs()).candidate_worse_by = 0.2
    day = day_of(7)
    for rows in (rows_of(day), None):
        play(deployment, day, rows, action="compress", override=True, note="try it")
    assert len(promotion.ledger(deployment.store, MODEL)) == 1
    assert Cycle(deployment).promote(MODEL, day, "compress", None) is None


def test_an_order_by_hand_is_recorded_beside_the_decision(deployment: FakeDeployment) -> None:
    """The policy's decision stays as it was; the order has its own record with its note."""
    play_until(deployment, 6)
    day = day_of(7)
    decision = play(
        deployment, day, rows_of(day), action="compress", override=True, note="the bill"
    )
    order = get_record(deployment.store, record_key(MODEL, day, "override"), Override)
    assert decision.action == "keep"
    assert order is not None
    assert (order.action, order.note) == ("compress", "the bill")
    assert promotion.ledger(deployment.store, MODEL)[-1].format == "openvino"


@pytest.mark.parametrize("conf", [{"dry_run": True}, {"action": "evaluate_only"}])
def test_looking_only_starts_no_job(deployment: FakeDeployment, conf: dict[str, Any]) -> None:
    """A dry run decides and records, and asks the cluster for nothing."""
    play_until(deployment, 8)
    deployment.engine(Jobs()).perplexity = {day_of(9): 200.0, day_of(10): 200.0}
    for number in (9, 10):
        play(deployment, day_of(number), rows_of(day_of(number)), **conf)
    assert not [k for k in deployment.engine(Jobs()).started if k.endswith("/retrain")]


def test_a_second_run_of_a_day_under_way_is_attached(deployment: FakeDeployment) -> None:
    """Two triggers of one day: the second one is told who works on it."""
    day = day_of(1)
    write_day(deployment.cache.parent / "logs" / MODEL, day, rows=rows_of(day))
    params = effective_params({"day": day.isoformat()}, [MODEL], date(2026, 11, 1))
    first = Cycle(deployment).start(params, "run-1")
    second = Cycle(deployment).start(params, "run-2")
    assert (first.models, second.models) == ((MODEL,), ())
    assert second.attached == {MODEL: "run-1"}


def test_promotion_waits_for_a_person_where_asked(deployment: FakeDeployment) -> None:
    """Without an answer there is no promotion; the answer stands in the ledger."""
    play_until(deployment, 6)
    day = day_of(7)
    play(deployment, day, rows_of(day), dry_run=True)
    cycle = Cycle(deployment)
    assert cycle.gate(MODEL, day, "compress").passed
    with pytest.raises(PromotionRefused):
        cycle.promote(MODEL, day, "compress", None, require_approval=True)
    entry = cycle.promote(
        MODEL, day, "compress", Approval(approved=True, by="ada"), require_approval=True
    )
    assert entry is not None
    assert entry.approval == Approval(approved=True, by="ada")


def test_a_refusal_by_a_person_promotes_nothing(deployment: FakeDeployment) -> None:
    """A person's no ends the candidate's route."""
    play_until(deployment, 6)
    day = day_of(7)
    play(deployment, day, rows_of(day), dry_run=True)
    answer = Approval(approved=False, by="ada")
    assert Cycle(deployment).promote(MODEL, day, "compress", answer, require_approval=True) is None
    assert len(promotion.ledger(deployment.store, MODEL)) == 1


def test_the_snapshot_outlives_a_change_of_the_fleet(deployment: FakeDeployment) -> None:
    """A configuration that changes while a day is under way changes nothing in that day."""
    day = day_of(1)
    write_day(deployment.cache.parent / "logs" / MODEL, day, rows=rows_of(day))
    params = effective_params({"day": day.isoformat()}, [MODEL], date(2026, 11, 1))
    Cycle(deployment).start(params, "run-1")
    empty = replace(deployment, fleet=replace(deployment.fleet, models={}))
    assert Cycle(empty).observe(MODEL, day).trusted


def test_a_day_that_was_never_opened_is_refused(deployment: FakeDeployment) -> None:
    """A step without its snapshot says what to do."""
    with pytest.raises(ParamError, match="was not opened"):
        Cycle(deployment).observe(MODEL, day_of(1))


def test_facts_name_the_champion_of_the_day_and_not_of_today(deployment: FakeDeployment) -> None:
    """A backfill of an old day sees the champion that the day had."""
    play_until(deployment, 6)
    play(deployment, day_of(8), rows_of(day_of(8)), action="compress", override=True, note="n")
    play(deployment, day_of(7), rows_of(day_of(7)))
    facts = get_record(deployment.store, record_key(MODEL, day_of(7), "facts"), DayFacts)
    assert facts is not None
    assert facts.champion_version == "1"


def test_a_conflicting_order_stops_its_own_model_only(
    deployment: FakeDeployment, tmp_path: Path
) -> None:
    """Somebody ordered a retraining of this day: who asks for a compression is refused in words.

    The day is free again at once, and what was ordered first still stands.
    """
    day = day_of(1)
    write_day(deployment.cache.parent / "logs" / MODEL, day, rows=rows_of(day))
    cycle = Cycle(deployment)

    def order(action: str, owner: str) -> StartedDay:
        conf = {"day": day.isoformat(), "models": [MODEL], "action": action}
        conf |= {"override": True, "note": "why not"}
        return cycle.start(effective_params(conf, [MODEL], date(2026, 11, 1)), owner)

    assert order("retrain", "cli:first").models == (MODEL,)
    cycle.report(MODEL, day, "cli:first")
    second = order("compress", "cli:second")
    assert second.models == ()
    assert "retrain was ordered for this day by cli:first" in second.refused[MODEL]
    assert order("retrain", "cli:third").models == (MODEL,)


def test_a_retraining_must_be_better_where_its_day_drifted(deployment: FakeDeployment) -> None:
    """A new kind of prompts on day 9: the gate asks for an improvement on that slice by name."""
    play_until(deployment, 8)
    day = day_of(9)
    rows = [r | ({"client": "editor"} if i % 3 == 0 else {}) for i, r in enumerate(rows_of(day))]
    deployment.engine(Jobs()).perplexity = {day: 90.0}
    play(deployment, day, rows, action="retrain", override=True, note="new prompts")
    verdict = get_record(deployment.store, record_key(MODEL, day, "retrain/gate"), GateResult)
    assert verdict is not None
    better = next(r for r in verdict.rows if r.check == "better where it drifted")
    assert "no sample of editor" in better.words  # the fake engine knows one slice, docs
    assert not verdict.passed


def test_a_job_that_failed_for_good_is_on_record(deployment: FakeDeployment) -> None:
    """After its last attempt a job is failed, not running for ever: later days read it so."""
    play_until(deployment, 6)
    day = day_of(7)
    write_day(deployment.cache.parent / "logs" / MODEL, day, rows=rows_of(day))
    cycle = Cycle(deployment)
    conf = {"day": day.isoformat(), "models": [MODEL], "action": "compress"}
    conf |= {"override": True, "note": "try it"}
    cycle.start(effective_params(conf, [MODEL], date(2026, 11, 1)), "cli:one")
    cycle.evaluate(MODEL, day)
    cycle.decide(MODEL, day)
    deployment.engine(Jobs()).fail = True
    outcomes = []
    for _ in range(4):
        with pytest.raises(JobFailed):
            cycle.run_job(MODEL, day, "compress")
        past = past_decision(deployment.store, MODEL, day)
        outcomes.append(past.outcome if past else None)
    assert outcomes == ["running", "running", "failed", "failed"]
    [job] = read_day(deployment.store, MODEL, day).jobs
    assert outcome_of(job) == "failed"
    assert job_view(read_day(deployment.store, MODEL, day), job, "").status == "FAILED"


def test_nothing_starts_before_the_budget_is_shared_out(deployment: FakeDeployment) -> None:
    """A decision alone starts no job: the step says what comes first."""
    play_until(deployment, 6)
    day = day_of(7)
    play(deployment, day, rows_of(day), dry_run=True)
    conf = {"day": day.isoformat(), "models": [MODEL], "action": "compress"}
    conf |= {"override": True, "note": "n"}
    cycle = Cycle(deployment)
    cycle.start(effective_params(conf, [MODEL], date(2026, 11, 1)), "cli:one")
    with pytest.raises(ParamError, match="allot the day first"):
        cycle.act(MODEL, day, "cli:one")


def test_a_wish_that_the_budget_refuses_starts_nothing(deployment: FakeDeployment) -> None:
    """Quality fell and nothing is left: no job, the refusal is told, and tomorrow sees no job."""
    play_until(deployment, 8)
    short = replace(deployment, fleet=replace(deployment.fleet, budget=Budget(jobs_per_day=0)))
    deployment.engine(Jobs()).perplexity = {day_of(n): 90.0 for n in (9, 10, 11)}
    refused = []
    for number in (9, 10, 11):
        day = day_of(number)
        if play(short, day, rows_of(day)).action == "retrain":
            refused.append(day)
    assert refused
    assert not [k for k in deployment.engine(Jobs()).started if k.endswith("/retrain")]
    records = read_day(deployment.store, MODEL, refused[0])
    [answer] = records.allotted
    assert answer.verdict == "refused"
    assert "0 jobs left" in answer.words
    assert f"**retrain wished**, {answer.words}"[:40] in note(records)
    assert "<b>retrain wished</b>, refused: " in html(records).decode()
    assert day_view(records, present(records)).tags["upkeep.budget"].startswith("retrain refused: ")
    assert records.digest() != replace(records, allotted=()).digest()
    past = past_decision(deployment.store, MODEL, refused[0])
    assert past is not None
    assert (past.action, past.outcome) == ("retrain", "none")


def test_facts_know_the_champion_and_what_past_jobs_measured(deployment: FakeDeployment) -> None:
    """A compression was ordered on day 7: day 8's facts have its event, and what the gate saw."""
    play_until(deployment, 6)
    for number, conf in ((7, {"action": "compress", "override": True, "note": "n"}), (8, {})):
        play(deployment, day_of(number), rows_of(day_of(number)), **conf)
    facts = get_record(deployment.store, record_key(MODEL, day_of(8), "facts"), DayFacts)
    assert facts is not None
    assert (facts.champion_event, facts.earlier_version) == ("promote", "1")
    last = facts.past_decisions[-1]
    assert (last.action, last.outcome) == ("compress", "promoted")
    assert last.saving == pytest.approx(0.5)  # the fake engine's candidate is twice as fast


def test_a_rollback_by_hand_counts_from_the_day_it_is_done(deployment: FakeDeployment) -> None:
    """Its own day and later ones are decided with it; a backfill of an earlier day is not."""
    play_until(deployment, 6)
    day = day_of(7)
    play(deployment, day, rows_of(day), action="compress", override=True, note="n")
    done = Cycle(deployment).rollback(MODEL, None, "by hand", "k").at.date()
    versions = {}
    for when in (day, day_of(8), done - timedelta(1), done, done + timedelta(1)):
        champion = champion_on(deployment.store, MODEL, when)
        assert champion is not None
        versions[when] = champion.version
    assert list(versions.values()) == ["1", "2", "2", "1", "1"]


def test_a_decided_rollback_counts_from_the_day_after(deployment: FakeDeployment) -> None:
    """The day that decided it is decided again, from its ledger, as it was."""
    play_until(deployment, 6)
    for number in (7, 8):
        day = day_of(number)
        conf = {"action": "compress", "override": True, "note": "n"} if number == 7 else {}
        play(deployment, day, rows_of(day), **conf)
    follow(Cycle(deployment), JobPlan(MODEL, day, "rollback", follow_up(MODEL, day, "rollback")))
    known = [champion_on(deployment.store, MODEL, day_of(n)) for n in (8, 9)]
    assert [c.version for c in known if c] == ["2", "1"]


def test_one_rollback_a_day_whoever_makes_it(deployment: FakeDeployment) -> None:
    """In one process, and then as Airflow's run of that name does: one entry in the ledger."""
    play_until(deployment, 6)
    day = day_of(7)
    play(deployment, day, rows_of(day), action="compress", override=True, note="n")
    cycle = Cycle(deployment)
    run_id = follow_up(MODEL, day, "rollback")
    follow(cycle, JobPlan(MODEL, day, "rollback", run_id))
    cycle.rollback(MODEL, None, "decided by the policy", rollback_key(MODEL, run_id))
    entries = promotion.ledger(deployment.store, MODEL)
    assert [(e.event, e.version) for e in entries] == [
        ("register", "1"), ("promote", "2"), ("rollback", "1"),
    ]  # fmt: skip
    assert entries[-1].day == day
    past = past_decision(deployment.store, MODEL, day)
    assert past is not None
