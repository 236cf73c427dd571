"""Which of people's answers count: known rater, asked output, the last word, under the cap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import nsmallest

from upkeep.records import Criterion, Excluded, Rating
from upkeep.records.base import sha256_hex
from upkeep.records.people import HIGHEST, LOWEST
from upkeep.spec import Reviews

Output = tuple[date, str]
"""One output: the day that it was made, and its sample's id."""

NOBODY = frozenset({"", "anonymous", "default", "none", "unknown"})
"""Raters that are nobody; ``default`` is what MLflow writes where no source is given."""


@dataclass(frozen=True)
class Admitted:
    """The answers let in, those left out, and the people with more than the cap allows.

    An output, a criterion and a rater are together at most once in ``kept``.
    """

    kept: tuple[Rating, ...]
    excluded: tuple[Excluded, ...]
    capped: tuple[str, ...]

    def counts(self, criterion: Criterion) -> dict[Output, list[int]]:
        """How many people gave each value, the lowest first, by output in order."""
        found: dict[Output, list[int]] = {}
        for rating in self.kept:
            if rating.criterion == criterion:
                row = found.setdefault((rating.day, rating.sample_id), [0] * (HIGHEST - LOWEST + 1))
                row[rating.value - LOWEST] += 1
        return dict(sorted(found.items()))

    def raters(self, criterion: Criterion) -> set[str]:
        """Who answered."""
        return {rating.rater for rating in self.kept if rating.criterion == criterion}


def first_day(day: date, reviews: Reviews) -> date:
    """The first day of the window that ends with ``day``."""
    return day - timedelta(days=reviews.window_days - 1)


def admit(
    day: date, reviews: Reviews, ratings: Iterable[Rating], offered: Collection[Output]
) -> Admitted:
    """The answers that count, whatever order they come in.

    A person who answers the same again is counted once, by the last answer. Of a person with
    more than ``max_per_rater`` answers on one UTC day, those about the outputs with the
    smallest hash are kept: neither haste nor their number lets anybody choose which.
    """
    asked, first, known = frozenset(reviews.criteria), first_day(day, reviews), frozenset(offered)
    left_out: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[Output, Criterion, str], Rating] = {}
    for rating in ratings:
        output = (rating.day, rating.sample_id)
        if rating.rater.strip().casefold() in NOBODY:
            left_out["answers of nobody", "who gave them is not known"] += 1
        elif rating.criterion not in asked:
            left_out[f"answers on {rating.criterion}", "reviews.criteria does not ask it"] += 1
        elif not first <= rating.day <= day:
            window = f"they are not of {first} to {day}"
            left_out["answers about outputs outside the window", window] += 1
        elif output not in known:
            left_out["answers about unknown outputs", "nobody was asked about them"] += 1
        else:
            key = (output, rating.criterion, rating.rater)
            before = last.get(key)
            if before is not None:
                again = "the same person answered the same again: the last answer counts"
                left_out["earlier answers", again] += 1
            if before is None or _order(before) < _order(rating):
                last[key] = rating
    kept, over = _under_cap(last.values(), reviews.max_per_rater)
    if over:
        most = f"{len(over)} people gave more, the most over it by {max(over.values())}"
        rule = f"at most {reviews.max_per_rater} of one person a day count; {most}"
        left_out["answers over the cap", rule] = sum(over.values())
    excluded = (Excluded(what=what, n=n, reason=why) for (what, why), n in sorted(left_out.items()))
    return Admitted(kept, tuple(excluded), tuple(sorted(over)))


def _order(rating: Rating) -> tuple[object, ...]:
    """Time first; the rest settles which of two answers of one moment is the last."""
    return rating.at, rating.door, rating.value


def _under_cap(ratings: Iterable[Rating], cap: int) -> tuple[tuple[Rating, ...], Counter[str]]:
    """What the cap leaves, and how many answers it took of whom."""
    by_person: dict[tuple[str, date], list[Rating]] = {}
    for rating in ratings:
        by_person.setdefault((rating.rater, rating.at.date()), []).append(rating)
    kept: list[Rating] = []
    over: Counter[str] = Counter()
    for (rater, _), given in by_person.items():
        kept += given if len(given) <= cap else _chosen(given, cap)
        if len(given) > cap:
            over[rater] += len(given) - cap
    return tuple(kept), over


def _chosen(given: Sequence[Rating], cap: int) -> list[Rating]:
    """All criteria of an output stay together, and all people keep the same outputs."""

    def place(rating: Rating) -> tuple[str, str]:
        return sha256_hex(f"{rating.day} {rating.sample_id}".encode()), rating.criterion

    return nsmallest(cap, given, key=place)
