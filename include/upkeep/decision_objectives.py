"""Which objectives a day misses: ceilings and floors, absolute or against the baseline. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from upkeep.records import Reason
from upkeep.spec import Objective


class _Limit(NamedTuple):
    threshold: float
    ceiling: bool
    words: str

    def missed_by(self, value: float) -> bool:
        return value > self.threshold if self.ceiling else value < self.threshold


def missed(
    name: str, objective: Objective, value: float | None, baseline: float | None
) -> Reason | None:
    """Why a measure misses its objective; None if it does not, or cannot be known to.

    Of several limits that are missed the strictest is told. A ratio without a baseline is no
    limit: it cannot be known.
    """
    if value is None:
        return None
    found = [limit for limit in _limits(objective, baseline) if limit.missed_by(value)]
    if not found:
        return None
    limit = max(found, key=lambda each: abs(value - each.threshold))
    side = "over" if limit.ceiling else "under"
    return Reason(
        fact=name,
        value=f"{value:.6g}",
        rule=f"objective: {limit.words}",
        threshold=f"{limit.threshold:.6g}",
        words=(
            f"{name} is {value:.4g}, {side} its objective of {limit.threshold:.4g} ({limit.words})."
        ),
    )


def _limits(objective: Objective, baseline: float | None) -> Iterator[_Limit]:
    for threshold, ceiling, word in (
        (objective.max, True, "at most"),
        (objective.min, False, "at least"),
    ):
        if threshold is not None:
            yield _Limit(threshold, ceiling, f"{word} {threshold:.4g}")
    for ratio, ceiling, word in (
        (objective.max_ratio_to_baseline, True, "at most"),
        (objective.min_ratio_to_baseline, False, "at least"),
    ):
        if ratio is not None and baseline is not None:
            words = f"{word} {ratio:.4g} times the baseline of {baseline:.4g}"
            yield _Limit(ratio * baseline, ceiling, words)
