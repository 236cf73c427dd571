"""Facts whose new level became their baseline before the harm that it did was proven. Pure.

A fact (direction ``neither``) takes a new level for its baseline within days, while a small harm
may need a week of evidence. A fact whose level changed on the day that a harm began is compared
with the days before again, so that the cause of a slow harm is not forgotten.
"""

from __future__ import annotations

from statistics import median

from upkeep.diagnosis_release import WINDOW_DAYS, began
from upkeep.records import DayFacts, DriftResult
from upkeep.stats import robust_location_scale

LEAST_BEFORE = 5
MOST_SINCE = 15
LEAST_NOISE = 0.01  # of the level


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
