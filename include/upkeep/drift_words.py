"""A drift result in words, with every number that it was judged by. Pure."""

from __future__ import annotations

from types import SimpleNamespace

from upkeep.records import DriftResult

MIXED = 0.1  # of the tolerance: a smaller doing of the mix is not worth a word


def words_of(result: DriftResult | SimpleNamespace) -> str:
    """One line: the value, its baseline, the change, what is allowed, the evidence."""
    if result.baseline is None or result.current is None:
        return f"{result.measure}: not known"
    low, high = _allowed(result, result.baseline)
    text = (
        f"{result.measure} {result.current:.4g} against {result.baseline:.4g} "
        f"({result.baseline_days} days): {_change(result, result.effect)}"
        f", {result.sds or 0.0:+.1f} sd, allowed {low:.4g} to {high:.4g}; "
        f"evidence {result.evidence or 0.0:.1f}, needed {result.needed or 0.0:.1f}"
    )
    if result.recent_days > 1:
        text += f"; {_change(result, result.recent_effect)} over the last {result.recent_days} days"
    return text + _mix(result)


def _allowed(result: DriftResult | SimpleNamespace, baseline: float) -> tuple[float, float]:
    if result.tolerance_kind == "relative":
        return baseline / (1.0 + result.tolerance), baseline * (1.0 + result.tolerance)
    low = baseline - result.tolerance
    return (max(0.0, low) if baseline >= 0.0 else low), baseline + result.tolerance


def _change(result: DriftResult | SimpleNamespace, effect: float | None) -> str:
    known = effect or 0.0
    return f"{known:+.1%}" if result.tolerance_kind == "relative" else f"{known:+.4g}"


def _mix(result: DriftResult | SimpleNamespace) -> str:
    """What the mix of slices did, where that is worth a word."""
    if result.mix_effect is None:
        return ""
    if abs(result.mix_effect) < MIXED * result.tolerance:
        return ""
    return f"; within its slices, whose mix did {_change(result, result.mix_effect)} more"
