"""From the day's measures to the decision, with every reason."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from upkeep.records.base import (
    Action,
    Cause,
    Count,
    Direction,
    DriftState,
    Interval,
    ModelName,
    Record,
    Sha256,
)
from upkeep.records.people import People
from upkeep.records.production import ValidationResult


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


class DayMeasures(Record):
    """All measures of one day, and what served it."""

    day: date
    trusted: bool
    champion_version: str
    measures: tuple[MeasureValue, ...]

    def measure(self, name: str) -> MeasureValue | None:
        """A measure by its name, or None where it was not even asked for."""
        return next((m for m in self.measures if m.name == name), None)

    def value(self, name: str) -> float | None:
        """The value of a measure, or None where it was not collected."""
        found = self.measure(name)
        return found.value if found else None


class PastDecision(Record):
    """What an earlier day decided and what came of it."""

    day: date
    action: Action
    outcome: Literal["none", "running", "promoted", "refused", "failed"]


class DayFacts(Record):
    """Everything that a decision may read: replay needs this record and a policy, no more."""

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=1)]
    champion_version: str | None
    champion_format: str | None
    validation: ValidationResult
    current: DayMeasures
    history: tuple[DayMeasures, ...]
    past_decisions: tuple[PastDecision, ...]
    people: People | None = None


class DriftResult(Record):
    """One measure of the day against its baseline.

    ``effect`` is (current - baseline) / baseline for relative tolerances and
    current - baseline for absolute ones; ``evidence`` is the effect in standard deviations of
    ordinary day-to-day change, accumulated over the recent days.
    """

    measure: str
    slice: str | None = None
    baseline: float | None
    current: float | None
    effect: float | None
    interval: Interval | None
    tolerance: float
    tolerance_kind: Literal["relative", "absolute"]
    direction: Direction
    evidence: float | None
    baseline_days: Count
    state: DriftState
    words: str


class Drift(Record):
    """All drift results of a day."""

    model: ModelName
    day: date
    results: tuple[DriftResult, ...]

    def get(self, measure: str) -> DriftResult | None:
        """The result of one measure, or None if it is not watched."""
        return next((r for r in self.results if r.measure == measure), None)


class CauseEvidence(Record):
    """One cause that was considered, its score (higher explains more) and why."""

    cause: Cause
    score: float
    words: str


class Diagnosis(Record):
    """Which cause explains the drifts together; ``ranked`` starts with ``cause``."""

    model: ModelName
    day: date
    cause: Cause
    ranked: tuple[CauseEvidence, ...]


class Reason(Record):
    """One reason of a decision: the fact, its value, the rule and the threshold, in words."""

    fact: str
    value: str
    rule: str
    threshold: str
    words: str


class HashedInput(Record):
    """An input of a decision, by name and hash."""

    name: str
    sha256: Sha256


class JobRequest(Record):
    """What a decision asks the cluster to do."""

    kind: Literal["compress", "retrain"]
    method: str


class Decision(Record):
    """What is done about one model's day, and every reason for it."""

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=1)]
    action: Action
    cause: Cause
    reasons: tuple[Reason, ...]
    champion_version: str | None
    job: JobRequest | None
    inputs: tuple[HashedInput, ...]
    policy_version: str
    policy_sha256: Sha256
