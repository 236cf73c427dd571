"""What a job costs against what it is worth: every number by hand, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Literal

import pytest
from fakes.sixteen_days import METHODS, MODEL, default_policy, validated

from upkeep.decision import decide
from upkeep.payback import cost_of, worth_of
from upkeep.records import (
    Action,
    CauseEvidence,
    DayFacts,
    DayMeasures,
    Decision,
    Diagnosis,
    Drift,
    DriftResult,
    DriftState,
    History,
    MeasureValue,
    PastDecision,
)
from upkeep.spec import Objective, Policy
from upkeep.spec_payback import CompressPayback, Payback, RetrainPayback

DAY = date(2026, 3, 20)
TODAY = {
    "requests": 10_000.0,
    "error_rate": 0.1,
    "cost_usd_per_1k": 2.0,
    "perplexity": 9.0,
    "share[editor]": 0.25,
    "share[browser]": 0.75,
}
USD_OF_THE_DAY = 2.0 / 1000 * 10_000 * 0.9  # 18 USD


def facts_of(
    values: Mapping[str, float | None] = TODAY, past: tuple[PastDecision, ...] = ()
) -> DayFacts:
    """A trusted day with these numbers."""
    measures = tuple(MeasureValue(name=n, value=v) for n, v in values.items())
    return DayFacts(
        model=MODEL,
        day=DAY,
        revision=1,
        champion_version="1",
        champion_format="safetensors",
        validation=validated(DAY),
        current=DayMeasures(day=DAY, trusted=True, champion_version="1", measures=measures),
        history=History.of([]),
        past_decisions=past,
    )


def drifted(measure: str, effect: float, tolerance: float, state: DriftState) -> DriftResult:
    """One measure's drift."""
    return DriftResult(
        measure=measure, baseline=1.0, current=1.0 + effect, effect=effect, interval=None,
        tolerance=tolerance, tolerance_kind="relative", direction="lower_is_better",
        evidence=9.0, baseline_days=28, state=state, words="made up",
    )  # fmt: skip


def drift_of(*results: DriftResult) -> Drift:
    return Drift(model=MODEL, day=DAY, results=results)


FELL = drift_of(drifted("perplexity", 0.45, 0.15, "drifted"))


def policy_of(
    compress: Mapping[str, Any] | None = None, retrain: Mapping[str, Any] | None = None
) -> Policy:
    """The shipped policy with this payback, and an objective that the day misses."""
    payback = Payback(
        compress=CompressPayback(**(compress or {})), retrain=RetrainPayback(**(retrain or {}))
    )
    objectives = {"cost_usd_per_1k": Objective(max=1.0)}
    return default_policy().model_copy(update={"payback": payback, "objectives": objectives})


def past(
    action: Action,
    *jobs: tuple[float | None, float | None],
    outcome: Literal["promoted", "refused"] = "promoted",
) -> tuple[PastDecision, ...]:
    """Past jobs of a kind as (GPU-hours, saving), a month apart."""
    return tuple(
        PastDecision(day=DAY - timedelta(30 * n), action=action, outcome=outcome, gpu_hours=hours,
                     saving=saving)
        for n, (hours, saving) in enumerate(jobs, start=1)
    )  # fmt: skip


def decided(facts: DayFacts, policy: Policy, cause: Any, drift: Drift = FELL) -> Decision:
    """The decision for a cause that is given."""
    ranked = (CauseEvidence(cause=cause, score=1.0, words="made up"),)
    found = Diagnosis(model=MODEL, day=DAY, cause=cause, ranked=ranked)
    return decide(facts, drift, found, policy, METHODS)


# ---------------------------------------------------------------- compress


