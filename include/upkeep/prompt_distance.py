"""How unlike two sets of prompts are: the squared MMD of their character trigrams. Pure.

MMD^2 = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)

(Gretton, Borgwardt, Rasch, Schoelkopf & Smola 2012, "A kernel two-sample test", Journal of
Machine Learning Research 13, equation 3): without bias at any n, so that it lies around 0 for
prompts of one population and may be negative. The kernel is the cosine of two prompts' counts
of character trigrams (the spectrum kernel of Leslie, Eskin & Noble 2002), hashed to 4,096
features (Weinberger et al. 2009). No model is needed and none goes out of date; what it sees
are words and style, which is what a topic is made of, and not what a text means. Unit: 1; at
most 2: one text over and over, and another without a trigram of it.

The kernel is linear in the directions, so that their sum stands for a set of prompts and no
text is kept. A direction is rounded to whole 65536ths: sums of integers are the same in any
order and on any machine, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ParamError

KERNEL = "chars:3|hashed:4096|cosine"
FEATURE_BITS = 12
FEATURES = 2**FEATURE_BITS
SCALE = 2**16
MOST_CHARS = 4_000
"""A longer prompt is known by its beginning: its style does not change in its middle."""
LEAST_PROMPTS = 3

_STEP, _MIX = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - FEATURE_BITS)

Whole = NDArray[np.int64]


class Profile(NamedTuple):
    """A set of ``n`` prompts: the sum of their directions [FEATURES], and of their squares."""

    n: int
    sums: Whole
    squares: int


class Distance(NamedTuple):
    """The squared MMD and its standard error, that of the day's prompts alone."""

    value: float
    error: float


def profile(prompts: Iterable[str]) -> Profile:
    """What a set of prompts is known by."""
    return _profile([_direction(prompt) for prompt in prompts])


def together(profiles: Sequence[Profile]) -> Profile:
    """Several sets as one."""
    sums = np.zeros(FEATURES, dtype=np.int64)
    for each in profiles:
        sums += each.sums
    return Profile(sum(p.n for p in profiles), sums, sum(p.squares for p in profiles))


def distance(prompts: Sequence[str], reference: Profile) -> Distance:
    """How unlike the reference the prompts are, in any order.

    The error is the jackknife's over the prompts of the day. It errs on the large side (Efron &
    Stein 1981): by up to the square root of two where nothing changed. The reference is the same
    on every day and adds nothing to it.

    Raises:
        ParamError: there are fewer than three prompts on either side.

    """
    for side, n in (("prompts", len(prompts)), ("reference prompts", reference.n)):
        if n < LEAST_PROMPTS:
            raise ParamError(side, n, f"must be at least {LEAST_PROMPTS}", "collect more")
    found = [_direction(prompt) for prompt in prompts]
    day, n, m = _profile(found), len(found), reference.n
    own = np.array([int(weights @ weights) for _, weights in found])
    to_day = np.array([int(day.sums[places] @ weights) for places, weights in found])
    across = np.array([int(reference.sums[places] @ weights) for places, weights in found])
    known = _alike(reference)
    pairs, crossed = int(to_day.sum()) - day.squares, int(across.sum())
    value = pairs / (n * (n - 1)) + known - 2.0 * crossed / (n * m)
    without = (pairs - 2.0 * (to_day - own)) / ((n - 1) * (n - 2)) + known
    without = without - 2.0 * (crossed - across) / ((n - 1) * m)
    return Distance(value / SCALE**2, _jackknife_error(without) / SCALE**2)


def _alike(found: Profile) -> float:
    """The mean kernel of two different prompts of a set."""
    return (int(found.sums @ found.sums) - found.squares) / (found.n * (found.n - 1))


def _jackknife_error(without: NDArray[np.float64]) -> float:
    n = len(without)
    mean = math.fsum(without) / n
    return math.sqrt((n - 1) / n * math.fsum((without - mean) ** 2))


def _profile(directions: Sequence[tuple[Whole, Whole]]) -> Profile:
    sums = np.zeros(FEATURES, dtype=np.int64)
    for places, weights in directions:
        sums[places] += weights
    return Profile(len(directions), sums, sum(int(w @ w) for _, w in directions))


def _direction(prompt: str) -> tuple[Whole, Whole]:
    """A prompt's features that are not 0, and their weights, of length ``SCALE`` together.

    White space of any length is one space, as at both ends. A prompt of white space has no
    direction: it is unlike everything.
    """
    words = " ".join(prompt[:MOST_CHARS].split())
    text = f" {words} " if words else ""
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)
    if not codes.size:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    trigrams = (codes[:-2] * _STEP + codes[1:-1]) * _STEP + codes[2:]
    mixed = (trigrams ^ (trigrams >> np.uint64(29))) * _MIX
    counts = np.bincount((mixed >> _SHIFT).astype(np.int64), minlength=FEATURES)
    places = np.flatnonzero(counts)
    length = math.sqrt(int(counts @ counts))
    return places, np.rint(counts[places] / length * SCALE).astype(np.int64)
