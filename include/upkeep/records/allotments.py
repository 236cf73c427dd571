"""What the fleet's jobs of one day may use, and who got how much of it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from upkeep.records.base import Count, ModelName, NonNegative, Record, Sha256

WishKind = Literal["compress", "retrain", "rollback"]


class Wish(Record):
    """What one model's day would start, what it takes, and what it is worth a day.

    ``usd_per_day`` is what it saves or protects, ``harm_per_day`` the loss of quality that it
    is to end, in tolerances x requests; None: not known. ``ordered_by`` is the person who
    ordered it; None where the policy decided it. ``exists`` says that its job is there already.
    """

    model: ModelName
    kind: WishKind
    gpu_hours: NonNegative = 0.0
    usd_per_day: float | None = None
    harm_per_day: NonNegative | None = None
    payback_days: NonNegative | None = None
    ordered_by: str | None = None
    exists: bool = False


class Used(Record):
    """What a job that nobody asked the budget for takes of it: it was started by hand."""

    model: ModelName
    kind: WishKind
    gpu_hours: NonNegative


class Allotted(Record):
    """The answer to one wish, in words; ``ordered`` stands outside of the budget."""

    wish: Wish
    verdict: Literal["granted", "refused", "ordered"]
    words: str


class Allotment(Record):
    """One sharing out of a day's budget; ``previous_sha256`` is the one before it that day.

    Limits of None do not limit. ``why_none`` says why nothing can be granted at all.
    ``by_hand`` are the jobs that were found in the store and in no earlier allotment.
    """

    day: date
    revision: Annotated[int, Field(ge=1)]
    jobs_per_day: Count | None
    gpu_hours_per_day: NonNegative | None
    why_none: str = ""
    by_hand: tuple[Used, ...]
    allotted: tuple[Allotted, ...]
    previous_sha256: Sha256 | None
