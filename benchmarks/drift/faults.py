"""What is planted at a known day: harm that must be found, and change that harms nobody.

A fault is a function from a course and a day to the changed course. Sizes of quality are in
within-day standard deviations (SD). What breaks the data itself is in
:mod:`benchmarks.drift.broken`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.drift.simulator import Course, Floats, Model, normalised

BURST_DAYS = 3
SPIKE_DAYS = 3

Change = Callable[[Model, Course, int], Course]


@dataclass(frozen=True)
class Fault:
    """A planted change.

    ``families`` are the measures' families that may find it (none: it is harmless), ``causes``
    the first causes that are right, ``horizon`` the days within which it is looked for.
    """

    name: str
    change: Change
    families: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    horizon: int = 14

    @property
    def harmless(self) -> bool:
        """Whether no quality alarm may follow."""
        return not self.families


def _from(course: Course, day: int, last: int | None = None) -> Floats:
    """1 from ``day`` on (to before ``last``), else 0."""
    t = np.arange(course.days)
    within = t >= day
    return (within if last is None else within & (t < last)).astype(np.float64)


def _drop(size: float) -> Change:
    def change(_: Model, course: Course, day: int) -> Course:
        return replace(course, quality=course.quality - size * _from(course, day)[:, None])

    return change


def _drop_of_one(size: float) -> Change:
    """The drop in one topic only: the median one by its share."""

    def change(_: Model, course: Course, day: int) -> Course:
        order = np.argsort(course.shares[:day].mean(axis=0))
        hit = np.zeros(course.shares.shape[1])
        hit[order[len(order) // 2]] = size
        return replace(course, quality=course.quality - _from(course, day)[:, None] * hit)

    return change


def _decay(a_day: float) -> Change:
    def change(_: Model, course: Course, day: int) -> Course:
        lost = a_day * np.maximum(0.0, np.arange(course.days) - day + 1.0)
        return replace(course, quality=course.quality - lost[:, None])

    return change


def _slower(times: float) -> Change:
    def change(_: Model, course: Course, day: int) -> Course:
        factor = times ** _from(course, day)
        return replace(course, latency=course.latency * factor, ttft=course.ttft * factor)

    return change


def _dearer(_: Model, course: Course, day: int) -> Course:
    return replace(course, cost=course.cost * 1.3 ** _from(course, day))


def _failing(_: Model, course: Course, day: int) -> Course:
    burst = 0.05 * _from(course, day, day + BURST_DAYS)
    return replace(course, errors=np.minimum(1.0, course.errors + burst))


# ---------------------------------------------------------------- harmless


def _spike(_: Model, course: Course, day: int) -> Course:
    factor = 4.0 ** _from(course, day, day + SPIKE_DAYS)
    return replace(course, requests=course.requests * factor)


def _week(model: Model, course: Course, day: int) -> Course:
    """Weekends of a third of the traffic, about other topics."""
    weekend = (np.arange(course.days) % 7 >= 5) * _from(course, day)  # noqa: PLR2004
    tilt = model.rng("week").normal(0.0, 0.7, course.shares.shape[1])
    shares = normalised(np.log(course.shares) + weekend[:, None] * tilt)
    return replace(course, requests=course.requests * (1 / 3) ** weekend, shares=shares)


def _covariates(model: Model, course: Course, day: int) -> Course:
    """Prompts half as long again, and another mix of the same topics."""
    later = _from(course, day)
    tilt = model.rng("covariates").normal(0.0, 1.0, course.shares.shape[1])
    shares = normalised(np.log(course.shares) + later[:, None] * tilt)
    return replace(course, prompt=course.prompt * 1.5**later, shares=shares)


def _harder(model: Model, course: Course, day: int) -> Course:
    """The hardest topics asked about three times as often for each SD that they are harder."""
    tilt = -np.log(3.0) * model.topics / max(1e-9, float(model.topics.std()))
    shares = normalised(np.log(course.shares) + _from(course, day)[:, None] * tilt)
    return replace(course, shares=shares)


def _price(_: Model, course: Course, day: int) -> Course:
    return replace(course, price=course.price * 1.5 ** _from(course, day))


QUALITY = ("quality",)
FAULTS: tuple[Fault, ...] = (
    Fault("quality -0.60 SD", _drop(0.60), QUALITY, ("model_quality",)),
    Fault("quality -0.30 SD", _drop(0.30), QUALITY, ("model_quality",)),
    Fault("quality -0.15 SD", _drop(0.15), QUALITY, ("model_quality",)),
    Fault("quality -0.60 SD in one topic", _drop_of_one(0.60), QUALITY, ("model_quality",)),
    Fault("decay 0.02 SD a day", _decay(0.02), QUALITY, ("model_quality",), horizon=28),
    Fault("latency x1.25", _slower(1.25), ("latency",), ("infrastructure",)),
    Fault("latency x2", _slower(2.0), ("latency",), ("infrastructure",)),
    Fault("cost x1.3", _dearer, ("cost",), ("infrastructure",)),
    Fault("errors +5 points, 3 days", _failing, ("errors",), ("upstream_errors",), BURST_DAYS),
)
HARMLESS: tuple[Fault, ...] = (
    Fault("volume x4, 3 days", _spike),
    Fault("stronger week", _week),
    Fault("longer prompts, other mix", _covariates),
    Fault("harder mix of topics", _harder),
    Fault("price x1.5", _price, causes=("price",)),
)
