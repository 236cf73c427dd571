"""Several models decided again: on all cores, in a stable order, one bad model stopping none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from upkeep.errors import StoreError
from upkeep.records import HashedInput, canonical_json, sha256_hex
from upkeep.replay import inputs_sha256, policy_of, program_sha256, survey
from upkeep.replay_carry import carry_on
from upkeep.replay_estimates import estimates_of
from upkeep.replay_records import (
    FleetReplay,
    ModelReplay,
    ModelSummary,
    ReplayQuestion,
    Survey,
)
from upkeep.store import Store, adopt_or_put, get_record, open_store

PLACE = "replays"
MAX_PROCESSES = 64


def replay_all(
    store: Store,
    questions: Sequence[ReplayQuestion],
    processes: int = 0,
    step: Callable[[ModelReplay], None] = lambda _: None,
) -> list[ModelReplay]:
    """Every question's answer, by model; 0 ``processes`` are as many as there are cores.

    ``step`` is called with each model's days as they come; only then are they carried on, all
    models together. Processes exchange canonical bytes only.
    """
    workers = min(processes or len(os.sched_getaffinity(0)), len(questions), MAX_PROCESSES)
    surveys = []
    for found in _surveys(store, questions, workers):
        step(found.answer)
        surveys.append(found)
    return sorted(carry_on(store, surveys), key=lambda a: a.question.model)


def _surveys(store: Store, questions: Sequence[ReplayQuestion], workers: int) -> Iterator[Survey]:
    if workers <= 1:
        yield from (survey(store, question) for question in questions)
        return
    asked = [question.canonical_bytes() for question in questions]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_surveyed, store.root, question) for question in asked]
        for done in as_completed(futures):
            yield Survey.parse(done.result())


def _surveyed(root: str, question: bytes) -> bytes:
    """In a process of its own: the survey's canonical bytes."""
    return survey(open_store(root), ReplayQuestion.parse(question)).canonical_bytes()


def summary_of(replays: Sequence[ModelReplay]) -> FleetReplay:
    """The fleet's answer, whatever the order of its models."""
    ordered = sorted(replays, key=lambda r: r.question.model)
    policy = policy_of(ordered[0].question) if ordered else None
    return FleetReplay(
        policy_sha256=policy.digest() if policy else None,
        budget=ordered[0].question.budget if ordered else None,
        replays=tuple(HashedInput(name=key_of(r), sha256=r.digest()) for r in ordered),
        models=tuple(_summary(r) for r in ordered),
        estimates=estimates_of(ordered),
    )


def _summary(replay: ModelReplay) -> ModelSummary:
    days = replay.days
    return ModelSummary(
        model=replay.question.model,
        days=len(days),
        identical=sum(day.identical for day in days),
        flips=sum(day.replayed != day.stored for day in days),
        carried_flips=sum(day.carried not in (None, day.stored) for day in days),
        problems=sum(bool(day.problem) for day in days) + bool(replay.problem),
        estimates=estimates_of([replay]),
    )


# ---------------------------------------------------------------- answers that are kept


def kept_survey(store: Store, question: ReplayQuestion) -> str:
    """The key of a model's survey, which lies in the store already or is made now.

    Its key is the hash of the question, of everything that it reads and of this program: the
    same question over the same days is answered once, whoever asks again.
    """
    keys = store.list(f"{question.model}/")
    key = _survey_key(question, inputs_sha256(store, question, keys))
    if get_record(store, key, Survey) is None:
        adopt_or_put(store, key, survey(store, question, keys))
    return key


def kept_answers(store: Store, keys: Sequence[str]) -> list[ModelReplay]:
    """The models' answers, carried on together from the surveys under these keys and left there.

    Raises:
        StoreError: a survey is not there.

    """
    surveys = []
    for key in keys:
        found = get_record(store, key, Survey)
        if found is None:
            raise StoreError(f"{key}: the survey is gone; run the replay again")
        surveys.append(found)
    made = carry_on(store, surveys)
    return [adopt_or_put(store, key_of(answer), answer) for answer in made]


def kept_summary(store: Store, replays: Sequence[ModelReplay]) -> FleetReplay:
    """The fleet's answer, left in the store beside the models'."""
    made = summary_of(replays)
    return adopt_or_put(store, summary_key(made), made)


def summary_key(fleet: FleetReplay) -> str:
    """Where the fleet's answer lies: the hash of its models' keys."""
    named = sorted(answer.name for answer in fleet.replays)
    return f"{PLACE}/{sha256_hex(canonical_json(named))}.json"


def key_of(replay: ModelReplay) -> str:
    """Where an answer lies: the hash of its question, its inputs and the program."""
    return _key(replay.question, replay.inputs_sha256, replay.program_sha256)


def _survey_key(question: ReplayQuestion, inputs: str) -> str:
    return _key(question, inputs, program_sha256()).removesuffix(".json") + "/survey.json"


def _key(question: ReplayQuestion, inputs: str, program: str) -> str:
    named = {"question": question.digest(), "inputs": inputs, "program": program}
    return f"{PLACE}/{sha256_hex(canonical_json(named))}.json"
