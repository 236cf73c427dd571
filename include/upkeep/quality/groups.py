"""The mean of a score over random groups of one size, for scores that would follow n.

Groups share no member: their scores are independent, and Student's interval holds for their
mean (Student 1908).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from upkeep.quality import Settings, finite
from upkeep.quality.intervals import bounded_interval
from upkeep.records import SliceScore
from upkeep.stats import mean_interval

GROUP = 20


def dealt(n: int, seed: int) -> list[list[int]]:
    """The positions 0 .. n-1 in random groups of ``GROUP``; those that fill none are left out."""
    shuffled = np.random.default_rng(seed).permutation(n)
    return [[int(i) for i in shuffled[at : at + GROUP]] for at in range(0, n - GROUP + 1, GROUP)]


def grouped_score(
    name: str,
    where: str,
    texts: Sequence[str],
    statistic: Callable[[Sequence[str]], list[float]],
    settings: Settings,
) -> tuple[SliceScore, dict[int, float]]:
    """The mean of the groups' scores, and the score of each text by its position.

    ``texts`` holds ``GROUP`` texts or more. ``statistic`` gives a group's score, or one for
    each of its texts: then the mean is the group's, and only then texts have scores. One group
    bounds nothing: its interval is None. ArtifactError for a score that is not finite.
    """
    scores: list[float] = []
    each: dict[int, float] = {}
    for places in dealt(len(texts), settings.seed):
        values = statistic([texts[place] for place in places])
        scores.append(finite(name, where, sum(values) / len(values)))
        if len(values) == len(places):
            each.update(zip(places, values, strict=True))
    found = mean_interval(scores, settings.confidence)
    n = len(scores) * GROUP
    whole = SliceScore(name=where, score=found.value, interval=bounded_interval(found), n=n)
    return whole, each
