"""Several models decided again: on all cores, in a stable order, one bad model stopping none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from upkeep.errors import StoreError
from upkeep.records import HashedInput, canonical_json, sha256_hex
from upkeep.replay import inputs_sha256, policy_of, program_sha256, replay
from upkeep.replay_estimates import estimates_of
from upkeep.replay_records import FleetReplay, ModelReplay, ModelSummary, ReplayQuestion
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

    ``step`` is called with each answer as it comes. Processes exchange canonical bytes only.
    """
    workers = min(processes or len(os.sched_getaffinity(0)), len(questions), MAX_PROCESSES)
    answers = []
    for answer in _answers(store, questions, workers):
        step(answer)
        answers.append(answer)
    return sorted(answers, key=lambda a: a.question.model)


def _answers(
    store: Store, questions: Sequence[ReplayQuestion], workers: int
) -> Iterator[ModelReplay]:
    if workers <= 1:
        yield from (replay(store, question) for question in questions)
        return
    asked = [question.canonical_bytes() for question in questions]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_answered, store.root, question) for question in asked]
        for done in as_completed(futures):
            yield ModelReplay.parse(done.result())


def _answered(root: str, question: bytes) -> bytes:
    """In a process of its own: the answer's canonical bytes."""
    return replay(open_store(root), ReplayQuestion.parse(question)).canonical_bytes()


def summary_of(replays: Sequence[ModelReplay]) -> FleetReplay:
    """The fleet's answer, whatever the order of its models."""
    ordered = sorted(replays, key=lambda r: r.question.model)
    policy = policy_of(ordered[0].question) if ordered else None
    return FleetReplay(
        policy_sha256=policy.digest() if policy else None,
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


def kept_replay(store: Store, question: ReplayQuestion) -> ModelReplay:
    """The answer that lies in the store for this question and these inputs, or a new one there.

    Its key is the hash of the question, of everything that it reads and of this program: the
    same question over the same days is answered once, whoever asks again.
    """
    keys = store.list(f"{question.model}/")
    found = inputs_sha256(store, question, keys)
    known = get_record(store, _key(question, found, program_sha256()), ModelReplay)
    if known is not None:
        return known
    made = replay(store, question, keys)
    return adopt_or_put(store, key_of(made), made)


def kept_summary(store: Store, replays: Sequence[ModelReplay]) -> FleetReplay:
    """The fleet's answer, left in the store beside the models'."""
    made = summary_of(replays)
    return adopt_or_put(store, summary_key(made), made)


def summary_key(fleet: FleetReplay) -> str:
    """Where the fleet's answer lies: the hash of its models' keys."""
    named = sorted(answer.name for answer in fleet.replays)
    return f"{PLACE}/{sha256_hex(canonical_json(named))}.json"


def kept_answers(store: Store, keys: Sequence[str]) -> list[ModelReplay]:
    """The answers that lie under these keys.

    Raises:
        StoreError: one is not there.

    """
    found = []
    for key in keys:
        answer = get_record(store, key, ModelReplay)
        if answer is None:
            raise StoreError(f"{key}: the answer is gone; run the replay again")
        found.append(answer)
    return found


def key_of(replay: ModelReplay) -> str:
    """Where an answer lies: the hash of its question, its inputs and the program."""
    return _key(replay.question, replay.inputs_sha256, replay.program_sha256)


def _key(question: ReplayQuestion, inputs: str, program: str) -> str:
    named = {"question": question.digest(), "inputs": inputs, "program": program}
    return f"{PLACE}/{sha256_hex(canonical_json(named))}.json"
