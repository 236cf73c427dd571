"""The measures of many days in columns: what a decision knows of the past.

Columns, because a decision over sixty days of thirty measures is read again by every replay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from statistics import NormalDist
from typing import Self

from pydantic import model_validator

from upkeep.records.base import Count, Interval, Record

Z_95 = NormalDist().inv_cdf(0.975)


class MeasureValue(Record):
    """One number of one day, as drift, diagnosis and policy read it.

    ``signature`` is what two values must have in common to be compared; ``why`` says why there
    is no value.
    """

    name: str
    value: float | None
    interval: Interval | None = None
    n: Count = 0
    signature: str = ""
    why: str = ""

    @property
    def error(self) -> float | None:
        """The value's own standard error within the day, from its interval; None if unknown."""
        span = self.interval
        if span is None or not 0.0 < span.confidence < 1.0:
            return None
        return span.half_width / NormalDist().inv_cdf((1.0 + span.confidence) / 2.0)


class DayMeasures(Record):
    """All measures of one day, and what served it."""

    day: date
    trusted: bool
    champion_version: str
    measures: tuple[MeasureValue, ...]

    def measure(self, name: str) -> MeasureValue | None:
        """A measure by its name, or None where it was not even asked for."""
        for found in self.measures:  # a generator would take twice as long; it is asked often
            if found.name == name:
                return found
        return None

    def value(self, name: str) -> float | None:
        """The value of a measure, or None where it was not collected."""
        found = self.measure(name)
        return found.value if found else None


class Series(Record):
    """One measure, measured in one way, over the days of a history.

    ``values``, ``errors`` (standard errors within the day) and ``n`` have one entry a day, in
    the measure's unit; None where the day has none.
    """

    name: str
    signature: str
    values: tuple[float | None, ...]
    errors: tuple[float | None, ...]
    n: tuple[int, ...]


class History(Record):
    """Past days, oldest first, in columns; a day may be missing.

    A measure has one series for each way in which it was measured. Series are sorted by name,
    then by the first day that they have a value on.
    """

    days: tuple[date, ...]
    trusted: tuple[bool, ...]
    versions: tuple[str, ...]
    series: tuple[Series, ...]

    @model_validator(mode="after")
    def _one_entry_a_day(self) -> Self:
        n = len(self.days)
        whole = len(self.trusted) == len(self.versions) == n
        if not whole or any(
            len(s.values) != n or len(s.errors) != n or len(s.n) != n for s in self.series
        ):
            raise ValueError(f"history: every column must have {n} entries, one a day")
        if any(a >= b for a, b in zip(self.days, self.days[1:], strict=False)):
            raise ValueError("history: days must rise")
        return self

    @classmethod
    def of(cls, days: Sequence[DayMeasures]) -> Self:
        """Columns of these days, which rise."""
        columns: dict[tuple[str, str], list[MeasureValue | None]] = {}
        for place, day in enumerate(days):
            for found in day.measures:
                if found.value is not None:
                    column = columns.setdefault((found.name, found.signature), [None] * len(days))
                    column[place] = found
        firsts = {key: next(n for n, m in enumerate(c) if m) for key, c in columns.items()}
        ordered = sorted(columns, key=lambda key: (key[0], firsts[key], key[1]))
        return cls(
            days=tuple(d.day for d in days),
            trusted=tuple(d.trusted for d in days),
            versions=tuple(d.champion_version for d in days),
            series=tuple(_series(*key, columns[key]) for key in ordered),
        )

    def get(self, name: str, signature: str = "") -> Series | None:
        """A measure measured in one way, or None where no day has it."""
        for series in self.series:
            if series.name == name and series.signature == signature:
                return series
        return None

    def of_measure(self, name: str) -> Iterator[Series]:
        """A measure, however it was measured."""
        return (s for s in self.series if s.name == name)

    def rows(self) -> Iterator[DayMeasures]:
        """The days again, one by one; intervals are those of their standard errors at 95 %."""
        for place, day in enumerate(self.days):
            found = (_value(series, place) for series in self.series)
            yield DayMeasures(
                day=day,
                trusted=self.trusted[place],
                champion_version=self.versions[place],
                measures=tuple(m for m in found if m is not None),
            )

    def names(self) -> tuple[str, ...]:
        """The measures that any day has a value of, sorted."""
        return tuple(dict.fromkeys(s.name for s in self.series))


def _value(series: Series, place: int) -> MeasureValue | None:
    value, error = series.values[place], series.errors[place]
    if value is None:
        return None
    span = None
    if error is not None:
        span = Interval(low=value - Z_95 * error, high=value + Z_95 * error)
    return MeasureValue(
        name=series.name,
        value=value,
        interval=span,
        n=series.n[place],
        signature=series.signature,
    )


def _series(name: str, signature: str, column: Sequence[MeasureValue | None]) -> Series:
    return Series(
        name=name,
        signature=signature,
        values=tuple(m.value if m else None for m in column),
        errors=tuple(m.error if m else None for m in column),
        n=tuple(m.n if m else 0 for m in column),
    )
