"""Late data: a day is looked at again, and what changed is a revision that anybody can see.

The first revision of a day is what its decision was made on, and stays. Data that comes later
makes revision 2, 3, ..: new metrics, a new verdict on the data, and the differences, in one
record written once. It changes no decision; later days compare themselves with the newest
revision of their past.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from upkeep.records import DailyMetrics, LateChange, Revision, ValidationResult
from upkeep.store import Store, adopt_or_put, get_record, record_key

Judge = Callable[[DailyMetrics], ValidationResult]
# What a second look may say in other words without a number having changed.
NOT_COMPARED = frozenset({"quarantined", "rejected", "flags", "disagreements", "hours"})


def revisions(store: Store, model: str, day: date) -> list[Revision]:
    """The day's later revisions, oldest first; none where no data came late."""
    found: list[Revision] = []
    while (late := get_record(store, _key(model, day, len(found) + 2), Revision)) is not None:
        found.append(late)
    return found


def newest(store: Store, model: str, day: date) -> tuple[DailyMetrics, ValidationResult] | None:
    """What is known of a day now: its newest revision; None if it was never observed."""
    later = revisions(store, model, day)
    return (later[-1].metrics, later[-1].validation) if later else first(store, model, day)


def first(store: Store, model: str, day: date) -> tuple[DailyMetrics, ValidationResult] | None:
    """What its decision was made on: the day's first revision; None if it was never observed."""
    metrics = get_record(store, record_key(model, day, "metrics"), DailyMetrics)
    checked = get_record(store, record_key(model, day, "validation"), ValidationResult)
    return (metrics, checked) if metrics is not None and checked is not None else None


def look_again(store: Store, seen: DailyMetrics, judge: Judge) -> Revision | None:
    """Write a revision if ``seen`` is not what is known of its day; None if nothing changed.

    ``judge`` says whether the new data can be trusted; it is asked only where something
    changed. A day that was never observed has nothing to be late for. Where less of the day is
    covered than before, data has gone (a retention ended): that is no news of the day, and what
    is known of it stays.
    """
    known = newest(store, seen.model, seen.day)
    if known is None or seen.coverage < known[0].coverage:
        return None
    changes = tuple(differences(known[0], seen))
    if not changes:
        return None
    number = len(revisions(store, seen.model, seen.day)) + 2
    made = Revision(
        model=seen.model,
        day=seen.day,
        revision=number,
        metrics=seen,
        validation=judge(seen),
        changes=changes,
    )
    return adopt_or_put(store, _key(seen.model, seen.day, number), made)


def differences(before: DailyMetrics, after: DailyMetrics) -> Iterator[LateChange]:
    """Each number that is another one now, by its path in the record, sorted."""
    old, new = dict(_numbers(before)), dict(_numbers(after))
    for name in sorted(old.keys() | new.keys()):
        was, is_ = old.get(name), new.get(name)
        if was is None and is_ is None:
            continue
        if was is None or is_ is None or not math.isclose(was, is_, rel_tol=1e-9, abs_tol=0.0):
            yield LateChange(measure=name, before=was, after=is_)


def _numbers(metrics: DailyMetrics) -> Iterator[tuple[str, float]]:
    kept = metrics.model_dump(exclude=set(NOT_COMPARED))
    for path, value in _leaves(kept):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield path, float(value)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _key(model: str, day: date, revision: int) -> str:
    return record_key(model, day, "late", revision)
