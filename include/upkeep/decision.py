"""What is done about the day: facts and policy in, action with every reason out. Pure.

Before the policy's rules stands what no policy can switch off (:mod:`upkeep.decision_guards`).
Then the first rule fits whose cause is the day's cause, whose state, if it names one, is the
day's, and whose objective, if it names one, is missed. What may still stop a job or a rollback
stands in :mod:`upkeep.job_limits`, what a job costs and is worth in :mod:`upkeep.payback`.
Neither a missing nor a malformed input ever asks for a job. Whether the fleet's budget has room
for it is decided afterwards, for all models together (:mod:`upkeep.allotment`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from upkeep import measures
from upkeep.decision_guards import Verdict, guarded
from upkeep.decision_objectives import missed
from upkeep.job_limits import rollback_stopped, stopped
from upkeep.payback import reason_of, worth_of
from upkeep.records import (
    Action,
    DayFacts,
    Decision,
    Diagnosis,
    Drift,
    HashedInput,
    JobRequest,
    Reason,
)
from upkeep.spec import ModelSpec, Policy, Rule


class _Day(NamedTuple):
    """Everything that the decision reads."""

    facts: DayFacts
    drift: Drift
    diagnosis: Diagnosis
    policy: Policy
    methods: Mapping[str, str]


def methods_of(spec: ModelSpec) -> dict[str, str]:
    """The job method of each kind, as decisions name it."""
    return {"compress": spec.jobs.compress.method, "retrain": spec.jobs.retrain.method}


def decide(
    facts: DayFacts,
    drift: Drift,
    diagnosis: Diagnosis,
    policy: Policy,
    methods: Mapping[str, str],
) -> Decision:
    """Decide the day. ``methods`` maps a job's kind (compress, retrain) to its method.

    A pure function: equal arguments give equal bytes, so that any decision can be replayed.
    """
    day = _Day(facts, drift, diagnosis, policy, methods)
    verdict = guarded(facts, diagnosis, policy) or _ruled(day)
    named = (("facts", facts), ("drift", drift), ("diagnosis", diagnosis))
    return Decision(
        model=facts.model,
        day=facts.day,
        revision=facts.revision,
        action=verdict.action,
        cause=diagnosis.cause,
        reasons=(*verdict.reasons, *_observed(drift), *_voteless(facts)),
        champion_version=facts.champion_version,
        job=_job(verdict.action, day),
        inputs=tuple(HashedInput(name=name, sha256=r.digest()) for name, r in named),
        policy_version=policy.version,
        policy_sha256=policy.digest(),
    )


def reads_the_past(facts: DayFacts, drift: Drift, diagnosis: Diagnosis, policy: Policy) -> bool:
    """Whether :func:`decide` looks at past decisions or at the champion's format for this day.

    It does where a rule asks for a job or a rollback, and nowhere else.
    """
    if guarded(facts, diagnosis, policy) is not None:
        return False
    found = _fitting(_Day(facts, drift, diagnosis, policy, {}))
    return found is not None and found[0] in ("compress", "retrain", "rollback")


def _job(action: Action, day: _Day) -> JobRequest | None:
    if action != "compress" and action != "retrain":  # noqa: PLR1714 - mypy narrows this one
        return None
    worth = worth_of(action, day.facts, day.drift, day.policy)
    return JobRequest(
        kind=action,
        method=day.methods[action],
        gpu_hours=worth.cost.gpu_hours,
        usd=worth.cost.usd,
        usd_per_day=worth.usd_per_day,
        harm_per_day=worth.harm_per_day,
        payback_days=worth.payback_days,
    )


def _observed(drift: Drift) -> Iterator[Reason]:
    """Every measure that left its tolerance, and quality and cost in any case."""
    for result in drift.results:
        shown = result.slice is None and measures.family(result.measure) in ("quality", "cost")
        if shown or result.state in ("drifted", "watch", "improved"):
            yield Reason(
                fact=result.measure,
                value="none" if result.current is None else f"{result.current:.6g}",
                rule=f"drift: {result.state}",
                threshold=f"{result.tolerance:.6g} {result.tolerance_kind}",
                words=f"{result.words} ({result.state}).",
            )


def _voteless(facts: DayFacts) -> Iterator[Reason]:
    """Every measure that people stopped agreeing with."""
    for vote in facts.people.votes if facts.people else ():
        if not vote.counts:
            yield Reason(
                fact=vote.measure,
                value="no vote",
                rule="a measure that people stopped agreeing with moves nothing",
                threshold="reviews.min_agreement",
                words=f"{vote.measure} has no vote: {vote.words}.",
            )


# ---------------------------------------------------------------- the policy's rules


def _ruled(day: _Day) -> Verdict:
    found = _fitting(day)
    return Verdict("investigate", (_no_rule(day),)) if found is None else _followed(day, *found)


def _fitting(day: _Day) -> tuple[Action, tuple[Reason, ...]] | None:
    """The action of the first rule that fits, and why it does; None if none fits."""
    state = _state(day.drift)
    for number, rule in enumerate(day.policy.rules, start=1):
        if rule.cause != day.diagnosis.cause or rule.state not in (None, state):
            continue
        missed = _missed(day, rule.over_objective)
        if rule.over_objective is None or missed is not None:
            reasons = (_rule_reason(number, rule, day.diagnosis), *((missed,) if missed else ()))
            return rule.action, reasons
    return None


def _followed(day: _Day, action: Action, reasons: tuple[Reason, ...]) -> Verdict:
    """The rule's action, or what is done in its place."""
    cause, facts, policy = day.diagnosis.cause, day.facts, day.policy
    if action == "rollback":
        stop = rollback_stopped(cause, facts, policy)
        return Verdict(stop.action, (stop.reason, *reasons)) if stop else _back(facts, reasons)
    if action != "compress" and action != "retrain":  # noqa: PLR1714 - mypy narrows this one
        return Verdict(action, reasons)
    worth = worth_of(action, facts, day.drift, policy)
    fell = _quality_fell(day.drift)
    stop = stopped(action, cause, facts, policy, day.methods, worth=worth, quality_fell=fell)
    if stop is not None:
        return Verdict(stop.action, (stop.reason, *reasons))
    return Verdict(action, (*reasons, reason_of(action, worth, policy)))


