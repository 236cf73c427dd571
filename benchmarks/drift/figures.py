"""One world's figures from its models' scores; :mod:`benchmarks.drift.scoring` says the terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.drift.faults import Fault
from benchmarks.drift.scoring import YOUNG_DAYS, Plan, Planting, Score
from upkeep import measures

MONTH = 30.0
FOUND_DAYS = 14


@dataclass(frozen=True)
class Found:
    """One fault in one world: shares of the ``n`` models that it was planted in."""

    n: int
    already: int
    within_14: float
    within_horizon: float
    mean_delay: float
    median_delay: float
    right_cause: float


@dataclass(frozen=True)
class WorldScore:
    """The figures of one world over its models; rates are a model and 30 judged days."""

    world: str
    months: float
    pages: float
    young_pages: float
    mature_pages: float
    alarm_days: float
    by_measure: dict[str, float]
    faults: dict[str, Found]
    harmless: dict[str, tuple[float, float]]
    """Quality pages a model-month with the change, and on the same days without it."""
    named: dict[str, float]
    """Share of the models in which a harmless change that has a right first cause got it."""
    compare_ms: float


def world_score(name: str, scores: Sequence[Score], plan: Plan) -> WorldScore:
    """Add up the models of a world."""
    judged = sum(s.judged_days for s in scores) / MONTH
    young = sum(s.young_days for s in scores) / MONTH
    pages = [page for s in scores for page in s.pages]
    early = sum(t < YOUNG_DAYS for t, _ in pages)
    kinds: dict[str, float] = {}
    for _, drifted in pages:
        for kind in sorted({_kind(m) for m in drifted}):
            kinds[kind] = kinds.get(kind, 0.0) + 1.0 / judged
    return WorldScore(
        world=name,
        months=judged,
        pages=len(pages) / judged,
        young_pages=early / young if young else 0.0,
        mature_pages=(len(pages) - early) / (judged - young),
        alarm_days=sum(s.alarm_days for s in scores) / judged,
        by_measure=dict(sorted(kinds.items())),
        faults={f.name: _found(f, list(_of(scores, f.name))) for f in plan.faults},
        harmless={f.name: _harm(list(_of(scores, f.name)), f.horizon) for f in plan.harmless},
        named={f.name: _named(f, list(_of(scores, f.name))) for f in plan.harmless if f.causes},
        compare_ms=1e3 * sum(s.compare_s for s in scores) / sum(s.compares for s in scores),
    )


def _kind(measure: str) -> str:
    """A measure with all its slices as one."""
    parent, slice_ = measures.split(measure)
    return parent if slice_ is None else f"{parent}[slice]"


def _of(scores: Sequence[Score], fault: str) -> Iterator[Planting]:
    return (p for s in scores for p in s.plantings if p.fault == fault)


def _found(fault: Fault, all_of_it: Sequence[Planting]) -> Found:
    plantings = [p for p in all_of_it if not p.already]
    delays = sorted(p.delay for p in plantings if p.delay is not None)
    n, nan = len(plantings), float("nan")
    right = sum(p.cause in fault.causes for p in plantings if p.delay is not None)
    missed = [float("inf")] * (n - len(delays))
    return Found(
        n=n,
        already=len(all_of_it) - n,
        within_14=sum(d <= FOUND_DAYS for d in delays) / n if n else nan,
        within_horizon=len(delays) / n if n else nan,
        mean_delay=sum(delays) / len(delays) if delays else nan,
        median_delay=([*delays, *missed])[(n - 1) // 2] if n else nan,
        right_cause=right / len(delays) if delays else nan,
    )


def _named(change: Fault, plantings: Sequence[Planting]) -> float:
    return sum(p.cause in change.causes for p in plantings) / max(1, len(plantings))


def _harm(plantings: Sequence[Planting], horizon: int) -> tuple[float, float]:
    months = max(1, len(plantings)) * horizon / MONTH
    return (
        sum(p.pages for p in plantings) / months,
        sum(p.pages_without for p in plantings) / months,
    )
