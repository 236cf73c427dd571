"""The day against the model's own past: effect, interval, evidence, state. Pure.

The unit of noise is the day: ten thousand requests of one slow afternoon are one observation.
:mod:`upkeep.panel` makes the table of days, :mod:`upkeep.baseline` says what is usual and takes
the mix of slices out, :mod:`upkeep.noise` learns the day-to-day change (season, autocorrelation,
tails), :mod:`upkeep.scan` gathers the evidence and sets its threshold. States:

- ``drifted``: the change since its likeliest beginning is proven (evidence over the threshold)
  and larger than the tolerance, and today does not contradict it. A relative tolerance t allows
  factors from 1/(1+t) to 1+t of the baseline, an absolute one +-t in the unit.
- ``improved``: the same in the other direction.
- ``watch``: proven or beyond the tolerance, not both.
- ``unknown``: the data cannot be trusted, the value is missing, or the history is too short.

*False alarms.* The policy states harmful pages a model and 30 days. Measures share it (four
fifths) and so do all their slices (one fifth), those with a tolerance near their noise more of
it than others (:mod:`upkeep.scan`); measures without a worse (``neither``) never page, and are
let go over their threshold ten times as often. A model's budget is its own, so that a
fleet of N models has at most N times as many pages, and the order of models does not matter.

Numbers are given with nine digits, so that another machine's arithmetic decides the same.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from upkeep import baseline, noise, scan
from upkeep.drift_words import words_of
from upkeep.panel import Chart, Flags, Floats, Panel, Role, panel_of
from upkeep.records import DayFacts, Drift, DriftResult, DriftState, Interval, Vote
from upkeep.spec import BaselinePolicy, Policy
from upkeep.student import student_t_quantile

DAYS_OF_MONTH = 30.0
BUDGETS: dict[Role, float] = {"page": 0.8, "slice": 0.2, "context": 10.0}
RECOVERED_SD = 2.5  # a day so much better than the change says: it is over
CONFIDENCE = 0.95
DIGITS = 9
ROLES: tuple[Role, ...] = ("page", "slice", "context")


class _Judged(NamedTuple):
    """What the statistics say, one entry a chart, on the chart's scale.

    ``level`` is what the day should have been, ``effect`` its distance from that, ``half`` the
    half width of its interval; ``recent`` the change since ``days`` days, which has the
    ``evidence``; ``room`` how much better than ``recent`` today may be.
    """

    level: Floats
    effect: Floats
    sd: Floats
    half: Floats
    evidence: Floats
    needed: Floats
    recent: Floats
    days: Floats
    room: Floats
    mix: Floats
    known: Floats
    at_home: Flags


def compare(facts: DayFacts, policy: Policy) -> Drift:
    """Compare the day with the model's own earlier days, one result a watched measure.

    Watched are the policy's measures that were ever collected, their slices of today, and the
    share of every slice. An untrusted day, or a value that earlier days have and today has not,
    is ``unknown``, never ``stable``.
    """
    panel = panel_of(facts, policy)
    if panel is None:
        return Drift(model=facts.model, day=facts.day, results=())
    with np.errstate(all="ignore"):  # rows without days are NaN, and said to be unknown
        found = _judge(panel, policy)
    results = (_result(row, chart, facts, policy, found) for row, chart in enumerate(panel.charts))
    return Drift(model=facts.model, day=facts.day, results=tuple(results))


# ---------------------------------------------------------------- the statistics


def _judge(panel: Panel, policy: Policy) -> _Judged:
    needed = policy.baseline.min_days
    values, mix, days = baseline.comparable(panel, needed)
    old = baseline.settled(days, needed)
    held = baseline.levels(values, days, old, panel.versions, needed)
    prior = np.array([baseline.PRIOR_NOISE * chart.tolerance for chart in panel.charts])
    learnt = np.where(old, held.residuals, np.nan)
    sd = noise.robust_sd(learnt, prior)
    usual = noise.season(learnt, (panel.ordinals + 6) % 7, sd)
    usual = usual + noise.median_of(learnt - np.where(old, usual, np.nan))[:, None]
    residuals = held.residuals - usual
    roles = np.array([ROLES.index(chart.role) for chart in panel.charts])
    near = noise.autocorrelation(np.where(old, residuals, np.nan), panel.ordinals, sd, roles)
    white = noise.whiten(residuals, panel.ordinals, near.rho)
    sizes = noise.noise_of(np.where(old, white.residuals, np.nan), prior, roles)
    extra = _extra_error(panel, old)
    larger = np.sqrt(1.0 + (extra / sizes.sd[:, None]) ** 2)
    window = _window(panel, held)
    white = white._replace(residuals=noise.scores(white.residuals / larger, sizes))
    sureness = scan.Sureness(sizes.df, near.error / (1.0 - near.rho**2))
    found = scan.scan(white, held.days, sureness, window)
    evidence, recent, since = _strongest(found, residuals)
    n = np.maximum(held.days.sum(axis=1), 1.0)
    today_sd = np.hypot(sizes.sd, extra[:, -1])
    quantiles = np.array([student_t_quantile(CONFIDENCE, float(df)) for df in sizes.df])
    return _Judged(
        level=held.centre + usual[:, -1],
        effect=residuals[:, -1],
        sd=sizes.sd,
        half=quantiles * today_sd * np.sqrt(1.0 + 1.0 / n),
        evidence=evidence,
        needed=_thresholds(panel, policy, sizes, learnt, window),
        recent=recent,
        days=since,
        room=RECOVERED_SD * today_sd,
        mix=mix,
        known=np.where(np.isnan(held.centre), 0.0, days.sum(axis=1)),
        at_home=_at_home(panel, old),
    )


def _extra_error(panel: Panel, old: Flags) -> Floats:
    """How much less sure each value is than usual: a day of few rows is a worse witness."""
    usual = noise.median_of(np.where(old, panel.errors, np.nan))[:, None]
    return np.asarray(np.sqrt(np.fmax(panel.errors**2 - np.fmax(usual, 0.0) ** 2, 0.0)))


def _window(panel: Panel, held: baseline.Levels) -> int:
    """How many days a change may go back: not behind the champion's first day."""
    served = 0
    for version in reversed(panel.versions):
        if version != panel.versions[-1]:
            break
        served += 1
    longest = min(baseline.WINDOW, max(1, len(panel.versions) - 1))
    return longest if held.pooled.all() else min(served, longest)


