"""How much of the day's slowness the load, or the work that each request asks for, makes. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from upkeep.diagnosis_signs import Signs, slowness
from upkeep.records import DriftResult

SATURATED = 0.85  # of the day's mean: the busy hours are full
STARVED = 0.3  # of the growth of the traffic: GPUs that follow it by less wait for something
STARVED_PART = 0.3
LABOURED = math.log(1.3)  # GPU time for the same work
ELASTICITY = 4.0  # of the waiting time against the load, where the GPUs are not known
MOST_ELASTICITY = 8.0
DECODE = math.log(1.2)
PROMPT_POWER = 2.0
ANSWER_POWER = 1.1


class Slowness(NamedTuple):
    """What got slower, by how much (a logarithm), and the parts of it that are explained.

    ``load`` is the part of more traffic, ``prompts`` of longer prompts, ``answers`` of longer
    answers; ``rest`` is the machines'.
    """

    slow: list[DriftResult]
    log: float
    load: float
    prompts: float
    answers: float

    @property
    def rest(self) -> float:
        """The part that neither the load nor the work explains."""
        return max(0.0, 1.0 - min(1.0, self.load + self.prompts + self.answers))


def slowness_of(signs: Signs) -> Slowness | None:
    """What slowed the day, or made each request dearer; None where nothing of it drifted."""
    slow = signs.of("latency")
    moves = slow or [r for n in LATENCIES if signs.moved(n, 1) and (r := signs.get(n))]
    dear = [r for r in signs.of("money") if r.measure == "cost_usd_per_1k"]
    if not slow and not dear:
        return None
    log = max((slowness(r) for r in (slow or dear)), default=0.0)
    if log <= 0.0:
        return Slowness(slow, 0.0, 0.0, 0.0, 0.0)
    load = _load(signs, log) if moves else 0.0
    most = 1.0 - max(load, _machine(signs, load) / log)
    prompts = min(most, _prompts(signs) / log)
    answers = min(most - prompts, _answers(signs) / log)
    return Slowness(slow or moves, log, load, max(0.0, prompts), max(0.0, answers))


LATENCIES = ("latency_p95_ms", "ttft_p95_ms", "ms_per_token_out")


def _load(signs: Signs, log: float) -> float:
    """The part of the slowness that more requests make.

    More load lengthens the wait by 1 / (1 - u) of its growth at most, u the share of the GPUs
    that is busy (the M/M/1 queue: Kleinrock 1975). GPUs that do not follow the traffic wait for
    something else; GPUs that work longer for the same work are slower themselves.
    """
    if not signs.moved("requests", 1):
        return 0.0
    more = signs.change("requests")
    gpu = signs.get("gpu_share")
    if gpu is None or gpu.effect is None or gpu.current is None:
        return min(1.0, ELASTICITY * more / log)
    elasticity = min(MOST_ELASTICITY, max(2.0, 1.0 / max(1.0 - gpu.current, 1e-9)))
    enough = min(1.0, elasticity * more / log)
    busier = signs.change("gpu_share")
    if gpu.current < SATURATED and busier < STARVED * more:
        return STARVED_PART * enough
    if laboured(signs) > LABOURED:
        return enough * work(signs) / busier
    return enough


def work(signs: Signs) -> float:
    """The growth of the work asked for: requests x tokens of a request, as a logarithm."""
    tokens = [signs.change(n) for n in ("tokens_in_mean", "tokens_out_mean") if signs.moved(n)]
    return signs.change("requests") + max(tokens, key=abs, default=0.0)


def laboured(signs: Signs) -> float:
    """The growth of GPU time for the same work, as a logarithm; 0 where it is not known."""
    if not signs.known("gpu_share") or not signs.moved("gpu_share", 1):
        return 0.0
    return signs.change("gpu_share") - work(signs)


def decode(signs: Signs) -> float:
    """How much slower each token of an answer came, as a logarithm; 0 where it did not."""
    slower = signs.change("ms_per_token_out") if signs.moved("ms_per_token_out", 1) else 0.0
    return slower if slower > DECODE else 0.0


def _machine(signs: Signs, load: float) -> float:
    """Slowness that no longer request explains: each token came later, without more load."""
    return decode(signs) * (1.0 - load)


def _prompts(signs: Signs) -> float:
    """The most that longer prompts can explain of a request's time, as a logarithm.

    Reading a prompt costs at most the square of its length (attention: Vaswani et al. 2017,
    table 1). 0 where prompts did not grow.
    """
    names = ("prompt_chars_mean", "tokens_in_mean")
    grown = [signs.change(n) for n in names if signs.moved(n, 1)]
    return PROMPT_POWER * max(grown, default=0.0)


def _answers(signs: Signs) -> float:
    """The most that longer answers explain: a token after the other."""
    moved = signs.moved("tokens_out_mean", 1)
    return ANSWER_POWER * signs.change("tokens_out_mean") if moved else 0.0
