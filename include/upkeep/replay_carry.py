"""A fleet's replayed days carried on together, day by day: decide, share the budget out, go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from upkeep.allotment import Limits
from upkeep.errors import StoreError
from upkeep.records import Action, Allotted, Decision, JobRequest, canonical_json, sha256_hex
from upkeep.replay_arms import arms
from upkeep.replay_hashed import HashedPolicy, hashed_policy
from upkeep.replay_jobs import expected_of
from upkeep.replay_records import LivedDay, ModelReplay, Survey
from upkeep.replay_sharing import WISHES, Budgets, digest_of, read_chains
from upkeep.replay_walk import Walk, Walked
from upkeep.replay_words import budget_words, described
from upkeep.spec import Policy
from upkeep.spec_payback import Budget
from upkeep.store import Store


def carry_on(store: Store, surveys: Sequence[Survey]) -> list[ModelReplay]:
    """Each model's answer, in the order of the surveys; the recorded policy's as they are.

    The models of all surveys that try something else share the budget, whatever their order.
    """
    tried = sorted((s for s in surveys if s.answer.question.what_if), key=_name)
    if not tried:
        return [survey.answer for survey in surveys]
    try:
        chains = read_chains(store)
    except StoreError as error:
        return [_refused(survey, str(error)) for survey in surveys]
    budgets = Budgets(chains, [_name(s) for s in tried], _limits(tried[0]))
    models = {_name(s): _Model(s) for s in tried if not s.answer.problem}
    for day in sorted({lived.day for survey in tried for lived in survey.lived}):
        _share_day(day, models, budgets)
    together = {
        "allotments": digest_of(chains),
        "surveys": [[s.answer.question.digest(), s.answer.inputs_sha256] for s in tried],
    }
    inputs = sha256_hex(canonical_json(together))
    return [
        models[_name(s)].answer(budgets.words(), inputs) if _name(s) in models else s.answer
        for s in surveys
    ]


def _name(survey: Survey) -> str:
    return survey.answer.question.model


def _limits(survey: Survey) -> Limits | None:
    """The budget that is tried; None: each day's own."""
    asked = survey.answer.question.budget
    if asked is None:
        return None
    budget = Budget.model_validate_json(canonical_json(asked))
    return Limits(budget.jobs_per_day, budget.gpu_hours_per_day)


def _refused(survey: Survey, problem: str) -> ModelReplay:
    if not survey.answer.question.what_if:
        return survey.answer
    return survey.answer.model_copy(update={"problem": problem, "days": ()})


def _share_day(day: date, models: dict[str, _Model], budgets: Budgets) -> None:
    """One day of all models: what each decides and wishes, what it gets, what that makes of it."""
    decided = {name: model.decide(day) for name, model in models.items() if model.has(day)}
    wishes = {
        name: budgets.wish(name, now.lived, now.action, now.job) for name, now in decided.items()
    }
    found = budgets.share(day, [wish for wish in wishes.values() if wish is not None])
    for name, now in decided.items():
        answer = found.get(name)
        job = now.action in WISHES
        room = answer is not None and answer.verdict != "refused" if job else True
        granted = budgets.granted(name, now.lived)
        models[name].take(now, answer, granted=granted, room=room)


class _Decided(NamedTuple):
    """One model's day as it is carried on."""

    lived: LivedDay
    action: Action
    job: JobRequest | None
    decision: Decision | None  # None: as it is from the facts as they were


class _Model:
    """One model on its way through its days."""

    def __init__(self, survey: Survey) -> None:
        self._answer = survey.answer
        asked = survey.answer.question.policy
        self._tried = None if asked is None else _policy(canonical_json(asked))
        self._walk = Walk(expected_of(survey.answer.gates))
        self._days = {lived.day: lived for lived in survey.lived}
        self._rows = {row.day: row for row in survey.answer.days}
        self._walked: list[Walked] = []

    def has(self, day: date) -> bool:
        """Whether it has this day."""
        return day in self._days

    def decide(self, day: date) -> _Decided:
        """The day with the past as carried on."""
        lived = self._days[day]
        if lived.asking is None:
            return _Decided(lived, lived.replayed, lived.job, None)
        policy = self._tried or _policy(canonical_json(lived.asking.policy))
        made = self._walk.decide(lived.asking, policy)
        return _Decided(lived, made.action, made.job, None if made is lived.asking.made else made)

    def take(self, now: _Decided, found: Allotted | None, *, granted: bool, room: bool) -> None:
        """What the budget says becomes the past of the next day."""
        lived, asking = now.lived, now.lived.asking
        self._walked.append(self._walk.take(lived, granted=granted, carried=now.action, room=room))
        row = self._rows[lived.day]
        if asking is not None and now.decision is not None:
            row = described(asking.stored, asking.made, now.decision, row.differs)
        words = budget_words(granted=granted, room=room, found=found)
        self._rows[lived.day] = row.model_copy(update={"budget": words}) if words else row

    def answer(self, shared: str, inputs: str) -> ModelReplay:
        """What became of the model; ``inputs`` is the identity of all that it depends on."""
        stored, other, lasting = arms(self._walked)
        filled = {
            "days": tuple(self._rows[row.day] for row in self._answer.days),
            "stored": stored,
            "other": other,
            "assumptions": (*self._answer.assumptions, lasting, shared),
            "inputs_sha256": inputs,
        }
        return self._answer.model_copy(update=filled)


@lru_cache(maxsize=64)
def _policy(text: bytes) -> HashedPolicy:
    return hashed_policy(Policy.model_validate_json(text))
