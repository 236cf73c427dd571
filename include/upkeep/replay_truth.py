"""What production's day was like, whichever policy is tried: harm, and what serving cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from upkeep.decision_objectives import missed
from upkeep.measures import family
from upkeep.records import DayFacts, Drift
from upkeep.replay_records import Harm
from upkeep.spec import Policy

QUALITY = frozenset({"quality", "people"})


def harm(facts: DayFacts, drift: Drift, policy: Policy) -> Harm | None:
    """What drifted to the worse or misses its objective, quality first; None: not known.

    Judged by the policy that was in force, whichever policy is tried: a yardstick that moves
    with what it measures would call a policy without tolerances a cure.
    """
    if not (facts.current.trusted and facts.validation.trusted):
        return None
    families = {family(name) for name in _harmful(facts, drift, policy)}
    if families & QUALITY:
        return "quality"
    return "latency" if "latency" in families else ""


def _harmful(facts: DayFacts, drift: Drift, policy: Policy) -> Iterator[str]:
    for result in drift.results:
        if result.direction != "neither" and result.state == "drifted":
            yield result.measure
    for name, objective in policy.objectives.items():
        found = drift.get(name)
        baseline = found.baseline if found else None
        if missed(name, objective, facts.current.value(name), baseline) is not None:
            yield name


def served_usd(facts: DayFacts) -> float | None:
    """cost_usd_per_1k / 1000 x requests x (1 - error_rate); None where one is not known."""
    today = facts.current
    cost, requests = today.value("cost_usd_per_1k"), today.value("requests")
    errors = today.value("error_rate")
    if cost is None or requests is None or errors is None:
        return None
    return cost / 1000.0 * requests * (1.0 - errors)
