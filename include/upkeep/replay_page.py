"""A replay for people and programs: plain rows, and the answer in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from upkeep.replay_records import Estimate, FleetReplay, ModelReplay, ReplayedDay

WHOLE_FROM = 1000.0
NAMES = {
    "jobs": "jobs",
    "gpu_hours": "GPU-hours",
    "job_usd": "cost of jobs, USD",
    "degraded_days": "days degraded and not acted on",
    "serving_usd": "cost of serving, USD",
}


def day_rows(replays: Sequence[ModelReplay]) -> list[dict[str, Any]]:
    """One row a day, by model and day."""
    return [
        {
            "day": day.day.isoformat(),
            "model": replay.question.model,
            "stored": day.stored,
            "replayed": day.replayed,
            "carried": day.carried,
            "identical": day.identical,
            "differs": list(day.differs),
            "problem": day.problem,
            "before": day.before,
            "after": day.after,
            "reasons": list(day.changed),
            "budget": day.budget,
        }
        for replay in ordered(replays)
        for day in replay.days
    ]


def flip_rows(replays: Sequence[ModelReplay]) -> list[dict[str, Any]]:
    """One row a day that flips or, with the recorded policy, is not byte for byte the same."""
    return [
        {
            "day": day.day.isoformat(),
            "model": replay.question.model,
            "stored": day.stored,
            "this policy": day.replayed,
            "carried on": day.carried,
            "why": _why(day),
        }
        for replay in ordered(replays)
        for day in replay.days
        if day.told or (day.differs and not replay.question.what_if)
    ]


def _why(day: ReplayedDay) -> str:
    words = day.after if day.before != day.after else "; ".join(day.changed)
    return "; ".join(filter(None, (words if day.flips or not day.budget else "", day.budget)))


def model_rows(fleet: FleetReplay) -> list[dict[str, Any]]:
    """One row a model."""
    return [
        {
            "model": m.model,
            "days": m.days,
            "identical": m.identical,
            "flips": m.flips,
            "carried_flips": m.carried_flips,
            "problems": m.problems,
        }
        for m in fleet.models
    ]


def estimate_rows(estimates: Sequence[Estimate]) -> list[dict[str, Any]]:
    """One row a quantity, numbers as people read them."""
    return [
        {
            "over these days": NAMES[e.quantity],
            "stored": number(e.stored),
            "this policy": number(e.other),
            "change": number(e.change, sign=True),
            "95 % interval": span(e),
            "model-days": e.n_days,
            "note": e.words,
        }
        for e in estimates
    ]


def answer(fleet: FleetReplay, replays: Sequence[ModelReplay]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        **fleet.model_dump(mode="json", exclude={"replays"}),
        "problems": problems(replays),
        "assumptions": {r.question.model: list(r.assumptions) for r in ordered(replays)},
        "days": day_rows(replays),
    }


def problems(replays: Sequence[ModelReplay]) -> list[str]:
    """What could not be replayed, in words; each names its record."""
    found = []
    for replay in ordered(replays):
        found += [replay.problem] if replay.problem else []
        found += [day.problem for day in replay.days if day.problem]
    return found


def headline(fleet: FleetReplay, replays: Sequence[ModelReplay]) -> str:
    """The answer in one line."""
    days = sorted(day.day for replay in replays for day in replay.days)
    span = f"{days[0]} to {days[-1]}" if days else "no day"
    total = sum(m.days for m in fleet.models)
    where = f"{counted(len(fleet.models), 'model')}, {span}, {counted(total, 'model-day')}"
    bad = sum(m.problems for m in fleet.models)
    also = f", {bad} could not be replayed" if bad else ""
    if not fleet.what_if:
        same = sum(m.identical for m in fleet.models)
        return f"{where}: {same} of {total} are byte for byte what was decided{also}"
    flips, carried = (sum(getattr(m, n) for m in fleet.models) for n in ("flips", "carried_flips"))
    return f"{where}: {counted(flips, 'decision')} flipped, {carried} when carried on{also}"


def ordered(replays: Sequence[ModelReplay]) -> list[ModelReplay]:
    """By model, whatever order they came in."""
    return sorted(replays, key=lambda r: r.question.model)


def counted(n: int, what: str) -> str:
    """``1 day``, ``2 days``."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def number(value: float | None, *, sign: bool = False) -> str:
    """A number as people read it; what is not known says so."""
    if value is None:
        return "not known"
    text = f"{value:,.0f}" if abs(value) >= WHOLE_FROM else f"{value:.4g}"
    return f"+{text}" if sign and value > 0.0 else text


def span(estimate: Estimate) -> str:
    """The interval of the change."""
    found = estimate.interval
    if found is None:
        return "not known"
    return f"{number(found.low, sign=True)} to {number(found.high, sign=True)}"
