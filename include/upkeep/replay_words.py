"""What a day decided again says in the answer: words only where something is to be explained."""

from __future__ import annotations

from upkeep.records import Allotted, Decision
from upkeep.replay_records import ReplayedDay


def described(
    decided: Decision, now: Decision, carried: Decision | None, differs: tuple[str, ...]
) -> ReplayedDay:
    """The day's row: ``now`` is decided from the facts as they were."""
    row = ReplayedDay(
        day=decided.day,
        differs=differs,
        stored=decided.action,
        replayed=now.action,
        carried=carried.action if carried else None,
    )
    if not (row.flips if carried else differs):
        return row
    other = carried if carried is not None and now.action == decided.action else now
    words = {
        "before": _reason(decided, other),
        "after": _reason(other, decided),
        "changed": _difference(decided, other),
    }
    return row.model_copy(update=words)


def budget_words(*, granted: bool, room: bool, found: Allotted | None) -> str:
    """What the budget has for the job that is carried on, where it had another answer before."""
    if found is None or granted == room:
        return ""
    return f"{found.wish.kind} {found.words}"


def _reason(decision: Decision, other: Decision) -> str:
    """The first reason that the other decision has not, by its rule."""
    own = [r for r in decision.reasons if r not in other.reasons]
    first = next(iter([*own, *decision.reasons]), None)
    return f"{first.rule}: {first.words}" if first else ""


def _difference(stored: Decision, made: Decision) -> tuple[str, ...]:
    before, after = ([r.words for r in d.reasons] for d in (stored, made))
    gone = [f"- {words}" for words in before if words not in after]
    return (*gone, *(f"+ {words}" for words in after if words not in before))
