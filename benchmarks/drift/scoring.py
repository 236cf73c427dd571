"""How often Upkeep is wrong on fault-free days, and how soon it finds what was planted.

A *page* is the first day of a run of days on which a harmful measure is ``drifted``. The delay
counts the planted day as 1: found on its own day is a delay of 1.0. A fault counts as found if a
measure of its own family drifts within its horizon; a model whose family was already drifted on
the day before is left out of that fault and counted. Nothing of Upkeep's verdicts flows back
into the simulation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.drift.faults import FAULTS, HARMLESS, Fault
from benchmarks.drift.rendering import Timeline, days_of
from benchmarks.drift.simulator import Course, Model, course_of, model_of, policy_of
from benchmarks.drift.worlds import World
from upkeep import measures
from upkeep.cycle import HISTORY_EXTRA_DAYS
from upkeep.diagnosis import diagnose
from upkeep.drift import compare
from upkeep.records import Drift
from upkeep.spec import Policy

YOUNG_DAYS = 28  # until the baseline's window is full
TAIL_DAYS = 30  # at the end of a run, kept for what is planted
FIRST_FAULT = 60
FIRST_JUDGED = 5
MARGIN_DAYS = 10  # before the planted day: the last judged one, with its own whole window


@dataclass(frozen=True)
class Planting:
    """What came of one planted change in one model.

    ``delay`` in days, None: not found; ``cause`` is the first cause on the day it was found.
    ``pages`` are the quality pages of the 14 days from the planted day on, ``pages_without``
    those of the same days without it.
    """

    fault: str
    already: bool = False
    delay: int | None = None
    cause: str | None = None
    pages: int = 0
    pages_without: int = 0


@dataclass
class Score:
    """One model's results; ``pages`` says for each page its day and what had drifted."""

    world: str
    judged_days: int = 0
    young_days: int = 0
    alarm_days: int = 0
    pages: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    plantings: list[Planting] = field(default_factory=list)
    compare_s: float = 0.0
    compares: int = 0


@dataclass(frozen=True)
class Plan:
    """What to simulate."""

    days: int = 120
    faults: tuple[Fault, ...] = FAULTS
    harmless: tuple[Fault, ...] = HARMLESS


def score_model(world: World, number: int, seed: int, plan: Plan) -> Score:
    """Run one model without a fault, then once for each planted change."""
    model = model_of(world, number, seed)
    judge = Judge(model, Score(world.name))
    course = course_of(model, plan.days)
    quiet = judge.fault_free(course)
    planted = _planted_day(model, course, plan.days)
    for fault in plan.faults:
        judge.score.plantings.append(judge.find(fault, course, planted))
    for change in plan.harmless:
        judge.score.plantings.append(judge.endure(change, course, planted, quiet))
    return judge.score


def _planted_day(model: Model, course: Course, days: int) -> int:
    """A day that is recorded and trusted, with a month of days after it."""
    last = days - TAIL_DAYS
    day = int(model.rng("planted").integers(min(FIRST_FAULT, last), last + 1))
    while not (course.present[day] and course.trusted[day]):
        day -= 1
    return day


class Judge:
    """Compares a model's days, and counts what that costs."""

    def __init__(self, model: Model, score: Score) -> None:
        """``score`` is filled as the judge goes."""
        self.model, self.score = model, score
        self.policy: Policy = policy_of(model)
        self.window = self.policy.baseline.days + HISTORY_EXTRA_DAYS

    def fault_free(self, course: Course) -> dict[int, tuple[str, ...]]:
        """The harmful measures that drifted on each judged day; pages are counted."""
        drifted: dict[int, tuple[str, ...]] = {}
        timeline, before = self.timeline(course), False
        for t in range(FIRST_JUDGED, course.days):
            if t not in timeline or not course.trusted[t]:
                continue
            found, _ = self.alarms(timeline, t)
            drifted[t] = found
            self.score.judged_days += 1
            self.score.young_days += t < YOUNG_DAYS
            self.score.alarm_days += bool(found)
            if found and not before:
                self.score.pages.append((t, found))
            before = bool(found)
        return drifted

    def timeline(self, course: Course) -> Timeline:
        """The recorded days of a course."""
        return Timeline(days_of(self.model, course), self.window)

    def changed(self, course: Course, changed: Course, day: int, horizon: int) -> Timeline:
        """The days of ``course`` before ``day``, then those of the changed one."""
        before = days_of(self.model, course, range(max(0, day - self.window - MARGIN_DAYS), day))
        after = days_of(self.model, changed, range(day, min(course.days, day + horizon)))
        return Timeline([*before, *after], self.window)

    def alarms(self, timeline: Timeline, t: int) -> tuple[tuple[str, ...], str | None]:
        """The harmful measures that drifted on a day, and then its first cause."""
        facts = timeline.facts(t)
        started = time.process_time()
        drift = compare(facts, self.policy)
        self.score.compare_s += time.process_time() - started
        self.score.compares += 1
        found = harmful(drift)
        return found, diagnose(facts, drift).cause if found else None

    def find(self, fault: Fault, course: Course, day: int) -> Planting:
        """Plant a harm and look for it until it is found or its horizon ends."""
        changed = fault.change(self.model, course, day)
        timeline = self.changed(course, changed, day, fault.horizon)
        if of_families(self._before(timeline, changed, day), fault.families):
            return Planting(fault.name, already=True)
        for t in range(day, day + fault.horizon):
            if t in timeline and changed.trusted[t]:
                found, cause = self.alarms(timeline, t)
                if of_families(found, fault.families):
                    return Planting(fault.name, delay=t - day + 1, cause=cause)
        return Planting(fault.name)

    def _before(self, timeline: Timeline, course: Course, day: int) -> tuple[str, ...]:
        """What was drifted on the last judged day before ``day``."""
        earlier = range(day - 1, FIRST_JUDGED, -1)
        last = next((t for t in earlier if t in timeline and course.trusted[t]), None)
        return () if last is None else self.alarms(timeline, last)[0]

    def endure(
        self, change: Fault, course: Course, day: int, quiet: dict[int, tuple[str, ...]]
    ) -> Planting:
        """Plant a harmless change and count the quality pages that follow."""
        changed = change.change(self.model, course, day)
        timeline = self.changed(course, changed, day, change.horizon)
        drifted: dict[int, tuple[str, ...]] = {}
        cause = None
        for t in (t for t in quiet if day <= t < day + change.horizon):
            drifted[t], named = self.alarms(timeline, t)
            cause = cause or named
        before = max((t for t in quiet if t < day), default=None)
        start = () if before is None else quiet[before]
        without = {t: quiet[t] for t in drifted}
        return Planting(
            change.name,
            cause=cause,
            pages=_quality_pages(start, drifted),
            pages_without=_quality_pages(start, without),
        )


def harmful(drift: Drift) -> tuple[str, ...]:
    """The measures that drifted and are no mere facts."""
    return tuple(
        r.measure for r in drift.results if r.state == "drifted" and r.direction != "neither"
    )


def of_families(names: Sequence[str], families: Sequence[str]) -> tuple[str, ...]:
    """The measures that are of these families."""
    return tuple(n for n in names if measures.family(n) in families)


def _quality_pages(start: tuple[str, ...], drifted: dict[int, tuple[str, ...]]) -> int:
    """Starts of runs of quality alarms; one that goes on from before is none."""
    alarms = [bool(of_families(start, ("quality",)))]
    alarms += [bool(of_families(drifted[t], ("quality",))) for t in sorted(drifted)]
    return sum(now and not before for before, now in pairwise(alarms))