def _at_home(panel: Panel, old: Flags) -> Flags:
    """Whether the baseline has days like today: weekends for a weekend day, else the others.

    Asked of the volume alone: nothing else halves every Saturday.
    """
    weekend = (panel.ordinals + 6) % 7 >= noise.SATURDAY
    alike = (old & (weekend == weekend[-1])).sum(axis=1) >= noise.ALIKE
    return np.asarray(np.array([c.name != "requests" for c in panel.charts]) | alike)


def _strongest(found: Floats, residuals: Floats) -> tuple[Floats, Floats, Floats]:
    """Evidence, change and days of the likeliest beginning of each chart.

    The change is the median since then: what one day of it is does not move it far. Evidence
    that points the other way than the median is none.
    """
    size = np.fmax(np.abs(found), -1.0)
    best, charts = np.argmax(size, axis=0), np.arange(size.shape[1])
    ago = np.arange(residuals.shape[1] - 1, -1, -1)
    recent = noise.median_of(np.where(ago[None, :] <= best[:, None], residuals, np.nan))
    score = found[best, charts]
    evidence = np.where(np.sign(score) == np.sign(recent), np.abs(score), 0.0)
    known = size[best, charts] >= 0.0
    return np.where(known, evidence, np.nan), recent, best + 1.0


def _thresholds(
    panel: Panel, policy: Policy, sizes: noise.Noise, learnt: Floats, window: int
) -> Floats:
    """The evidence that each chart needs, so that its role keeps to its part of the budget."""
    tolerances = np.array([chart.tolerance for chart in panel.charts])
    reach = scan.normal_scores(noise.scores(tolerances[:, None], sizes)[:, 0], sizes.df)
    never = np.nanmax(learnt, axis=1, initial=0.0) == np.nanmin(learnt, axis=1, initial=0.0)
    reach = np.where(never, scan.NEVER, reach)  # what never changed has no noise to alarm by
    rates = np.zeros(len(panel.charts))
    for role, share in BUDGETS.items():
        rows = np.array([chart.role == role for chart in panel.charts])
        sides = 2.0 if role == "context" else 1.0
        rate = share * policy.pages_per_model_month / DAYS_OF_MONTH / sides
        rates[rows] = scan.parts(reach[rows], rate)
    return scan.thresholds(reach, rates, window)