def test_a_compression_saves_a_share_of_the_days_cost() -> None:
    """30 % of 18 USD a day against 27 USD once: 5 days."""
    policy = policy_of({"gpu_hours": 3.0, "usd": 27.0, "saving": 0.3})
    worth = worth_of("compress", facts_of(), drift_of(), policy)
    assert worth.usd_per_day == pytest.approx(0.3 * USD_OF_THE_DAY)
    assert worth.payback_days == pytest.approx(5.0)
    assert worth.harm_per_day is None
    assert "30.0% (stated by the policy) of 18 USD" in worth.words
    assert "3 GPU-hours and 27 USD (stated by the policy)" in worth.words


def test_what_past_jobs_measured_stands_over_what_is_stated() -> None:
    """Medians of three past compressions: 1 GPU-hour, a saving of a half; the USD follow."""
    policy = policy_of({"gpu_hours": 3.0, "usd": 27.0, "saving": 0.3})
    known = past("compress", (0.5, 0.4), (1.0, 0.5), (9.0, 0.6))
    other = past("retrain", (99.0, None))
    worth = worth_of("compress", facts_of(past=(*known, *other)), drift_of(), policy)
    assert worth.cost.gpu_hours == 1.0
    assert worth.cost.usd == pytest.approx(9.0)
    assert worth.usd_per_day == pytest.approx(9.0)
    assert worth.payback_days == pytest.approx(1.0)
    assert "the median of 3 past compress jobs" in worth.words
    assert "the median of 3 past gates" in worth.words


def test_a_past_job_without_a_measurement_says_nothing() -> None:
    """Neither its hours nor its saving are known: what is stated stands."""
    policy = policy_of({"gpu_hours": 3.0, "usd": 27.0})
    worth = worth_of("compress", facts_of(past=past("compress", (None, None))), drift_of(), policy)
    assert worth.cost == cost_of("compress", None, policy)
    assert worth.cost.gpu_hours == 3.0


def test_a_gate_that_measured_no_saving_means_no_payback() -> None:
    """A candidate that was slower: it saves less than nothing, and is never paid back."""
    policy = policy_of({"max_payback_days": 90.0})
    facts = facts_of(past=past("compress", (1.0, -0.2), outcome="refused"))
    worth = worth_of("compress", facts, drift_of(), policy)
    assert worth.usd_per_day == pytest.approx(-0.2 * USD_OF_THE_DAY)
    assert worth.payback_days is None
    assert "never paid back" in worth.words
    assert decided(facts, policy, "price", drift_of()).action == "keep"


@pytest.mark.parametrize("missing", ["cost_usd_per_1k", "requests", "error_rate"])
def test_an_unknown_cost_of_the_day_is_not_a_pass(missing: str) -> None:
    """Where payback is asked for, a person looks; the decision never asks for the job."""
    policy = policy_of({"max_payback_days": 90.0})
    worth = worth_of("compress", facts_of({**TODAY, missing: None}), drift_of(), policy)
    assert (worth.usd_per_day, worth.payback_days) == (None, None)
    assert "cost of the day that is not known" in worth.words
    made = decided(facts_of({**TODAY, missing: None}), policy, "price", drift_of())
    assert made.action in ("hold", "investigate", "keep")
    assert made.job is None


@pytest.mark.parametrize(
    ("most", "action"), [(None, "compress"), (5.1, "compress"), (4.9, "keep"), (90.0, "compress")]
)
def test_a_compression_that_is_paid_back_too_late_does_not_start(
    most: float | None, action: str
) -> None:
    """5 days against what the policy asks; the reason has the fact, the number, the threshold."""
    policy = policy_of({"gpu_hours": 3.0, "usd": 27.0, "saving": 0.3, "max_payback_days": most})
    made = decided(facts_of(), policy, "price", drift_of())
    assert made.action == action
    reason = next(r for r in made.reasons if r.fact == "payback of a compress")
    assert reason.value == "5 days"
    assert reason.threshold == ("not asked for" if most is None else f"at most {most:g} days")
    if made.job is not None:
        assert (made.job.gpu_hours, made.job.usd) == (3.0, 27.0)
        assert made.job.payback_days == pytest.approx(5.0)


