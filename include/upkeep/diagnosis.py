"""Which cause explains the day's drifts together. Pure: facts and drifts in, causes out.

First, alone: data that cannot be trusted, and no traffic. Then every cause says which part (0
to 1) of each harmed group it makes, from the signs in its own module, and they are ranked by

    score = sum over harmed groups g of w(g) * part(g) / sum over harmed groups g of w(g)

with w = 8 quality, 4 errors, 2 latency, 1 money (cost and price), 1/2 resources, 1/4 traffic:
each weighs more than all behind it, so that what harms users stands before what costs money, and
a price that rose for good never hides a new harm. Scores lie between 0 and 1 and compare between
causes and days. ``workload`` is a circumstance and no fault: its score counts a tenth, so that it
is first only where nothing else explains a tenth as much. ``unknown`` has the parts of those
groups that no cause explains by half.

What began on the day that another version started to serve is the release's (``release``), as
far as it is not the traffic's or the price's; the causes that it takes it from keep half. Of
errors that are the API's own it gets half.

Without harm: too little history, a changed volume, or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upkeep.diagnosis_cost import cost_split, idle_causes, price_causes
from upkeep.diagnosis_quality import quality_causes
from upkeep.diagnosis_release import Release, began, newest_release
from upkeep.diagnosis_service import memory_leak, service_causes, volume_words
from upkeep.diagnosis_signs import Explanation, Signs, group, said
from upkeep.records import CauseEvidence, DayFacts, Diagnosis, Drift, DriftResult

WEIGHTS = {
    "quality": 8.0,
    "errors": 4.0,
    "latency": 2.0,
    "money": 1.0,
    "resources": 0.5,
    "traffic": 0.25,
}
ORDER = (
    *("data_breakage", "release", "traffic_mix", "model_quality", "memory_leak"),
    *("upstream_errors", "traffic_volume", "infrastructure", "price", "workload", "unknown"),
)
CIRCUMSTANCES = {"workload": 0.1}
HALF = 0.5
LEAST_SCORE = 0.005
DOUBTS = ("unit_suspect", "inconsistent")
CONTEXT = "neither"


def diagnose(facts: DayFacts, drift: Drift) -> Diagnosis:
    """Rank the causes that fit the day, with the evidence for each in words."""
    signs = Signs(facts, drift)
    early = _data_breakage(facts) or _no_traffic(facts)
    ranked = (early,) if early is not None else tuple(_ranked(signs))
    split = None if early is not None else cost_split(signs)
    return Diagnosis(
        model=facts.model, day=facts.day, cause=ranked[0].cause, ranked=ranked, cost=split
    )


def _data_breakage(facts: DayFacts) -> CauseEvidence | None:
    if facts.validation.trusted and facts.current.trusted:
        return None
    failed = "; ".join(f.words for f in facts.validation.failures)
    covered = f"{facts.validation.coverage:.0%} of the day is covered"
    words = f"the data cannot be trusted: {covered}" + (f"; {failed}" if failed else "")
    return CauseEvidence(cause="data_breakage", score=1.0, words=words)


def _no_traffic(facts: DayFacts) -> CauseEvidence | None:
    if facts.current.value("requests") != 0.0:
        return None
    return CauseEvidence(cause="no_traffic", score=1.0, words="0 requests were served that day")


# ---------------------------------------------------------------- without harm


def is_learning(result: DriftResult) -> bool:
    """Whether a result is unknown only because its baseline is still being learnt."""
    return result.state == "unknown" and result.current is not None


def _quiet(signs: Signs) -> Iterator[CauseEvidence]:
    """Nothing harmful drifted: a changed volume, still learning, or nothing to explain."""
    drifted = [r for r in signs.results if r.state == "drifted"]
    judged = [r for r in signs.results if r.direction != CONTEXT] or signs.results
    young = [r for r in judged if is_learning(r) and r.slice is None]
    if any(r.measure == "requests" for r in drifted):
        yield CauseEvidence(cause="traffic_volume", score=1.0, words=volume_words(signs))
    elif young or not signs.results:
        words = _learnt(young) or "nothing was collected yet"
        yield CauseEvidence(cause="learning", score=1.0, words=words)
    else:
        facts = f"only facts changed, nothing got worse: {said(drifted)}"
        words = facts if drifted else "nothing drifted"
        yield CauseEvidence(cause="none", score=1.0, words=words)
    leak = memory_leak(signs)
    if leak is not None:
        words = f"{leak}; nothing got worse by it so far"
        yield CauseEvidence(cause="memory_leak", score=0.0, words=words, bottleneck="memory")


def _learnt(young: Sequence[DriftResult]) -> str:
    """What is still being learnt, the measures that have come as far named together."""
    groups: dict[str, list[str]] = {}
    for result in young:
        groups.setdefault(result.words.removeprefix(f"{result.measure}: "), []).append(
            result.measure
        )
    return "; ".join(f"{words} ({', '.join(names)})" for words, names in groups.items())


# ---------------------------------------------------------------- causes of harm


def _ranked(signs: Signs) -> Iterator[CauseEvidence]:
    if not signs.harm:
        yield from _quiet(signs)
        return
    found = [
        *_doubted(signs),
        *quality_causes(signs),
        *service_causes(signs),
        *price_causes(signs),
        *idle_causes(signs),
    ]
    found = [*_merged(_released(signs, found))]
    found += _unexplained(signs, found)
    scored = [(_score(signs, e), e) for e in found]
    scored.sort(key=lambda pair: (-round(pair[0], 9), ORDER.index(pair[1].cause)))
    for score, found_ in scored:
        if score >= LEAST_SCORE:
            yield CauseEvidence(
                cause=found_.cause, score=score, words=found_.words, bottleneck=found_.bottleneck
            )


def _score(signs: Signs, explanation: Explanation) -> float:
    harmed = sorted({group(r) for r in signs.harm})
    made = sum(WEIGHTS[g] * explanation.parts.get(g, 0.0) for g in harmed)
    fault = CIRCUMSTANCES.get(explanation.cause, 1.0)
    return fault * made / sum(WEIGHTS[g] for g in harmed)


def _doubted(signs: Signs) -> Iterator[Explanation]:
    """A day that is trusted but holds numbers which may be in another unit explains its drifts."""
    doubts = [f for f in signs.facts.validation.failures if f.check in DOUBTS]
    if doubts:
        words = f"numbers are doubtful: {'; '.join(f.words for f in doubts)}; {said(signs.harm)}"
        yield Explanation("data_breakage", {group(r): 1.0 for r in signs.harm}, words)


def _merged(found: Sequence[Explanation]) -> Iterator[Explanation]:
    """One explanation a cause: the larger part of each group, the words one after the other."""
    for cause in dict.fromkeys(e.cause for e in found):
        same = [e for e in found if e.cause == cause]
        parts = {g: max(e.parts.get(g, 0.0) for e in same) for e in same for g in e.parts}
        words = "; ".join(dict.fromkeys(e.words for e in same))
        yield same[0]._replace(parts=parts, words=words)


def _released(signs: Signs, found: Sequence[Explanation]) -> list[Explanation]:
    """Give the release what began with it of the causes that it may stand behind."""
    release = newest_release(signs.facts)
    first = [r for r in signs.harm if release and began(signs.facts, r, release.days)]
    parts = {g: _taken(signs, found, first, g) for g in sorted({group(r) for r in first})}
    parts = {g: part for g, part in parts.items() if part > 0.0}
    if release is None or not parts:
        return list(found)
    rest = [
        e._replace(parts={g: p * (HALF if g in parts else 1.0) for g, p in e.parts.items()})
        if e.of_model
        else e
        for e in found
    ]
    return [Explanation("release", parts, _release_words(release, first)), *rest]


def _taken(
    signs: Signs, found: Sequence[Explanation], first: Sequence[DriftResult], g: str
) -> float:
    """The part of a group that a release explains: what is not the traffic's or the price's."""
    share = sum(group(r) == g for r in first) / len(signs.of(g))
    left = 1.0
    for explained in found:
        if not explained.of_model:
            half = HALF if explained.cause == "upstream_errors" else 1.0
            left -= half * explained.parts.get(g, 0.0)
    return share * max(0.0, left)


def _release_words(release: Release, first: Sequence[DriftResult]) -> str:
    return (
        f"it began when version {release.version} started to serve in the place of "
        f"{release.before}, {release.days} days ago with today: {said(first)}"
    )


def _unexplained(signs: Signs, found: Sequence[Explanation]) -> Iterator[Explanation]:
    """``unknown``: the groups that no cause explains by half."""
    parts = {}
    for g in sorted({group(r) for r in signs.harm}):
        best = max((e.parts.get(g, 0.0) for e in found), default=0.0)
        if best < HALF:
            parts[g] = 1.0 - best
    if parts:
        words = "no known cause explains: " + said([r for r in signs.harm if group(r) in parts])
        yield Explanation("unknown", parts, words)
