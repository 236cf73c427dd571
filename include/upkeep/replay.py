"""One model's stored days decided again: byte for byte, or by another policy. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path

from upkeep.errors import StoreError
from upkeep.records import Decision, canonical_json, sha256_hex
from upkeep.replay_carry import carry_on
from upkeep.replay_day import (
    STEPS,
    Made,
    Reader,
    StoredDay,
    decide_again,
    differing,
    read_day,
    stored_decision,
)
from upkeep.replay_hashed import HashedDrift, hashed_policy
from upkeep.replay_jobs import Jobs, jobs_of
from upkeep.replay_lived import lived_day
from upkeep.replay_records import LivedDay, ModelReplay, ReplayedDay, ReplayQuestion, Survey
from upkeep.replay_words import described
from upkeep.sealed import parsed
from upkeep.spec import Policy
from upkeep.store import Store, record_key

_DECIDED = re.compile(r"[^/]+/(\d{4}-\d{2}-\d{2})/r1/decision\.json")


def replay(
    store: Store, question: ReplayQuestion, keys: Sequence[str] | None = None
) -> ModelReplay:
    """Decide a model's days again from their stored records, and compare with what was decided.

    Every day is decided with the facts as they were; with another policy or budget also carried
    on (:mod:`upkeep.replay_carry`), and both arms are filled. A day of which a record is
    missing or corrupt has the problem in words, and stops no other. ``keys`` are the model's
    keys in the store, where they are known already.
    """
    (answer,) = carry_on(store, [survey(store, question, keys)])
    return answer


def survey(store: Store, question: ReplayQuestion, keys: Sequence[str] | None = None) -> Survey:
    """Decide a model's days again, each from its facts as they were, and nothing carried on."""
    keys = store.list(f"{question.model}/") if keys is None else keys
    reader = Reader(store)
    try:
        jobs = jobs_of(reader, question.model, keys)
    except StoreError as error:
        return Survey(answer=_unread(store, question, keys, str(error)))
    run = _Run(reader, question, jobs, keys)
    days = tuple(run.day(day) for day in decided_days(keys, question.first, question.last))
    answer = ModelReplay(
        question=question,
        inputs_sha256=reader.inputs_sha256(),
        program_sha256=program_sha256(),
        days=days,
    )
    if question.what_if:
        filled = {"gates": jobs.gates(), "assumptions": tuple(jobs.assumptions())}
        answer = answer.model_copy(update=filled)
    return Survey(answer=answer, lived=tuple(run.lived))


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

    def __init__(
        self, reader: Reader, question: ReplayQuestion, jobs: Jobs, keys: Sequence[str]
    ) -> None:
        self._reader, self._question, self._jobs = reader, question, jobs
        tried = policy_of(question)
        self._policy = None if tried is None else hashed_policy(tried)
        self._keys = frozenset(keys)
        self.lived: list[LivedDay] = []

    def day(self, day: date) -> ReplayedDay:
        """The day decided again, or its problem in words."""
        try:
            return self._day(read_day(self._reader, self._question.model, day))
        except StoreError as error:
            _know(self._reader, self._question.model, day)
            return ReplayedDay(day=day, problem=str(error))

    def _day(self, stored: StoredDay) -> ReplayedDay:
        made = decide_again(stored, self._policy or stored.spec.policy)
        differs = differing(stored, made)
        decided = stored_decision(stored, made, differs)
        if not self._question.what_if:
            return described(decided, made.decision, None, differs)
        self.lived.append(self._as_it_was(stored, made, decided))
        return described(decided, made.decision, made.decision, differs)

    def _as_it_was(self, stored: StoredDay, made: Made, decided: Decision) -> LivedDay:
        key = record_key(self._question.model, stored.day, "drift")
        drift = made.drift
        if stored.drift.body != made.drift_bytes:
            drift = parsed(key, stored.drift.body, HashedDrift)
        ordered = record_key(self._question.model, stored.day, "override") in self._keys
        return lived_day(
            stored, made, decided, drift, self._jobs, tried=self._policy, ordered=ordered
        )
