"""What the decisions of both policies come to, day by day: jobs, hours, money, harm. Pure.

A day counts as degraded where a measure of quality or latency has drifted to the worse or misses
its objective, and nothing was done about it on an earlier day of the same harm. Something done
is a rollback, a promoted retraining about quality, a promoted compression about latency.

Where the stored days were healed by a job that the other policy does not start, its days stay
harmed for as long as the model's own harms lasted that nobody healed (their mean; to the end of
the days where there were none), or until the other policy acts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import NamedTuple

from upkeep.records import Action
from upkeep.replay_jobs import JOBS
from upkeep.replay_records import Arm, Harm
from upkeep.replay_walk import Walked

CURES: Mapping[Action, str] = {"retrain": "quality", "compress": "latency", "rollback": "both"}


class Act(NamedTuple):
    """What was done about which harm; not ``certain``: a job whose outcome is estimated."""

    cures: str
    certain: bool

    def heals(self, harm: Harm) -> bool:
        """Whether it is about this harm."""
        return self.cures != "" and self.cures in (harm, "both")


class _Harmed(NamedTuple):
    """One day of both arms; ``tries`` are the other policy's jobs that may have healed it."""

    stored: bool
    other: bool
    tries: int


def arms(walked: Sequence[Walked]) -> tuple[Arm, Arm, str]:
    """The stored arm, the other policy's, and what they take for granted in words."""
    harms = [w.lived.harm for w in walked]
    acts = [_acts(w) for w in walked]
    lasting, words = _lasting(harms, acts)
    harmed = list(_harmed(harms, acts, lasting))
    stored = _arm(walked, [w.did for w in walked], [h.stored for h in harmed])
    other = _arm(walked, [w.carried_did for w in walked], [h.other for h in harmed])
    served = [_serving_usd(w) for w in walked]
    return (
        stored.model_copy(update={"serving_usd": tuple(before for before, _ in served)}),
        other.model_copy(
            update={
                "serving_usd": tuple(after for _, after in served),
                "tries": tuple(h.tries for h in harmed),
            }
        ),
        words,
    )


def _arm(walked: Sequence[Walked], did: Sequence[Action], harmed: Sequence[bool]) -> Arm:
    costs = [w.lived.costs(action) for w, action in zip(walked, did, strict=True)]
    return Arm(
        jobs=tuple(int(action in JOBS) for action in did),
        gpu_hours=tuple(c.gpu_hours for c in costs),
        job_usd=tuple(c.usd for c in costs),
        harmed=tuple(harmed),
        tries=(0,) * len(costs),
        serving_usd=(None,) * len(costs),
    )


# ---------------------------------------------------------------- harm


def _acts(walked: Walked) -> tuple[Act, Act]:
    """What each arm did on a day, about which harm, and whether it is certain to have helped."""
    cure, other = CURES.get(walked.did, ""), CURES.get(walked.carried_did, "")
    if walked.did in JOBS and walked.lived.outcome != "promoted":
        cure = ""
    stored = Act(cure, certain=True)
    if walked.carried_did == walked.did:
        return stored, stored
    return stored, Act(other, certain=walked.carried_did not in JOBS)


def _lasting(harms: Sequence[Harm | None], acts: Sequence[tuple[Act, Act]]) -> tuple[int, str]:
    """How many days a harm lasts that nobody heals, and how that is known."""
    known = [(h, a) for h, (a, _) in zip(harms, acts, strict=True) if h is not None]
    spells = [list(run) for harmed, run in groupby(known, key=lambda d: d[0] != "") if harmed]
    left = [len(spell) for spell in spells if not any(a.heals(h) for h, a in spell)]
    if not left:
        return len(harms), "a harm that only the stored policy healed lasts to the end of the days"
    mean = fmean(left)
    words = f"a harm that only the stored policy healed lasts {mean:.3g} days more"
    return round(mean), f"{words}, the mean of {len(left)} that nobody healed"


def _harmed(
    harms: Sequence[Harm | None], acts: Sequence[tuple[Act, Act]], lasting: int
) -> Iterator[_Harmed]:
    spell = _Spell()
    for harm, (act, other) in zip(harms, acts, strict=True):
        yield spell.day(harm)
        spell.act(harm, act, other, lasting)


@dataclass
class _Spell:
    """A harm while it lasts: who healed it, and how long it goes on where only one did."""

    healed: bool = False
    other_healed: bool = False
    owed: int = 0  # days that it goes on for the other policy
    owed_harm: Harm = ""
    tries: int = 0

    def day(self, harm: Harm | None) -> _Harmed:
        """One day of it, before anything is done about it; a day not known neither counts."""
        if harm == "":
            self.healed = False
            if self.owed == 0 or self.other_healed:
                self.other_healed, self.owed, self.tries = False, 0, 0
        return _Harmed(
            stored=bool(harm) and not self.healed,
            other=bool(self._goes_on(harm)) and not self.other_healed,
            tries=self.tries,
        )

    def act(self, harm: Harm | None, act: Act, other: Act, lasting: int) -> None:
        """What the arms did that day."""
        now = self._goes_on(harm)
        self.owed -= int(harm == "" and self.owed > 0)
        if harm and act.heals(harm):
            self.healed = True
            self.owed, self.owed_harm = (0 if self.other_healed else lasting), harm
        if now and other.heals(now) and other.certain:
            self.other_healed, self.owed = True, 0
        self.tries += int(bool(now) and other.heals(now) and not other.certain)

    def _goes_on(self, harm: Harm | None) -> Harm:
        """The harm that the other policy's day has."""
        return self.owed_harm if harm == "" and self.owed > 0 else harm or ""


# ---------------------------------------------------------------- serving


def _serving_usd(walked: Walked) -> tuple[float | None, float | None]:
    """What serving the day cost, and would have cost the other policy, in USD."""
    lived, spent = walked.lived, walked.lived.served_usd
    if spent is None or lived.compressed == walked.carried_compressed:
        return spent, spent
    left = 1.0 - lived.saving
    return spent, spent * left if walked.carried_compressed else spent / left
