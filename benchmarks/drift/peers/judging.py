"""Pages and delays of any detector's alarms, at its default and at a matched threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.drift.peers.dataset import CHANGES, HORIZON, RUNS
from upkeep import measures

MONTH = 30.0
WATCHED_BY = {"quality": ("quality",), "latency": ("latency", "ttft"), "cost": ("cost",)}

Alarm = tuple[int, int, int, str]
"""Run, model, day and measure."""
Judged = Mapping[tuple[int, int], Sequence[int]]
"""The days that were judged, in order, of each run and model."""


@dataclass(frozen=True)
class Answer:
    """A detector's alarms at each threshold, from the laxest to the strictest."""

    peer: str
    default: str
    alarms: Mapping[str, Sequence[Alarm]]
    judged: Judged
    ms_a_day: float


@dataclass(frozen=True)
class Result:
    """A detector at one threshold; rates are a model and 30 judged days.

    ``delays`` holds of each planted change the share found within 14 days and the mean delay,
    ``false_quality`` the quality pages under harmless changes.
    """

    threshold: str
    pages: float
    alarm_days: float
    found: Mapping[str, tuple[float, float]]
    false_quality: Mapping[str, float]


def pages(days: Sequence[int], alarms: frozenset[int]) -> int:
    """Starts of runs of alarm days; the first day may be one."""
    flags = [False, *(day in alarms for day in days)]
    return sum(now and not before for before, now in pairwise(flags))


def fault_free(answer: Answer, threshold: str, run: str) -> tuple[float, float]:
    """Pages and alarm days a model-month."""
    by_model = _days(answer, threshold, RUNS.index(run))
    judged = {m: d for (r, m), d in answer.judged.items() if r == RUNS.index(run)}
    months = sum(map(len, judged.values())) / MONTH
    found = sum(pages(days, by_model.get(m, frozenset())) for m, days in judged.items())
    return found / months, sum(map(len, by_model.values())) / months


def _days(
    answer: Answer, threshold: str, run: int, kinds: Sequence[str] = ()
) -> dict[int, frozenset[int]]:
    """The alarm days of each model in a run, of any measure or of these."""
    found: dict[int, set[int]] = {}
    for r, model, day, measure in answer.alarms[threshold]:
        if r == run and day in answer.judged.get((r, model), ()) and _counts(measure, kinds):
            found.setdefault(model, set()).add(day)
    return {model: frozenset(days) for model, days in found.items()}


def _counts(measure: str, kinds: Sequence[str]) -> bool:
    return not kinds or measure in kinds


def result(answer: Answer, threshold: str, planted: Sequence[int]) -> Result:
    """A detector at one threshold."""
    page_rate, alarm_days = fault_free(answer, threshold, "quiet")
    asked = {run for run, _ in answer.judged}
    there = [(RUNS.index(f.name), f) for f in CHANGES if RUNS.index(f.name) in asked]
    return Result(
        threshold=threshold,
        pages=page_rate,
        alarm_days=alarm_days,
        found={
            f.name: _found(answer, threshold, run, planted, WATCHED_BY[f.families[0]])
            for run, f in there
            if not f.harmless
        },
        false_quality={
            f.name: _false(answer, threshold, run, planted) for run, f in there if f.harmless
        },
    )


def _found(
    answer: Answer, threshold: str, run: int, planted: Sequence[int], kinds: Sequence[str]
) -> tuple[float, float]:
    """Share found within 14 days and mean delay, of models without that alarm just before."""
    alarms = _days(answer, threshold, run, kinds)
    quiet = _days(answer, threshold, RUNS.index("quiet"), kinds)
    delays: list[int | None] = []
    for model in (m for r, m in answer.judged if r == run):
        day = planted[model]
        if day - 1 in quiet.get(model, ()):
            continue
        within = [t for t in alarms.get(model, ()) if day <= t < day + HORIZON]
        delays.append(min(within) - day + 1 if within else None)
    known = [d for d in delays if d is not None]
    nan = float("nan")
    share = len(known) / len(delays) if delays else nan
    return share, sum(known) / len(known) if known else nan


def _false(answer: Answer, threshold: str, run: int, planted: Sequence[int]) -> float:
    """Quality pages a model-month in the 14 days from a harmless change on."""
    alarms = _days(answer, threshold, run, ("quality",))
    found = days = 0
    for (r, model), judged in answer.judged.items():
        if r == run:
            first = planted[model]
            after = [t for t in judged if first <= t < first + HORIZON]
            found += pages(after, alarms.get(model, frozenset()))
            days += len(after)
    return found / days * MONTH if days else float("nan")


def matched(answer: Answer, rate: float) -> str | None:
    """The laxest threshold with at most ``rate`` pages a model-month on the tuning models."""
    return next((t for t in answer.alarms if fault_free(answer, t, "tune")[0] <= rate), None)


def kind_of(measure: str) -> str:
    """Upkeep's measure as the peers' daily measures are named."""
    parent, _ = measures.split(measure)
    names = {"latency_p95_ms": "latency", "ttft_p95_ms": "ttft", "error_rate": "errors"}
    return names.get(parent, measures.family(measure))


def by_day(found: Mapping[int, Sequence[str]], run: int, model: int) -> Iterator[Alarm]:
    """A model's drifted measures by day, as alarms."""
    for day, names in found.items():
        yield from ((run, model, day, kind) for kind in sorted({kind_of(n) for n in names}))