def test_an_unknown_error_rate_leaves_payback_to_a_person() -> None:
    """Quality and cost are there, the share of errors is not: the saving cannot be known."""
    facts = facts_of({**TODAY, "error_rate": None})
    made = decided(facts, policy_of({"max_payback_days": 90.0}), "price", drift_of())
    assert made.action == "investigate"
    assert made.reasons[0].value == "not known"
    assert "a person must look" in made.reasons[0].words


# ---------------------------------------------------------------- retrain


def test_harm_is_counted_in_tolerances_times_requests() -> None:
    """0.45 with a tolerance of 0.15 on 10,000 requests: 30,000; the reason says what is missing."""
    worth = worth_of("retrain", facts_of(), FELL, policy_of())
    assert worth.harm_per_day == pytest.approx(30_000)
    assert (worth.usd_per_day, worth.payback_days) == (None, None)
    assert "fell by 3 tolerances on 10,000 requests a day" in worth.words
    assert "payback.retrain.usd_per_degraded_request" in worth.words


def test_a_price_of_a_degraded_request_makes_it_usd() -> None:
    """10,000 degraded requests at a cent each: 100 USD a day against 200 USD."""
    policy = policy_of(retrain={"usd": 200.0, "usd_per_degraded_request": 0.01})
    worth = worth_of("retrain", facts_of(), FELL, policy)
    assert worth.usd_per_day == pytest.approx(100.0)
    assert worth.payback_days == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("results", "harm"),
    [
        ([drifted("perplexity[editor]", 0.45, 0.15, "drifted")], 7_500),
        ([drifted("perplexity[gone]", 0.45, 0.15, "drifted")], 30_000),
        (
            [
                drifted("perplexity[editor]", 0.45, 0.15, "drifted"),
                drifted("perplexity[browser]", 0.30, 0.15, "drifted"),
            ],
            30_000,
        ),
        (
            [
                drifted("perplexity[editor]", 0.45, 0.15, "drifted"),
                drifted("perplexity", 0.15, 0.15, "drifted"),
            ],
            30_000,
        ),
    ],
)
def test_only_the_slices_that_fell_are_degraded(results: list[DriftResult], harm: float) -> None:
    """A slice counts with its share; one without a known share, and the whole, count all."""
    worth = worth_of("retrain", facts_of(), drift_of(*results), policy_of())
    assert worth.harm_per_day == pytest.approx(harm)


@pytest.mark.parametrize(
    "result",
    [
        drifted("perplexity", 0.45, 0.15, "watch"),
        drifted("perplexity", -0.45, 0.15, "improved"),
        drifted("latency_p95_ms", 0.9, 0.5, "drifted"),
    ],
)
def test_without_a_fall_of_quality_protection_is_not_known(result: DriftResult) -> None:
    """A watched or improved quality, or another measure, is nothing to protect from."""
    policy = policy_of(retrain={"usd_per_degraded_request": 0.01, "max_payback_days": 30.0})
    worth = worth_of("retrain", facts_of(), drift_of(result), policy)
    assert (worth.harm_per_day, worth.usd_per_day) == (None, None)
    made = decided(facts_of(), policy, "model_quality", drift_of(result))
    assert made.action == "investigate"


@pytest.mark.parametrize(("most", "action"), [(2.0, "retrain"), (1.9, "investigate")])
def test_a_retraining_that_is_not_worth_it_goes_to_a_person(most: float, action: str) -> None:
    """Quality fell and repairing it costs more than the policy pays: a person looks."""
    policy = policy_of(
        retrain={"usd": 200.0, "usd_per_degraded_request": 0.01, "max_payback_days": most}
    )
    made = decided(facts_of(), policy, "model_quality")
    assert made.action == action
    assert (made.job is not None) == (action == "retrain")


def test_the_shipped_default_asks_for_no_payback() -> None:
    """It says the payback and stops nothing: what a job costs is yours to state."""
    payback = default_policy().payback
    assert payback.compress.max_payback_days is None
    assert payback.retrain.max_payback_days is None
