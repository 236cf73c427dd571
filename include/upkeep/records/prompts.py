"""What a model is asked: its reference prompts, and how unlike them a day's prompts are."""

from __future__ import annotations

from datetime import date

from upkeep.records.base import Count, ModelName, NonNegative, Record


class PromptReference(Record):
    """The prompts that every later day is held against, as the sum of their directions.

    Of ``n`` prompts of ``days``; ``sums`` has one entry a feature, ``squares`` is the sum of
    the squared lengths of the directions, which are near 2**32 each: 65536 is length 1.
    ``kernel`` says what a feature is. No text is kept.
    """

    model: ModelName
    days: tuple[date, ...]
    kernel: str
    n: Count
    sums: tuple[int, ...]
    squares: Count


class PromptDistance(Record):
    """How unlike the reference a day's prompts are; ``why`` says why there is no number.

    ``value`` is the squared maximum mean discrepancy without bias (around 0 where nothing
    changed, so that it may be negative), ``error`` its standard error within the day, ``n`` the
    prompts looked at. Values compare where ``signature`` is the same.
    """

    model: ModelName
    day: date
    value: float | None
    error: NonNegative | None = None
    n: Count = 0
    signature: str = ""
    why: str = ""