# ---------------------------------------------------------------- one measure


def _result(row: int, chart: Chart, facts: DayFacts, policy: Policy, found: _Judged) -> DriftResult:
    if not (facts.current.trusted and facts.validation.trusted):
        return _unknown(chart, int(found.known[row]), "the day's data cannot be trusted")
    if chart.today is None:
        return _unknown(chart, int(found.known[row]), "earlier days have it, today it is missing")
    if not _ready(found, row, policy.baseline.min_days):
        return _unknown(
            chart, int(found.known[row]), _learning(chart, found.known[row], policy.baseline)
        )
    result = _known(row, chart, found)
    vote = facts.people.vote(chart.parent) if facts.people else None
    return result if vote is None or vote.counts else _without_vote(result, vote)


def _ready(found: _Judged, row: int, needed: int) -> bool:
    judged = (found.level[row], found.effect[row], found.evidence[row])
    return bool(found.known[row] >= needed and all(math.isfinite(x) for x in judged))


def _without_vote(found: DriftResult, vote: Vote) -> DriftResult:
    """What a measure says that people have stopped agreeing with: it is seen, and moves nothing."""
    state: DriftState = "watch" if found.state == "drifted" else found.state
    words = f"{found.words}; it has no vote: {vote.words}"
    return found.model_copy(update={"state": state, "words": words})


def _learning(chart: Chart, known: float, rule: BaselinePolicy) -> str:
    days = f"{known:.0f} of {rule.min_days} days"
    if chart.slice is not None:
        return f"new slice, baseline is being learnt: {days}"
    return f"baseline is being learnt: {days}"


def _unknown(chart: Chart, known: int, why: str) -> DriftResult:
    return DriftResult(
        measure=chart.name,
        slice=chart.slice,
        baseline=None,
        current=chart.today.value if chart.today else None,
        effect=None,
        interval=None,
        tolerance=chart.rule.tolerance,
        tolerance_kind=chart.rule.kind,
        direction=chart.rule.direction,
        evidence=None,
        baseline_days=known,
        state="unknown",
        words=f"{chart.name}: {why}",
    )


def _known(row: int, chart: Chart, found: _Judged) -> DriftResult:
    level, effect, half = (float(x[row]) for x in (found.level, found.effect, found.half))
    mix = float(found.mix[row])
    fields: dict[str, Any] = {
        "measure": chart.name,
        "slice": chart.slice,
        "baseline": _digits(chart.raw(level)),
        "current": chart.today.value if chart.today else None,
        "effect": _digits(chart.change(effect)),
        "interval": Interval(
            low=_digits(chart.change(effect - half)), high=_digits(chart.change(effect + half))
        ),
        "tolerance": chart.rule.tolerance,
        "tolerance_kind": chart.rule.kind,
        "direction": chart.rule.direction,
        "evidence": _digits(float(found.evidence[row])),
        "baseline_days": int(found.known[row]),
        "state": _state(row, chart, found),
        "sds": _digits(effect / float(found.sd[row])),
        "recent_effect": _digits(chart.change(float(found.recent[row]))),
        "recent_days": int(found.days[row]),
        "mix_effect": None if math.isnan(mix) else _digits(chart.change(mix)),
        "needed": _digits(float(found.needed[row])),
    }
    note = "" if found.at_home[row] else "; too few days of this weekday class to judge by"
    words = words_of(SimpleNamespace(**fields))  # validated below, once
    return DriftResult(**fields, words=words + note)


def _state(row: int, chart: Chart, found: _Judged) -> DriftState:
    recent, today = chart.sign * float(found.recent[row]), chart.sign * float(found.effect[row])
    proven = bool(found.evidence[row] >= found.needed[row])
    far = abs(recent) > chart.tolerance
    lasts = (today if recent > 0.0 else -today) >= abs(recent) - float(found.room[row])
    harmful = recent > 0.0 or chart.role == "context"
    if proven and far and lasts and found.at_home[row]:
        return "drifted" if harmful else "improved"
    beyond = today > chart.tolerance or (chart.role == "context" and -today > chart.tolerance)
    return "watch" if beyond or (proven and harmful and lasts) else "stable"


def _digits(value: float) -> float:
    """The value to nine digits."""
    return float(f"{value:.{DIGITS}g}")
