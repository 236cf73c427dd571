"""Facts and drift results made by hand: a day of which every sign is stated.

What it does not prove: that the drift engine gives such results; benchmarks/causes runs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache

from fakes.sixteen_days import MODEL, default_policy, validated

from upkeep.records import (
    DayFacts,
    DayMeasures,
    Drift,
    DriftResult,
    DriftState,
    Finding,
    History,
    Interval,
    MeasureValue,
)
from upkeep.spec import MeasurePolicy

DAY = date(2026, 3, 5)
BASELINE_DAYS = 28
FEW_SDS = 10.0


@cache
def _shipped() -> dict[str, MeasurePolicy]:
    return default_policy().measures


def result(
    name: str,
    baseline: float,
    current: float,
    state: DriftState = "watch",
    sds: float = FEW_SDS,
    baseline_days: int = BASELINE_DAYS,
) -> DriftResult:
    """One measure of the shipped policy, or a share: from ``baseline`` to ``current``."""
    rule = _shipped().get(name.partition("[")[0])
    rule = rule or MeasurePolicy(direction="neither", tolerance=0.2, kind="absolute")
    relative = rule.kind == "relative"
    return DriftResult(
        measure=name,
        slice=name.partition("[")[2].rstrip("]") or None,
        baseline=baseline,
        current=current,
        effect=current / baseline - 1.0 if relative else current - baseline,
        interval=None,
        tolerance=rule.tolerance,
        tolerance_kind=rule.kind,
        direction=rule.direction,
        evidence=9.0,
        baseline_days=baseline_days,
        state=state,
        words=f"{name} {current:.4g} against {baseline:.4g}",
        sds=sds if current != baseline else 0.0,
    )


def drift_of(*results: DriftResult) -> Drift:
    """The day's drift."""
    return Drift(model=MODEL, day=DAY, results=results)


def facts_of(
    today: Mapping[str, float | MeasureValue] | None = None,
    before: Sequence[Mapping[str, float]] = (),
    *,
    versions: Sequence[str] = (),
    version: str = "1",
    findings: tuple[Finding, ...] = (),
) -> DayFacts:
    """A trusted day after these days, each served by its version."""
    served = [*versions] or ["1"] * len(before)
    days = [
        _day(DAY - timedelta(len(before) - n), values, served[n]) for n, values in enumerate(before)
    ]
    return DayFacts(
        model=MODEL,
        day=DAY,
        revision=1,
        champion_version=version,
        champion_format="safetensors",
        validation=validated(DAY, findings=findings),
        current=_day(DAY, today or {}, version),
        history=History.of(days),
        past_decisions=(),
    )


def _day(day: date, values: Mapping[str, float | MeasureValue], version: str) -> DayMeasures:
    found = tuple(
        v if isinstance(v, MeasureValue) else MeasureValue(name=n, value=v, n=1000)
        for n, v in values.items()
    )
    return DayMeasures(day=day, trusted=True, champion_version=version, measures=found)


def grown(per_1k: float, half_width: float, kind: str = "gpu") -> MeasureValue:
    """A memory's growth with its interval."""
    span = Interval(low=per_1k - half_width, high=per_1k + half_width)
    return MeasureValue(name=f"{kind}_memory_growth_per_1k", value=per_1k, interval=span, n=24)
