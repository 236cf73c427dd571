"""One model's stored days decided again: byte for byte, or by another policy. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path

from upkeep.errors import StoreError
from upkeep.records import Decision, Drift, canonical_json, sha256_hex
from upkeep.replay_arms import arms
from upkeep.replay_day import (
    STEPS,
    Reader,
    StoredDay,
    decide_again,
    differing,
    read_day,
    stored_decision,
)
from upkeep.replay_jobs import Jobs, jobs_of
from upkeep.replay_records import ModelReplay, ReplayedDay, ReplayQuestion
from upkeep.replay_walk import Walk, Walked
from upkeep.sealed import parsed
from upkeep.spec import Policy
from upkeep.store import Store, record_key

_DECIDED = re.compile(r"[^/]+/(\d{4}-\d{2}-\d{2})/r1/decision\.json")


def replay(
    store: Store, question: ReplayQuestion, keys: Sequence[str] | None = None
) -> ModelReplay:
    """Decide a model's days again from their stored records, and compare with what was decided.

    Every day is decided with the facts as they were; with another policy also carried on
    (:mod:`upkeep.replay_walk`), and both policies' arms are filled. A day of which a record is
    missing or corrupt has the problem in words, and stops no other. ``keys`` are the model's
    keys in the store, where they are known already.
    """
    keys = store.list(f"{question.model}/") if keys is None else keys
    reader = Reader(store)
    try:
        jobs = jobs_of(reader, question.model, keys)
    except StoreError as error:
        return _unread(store, question, keys, str(error))
    run = _Run(reader, question, jobs)
    days = tuple(run.day(day) for day in decided_days(keys, question.first, question.last))
    answer = ModelReplay(
        question=question,
        inputs_sha256=reader.inputs_sha256(),
        program_sha256=program_sha256(),
        days=days,
    )
    if question.policy is None:
        return answer
    stored, other, words = arms(run.walked, jobs)
    filled = {"stored": stored, "other": other, "gates": jobs.gates(), "assumptions": words}
    return answer.model_copy(update=filled)


def _unread(
    store: Store, question: ReplayQuestion, keys: Sequence[str], problem: str
) -> ModelReplay:
    return ModelReplay(
        question=question,
        inputs_sha256=inputs_sha256(store, question, keys),
        program_sha256=program_sha256(),
        days=(),
        problem=problem,
    )


def decided_days(
    keys: Iterable[str], first: date | None = None, last: date | None = None
) -> list[date]:
    """The days among a model's keys that have a decision, oldest first, within both bounds."""
    found = (_DECIDED.fullmatch(key) for key in keys)
    days = sorted(date.fromisoformat(m[1]) for m in found if m)
    return [d for d in days if (first is None or d >= first) and (last is None or d <= last)]


def policy_of(question: ReplayQuestion) -> Policy | None:
    """The policy that a question tries; None is each day's recorded one."""
    if question.policy is None:
        return None
    return Policy.model_validate_json(canonical_json(question.policy))


def inputs_sha256(store: Store, question: ReplayQuestion, keys: Sequence[str]) -> str:
    """Identity of everything that :func:`replay` would read, without deciding anything."""
    reader = Reader(store)
    with suppress(StoreError):
        jobs_of(reader, question.model, keys)
    for day in decided_days(keys, question.first, question.last):
        _know(reader, question.model, day)
    return reader.inputs_sha256()


def _know(reader: Reader, model: str, day: date) -> None:
    for step, cls in STEPS.items():
        reader.known(record_key(model, day, step), cls)


@cache
def program_sha256() -> str:
    """Hash over the source of this package: another program may answer otherwise."""
    root = Path(__file__).parent
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*.py"))}
    return sha256_hex(canonical_json({name: sha256_hex(data) for name, data in files.items()}))


class _Run:
    """One model's days, one after the other."""

    def __init__(self, reader: Reader, question: ReplayQuestion, jobs: Jobs) -> None:
        self._reader, self._model = reader, question.model
        self._policy = policy_of(question)
        self._walk = Walk(jobs)
        self.walked: list[Walked] = []

    def day(self, day: date) -> ReplayedDay:
        """The day decided again, or its problem in words."""
        try:
            return self._day(read_day(self._reader, self._model, day))
        except StoreError as error:
            _know(self._reader, self._model, day)
            return ReplayedDay(day=day, problem=str(error))

    def _day(self, stored: StoredDay) -> ReplayedDay:
        made = decide_again(stored, self._policy or stored.spec.policy)
        differs = differing(stored, made)
        decided = stored_decision(stored, made, differs)
        if self._policy is None:
            return _row(decided, made.decision, None, differs)
        drift = parsed(record_key(self._model, stored.day, "drift"), stored.drift.body, Drift)
        carried = self._walk.decide(stored, made, self._policy)
        self.walked.append(self._walk.take(stored, drift, decided.action, carried.action))
        return _row(decided, made.decision, carried, differs)


def _row(
    decided: Decision, now: Decision, carried: Decision | None, differs: tuple[str, ...]
) -> ReplayedDay:
    """The day in the answer; words only where something is to be explained."""
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


def _reason(decision: Decision, other: Decision) -> str:
    """The first reason that the other decision has not, by its rule."""
    own = [r for r in decision.reasons if r not in other.reasons]
    first = next(iter([*own, *decision.reasons]), None)
    return f"{first.rule}: {first.words}" if first else ""


def _difference(stored: Decision, made: Decision) -> tuple[str, ...]:
    before, after = ([r.words for r in d.reasons] for d in (stored, made))
    gone = [f"- {words}" for words in before if words not in after]
    return (*gone, *(f"+ {words}" for words in after if words not in before))
