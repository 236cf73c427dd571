"""Facts against the days right before a harm: what was there before it did not make it. Pure.

A fact (direction ``neither``) takes a new level for its baseline within days, while a small harm
may need a week of evidence. A fact whose level changed on the day that a harm began is compared
with the days before again, so that the cause of a slow harm is not forgotten.

The other way round, a fact that has been growing for weeks is far from its baseline on any day.
Only what it moved since the week before the harm counts.
"""

from __future__ import annotations

import math
from statistics import median

from upkeep.diagnosis_release import WINDOW_DAYS, began
from upkeep.records import DayFacts, DriftResult
from upkeep.stats import robust_location_scale

LEAST_BEFORE = 5
MOST_SINCE = 15
LEAST_NOISE = 0.01  # of the level
WEEK, MARGIN = 7, 1  # days; the day on which a harm began is known within a day or so
LONGEST = 14  # a harm that is older than drift looks back has no known beginning


def as_before(facts: DayFacts, result: DriftResult, harm: list[DriftResult]) -> DriftResult:
    """The result against the level before, if a harm began with the new one; else as it is."""
    since = result.baseline_days + 1
    known = result.baseline is not None and result.current is not None
    if result.direction != "neither" or not known or not harm or since > MOST_SINCE:
        return result
    series = facts.history.get(result.measure)
    if series is None:
        return result
    days = zip(series.values, facts.history.trusted, strict=True)
    past = [v for v, trusted in days if v is not None and trusted]
    before = past[: len(past) - since + 1][-WINDOW_DAYS:]
    if len(before) < LEAST_BEFORE or not any(began(facts, r, since) for r in harm):
        return result
    return _against(result, before)


def without_trend(facts: DayFacts, result: DriftResult, harm: list[DriftResult]) -> DriftResult:
    """The result without what the fact had moved before the harm began; as it is if nothing."""
    since = max((r.recent_days for r in harm), default=0)
    if result.direction != "neither" or result.tolerance_kind != "relative":
        return result
    if not 0 < since < LONGEST or result.effect is None or result.effect <= -1.0:
        return result
    moved, before = math.log1p(result.effect), _trend(facts, result.measure, since + MARGIN)
    if moved * before <= 0.0:
        return result
    left = math.copysign(max(0.0, abs(moved) - abs(before)), moved)
    sds = None if result.sds is None else result.sds * left / moved
    state = result.state if abs(left) > math.log1p(result.tolerance) else "stable"
    words = f"{result.words}; {math.expm1(before):+.0%} of it in the weeks before the harm"
    update = {"effect": math.expm1(left), "sds": sds, "state": state, "words": words}
    return result.model_copy(update=update)


def _trend(facts: DayFacts, name: str, back: int) -> float:
    """How far the week that ended ``back`` days ago lies from the days before it, in logarithms."""
    series = facts.history.get(name)
    if series is None:
        return 0.0
    days = zip(series.values, facts.history.trusted, strict=True)
    past = [v for v, trusted in days if v is not None and trusted and v > 0.0]
    known = past[: len(past) + 1 - back]
    if len(known) < 3 * WEEK:
        return 0.0
    return math.log(median(known[-WEEK:]) / median(known[:-WEEK]))


def _against(result: DriftResult, before: list[float]) -> DriftResult:
    """The result with the median of these days for its baseline."""
    level, current = median(before), result.current or 0.0
    _, noise = robust_location_scale(before, floor=LEAST_NOISE * max(abs(level), 1e-9))
    relative = result.tolerance_kind == "relative"
    if relative and level <= 0.0:
        return result
    sds = (current - level) / noise
    effect = current / level - 1.0 if relative else current - level
    words = (
        f"{result.measure} {current:.4g} against {level:.4g} (before its level changed, "
        f"{len(before)} days): {sds:+.1f} sd"
    )
    update = {"baseline": level, "effect": effect, "sds": sds, "state": "watch", "words": words}
    return result.model_copy(update=update)
