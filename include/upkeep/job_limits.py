"""What stops a job or a rollback that a rule asks for: repetition, cost, impossibility. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from upkeep.payback import Worth, reason_of, too_dear
from upkeep.records import Action, Cause, DayFacts, PastDecision, Reason
from upkeep.spec import Policy

JobAction = Literal["compress", "retrain"]
Kind = Literal["compress", "retrain", "rollback"]
JOBS = ("compress", "retrain")
JOBLESS: frozenset[Cause] = frozenset({"learning", "no_traffic", "data_breakage", "unknown"})
VAIN_TRIES = 2  # jobs of one kind within the cool-down that failed or were refused


class Stop(NamedTuple):
    """What is done in the job's place, and why."""

    action: Action
    reason: Reason


def stopped(
    kind: JobAction,
    cause: Cause,
    facts: DayFacts,
    policy: Policy,
    methods: Mapping[str, str],
    *,
    worth: Worth,
    quality_fell: bool,
) -> Stop | None:
    """Why a job of this kind must not start today, or None if it may.

    A job waits (``keep``) for a running one and for the cool-down after its like was promoted,
    and does not start where it is paid back too late; if quality is drifted nonetheless, a
    person looks (``investigate``), as after ``VAIN_TRIES`` tries in vain, without a method, for
    a cause that explains nothing, where the champion is compressed already, or where payback is
    asked for and not known. Over the day's cap the day is on ``hold``.
    """
    waiting: Action = "investigate" if quality_fell else "keep"
    return (
        _groundless(kind, cause)
        or _running(kind, facts, waiting)
        or _cooling(kind, facts, policy, waiting)
        or _vain(kind, facts, policy)
        or _capped(kind, facts, policy)
        or _impossible(kind, facts, methods)
        or _dear(kind, policy, worth, waiting)
    )


def rollback_stopped(cause: Cause, facts: DayFacts, policy: Policy) -> Stop | None:
    """Why no earlier champion is put back today (a person looks), or None if one may be.

    Only what a promotion of the ledger made is taken back, only while it serves, and only to an
    earlier champion; never twice within the cool-down, so that two versions do not alternate.
    """
    return (
        _groundless("rollback", cause)
        or _cooling("rollback", facts, policy, "investigate")
        or _not_promoted(facts)
        or _not_served(facts)
        or _nothing_earlier(facts)
    )


def _recent(kind: Kind, facts: DayFacts, policy: Policy) -> list[tuple[int, PastDecision]]:
    """Past decisions of the kind within the cool-down, with their age in days."""
    aged = [((facts.day - p.day).days, p) for p in facts.past_decisions if p.action == kind]
    return [(age, p) for age, p in aged if 0 < age <= policy.cooldown(kind)]


def _groundless(kind: Kind, cause: Cause) -> Stop | None:
    if cause not in JOBLESS:
        return None
    words = f"The cause {cause} never starts a job ({kind}): a person must look."
    return Stop("investigate", Reason(fact="cause", value=cause, rule="a job needs a reason",
                                      threshold="an explained drift", words=words))  # fmt: skip


def _running(kind: JobAction, facts: DayFacts, waiting: Action) -> Stop | None:
    running = [p for p in facts.past_decisions if p.action in JOBS and p.outcome == "running"]
    running = [p for p in running if p.day < facts.day]
    if not running:
        return None
    last = running[-1]
    reason = Reason(
        fact="running job",
        value=f"{last.action} of {last.day}",
        rule="one job at a time",
        threshold="0 running",
        words=f"The {last.action} of {last.day} is not finished: no {kind} starts beside it.",
    )
    return Stop(waiting, reason)


def _cooling(kind: Kind, facts: DayFacts, policy: Policy, waiting: Action) -> Stop | None:
    days = policy.cooldown(kind)
    done = [(age, p) for age, p in _recent(kind, facts, policy) if p.outcome == "promoted"]
    if not done:
        return None
    age, last = min(done, key=lambda pair: pair[0])
    reason = Reason(
        fact=f"days since the last {kind}",
        value=str(age),
        rule="cool-down",
        threshold=f"more than {days} days",
        words=(
            f"The {kind} of {last.day} was {'made' if kind == 'rollback' else 'promoted'} {age} "
            f"days ago; the cool-down is {days} days: no second one yet."
        ),
    )
    return Stop(waiting, reason)


