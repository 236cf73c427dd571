"""What the decisions of both policies come to, day by day: jobs, hours, money, harm. Pure.

A day counts as degraded where a measure of quality or latency has drifted to the worse or misses
its objective, and nothing was done about it on an earlier day of the same harm. A rollback, or a
job whose candidate was promoted, is something done; a refused job is not.

Where the stored days were healed by a job that the other policy does not start, its days stay
harmed for as long as the model's own harms lasted that nobody healed (their mean; to the end of
the days where there were none), or until the other policy acts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import fmean
from typing import Literal, NamedTuple

from upkeep.records import Action
from upkeep.replay_jobs import JobCost, Jobs, Kind
from upkeep.replay_records import Arm
from upkeep.replay_walk import Walked

Act = Literal["heals", "tries", ""]


class _Harmed(NamedTuple):
    """One day of both arms; ``tries`` are the other policy's jobs that may have healed it."""

    stored: bool
    other: bool
    tries: int


def arms(walked: Sequence[Walked], jobs: Jobs) -> tuple[Arm, Arm, tuple[str, ...]]:
    """The stored arm, the other policy's, and what they take for granted in words."""
    harms = [w.harm for w in walked]
    acts = [(_act_stored(w), _act_other(w)) for w in walked]
    lasting, words = _lasting(harms, acts)
    harmed = list(_harmed(harms, acts, lasting))
    stored = _arm(walked, [w.decided for w in walked], [h.stored for h in harmed], jobs)
    other = _arm(walked, [w.carried for w in walked], [h.other for h in harmed], jobs)
    served = [_serving_usd(w, jobs) for w in walked]
    return (
        stored.model_copy(update={"serving_usd": tuple(before for before, _ in served)}),
        other.model_copy(
            update={
                "serving_usd": tuple(after for _, after in served),
                "tries": tuple(h.tries for h in harmed),
            }
        ),
        (*jobs.assumptions(), words),
    )


def _arm(
    walked: Sequence[Walked], actions: Sequence[Action], harmed: Sequence[bool], jobs: Jobs
) -> Arm:
    costs = [_cost(w, action, jobs) for w, action in zip(walked, actions, strict=True)]
    return Arm(
        jobs=tuple(int(_job(action) is not None) for action in actions),
        gpu_hours=tuple(c.gpu_hours for c in costs),
        job_usd=tuple(c.usd for c in costs),
        harmed=tuple(harmed),
        tries=(0,) * len(costs),
        serving_usd=(None,) * len(costs),
    )


def _job(action: Action) -> Kind | None:
    return action if action == "compress" or action == "retrain" else None  # noqa: PLR1714 - mypy


def _cost(walked: Walked, action: Action, jobs: Jobs) -> JobCost:
    kind = _job(action)
    if kind is None:
        return JobCost(0.0, 0.0)
    return jobs.cost(walked.day, kind, walked.spec)


# ---------------------------------------------------------------- harm


def _act_stored(walked: Walked) -> Act:
    return "heals" if walked.outcome == "promoted" or walked.decided == "rollback" else ""


def _act_other(walked: Walked) -> Act:
    if walked.carried == walked.decided:
        return _act_stored(walked)
    if walked.carried == "rollback":
        return "heals"
    return "tries" if _job(walked.carried) else ""


def _lasting(harms: Sequence[bool | None], acts: Sequence[tuple[Act, Act]]) -> tuple[int, str]:
    """How many days a harm lasts that nobody heals, and how that is known."""
    known = [(h, a) for h, (a, _) in zip(harms, acts, strict=True) if h is not None]
    spells = [[a for _, a in run] for harmed, run in groupby(known, key=lambda d: d[0]) if harmed]
    left = [len(spell) for spell in spells if "heals" not in spell]
    if not left:
        return len(harms), "a harm that only the stored policy healed lasts to the end of the days"
    mean = fmean(left)
    words = f"a harm that only the stored policy healed lasts {mean:.3g} days more"
    return round(mean), f"{words}, the mean of {len(left)} that nobody healed"


def _harmed(
    harms: Sequence[bool | None], acts: Sequence[tuple[Act, Act]], lasting: int
) -> Iterator[_Harmed]:
    healed, other_healed, owed, tries = False, False, 0, 0
    for harmed, (act, other_act) in zip(harms, acts, strict=True):
        if harmed is False:
            healed = False
            if owed == 0 or other_healed:
                other_healed, owed, tries = False, 0, 0
        goes_on = harmed is True or (harmed is False and owed > 0)
        yield _Harmed(harmed is True and not healed, goes_on and not other_healed, tries)
        owed -= int(harmed is False and owed > 0)
        if harmed is True and act == "heals":
            healed = True
            owed = 0 if other_healed else lasting
        if goes_on and other_act == "heals":
            other_healed, owed = True, 0
        tries += int(goes_on and other_act == "tries")


# ---------------------------------------------------------------- serving


def _serving_usd(walked: Walked, jobs: Jobs) -> tuple[float | None, float | None]:
    """What serving the day cost, and would have cost the other policy, in USD."""
    spent = walked.served_usd
    if spent is None or walked.compressed == walked.carried_compressed:
        return spent, spent
    left = 1.0 - jobs.saving(walked.spec, walked.day)
    return spent, spent * left if walked.carried_compressed else spent / left
