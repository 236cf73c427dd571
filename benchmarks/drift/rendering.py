"""A course as the cycle would have stored it: measures of days with the noise of their samples.

Names and intervals are those of :mod:`upkeep.facts`: quality has an interval from the day's
samples, in whole and by slice; traffic has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.simulator import Course, Floats, Model, day_of
from upkeep.records import (
    DayFacts,
    DayMeasures,
    History,
    Interval,
    MeasureValue,
    ValidationResult,
)

Z_95 = 1.959963984540054
SMALLEST_SLICE = 10  # samples, under which the slice has no score
LATENCY_MS, TTFT_MS, COST_USD, PRICE_USD, PROMPT_CHARS = 900.0, 180.0, 0.4, 2.5, 600.0
P95_ERROR = 3.0  # standard error of a log-normal latency's log p95, times sqrt(requests)
SUITE = "request_log/simulated"


def days_of(model: Model, course: Course, days: range | None = None) -> list[DayMeasures]:
    """Those of the days (all) that were recorded, oldest first; a missing day is not there."""
    asked = range(course.days) if days is None else days
    return [measures_on(model, course, t) for t in asked if course.present[t]]


def measures_on(model: Model, course: Course, t: int) -> DayMeasures:
    """One day; its noise depends on the model and the day only, not on the course."""
    found = [*_traffic(course, t, model.rng("traffic", t))]
    found += _shares(course, t, model.rng("shares", t))
    counts = model.rng("samples", t).multinomial(model.samples, course.shares[t])
    for name in model.qualities:
        found += _quality(model, course.quality[t], counts, name, t)
    return DayMeasures(
        day=day_of(t),
        trusted=bool(course.trusted[t]),
        champion_version="1",
        measures=tuple(found),
    )


def _traffic(course: Course, t: int, rng: np.random.Generator) -> Iterator[MeasureValue]:
    requests = max(1, round(course.requests[t]))
    noise = np.exp(rng.normal(0.0, P95_ERROR / math.sqrt(requests), 2))
    failed = _failed(requests, float(course.errors[t]), rng)
    values = {
        "requests": float(requests),
        "error_rate": failed / requests,
        "latency_p95_ms": LATENCY_MS * course.latency[t] * noise[0],
        "ttft_p95_ms": TTFT_MS * course.ttft[t] * noise[1],
        "cost_usd_per_1k": COST_USD * course.cost[t] * course.price[t],
        "price_usd_per_hour": PRICE_USD * course.price[t],
        "prompt_chars_mean": PROMPT_CHARS * course.prompt[t],
    }
    for name, value in values.items():
        yield MeasureValue(name=name, value=float(value), n=requests)


def _failed(requests: int, rate: float, rng: np.random.Generator) -> int:
    """Failed requests; one quantile, so that a higher rate on the same day fails more."""
    spread = math.sqrt(requests * rate * (1.0 - rate))
    return int(min(requests, max(0.0, round(requests * rate + spread * float(rng.normal())))))


def _shares(course: Course, t: int, rng: np.random.Generator) -> Iterator[MeasureValue]:
    n = max(1, round(course.requests[t]))
    counts = rng.multinomial(n, course.shares[t])
    for k, count in enumerate(counts):
        yield MeasureValue(name=f"share[{topic(k)}]", value=float(count / n), n=n)


def topic(k: int) -> str:
    """The name of topic ``k``."""
    return f"t{k:02d}"


def _quality(
    model: Model, effect: Floats, counts: NDArray[np.int64], name: str, t: int
) -> Iterator[MeasureValue]:
    """The whole and its slices: means of ``counts`` samples with within-day SD 1."""
    rng = model.rng(name, t)
    noise = rng.normal(size=len(counts)) / np.sqrt(np.maximum(counts, 1))
    means = model.topics + effect + noise
    whole = float(np.average(means, weights=counts))
    n = int(counts.sum())
    between = float(np.average((means - whole) ** 2, weights=counts))
    yield _score(model, name, None, whole, math.sqrt((1.0 + between) / n), n)
    for k, count in enumerate(counts):
        if count >= SMALLEST_SLICE:
            error = math.sqrt(rng.chisquare(count - 1) / (count - 1) / count)
            yield _score(model, name, topic(k), float(means[k]), error, int(count))


def _score(
    model: Model, name: str, slice_: str | None, score: float, error: float, n: int
) -> MeasureValue:
    """A score and its standard error in within-day SDs, as the measure has them."""
    ends = (score - Z_95 * error, score + Z_95 * error)
    if name == "perplexity":
        value, high, low = (math.exp(model.nll_mean - model.nll_sd * s) for s in (score, *ends))
    else:
        value, low, high = (model.rouge_mean + model.rouge_sd * s for s in (score, *ends))
    return MeasureValue(
        name=name if slice_ is None else f"{name}[{slice_}]",
        value=value,
        interval=Interval(low=low, high=high),
        n=n,
    )


# ---------------------------------------------------------------- facts


def facts_of(days: Sequence[DayMeasures]) -> DayFacts:
    """The last day as the day under review, the others as its history."""
    return facts(History.of(list(days[:-1])), days[-1])


def facts(history: History, current: DayMeasures) -> DayFacts:
    """One day with what was before it."""
    return DayFacts(
        model="simulated",
        day=current.day,
        revision=1,
        champion_version=current.champion_version,
        champion_format="safetensors",
        validation=ValidationResult(
            model="simulated",
            day=current.day,
            trusted=current.trusted,
            coverage=1.0 if current.trusted else 0.5,
            bad_share=0.0,
            findings=(),
            suite=SUITE,
            suite_sha256="0" * 64,
        ),
        current=current,
        history=history,
        past_decisions=(),
    )


class Timeline:
    """Many days' facts from one set of columns: what :func:`facts_of` gives, sooner."""

    def __init__(self, days: Sequence[DayMeasures], window: int) -> None:
        """``window``: how many calendar days of history a decision reads."""
        self._days, self._window = list(days), window
        self._columns = History.of(self._days)
        self._places = {day.day: place for place, day in enumerate(self._days)}

    def __contains__(self, t: int) -> bool:
        """Whether day ``t`` was recorded."""
        return day_of(t) in self._places

    def facts(self, t: int) -> DayFacts:
        """The facts of day ``t``, with the recorded days of its window."""
        place, first = self._places[day_of(t)], day_of(t - self._window)
        start = next(i for i, day in enumerate(self._days) if day.day >= first)
        return facts(self._cut(start, place), self._days[place])

    def _cut(self, start: int, stop: int) -> History:
        columns, part = self._columns, slice(start, stop)
        series = [
            s.model_copy(
                update={"values": s.values[part], "errors": s.errors[part], "n": s.n[part]}
            )
            for s in columns.series
            if any(v is not None for v in s.values[part])
        ]
        return History(
            days=columns.days[part],
            trusted=columns.trusted[part],
            versions=columns.versions[part],
            series=tuple(series),
        )
