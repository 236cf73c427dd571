"""One row of the gate: of finite numbers only, and failed in words where there are none."""

from __future__ import annotations

from collections.abc import Callable

from upkeep.records import GateRow, Interval
from upkeep.stats import Estimate

NOT_A_NUMBER = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError)


def guarded(name: str, make: Callable[[], GateRow], margin: float = 0.0) -> GateRow:
    """The row, or one that fails and says why it could not be computed."""
    try:
        return make()
    except NOT_A_NUMBER as why:
        return failed(name, f"cannot be computed, so it does not pass: {why}", margin)


def failed(name: str, words: str, margin: float = 0.0) -> GateRow:
    """A row that says in words why there is nothing to compare."""
    return row(name, passed=False, margin=margin, words=words)


def row(
    name: str,
    *,
    passed: bool,
    words: str,
    margin: float = 0.0,
    effect: Estimate | None = None,
    sides: tuple[float, float] | None = None,
) -> GateRow:
    """A row of finite numbers only; ``sides`` are champion and candidate."""
    interval = None
    if effect is not None and effect.bounded:
        interval = Interval(low=effect.low, high=effect.high, confidence=effect.confidence)
    return GateRow(
        check=name,
        champion=sides[0] if sides else None,
        candidate=sides[1] if sides else None,
        effect=effect.value if effect else None,
        interval=interval,
        margin=margin,
        passed=passed,
        words=f"{name}: {words}",
    )
