"""Whether what drifted began when another version of the model started to serve. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from upkeep.records import DayFacts, DriftResult

UNKNOWN_VERSION = "unknown"
WINDOW_DAYS = 28
LEAST_BEFORE = 3
AS_GOOD = 0.8
WIDEST = 1.5


class Release(NamedTuple):
    """The version that serves, the one before it, and for how many observed days it has."""

    version: str
    before: str
    days: int


def newest_release(facts: DayFacts) -> Release | None:
    """The change of version that today's version came with; None if none is in sight."""
    version, versions = facts.current.champion_version, facts.history.versions
    place = len(versions)
    while place > 0 and versions[place - 1] == version:
        place -= 1
    before = versions[place - 1] if place else UNKNOWN_VERSION
    if UNKNOWN_VERSION in (version, before):
        return None
    return Release(version, before, len(versions) - place + 1)


def began(facts: DayFacts, result: DriftResult, served: int) -> bool:
    """Whether a measure changed ``served`` observed days ago, today counted.

    The days are cut in two at every place; the cut there must part them ``AS_GOOD`` as well as
    the best one: the between-group sum of squares, which is the likelihood of a change point in
    the mean (Hinkley 1970). Values are clipped to 1.5 times today's change, so that one wild day
    of the past parts nothing.
    """
    found = facts.current.measure(result.measure)
    if found is None or found.value is None:
        return False
    series = facts.history.get(result.measure, found.signature)
    days = len(facts.history.days)
    old = [
        (place, value)
        for place, value in enumerate(series.values if series else ())
        if value is not None and facts.history.trusted[place]
    ][-WINDOW_DAYS:]
    since = sum(place > days - served for place, _ in old) + 1
    values = _clipped([*(value for _, value in old), found.value], since)
    gains = {k: _gain(values, k) for k in range(1, len(values) - LEAST_BEFORE + 1)}
    best = max(gains.values(), default=0.0)
    return best > 0.0 and gains.get(since, 0.0) >= AS_GOOD * best


def _clipped(values: Sequence[float], since: int) -> list[float]:
    """In logarithms where all are positive, within ``WIDEST`` changes of the days before."""
    scaled = [math.log(v) for v in values] if min(values) > 0.0 else list(values)
    before = scaled[:-since]
    if not before:
        return scaled
    centre = median(before)
    reach = WIDEST * abs(scaled[-1] - centre)
    return [min(max(x, centre - reach), centre + reach) for x in scaled]


def _gain(values: Sequence[float], last: int) -> float:
    """Between-group sum of squares of the last days against those before."""
    n, after, before = len(values), values[-last:], values[:-last]
    step = math.fsum(after) / last - math.fsum(before) / (n - last)
    return last * (n - last) / n * step * step
