"""What is done about the day: facts and policy in, action with every reason out. Pure.

Before the policy's rules stand what no policy can switch off, in this order: without a champion
a person looks (``investigate``); untrusted data is ``hold``; a failed check that asks for a
person is ``investigate``; a quality or objective measure that is missing is ``hold``. Then the
first rule fits whose cause is the day's cause and whose objective, if it names one, is over its
ceiling. What may still stop a job stands in :mod:`upkeep.job_limits`. Neither a missing nor a
malformed input ever asks for a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from upkeep import measures
from upkeep.job_limits import JobAction, stopped
from upkeep.records import (
    Action,
    DayFacts,
    Decision,
    Diagnosis,
    Drift,
    Finding,
    HashedInput,
    JobRequest,
    Reason,
)
from upkeep.spec import Objective, Policy, Rule


class _Day(NamedTuple):
    """Everything that the decision reads."""

    facts: DayFacts
    drift: Drift
    diagnosis: Diagnosis
    policy: Policy
    methods: Mapping[str, str]


class _Verdict(NamedTuple):
    action: Action
    reasons: tuple[Reason, ...]


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
    verdict = _guarded(day) or _ruled(day)
    named = (("facts", facts), ("drift", drift), ("diagnosis", diagnosis))
    return Decision(
        model=facts.model,
        day=facts.day,
        revision=facts.revision,
        action=verdict.action,
        cause=diagnosis.cause,
        reasons=(*verdict.reasons, *_observed(drift), *_voteless(facts)),
        champion_version=facts.champion_version,
        job=_job(verdict.action, methods),
        inputs=tuple(HashedInput(name=name, sha256=r.digest()) for name, r in named),
        policy_version=policy.version,
        policy_sha256=policy.digest(),
    )


def _job(action: Action, methods: Mapping[str, str]) -> JobRequest | None:
    if action == "compress" or action == "retrain":  # noqa: PLR1714 - mypy narrows this one
        return JobRequest(kind=action, method=methods[action])
    return None


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


# ---------------------------------------------------------------- what no policy switches off


def _guarded(day: _Day) -> _Verdict | None:
    validation = day.facts.validation
    if day.facts.champion_version is None:
        return _Verdict("investigate", (_no_champion(day.facts),))
    if not (validation.trusted and day.facts.current.trusted):
        return _Verdict("hold", tuple(_untrusted(day.facts)))
    asking = tuple(_found(f) for f in validation.failures if f.severity != "flag")
    if asking:
        return _Verdict("investigate", asking)
    if day.diagnosis.cause == "no_traffic":
        return None
    unknown = (*_missing(day), *_incomparable(day))
    return _Verdict("hold", unknown) if unknown else None


def _no_champion(facts: DayFacts) -> Reason:
    return Reason(
        fact="champion_version",
        value="none",
        rule="a champion is never made by default",
        threshold="one registered version with the alias champion",
        words=f"{facts.model} has no champion: a person must register one; nothing is done.",
    )


def _found(finding: Finding) -> Reason:
    return Reason(
        fact=finding.check,
        value=finding.observed,
        rule=f"validation: {finding.severity}",
        threshold=finding.rule,
        words=finding.words,
    )


def _untrusted(facts: DayFacts) -> Iterator[Reason]:
    validation = facts.validation
    yield Reason(
        fact="coverage",
        value=f"{validation.coverage:.4g}",
        rule="untrusted data is held",
        threshold=f"validation suite {validation.suite}",
        words=(
            f"The data of {facts.day} cannot be trusted: {validation.coverage:.1%} of it is "
            f"covered, {validation.bad_share:.1%} of its rows are bad; the champion stays."
        ),
    )
    yield from (_found(f) for f in validation.failures if f.severity == "hold")


def _missing(day: _Day) -> Iterator[Reason]:
    """One reason for each quality or objective measure that has no value today."""
    quality = [n for n in day.policy.measures if measures.family(n) == "quality"]
    for name in dict.fromkeys([*quality, *day.policy.objectives]):
        found = day.facts.current.measure(name)
        if found is None or found.value is None:
            why = f" ({found.why})" if found is not None and found.why else ""
            yield Reason(
                fact=name,
                value="not collected",
                rule="an unknown is never a pass",
                threshold="a value every day",
                words=(
                    f"{name} was not collected on {day.facts.day}{why}: nothing is decided blindly."
                ),
            )


def _incomparable(day: _Day) -> Iterator[Reason]:
    """One reason for each measure that is measured another way than on the day before it."""
    for name in day.policy.measures:
        today = day.facts.current.measure(name)
        last = _last_signature(day, name)
        if today is None or last is None or today.signature == last:
            continue
        yield Reason(
            fact=name,
            value=today.signature,
            rule="scores compare only where they are measured alike",
            threshold=last,
            words=(
                f"{name} is measured another way than before ({last} is now "
                f"{today.signature}): restore it, or order a new baseline with "
                f"policy.baseline.since: {day.facts.day}."
            ),
        )


def _last_signature(day: _Day, name: str) -> str | None:
    """How the measure was measured when it last had a value; None if it never had."""
    since, history = day.policy.baseline.since, day.facts.history
    last: tuple[int, str] | None = None
    for series in history.of_measure(name):
        known = [n for n, value in enumerate(series.values) if value is not None]
        usable = [n for n in known if since is None or history.days[n] >= since]
        if usable and (last is None or usable[-1] > last[0]):
            last = usable[-1], series.signature
    return last[1] if last else None


# ---------------------------------------------------------------- the policy's rules


def _ruled(day: _Day) -> _Verdict:
    for number, rule in enumerate(day.policy.rules, start=1):
        over = _over(day, rule.over_objective)
        if rule.cause != day.diagnosis.cause or (rule.over_objective and not over):
            continue
        reasons = (_rule_reason(number, rule, day.diagnosis), *((over,) if over else ()))
        if rule.action != "compress" and rule.action != "retrain":  # noqa: PLR1714 - for mypy
            return _Verdict(rule.action, reasons)
        return _job_verdict(day, rule.action, reasons)
    return _Verdict("investigate", (_no_rule(day),))


def _job_verdict(day: _Day, kind: JobAction, reasons: tuple[Reason, ...]) -> _Verdict:
    stop = stopped(
        kind,
        day.diagnosis.cause,
        day.facts,
        day.policy,
        day.methods,
        quality_fell=_quality_fell(day.drift),
    )
    return _Verdict(stop.action, (stop.reason, *reasons)) if stop else _Verdict(kind, reasons)


def _quality_fell(drift: Drift) -> bool:
    return any(
        r.state == "drifted" and measures.family(r.measure) == "quality" for r in drift.results
    )


def _rule_reason(number: int, rule: Rule, diagnosis: Diagnosis) -> Reason:
    ceiling = f" while {rule.over_objective} is over its objective" if rule.over_objective else ""
    return Reason(
        fact="cause",
        value=diagnosis.cause,
        rule=f"rule {number}: {rule.cause}{ceiling} -> {rule.action}",
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


def _over(day: _Day, name: str | None) -> Reason | None:
    """Why a measure is over its objective; None if it is not, or cannot be known to be."""
    objective = day.policy.objectives.get(name) if name is not None else None
    value = day.facts.current.value(name) if name is not None else None
    if name is None or objective is None or value is None:
        return None
    result = day.drift.get(name)
    passed = [c for c in _ceilings(objective, result.baseline if result else None) if value > c[0]]
    if not passed:
        return None
    ceiling, words = min(passed)
    return Reason(
        fact=name,
        value=f"{value:.6g}",
        rule=f"objective: {words}",
        threshold=f"{ceiling:.6g}",
        words=f"{name} is {value:.4g}, over its objective of {ceiling:.4g} ({words}).",
    )


def _ceilings(objective: Objective, baseline: float | None) -> Iterator[tuple[float, str]]:
    if objective.max is not None:
        yield objective.max, f"at most {objective.max:.4g}"
    if objective.max_ratio_to_baseline is not None and baseline is not None:
        ratio = objective.max_ratio_to_baseline
        yield ratio * baseline, f"at most {ratio:.4g} times the baseline of {baseline:.4g}"
