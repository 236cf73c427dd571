"""What a job costs against what it saves or protects a day. Pure.

    cost of the day [USD]  = cost_usd_per_1k / 1000 x requests x (1 - error_rate)
    saving a day [USD]     = cost of the day x share that a compression saves
    harm a day             = largest fall of quality, in tolerances, x requests that it is about
    protection a day [USD] = requests that it is about x usd_per_degraded_request
    payback [days]         = cost of the job [USD] / saving or protection a day [USD]

GPU-hours and the saved share are the medians of what the model's own past jobs and gates
measured; where there are none, what the policy states. The job's USD follow its GPU-hours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Literal, NamedTuple

from upkeep import measures
from upkeep.records import DayFacts, Drift, DriftResult, Reason
from upkeep.spec import Policy

JobKind = Literal["compress", "retrain"]
STATED = "stated by the policy"


class Cost(NamedTuple):
    """What a job takes once; ``words`` say where the number is from."""

    gpu_hours: float
    usd: float
    words: str


class Worth(NamedTuple):
    """A job's cost and what it is worth a day; None: not known. ``words`` say it all."""

    cost: Cost
    usd_per_day: float | None
    harm_per_day: float | None
    payback_days: float | None
    words: str


def cost_of(kind: JobKind, facts: DayFacts | None, policy: Policy) -> Cost:
    """What a job of this kind takes; without facts, as the policy states it."""
    stated = policy.payback.compress if kind == "compress" else policy.payback.retrain
    past = facts.past_decisions if facts else ()
    known = [p.gpu_hours for p in past if p.action == kind and p.gpu_hours is not None]
    if not known:
        return Cost(stated.gpu_hours, stated.usd, STATED)
    hours = median(known)
    usd = stated.usd * hours / stated.gpu_hours if stated.gpu_hours > 0.0 else stated.usd
    return Cost(hours, usd, f"the median of {len(known)} past {kind} jobs")


def worth_of(kind: JobKind, facts: DayFacts, drift: Drift, policy: Policy) -> Worth:
    """What a job of this kind costs, and what it saves (compress) or protects (retrain) a day."""
    cost = cost_of(kind, facts, policy)
    if kind == "compress":
        harm, (usd, gain) = None, _saving(facts, policy)
    else:
        harm, usd, gain = _protection(facts, drift, policy)
    days = cost.usd / usd if usd is not None and usd > 0.0 else None
    if days is not None and not math.isfinite(days):
        days = None
    back = f"it is paid back after {days:.3g} days" if days is not None else _never(usd)
    words = (
        f"A {kind} takes {cost.gpu_hours:.3g} GPU-hours and {cost.usd:.3g} USD ({cost.words}); "
        f"{gain}; {back}."
    )
    return Worth(cost, usd, harm, days, words)


def reason_of(kind: JobKind, worth: Worth, policy: Policy) -> Reason:
    """The worth of a job as a reason: fact, number and threshold."""
    most = _most_days(kind, policy)
    return Reason(
        fact=f"payback of a {kind}",
        value="not known" if worth.payback_days is None else f"{worth.payback_days:.6g} days",
        rule="a job pays back",
        threshold="not asked for" if most is None else f"at most {most:.6g} days",
        words=worth.words,
    )


def too_dear(kind: JobKind, worth: Worth, policy: Policy) -> Literal["unknown", "late"] | None:
    """Why a policy that asks for payback does not get it; None if it does, or does not ask."""
    most = _most_days(kind, policy)
    if most is None:
        return None
    if worth.usd_per_day is None:
        return "unknown"
    return None if worth.payback_days is not None and worth.payback_days <= most else "late"


def _most_days(kind: JobKind, policy: Policy) -> float | None:
    asked = policy.payback.compress if kind == "compress" else policy.payback.retrain
    return asked.max_payback_days


def _never(usd: float | None) -> str:
    return "its payback is not known" if usd is None else "it is never paid back"


def _saving(facts: DayFacts, policy: Policy) -> tuple[float | None, str]:
    past = facts.past_decisions
    known = [p.saving for p in past if p.action == "compress" and p.saving is not None]
    share = median(known) if known else policy.payback.compress.saving
    said = f"the median of {len(known)} past gates" if known else STATED
    spent = _usd_of_the_day(facts)
    if spent is None:
        return None, f"it is expected to save {share:.3g} of a cost of the day that is not known"
    usd = spent * share
    return usd, f"it saves {usd:.3g} USD a day, {share:.1%} ({said}) of {spent:.3g} USD"


def _usd_of_the_day(facts: DayFacts) -> float | None:
    today = facts.current
    cost, requests = today.value("cost_usd_per_1k"), today.value("requests")
    errors = today.value("error_rate")
    if cost is None or requests is None or errors is None:
        return None
    return cost / 1000.0 * requests * (1.0 - errors)


def _protection(
    facts: DayFacts, drift: Drift, policy: Policy
) -> tuple[float | None, float | None, str]:
    """The harm, its USD, and both in words."""
    fallen = [r for r in drift.results if _fell(r)]
    requests = facts.current.value("requests")
    if not fallen or requests is None:
        return None, None, "what it protects a day is not known"
    worst = max(abs(r.effect or 0.0) / r.tolerance for r in fallen)
    degraded = requests * _share(facts, fallen)
    harm = worst * degraded
    said = f"quality fell by {worst:.3g} tolerances on {degraded:,.0f} requests a day"
    each = policy.payback.retrain.usd_per_degraded_request
    if each is None:
        return harm, None, (
            f"{said}, {harm:,.0f} in tolerances x requests; what that costs is not stated "
            "(payback.retrain.usd_per_degraded_request)"
        )  # fmt: skip
    usd = degraded * each
    return harm, usd, f"it protects {usd:.3g} USD a day: {said}, {each:.3g} USD each"


def _fell(result: DriftResult) -> bool:
    """Whether this is a quality, drifted, by a known amount."""
    quality = measures.family(result.measure) in ("quality", "people")
    return quality and result.state == "drifted" and result.effect is not None


def _share(facts: DayFacts, fallen: Iterable[DriftResult]) -> float:
    """The share of the requests whose quality fell: all, unless it fell in known slices only."""
    names = [measures.split(r.measure)[1] for r in fallen]
    if any(name is None for name in names):
        return 1.0
    slices = dict.fromkeys(name for name in names if name is not None)
    shares = [facts.current.value(measures.sliced(measures.SHARE, name)) for name in slices]
    return 1.0 if None in shares else min(1.0, sum(s for s in shares if s is not None))