def _back(facts: DayFacts, reasons: tuple[Reason, ...]) -> Verdict:
    to = Reason(
        fact="earlier champion",
        value=str(facts.earlier_version),
        rule="a rollback puts the champion before this one back",
        threshold="one earlier champion in the ledger",
        words=(
            f"Champion {facts.champion_version} was promoted, and version {facts.earlier_version} "
            "stood before it: it is put back."
        ),
    )
    return Verdict("rollback", (*reasons, to))


def _state(drift: Drift) -> str:
    """The day's state: the most serious of its measures."""
    states = {result.state for result in drift.results}
    return next((s for s in ("drifted", "watch", "improved") if s in states), "stable")


def _quality_fell(drift: Drift) -> bool:
    return any(
        r.state == "drifted" and measures.family(r.measure) == "quality" for r in drift.results
    )


def _rule_reason(number: int, rule: Rule, diagnosis: Diagnosis) -> Reason:
    state = f" and {rule.state}" if rule.state else ""
    missing = f" while {rule.over_objective} misses its objective" if rule.over_objective else ""
    return Reason(
        fact="cause",
        value=diagnosis.cause,
        rule=f"rule {number}: {rule.cause}{state}{missing} -> {rule.action}",
        threshold="first rule that fits",
        words=f"The cause is {diagnosis.cause}: {diagnosis.ranked[0].words}.",
    )


def _no_rule(day: _Day) -> Reason:
    cause, policy = day.diagnosis.cause, day.policy
    return Reason(
        fact="cause",
        value=cause,
        rule=f"none of {len(policy.rules)} rules fits",
        threshold="first rule that fits",
        words=f"No rule of policy {policy.version} fits the cause {cause}: a person must look.",
    )


def _missed(day: _Day, name: str | None) -> Reason | None:
    """Why a measure misses its objective; None if it does not, or has none."""
    objective = day.policy.objectives.get(name) if name is not None else None
    if name is None or objective is None:
        return None
    result = day.drift.get(name)
    baseline = result.baseline if result else None
    return missed(name, objective, day.facts.current.value(name), baseline)
