"""What no policy switches off: days on which nothing may be decided, and why. Pure.

In this order: without a champion a person looks (``investigate``); untrusted data is ``hold``; a
failed check that asks for a person is ``investigate``; a quality or objective measure that is
missing, or measured another way than before, is ``hold``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from upkeep import measures
from upkeep.records import Action, DayFacts, Diagnosis, Finding, Reason
from upkeep.spec import Policy


class Verdict(NamedTuple):
    """What is done, and the reasons."""

    action: Action
    reasons: tuple[Reason, ...]


def guarded(facts: DayFacts, diagnosis: Diagnosis, policy: Policy) -> Verdict | None:
    """Why the policy's rules are not even asked today, or None if they are."""
    if facts.champion_version is None:
        return Verdict("investigate", (_no_champion(facts),))
    if not (facts.validation.trusted and facts.current.trusted):
        return Verdict("hold", tuple(_untrusted(facts)))
    asking = tuple(_found(f) for f in facts.validation.failures if f.severity != "flag")
    if asking:
        return Verdict("investigate", asking)
    if diagnosis.cause == "no_traffic":
        return None
    unknown = (*_missing(facts, policy), *_incomparable(facts, policy))
    return Verdict("hold", unknown) if unknown else None


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


def _missing(facts: DayFacts, policy: Policy) -> Iterator[Reason]:
    """One reason for each quality or objective measure that has no value today."""
    quality = [n for n in policy.measures if measures.family(n) == "quality"]
    for name in dict.fromkeys([*quality, *policy.objectives]):
        found = facts.current.measure(name)
        if found is None or found.value is None:
            why = f" ({found.why})" if found is not None and found.why else ""
            yield Reason(
                fact=name,
                value="not collected",
                rule="an unknown is never a pass",
                threshold="a value every day",
                words=(
                    f"{name} was not collected on {facts.day}{why}: nothing is decided blindly."
                ),
            )


def _incomparable(facts: DayFacts, policy: Policy) -> Iterator[Reason]:
    """One reason for each measure that is measured another way than on the day before it."""
    before = _last_signatures(facts, policy)
    for name in policy.measures:
        last = before.get(name)
        today = facts.current.measure(name) if last is not None else None
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
                f"policy.baseline.since: {facts.day}."
            ),
        )


def _last_signatures(facts: DayFacts, policy: Policy) -> dict[str, str]:
    """How each measure was measured when it last had a value since the baseline's first day."""
    since, history = policy.baseline.since, facts.history
    first = 0 if since is None else bisect_left(history.days, since)
    last: dict[str, tuple[int, str]] = {}
    for series in history.series:
        place = _last_place(series.values)
        if place >= first and place > last.get(series.name, (-1, ""))[0]:
            last[series.name] = place, series.signature
    return {name: signature for name, (_, signature) in last.items()}


def _last_place(values: Sequence[float | None]) -> int:
    """Where the last value stands; -1 if there is none."""
    place = len(values) - 1
    while place >= 0 and values[place] is None:
        place -= 1
    return place
