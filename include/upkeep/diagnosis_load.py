"""How much of the day's slowness the load, or the work that each request asks for, makes. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from upkeep.diagnosis_signs import LEAST_CHANGE, Signs, sds, slowness
from upkeep.records import DriftResult

SATURATED = 0.85  # of the day's mean: the busy hours are full
STARVED = 0.3  # of the growth of the traffic: GPUs that follow it by less wait for something
STARVED_PART = 0.3
LABOURED = math.log(1.3)  # GPU time for the same work
ELASTICITY = 4.0  # of the waiting time against the load, where the GPUs are not known
LEAST_ELASTICITY, MOST_ELASTICITY = 2.0, 8.0
DECODE = math.log(1.2)
UNSEEN = 0.4
CLEAR_SDS = 6.0
QUEUED = 0.8  # of the slowness: a queue delays the first token at least as much as the last
NETWORK = math.log(1.5)  # bytes beyond, or short of, what the requests ask for
LATENCIES = ("latency_p95_ms", "ttft_p95_ms", "ms_per_token_out")
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
    rest: float


def slowness_of(signs: Signs) -> Slowness | None:
    """What slowed the day, or made each request dearer; None where nothing of it drifted.

    Where the cost drifted and no latency did, slowness explains of the cost what it can be seen
    to be, and ``UNSEEN`` of that unless each token came later.
    """
    slow = signs.of("latency")
    dear = [r for r in signs.of("money") if r.measure == "cost_usd_per_1k"]
    if not slow and not dear:
        return None
    moves = slow or [r for n in LATENCIES if signs.moved(n, 1) and (r := signs.get(n))]
    log = max(slowness(r) for r in (slow or dear))
    if log <= 0.0:
        return Slowness(slow, 0.0, 0.0, 0.0, 0.0, 0.0)
    seen = 1.0 if slow else _seen(signs, moves, log)
    load = _load(signs, log) * seen if moves else 0.0
    most = 1.0 - max(load, _machine(signs, load) / log)
    prompts = max(0.0, min(most, _prompts(signs) / log))
    answers = max(0.0, min(most - prompts, _answers(signs) / log))
    rest = min(seen, max(0.0, 1.0 - load - prompts - answers))
    return Slowness(moves, log, load, prompts, answers, rest)


def _seen(signs: Signs, moves: list[DriftResult], log: float) -> float:
    if not moves:
        return 0.0
    found = signs.get("latency_p95_ms") or moves[0]
    doubt = 1.0 if decode(signs) or sds(found) >= CLEAR_SDS else UNSEEN
    return doubt * min(1.0, max(0.0, slowness(found)) / log)


def _load(signs: Signs, log: float) -> float:
    """The part of the slowness that more requests make.

    More load lengthens the wait by 1 / (1 - u) of its growth at most, u the share of the GPUs
    that is busy (the M/M/1 queue: Kleinrock 1975). GPUs that do not follow the traffic wait for
    something else; GPUs that work longer for the same work are slower themselves.
    """
    if not (signs.moved("requests", 1) or _carried(signs)):
        return 0.0
    if signs.known("ttft_p95_ms") and signs.change("ttft_p95_ms") < QUEUED * log:
        return 0.0
    more = signs.change("requests")
    gpu = signs.get("gpu_share")
    if gpu is None or gpu.effect is None or gpu.current is None:
        return min(1.0, ELASTICITY * more / log)
    enough = min(1.0, elasticity(signs) * more / log) * more / max(more, work(signs))
    busier = signs.change("gpu_share")
    if (gpu.current < SATURATED and busier < STARVED * more) or network_odd(signs):
        return STARVED_PART * enough
    if laboured(signs) > LABOURED:
        return enough * work(signs) / busier
    return enough


def elasticity(signs: Signs) -> float:
    """How much the wait grows with the load: 1 / (1 - u), between 2 and 8; u is today's."""
    gpu = signs.get("gpu_share")
    if gpu is None or gpu.current is None:
        return ELASTICITY
    return min(MOST_ELASTICITY, max(LEAST_ELASTICITY, 1.0 / max(1.0 - gpu.current, 1e-9)))


def _carried(signs: Signs) -> bool:
    """Whether more requests, hardly beyond their noise, show in GPUs that are as much busier."""
    more = signs.change("requests") >= LEAST_CHANGE
    by_requests = signs.change("gpu_share") - signs.change("requests") <= LABOURED
    return more and signs.moved("gpu_share", 1) and by_requests


def work(signs: Signs) -> float:
    """The growth of the work asked for: requests x tokens of a request, as a logarithm."""
    return signs.change("requests") + max(_tokens(signs), key=abs)


def laboured(signs: Signs) -> float:
    """The growth of GPU time for the same work, as a logarithm; 0 where it is not known."""
    if not signs.known("gpu_share") or not signs.moved("gpu_share", 1):
        return 0.0
    return signs.change("gpu_share") - work(signs)


def network_odd(signs: Signs) -> bool:
    """Whether the network's bytes left what the requests ask for, while the GPUs did not labour."""
    if not signs.moved("network_bytes_per_s") or laboured(signs) > LABOURED:
        return False
    tokens = sorted(_tokens(signs))
    asked = signs.change("requests")
    beyond = signs.change("network_bytes_per_s") - asked
    return not tokens[0] - NETWORK < beyond < tokens[-1] + NETWORK


def _tokens(signs: Signs) -> list[float]:
    """The changes of a request's tokens, in and out; 0 for what did not move."""
    names = ("tokens_in_mean", "tokens_out_mean")
    return [signs.change(n) if signs.moved(n) else 0.0 for n in names]


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
    table 1), and GPUs that it fills let others wait. 0 where prompts did not grow.
    """
    names = ("prompt_chars_mean", "tokens_in_mean")
    grown = [signs.change(n) for n in names if signs.moved(n, 1)]
    return _power(signs, PROMPT_POWER) * max(grown, default=0.0)


def _answers(signs: Signs) -> float:
    """The most that longer answers explain: a token after the other, on GPUs that they fill."""
    if not signs.moved("tokens_out_mean", 1):
        return 0.0
    waited = not signs.known("gpu_share") and signs.moved("ttft_p95_ms", 1)
    power = ELASTICITY if waited else _power(signs, ANSWER_POWER)
    return power * signs.change("tokens_out_mean")


def _power(signs: Signs, alone: float) -> float:
    """The power of a request's time in its length: greater where the GPUs are filled by it."""
    filled = signs.moved("gpu_share", 1) and laboured(signs) <= LABOURED
    return max(alone, elasticity(signs)) if filled else alone
