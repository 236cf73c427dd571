"""The days of one model carried on: each decided with the past that another policy made.

What is carried: the past decisions, with the outcome of each job, and whether the champion is
compressed. A job that both policies ask for on the same day has the outcome that it really had;
one that never ran has the one that is expected of it (:meth:`upkeep.replay_jobs.Jobs.expected`).
What a person ordered stays. What production measured stays too: the replay knows no other days.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from upkeep.decision import decide
from upkeep.diagnosis import diagnose
from upkeep.records import (
    Action,
    DayFacts,
    Decision,
    Drift,
    PastDecision,
    canonical_json,
    sha256_hex,
)
from upkeep.replay_day import HashedFacts, Made, StoredDay, methods_of
from upkeep.replay_jobs import Jobs, Outcome
from upkeep.replay_truth import Harm, harm, served_usd
from upkeep.spec import ModelSpec, Policy

JOBS = ("compress", "retrain")
UNCOMPRESSED, COMPRESSED = "safetensors", "openvino"


class Walked(NamedTuple):
    """One day in both arms: what was decided, what is carried on, and what the day was like."""

    day: date
    spec: ModelSpec
    decided: Action
    outcome: Outcome
    carried: Action
    carried_outcome: Outcome
    compressed: bool
    carried_compressed: bool
    harm: Harm | None
    served_usd: float | None


class Walk:
    """Goes through a model's days, oldest first."""

    def __init__(self, jobs: Jobs) -> None:
        """Start where both arms have the same past."""
        self._jobs = jobs
        self._decided: dict[date, Action] = {}
        self._carried: dict[date, PastDecision] = {}
        self._compressed: bool | None = None  # None: as it was

    def decide(self, stored: StoredDay, made: Made, policy: Policy) -> Decision:
        """The day decided with the past as carried on; ``made`` is it with the past as it was."""
        facts = self._facts(stored.facts)
        if facts is stored.facts:
            return made.decision
        found = diagnose(facts, made.drift)
        return decide(facts, made.drift, found, policy, methods_of(stored.spec))

    def take(self, stored: StoredDay, drift: Drift, decided: Action, carried: Action) -> Walked:
        """Both arms' day, which is the past of the next; ``drift`` is the stored one."""
        facts, spec = stored.facts, stored.spec
        before = _compressed(facts)
        walked = Walked(
            day=stored.day,
            spec=spec,
            decided=decided,
            outcome=self._jobs.outcome(stored.day, decided),
            carried=carried,
            carried_outcome=self._outcome(stored.day, decided, carried),
            compressed=before,
            carried_compressed=before if self._compressed is None else self._compressed,
            harm=harm(facts, drift, spec.policy),
            served_usd=served_usd(facts),
        )
        self._remember(walked)
        return walked

    def _facts(self, facts: HashedFacts) -> HashedFacts:
        """The facts with the past that was made here; the same ones where it is the same past."""
        past = tuple(self._past(p) for p in facts.past_decisions)
        made = facts.champion_format
        if self._compressed not in (None, _compressed(facts)):
            made = COMPRESSED if self._compressed else UNCOMPRESSED
        if past == facts.past_decisions and made == facts.champion_format:
            return facts
        changed = {"past_decisions": past, "champion_format": made}
        named = [facts.digest(), made, [p.model_dump(mode="json") for p in past]]
        known = HashedFacts.model_construct(**{**dict(facts), **changed})
        return known.under(sha256_hex(canonical_json(named)))

    def _past(self, past: PastDecision) -> PastDecision:
        mine = self._carried.get(past.day)
        by_hand = past.action != self._decided.get(past.day)
        return past if mine is None or by_hand or mine.action == past.action else mine

    def _outcome(self, day: date, decided: Action, carried: Action) -> Outcome:
        if carried not in JOBS:
            return "none"
        return self._jobs.outcome(day, carried) if carried == decided else self._jobs.expected()

    def _remember(self, walked: Walked) -> None:
        day, action = walked.day, walked.carried
        self._decided[day] = walked.decided
        outcome = walked.carried_outcome
        self._carried[day] = PastDecision(day=day, action=action, outcome=outcome)
        same = action == walked.decided
        if outcome == "promoted":
            self._compressed = None if same else action == "compress"
        elif walked.outcome == "promoted" and not same:
            self._compressed = walked.carried_compressed


def _compressed(facts: DayFacts) -> bool:
    return facts.champion_format not in (None, UNCOMPRESSED)