def _vain(kind: JobAction, facts: DayFacts, policy: Policy) -> Stop | None:
    vain = [p for _, p in _recent(kind, facts, policy) if p.outcome in ("failed", "refused")]
    if len(vain) < VAIN_TRIES:
        return None
    tries = ", ".join(f"{p.day} {p.outcome}" for p in vain)
    reason = Reason(
        fact=f"{kind} jobs in vain",
        value=str(len(vain)),
        rule="no third try in a row",
        threshold=f"under {VAIN_TRIES} in {policy.cooldown(kind)} days",
        words=f"{len(vain)} {kind} jobs did not help ({tries}): a person must look.",
    )
    return Stop("investigate", reason)


def _capped(kind: JobAction, facts: DayFacts, policy: Policy) -> Stop | None:
    today = [p for p in facts.past_decisions if p.day == facts.day and p.action in JOBS]
    if len(today) < policy.max_jobs_per_day:
        return None
    reason = Reason(
        fact="jobs of the day",
        value=str(len(today)),
        rule="max_jobs_per_day",
        threshold=str(policy.max_jobs_per_day),
        words=(
            f"{len(today)} jobs were started for {facts.day} and the policy allows "
            f"{policy.max_jobs_per_day}: the {kind} is held."
        ),
    )
    return Stop("hold", reason)


def _impossible(kind: JobAction, facts: DayFacts, methods: Mapping[str, str]) -> Stop | None:
    if not methods.get(kind):
        words = f"No method is configured for {kind} (jobs.{kind}.method): a person must look."
        return Stop("investigate", Reason(fact=f"jobs.{kind}.method", value="none",
                                          rule="a job needs a method", threshold="a method",
                                          words=words))  # fmt: skip
    if kind == "compress" and facts.champion_format not in (None, "safetensors"):
        reason = Reason(
            fact="champion_format",
            value=str(facts.champion_format),
            rule="a compressed model is not compressed again",
            threshold="safetensors",
            words=(
                f"Champion {facts.champion_version} is compressed already "
                f"({facts.champion_format}) and that was not enough: a person must look."
            ),
        )
        return Stop("investigate", reason)
    return None


def _dear(kind: JobAction, policy: Policy, worth: Worth, waiting: Action) -> Stop | None:
    found = too_dear(kind, worth, policy)
    if found is None:
        return None
    reason = reason_of(kind, worth, policy)
    if found == "unknown":
        words = f"{reason.words} The policy asks for {reason.threshold}: a person must look."
        return Stop("investigate", reason.model_copy(update={"words": words}))
    words = f"{reason.words} The policy asks for {reason.threshold}: no {kind}."
    return Stop(waiting, reason.model_copy(update={"words": words}))


# ---------------------------------------------------------------- a rollback


def _not_promoted(facts: DayFacts) -> Stop | None:
    event = facts.champion_event
    if event == "promote":
        return None
    how = {"register": "registered by hand", "rollback": "put back by a rollback"}
    words = f"{how[event]}, and not made by a promotion" if event else "not known to be promoted"
    return Stop("investigate", Reason(
        fact="champion_event",
        value=event or "not known",
        rule="only a promotion is taken back",
        threshold="promote",
        words=f"Champion {facts.champion_version} was {words}: a person must look.",
    ))  # fmt: skip


def _not_served(facts: DayFacts) -> Stop | None:
    served = facts.current.champion_version
    if served == facts.champion_version:
        return None
    return Stop("investigate", Reason(
        fact="serving version",
        value=served,
        rule="only what serves is taken back",
        threshold=f"champion {facts.champion_version}",
        words=(
            f"Version {served} answered the day, the ledger's champion is version "
            f"{facts.champion_version}: a rollback changes nothing there; a person must look."
        ),
    ))  # fmt: skip


def _nothing_earlier(facts: DayFacts) -> Stop | None:
    if facts.earlier_version is not None:
        return None
    return Stop("investigate", Reason(
        fact="earlier champion",
        value="none",
        rule="a rollback needs a champion to go back to",
        threshold="one earlier champion in the ledger",
        words=(
            f"There is no champion before {facts.champion_version} to go back to: a person must "
            "look."
        ),
    ))  # fmt: skip
