"""A review of a model: what is wrong or slow about it beyond one day, and what to do about it."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from upkeep.records.base import Count, ModelName, NonNegative, Record
from upkeep.records.jobs import Candidate, JobSpec
from upkeep.records.production import DailyMetrics

ReviewArea = Literal["architecture", "training", "inference", "infrastructure", "dependencies"]
Severity = Literal["note", "advice", "warning"]


class ReviewFinding(Record):
    """One thing that a review found.

    ``rule`` is its stable name. ``severity``: a ``note`` is worth knowing, ``advice`` has a gain,
    a ``warning`` does harm or may do so any day. ``evidence`` are numbers with units in their
    names; a version of a package is text. ``expected_gain`` says in words what acting on it
    would bring. It has an ``action``, or the reason why there is none, never both.
    """

    area: ReviewArea
    rule: str
    severity: Severity
    what: str
    evidence: dict[str, float | str] = Field(min_length=1)
    expected_gain: str
    action: str | None = None
    no_action_because: str | None = None

    @model_validator(mode="after")
    def _says_what_to_do(self) -> Self:
        if bool(self.action) == bool(self.no_action_because):
            raise ValueError("a finding has an action, or the reason why it has none")
        return self


class Uninspected(Record):
    """What could not be looked at, and why: nothing is known of it, which is no praise."""

    area: ReviewArea
    what: str
    words: str


class ReviewFacts(Record):
    """What the worker cannot see by itself: how production serves the model, and how it did.

    ``days`` are trusted days, oldest first. ``threads`` are the numbers of threads that the
    model's file sets, by the field's name; ``serving`` its part of that name. ``retrained`` is
    what the last retraining made, ``retrain_job`` what it was told.
    """

    model: ModelName
    day: date
    days: tuple[DailyMetrics, ...] = ()
    machines: Count | None = None
    usd_per_hour: NonNegative | None = None
    threads: dict[str, int] = Field(default_factory=dict)
    serving: dict[str, Any] = Field(default_factory=dict)
    retrain_job: JobSpec | None = None
    retrained: Candidate | None = None
    network_version: str | None = None


class Review(Record):
    """The five reviews of one model; ``findings`` by area, the gravest first."""

    model: ModelName
    day: date
    job_key: str
    model_version: str
    findings: tuple[ReviewFinding, ...]
    uninspected: tuple[Uninspected, ...] = ()

    def of(self, severity: Severity) -> tuple[ReviewFinding, ...]:
        """The findings of one severity."""
        return tuple(f for f in self.findings if f.severity == severity)
