"""What would be decided again, from the stored facts alone: the same policy, or another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from upkeep.decision import decide
from upkeep.diagnosis import diagnose
from upkeep.drift import compare
from upkeep.errors import StoreError
from upkeep.records import Action, DayFacts, Decision
from upkeep.spec import Policy
from upkeep.store import Store, get_record, record_key


class Replayed(NamedTuple):
    """One day decided again. ``reasons`` holds the words that are new (+) or gone (-)."""

    day: date
    identical: bool
    stored_action: Action
    replayed_action: Action
    reasons: tuple[str, ...]


def replay(
    store: Store,
    model: str,
    policy_of: Callable[[date], Policy],
    methods_of: Callable[[date], Mapping[str, str]],
    days: Sequence[date] | None = None,
) -> list[Replayed]:
    """Decide the days again from their stored facts and compare with what was decided.

    ``policy_of`` and ``methods_of`` give a day's policy and its methods by job kind: the
    recorded ones, or others to try. ``days`` are all decided days unless named. ``identical``
    means byte for byte, in canonical JSON. Nothing is written.

    Raises:
        StoreError: a named day has no facts or no decision.
        CorruptRecord: a stored record is not what its hash says.

    """
    wanted = decided_days(store, model) if days is None else days
    return [_again(store, model, day, policy_of(day), methods_of(day)) for day in wanted]


def decided_days(store: Store, model: str) -> list[date]:
    """The days of a model that have a decision, oldest first."""
    parts = (key.split("/") for key in store.list(f"{model}/"))
    return sorted(date.fromisoformat(p[1]) for p in parts if p[2:] == ["r1", "decision.json"])


def _again(
    store: Store, model: str, day: date, policy: Policy, methods: Mapping[str, str]
) -> Replayed:
    facts = get_record(store, record_key(model, day, "facts"), DayFacts)
    stored = get_record(store, record_key(model, day, "decision"), Decision)
    if facts is None or stored is None:
        missing = "facts" if facts is None else "decision"
        raise StoreError(f"{model} {day}: no {missing} in the store, so it cannot be replayed")
    drift = compare(facts, policy)
    made = decide(facts, drift, diagnose(facts, drift), policy, methods)
    return Replayed(
        day=day,
        identical=made.canonical_bytes() == stored.canonical_bytes(),
        stored_action=stored.action,
        replayed_action=made.action,
        reasons=_difference(stored, made),
    )


def _difference(stored: Decision, made: Decision) -> tuple[str, ...]:
    before, after = ([r.words for r in d.reasons] for d in (stored, made))
    gone = [f"- {words}" for words in before if words not in after]
    return (*gone, *(f"+ {words}" for words in after if words not in before))
