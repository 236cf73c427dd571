"""The day against its baseline: effect, interval, evidence, state. Pure.

Unit of noise is the day: ten thousand requests of one slow afternoon are one observation. A
measure is ``drifted`` only if both hold:

- *effect*: the day lies outside the tolerance in the harmful direction. A relative tolerance t
  allows factors from 1/(1+t) to 1+t of the baseline, an absolute one +-t in the unit;
- *evidence*: a one-sided CUSUM of the daily scores passes its threshold, so that two smaller
  days add up to one large (Page 1954). Its false-alarm interval is ``policy.false_alarm_days``
  times the number of one-sided charts of the model, so that all together alarm once in
  ``false_alarm_days`` fault-free days (threshold: Siegmund 1985).

Baseline: median of the last ``baseline.days`` trusted days that joined it, in logarithms for
relative tolerances. Noise: their standard deviation within a champion version, without what the
MAD calls wild (Hampel 1974); a prior that is worth four days and expects a quarter of the
tolerance (Smyth 2004) may make it larger, so that five quiet days do not promise silence. A
day's score is its deviation over this noise, turned from Student's t to a normal score
(Quesenberry 1991). A day outside the tolerance on the harmful side does not join: a bad level
never becomes normal. Measures with direction ``neither`` follow what comes.

Values are compared only with values of the same ``signature`` (tokenizer, references, feature
extractor ..). A measure that people stopped agreeing with has no vote: it never gets worse than
``watch``.
"""

from __future__ import annotations

from collections.abc import Iterator

from upkeep import measures
from upkeep.baseline import Chart, Judgement, Point, evidence_threshold
from upkeep.records import (
    DayFacts,
    DayMeasures,
    Drift,
    DriftResult,
    DriftState,
    Interval,
    MeasureValue,
    Vote,
)
from upkeep.spec import MeasurePolicy, Policy

SHARE_POLICY = MeasurePolicy(direction="neither", tolerance=0.2, kind="absolute")


def compare(facts: DayFacts, policy: Policy) -> Drift:
    """Compare the day with the model's own earlier days, one result a watched measure.

    Watched are the policy's measures that were ever collected, their slices of today, and the
    share of every slice. An untrusted day, or a value that earlier days have and today has not,
    is ``unknown``, never ``stable``.
    """
    watched = dict(_watched(facts, policy))
    threshold = evidence_threshold(policy, watched.values())
    return Drift(
        model=facts.model,
        day=facts.day,
        results=tuple(
            _result(
                name, rule, facts, Chart(rule, policy.baseline, threshold, weekly=_weekly(name))
            )
            for name, rule in watched.items()
        ),
    )


def _weekly(name: str) -> bool:
    return name == "requests"


# ---------------------------------------------------------------- what is watched


def _watched(facts: DayFacts, policy: Policy) -> Iterator[tuple[str, MeasurePolicy]]:
    today = {m.name for m in facts.current.measures if m.value is not None}
    seen = today | set(facts.history.names())
    yield from ((name, rule) for name, rule in policy.measures.items() if name in seen)
    for name in sorted(today):
        parent, slice_ = measures.split(name)
        if slice_ is not None and parent in policy.measures and parent != measures.SHARE:
            yield name, policy.measures[parent]
    rule = policy.measures.get(measures.SHARE, SHARE_POLICY)
    shares = sorted(n for n in seen if measures.split(n)[0] == measures.SHARE and n.endswith("]"))
    yield from ((name, rule) for name in shares)


def _value(day: DayMeasures, name: str) -> MeasureValue | None:
    """The day's value; a slice that had no request that day has a share of exactly 0."""
    found = next((m for m in day.measures if m.name == name and m.value is not None), None)
    if found is None and measures.split(name)[0] == measures.SHARE and _has_shares(day):
        return MeasureValue(name=name, value=0.0)
    return found


def _has_shares(day: DayMeasures) -> bool:
    return any(m.name.startswith(f"{measures.SHARE}[") for m in day.measures)


def _point(day: DayMeasures, name: str) -> Point | None:
    found = _value(day, name)
    if found is None or found.value is None:
        return None
    return Point(day.day, found.value, found.interval, day.champion_version, found.signature)


# ---------------------------------------------------------------- one measure


def _result(name: str, rule: MeasurePolicy, facts: DayFacts, chart: Chart) -> DriftResult:
    today, since = _point(facts.current, name), chart.since
    for day in facts.history.rows():
        usable = day.trusted and day.day < facts.day and (since is None or day.day >= since)
        point = _point(day, name) if usable else None
        if point is not None and (today is None or point.signature == today.signature):
            chart.learn(point)
    if not (facts.current.trusted and facts.validation.trusted):
        return _unknown(name, rule, chart, today, "the day's data cannot be trusted")
    if today is None:
        return _unknown(name, rule, chart, today, "earlier days have it, today it is missing")
    if not chart.ready:
        return _unknown(name, rule, chart, today, _learning(name, chart))
    found = _judged(name, rule, chart, chart.judge(today))
    vote = facts.people.vote(measures.split(name)[0]) if facts.people else None
    return found if vote is None or vote.counts else _without_vote(found, vote)


def _without_vote(found: DriftResult, vote: Vote) -> DriftResult:
    """What a measure says that people have stopped agreeing with: it is seen, and moves nothing."""
    state: DriftState = "watch" if found.state == "drifted" else found.state
    words = f"{found.words}; it has no vote: {vote.words}"
    return found.model_copy(update={"state": state, "words": words})


def _learning(name: str, chart: Chart) -> str:
    known = f"{chart.days} of {chart.needed} days"
    if measures.split(name)[1] is not None:
        return f"new slice, baseline is being learnt: {known}"
    return f"baseline is being learnt: {known}"


def _unknown(
    name: str, rule: MeasurePolicy, chart: Chart, today: Point | None, why: str
) -> DriftResult:
    return DriftResult(
        measure=name,
        slice=measures.split(name)[1],
        baseline=None,
        current=today.value if today else None,
        effect=None,
        interval=None,
        tolerance=rule.tolerance,
        tolerance_kind=rule.kind,
        direction=rule.direction,
        evidence=None,
        baseline_days=chart.days,
        state="unknown",
        words=f"{name}: {why}",
    )


def _judged(name: str, rule: MeasurePolicy, chart: Chart, judged: Judgement) -> DriftResult:
    low, high = judged.interval
    return DriftResult(
        measure=name,
        slice=measures.split(name)[1],
        baseline=judged.baseline,
        current=judged.current,
        effect=judged.effect,
        interval=Interval(low=low, high=high),
        tolerance=rule.tolerance,
        tolerance_kind=rule.kind,
        direction=rule.direction,
        evidence=judged.evidence,
        baseline_days=judged.days,
        state=judged.state,
        words=_words(name, rule, chart.threshold, judged),
    )


def _words(name: str, rule: MeasurePolicy, threshold: float, judged: Judgement) -> str:
    relative = rule.kind == "relative"
    change = f"{judged.effect:+.1%}" if relative else f"{judged.effect:+.4g}"
    low, high = judged.allowed
    text = (
        f"{name} {judged.current:.4g} against {judged.baseline:.4g} "
        f"(median of {judged.days} days): {change}, allowed {low:.4g} to {high:.4g}; "
        f"evidence {judged.evidence:.1f}, needed {threshold:.1f}"
    )
    return f"{text}; {judged.note}" if judged.note else text
