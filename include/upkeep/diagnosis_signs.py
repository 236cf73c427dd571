"""How far each measure moved, and whether that is more than noise: the signs of a day. Pure.

A change is a natural logarithm of today over the baseline, so that changes of factors add up
(cost = price x time x volume). A measure has ``moved`` if its drift result says so, or if its
change is at least ``LEAST_CHANGE`` and ``LEAST_SDS`` standard deviations of ordinary days: a
fact may explain a harm long before it would be a drift of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from upkeep import measures
from upkeep.diagnosis_levels import as_before, without_trend
from upkeep.measures import Family
from upkeep.records import Bottleneck, Cause, DayFacts, Drift, DriftResult

LEAST_CHANGE = math.log(1.1)
LEAST_SDS = 3.0
LEAST_SDS_AGAIN = 2.0  # of a day whose days before say the same
VANISHED = 1e-6
T_95 = 2.0  # half of a 95 % interval, in standard deviations

GROUPS: dict[Family, str] = {
    "quality": "quality",
    "people": "quality",
    "errors": "errors",
    "latency": "latency",
    "cost": "money",
    "price": "money",
    "resources": "resources",
    "traffic": "traffic",
}


class Explanation(NamedTuple):
    """A cause, and the part (0 to 1) of each harmed group that it makes.

    ``of_model``: a new version of the model may be what is behind it.
    """

    cause: Cause
    parts: dict[str, float]
    words: str
    bottleneck: Bottleneck | None = None
    of_model: bool = False


class Signs:
    """The day's drift results by measure, and the harm among them."""

    def __init__(self, facts: DayFacts, drift: Drift) -> None:
        """``harm`` is what drifted and has a better direction, sorted by name."""
        self.facts, self.drift = facts, drift
        results = sorted(drift.results, key=lambda r: r.measure)
        self.harm = [r for r in results if r.state == "drifted" and r.direction != "neither"]
        harm = self.harm
        self.results = [without_trend(facts, as_before(facts, r, harm), harm) for r in results]
        self._by_name = {r.measure: r for r in self.results}

    def get(self, name: str) -> DriftResult | None:
        """The result of one measure, or None if it is not watched."""
        return self._by_name.get(name)

    def of(self, *groups: str) -> list[DriftResult]:
        """What was harmed of these groups."""
        return [r for r in self.harm if group(r) in groups]

    def change(self, name: str) -> float:
        """The change of a measure; 0 where it is not known."""
        return change(self.get(name))

    def known(self, name: str) -> bool:
        """Whether a measure has a value and a baseline."""
        found = self.get(name)
        return found is not None and found.effect is not None

    def moved(self, name: str, direction: int = 0) -> bool:
        """Whether a measure moved: up for direction 1, down for -1, either way for 0."""
        found = self.get(name)
        if found is None or not moved(found):
            return False
        return direction == 0 or (found.effect or 0.0) * direction > 0.0


def group(result: DriftResult) -> str:
    """What a harm is counted under: quality, errors, latency, money, resources or traffic."""
    return GROUPS[measures.family(result.measure)]


def said(results: Sequence[DriftResult]) -> str:
    """The results' own words."""
    return "; ".join(r.words for r in results)


def change(result: DriftResult | None) -> float:
    """Logarithm of today over the baseline, of the effect that the drift result gives.

    0 where there is no ratio; that of a millionth for what vanished.
    """
    if result is None or result.effect is None or result.baseline is None:
        return 0.0
    if result.tolerance_kind == "relative":
        return math.log(max(1.0 + result.effect, VANISHED))
    if result.baseline <= 0.0:
        return 0.0
    return math.log(max(1.0 + result.effect / result.baseline, VANISHED))


def moved(result: DriftResult) -> bool:
    """Whether a measure left its tolerance, or moved by more than the noise of its days."""
    if result.effect is None:
        return False
    if result.state in ("drifted", "improved"):
        return True
    beyond = size(result) > 1.0
    if result.state == "watch" and beyond and not _noise_known(result):
        return True
    large = beyond or abs(change(result)) >= LEAST_CHANGE
    return large and (sds(result) >= LEAST_SDS or _proven(result))


def _noise_known(result: DriftResult) -> bool:
    return result.sds is not None or result.interval is not None


def _proven(result: DriftResult) -> bool:
    """Whether the days up to today prove together a change in today's direction."""
    if result.evidence is None or result.needed is None or result.evidence < result.needed:
        return False
    if sds(result) < LEAST_SDS_AGAIN:
        return False
    return (result.recent_effect or 0.0) * (result.effect or 0.0) > 0.0


def size(result: DriftResult) -> float:
    """The effect in tolerances, on the scale that the tolerance is meant on."""
    if result.tolerance_kind == "absolute":
        return abs(result.effect or 0.0) / result.tolerance
    return abs(change(result)) / math.log1p(result.tolerance)


def sds(result: DriftResult) -> float:
    """The effect in standard deviations of ordinary days; 0 where that is not known."""
    if result.sds is not None:
        return abs(result.sds)
    span = result.interval
    if span is None or result.effect is None:
        return 0.0
    low, high, effect = span.low, span.high, result.effect
    if result.tolerance_kind == "relative":
        low, high, effect = (math.log(max(1.0 + x, VANISHED)) for x in (low, high, effect))
    return abs(effect) / ((high - low) / 2.0 / T_95) if high > low else 0.0


def slowness(result: DriftResult) -> float:
    """How much slower, as a logarithm: a throughput that fell is slowness too."""
    return -change(result) if result.direction == "higher_is_better" else change(result)
