"""The days of one model carried on: each decided with the past that another policy made.

What is carried: the past decisions, with the outcome of each job, and whether the champion is
compressed. A job that both policies ask for on the same day, and that the budget answers alike,
has the outcome that it really had; one that never ran has the one that is expected of it
(:func:`upkeep.replay_jobs.expected_of`); one that the budget has no room for has none. What a
person ordered stays. What production measured stays too: the replay knows no other days.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from upkeep.decision import decide
from upkeep.records import Action, Decision, PastDecision
from upkeep.replay_hashed import HashedFacts, hashed_diagnosis, hashed_drift
from upkeep.replay_jobs import JOBS
from upkeep.replay_records import AskingDay, LivedDay, Outcome
from upkeep.spec import Policy

UNCOMPRESSED, COMPRESSED = "safetensors", "openvino"
UNREAD = "0" * 64  # the facts as carried on are no record, and have no hash that anybody reads


class Walked(NamedTuple):
    """One day in both arms; ``granted``: whether the budget had room for what was decided."""

    lived: LivedDay
    granted: bool
    carried: Action
    carried_granted: bool
    carried_outcome: Outcome
    carried_compressed: bool

    @property
    def did(self) -> Action:
        """What the stored arm did."""
        return self.lived.decided if self.granted else "keep"

    @property
    def carried_did(self) -> Action:
        """What the other arm did."""
        return self.carried if self.carried_granted else "keep"


class Walk:
    """Goes through a model's days, oldest first; ``expected`` comes of a job that never ran."""

    def __init__(self, expected: Outcome) -> None:
        """Start where both arms have the same past."""
        self._expected = expected
        self._decided: dict[date, Action] = {}
        self._carried: dict[date, PastDecision] = {}
        self._compressed: bool | None = None  # None: as it was

    def decide(self, asking: AskingDay, policy: Policy) -> Decision:
        """The day decided with the past as carried on."""
        facts = self._facts(asking)
        if facts is None:
            return asking.made
        drift, _ = hashed_drift(asking.drift)
        diagnosis, _ = hashed_diagnosis(asking.diagnosis)
        return decide(facts, drift, diagnosis, policy, asking.methods)

    def take(self, lived: LivedDay, *, granted: bool, carried: Action, room: bool) -> Walked:
        """Both arms' day, which is the past of the next; ``room``: the budget's for ``carried``."""
        walked = Walked(
            lived=lived,
            granted=granted,
            carried=carried,
            carried_granted=room,
            carried_outcome=self._outcome(lived, granted=granted, carried=carried, room=room),
            carried_compressed=lived.compressed if self._compressed is None else self._compressed,
        )
        self._remember(walked)
        return walked

    def _facts(self, asking: AskingDay) -> HashedFacts | None:
        """The facts with the past that was made here; None where it is the same past."""
        facts = asking.facts
        past = tuple(self._past(p) for p in facts.past_decisions)
        made = facts.champion_format
        if self._compressed not in (None, is_compressed(made)):
            made = COMPRESSED if self._compressed else UNCOMPRESSED
        if past == facts.past_decisions and made == facts.champion_format:
            return None
        changed = {"past_decisions": past, "champion_format": made}
        return HashedFacts.model_construct(**{**dict(facts), **changed}).under(UNREAD)

    def _past(self, past: PastDecision) -> PastDecision:
        mine = self._carried.get(past.day)
        by_hand = past.action != self._decided.get(past.day)
        return past if mine is None or by_hand else mine

    def _outcome(self, lived: LivedDay, *, granted: bool, carried: Action, room: bool) -> Outcome:
        if carried not in JOBS or not room:
            return "none"
        same = carried == lived.decided and granted
        return lived.outcome if same else self._expected

    def _remember(self, walked: Walked) -> None:
        lived, action, outcome = walked.lived, walked.carried, walked.carried_outcome
        day, same = lived.day, walked.carried_did == walked.did
        self._decided[day] = lived.decided
        if action != lived.decided or walked.granted != walked.carried_granted:
            self._carried[day] = PastDecision(day=day, action=action, outcome=outcome)
        if outcome == "promoted":
            self._compressed = None if same else action == "compress"
        elif walked.lived.outcome == "promoted" and not same:
            self._compressed = walked.carried_compressed


def is_compressed(form: str | None) -> bool:
    """Whether a champion of this format is compressed."""
    return form not in (None, UNCOMPRESSED)
