"""Champion and candidate under load as their server has it, and whether both say the same.

``queue``: the requests of ``concurrency`` clients wait for one loaded model, which answers one
at a time in the order of arrival; each client sends its next request when it has its answer.
``batch``: the model reads ``concurrency`` prompts at once and writes a token of each in a step.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from threading import Lock
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from upkeep.errors import ArtifactError
from upkeep.records import PairedTimes, TokenAgreement
from upkeep.runtime import Generation, Runtime

Serving = Literal["queue", "batch"]
QUANTITIES = ("concurrent_latency_ms", "concurrent_ms_per_token")


@runtime_checkable
class Batching(Protocol):
    """A runtime that can answer several prompts at once."""

    def generate_batch(self, prompts: Sequence[str], max_new_tokens: int) -> list[Generation]:
        """Greedy continuations by exactly ``max_new_tokens`` tokens each."""


class Load(NamedTuple):
    """What is in flight: ``requests`` of each client a round, ``new_tokens`` each."""

    concurrency: int
    requests: int
    new_tokens: int
    serving: Serving


def paired_load(
    pair: tuple[Runtime, Runtime], prompts: Sequence[str], load: Load, *, rounds: int, warmup: int
) -> tuple[PairedTimes, ...]:
    """A number a round and model: the mean latency in ms, waiting included, and ms a token.

    The models take turns, the first one changing from round to round. 1,000 / ms a token is the
    throughput in tokens/s of all requests together.

    Raises:
        ArtifactError: ``batch`` is asked of a model whose runtime has none.

    """
    made = [_round(pair, prompts, load, first=turn % 2) for turn in range(warmup + rounds)][warmup:]
    return tuple(
        PairedTimes(
            quantity=quantity,
            champion_ms=tuple(sides[0][column] for sides in made),
            candidate_ms=tuple(sides[1][column] for sides in made),
        )
        for column, quantity in enumerate(QUANTITIES)
    )


def _round(
    pair: tuple[Runtime, Runtime], prompts: Sequence[str], load: Load, *, first: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    found = {which: serve(pair[which], prompts, load) for which in (first, 1 - first)}
    return found[0], found[1]


def serve(runtime: Runtime, prompts: Sequence[str], load: Load) -> tuple[float, float]:
    """Mean latency of a request in ms, waiting included, and ms a token of all together."""
    asked = [prompts[n % len(prompts)] for n in range(load.concurrency * load.requests)]
    started = time.perf_counter()
    if load.serving == "batch":
        latencies = _batches(runtime, asked, load)
    else:
        latencies = _queue(runtime, asked, load)
    wall_ms = (time.perf_counter() - started) * 1e3
    return fmean(latencies), wall_ms / (len(asked) * load.new_tokens)


def _queue(runtime: Runtime, asked: Sequence[str], load: Load) -> list[float]:
    one_at_a_time = Lock()

    def client(number: int) -> list[float]:
        waited = []
        for prompt in asked[number :: load.concurrency]:
            sent = time.perf_counter()
            with one_at_a_time:
                runtime.generate(prompt, load.new_tokens, ignore_end=True)
            waited.append((time.perf_counter() - sent) * 1e3)
        return waited

    with ThreadPoolExecutor(load.concurrency) as clients:
        return [ms for found in clients.map(client, range(load.concurrency)) for ms in found]


def _batches(runtime: Runtime, asked: Sequence[str], load: Load) -> list[float]:
    if not isinstance(runtime, Batching):
        raise ArtifactError(
            runtime.format, "batch", "this runtime answers one request at a time", "use queue"
        )
    latencies = []
    for start in range(0, len(asked), load.concurrency):
        sent = time.perf_counter()
        runtime.generate_batch(asked[start : start + load.concurrency], load.new_tokens)
        latencies += [(time.perf_counter() - sent) * 1e3] * load.concurrency
    return latencies


def agreement(
    pair: tuple[Runtime, Runtime], prompts: Sequence[str], new_tokens: int
) -> TokenAgreement:
    """Greedy continuations of each prompt by both: the tokens that are equal, place by place.

    Each model goes on from its own tokens, so that after a first difference the rest mostly
    differs too: what a user sees, and harsher than a loss a token.
    """
    tokens = equal = whole = 0
    for prompt in prompts:
        ours, theirs = (r.generate(prompt, new_tokens, ignore_end=True).tokens for r in pair)
        same = sum(a == b for a, b in zip(ours, theirs, strict=True))
        tokens += len(ours)
        equal += same
        whole += same == len(ours)
    return TokenAgreement(prompts=len(prompts), tokens=tokens, equal=equal, whole=whole)
