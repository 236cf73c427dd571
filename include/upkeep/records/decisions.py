"""From the day's measures to the decision, with every reason."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from upkeep.records.base import (
    Action,
    Cause,
    ChampionEvent,
    Count,
    Direction,
    DriftState,
    Interval,
    ModelName,
    NonNegative,
    Record,
    Sha256,
)
from upkeep.records.history import DayMeasures, History
from upkeep.records.people import People
from upkeep.records.production import ValidationResult

Bottleneck = Literal["gpu", "network", "memory", "queue"]


class PastDecision(Record):
    """What an earlier day decided and what came of it.

    ``outcome`` is ``none`` where no job was started, also where the fleet's budget refused it.
    ``gpu_hours`` is what its job took, ``saving`` the share of the work that the gate measured
    its compression to save. None: not known.
    """

    day: date
    action: Action
    outcome: Literal["none", "running", "promoted", "refused", "failed"]
    gpu_hours: NonNegative | None = None
    saving: Annotated[float, Field(lt=1.0)] | None = None


class DayFacts(Record):
    """Everything that a decision may read: replay needs this record and a policy, no more.

    ``champion_event`` is how the ledger's champion came to be it, ``earlier_version`` the
    champion that a rollback would put back. None: not known, or there is none.
    """

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=1)]
    champion_version: str | None
    champion_format: str | None
    validation: ValidationResult
    current: DayMeasures
    history: History
    past_decisions: tuple[PastDecision, ...]
    people: People | None = None
    champion_event: ChampionEvent | None = None
    earlier_version: str | None = None


class DriftResult(Record):
    """One measure of the day against its baseline.

    ``effect`` is (current - baseline) / baseline for relative tolerances and
    current - baseline for absolute ones; of a measure that has slices it is the change within
    the slices, and ``mix_effect`` what the changed mix of known slices did on top. ``sds`` is
    the effect in standard deviations of ordinary day-to-day change. ``recent_effect`` is the
    effect over the last ``recent_days`` days, since when the evidence is strongest.
    ``evidence`` is a normal score: how many standard errors a change of level since then would
    be; ``needed`` is the threshold that it is held against.
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
    sds: float | None = None
    recent_effect: float | None = None
    recent_days: Count = 0
    mix_effect: float | None = None
    needed: float | None = None


class Drift(Record):
    """All drift results of a day."""

    model: ModelName
    day: date
    results: tuple[DriftResult, ...]

    def get(self, measure: str) -> DriftResult | None:
        """The result of one measure, or None if it is not watched."""
        return next((r for r in self.results if r.measure == measure), None)


class CauseEvidence(Record):
    """One cause that was considered, its score (0 to 1, higher explains more) and why.

    ``bottleneck`` is what the machines wait for, where the cause lies in them and it can be told.
    """

    cause: Cause
    score: float
    words: str
    bottleneck: Bottleneck | None = None


class CostSplit(Record):
    """The change of the day's cost against the baseline, in USD, and what made it.

    ``price_usd`` + ``volume_usd`` + ``efficiency_usd`` = ``change_usd``. None: not known.
    """

    baseline_usd: float
    current_usd: float
    change_usd: float
    price_usd: float | None
    volume_usd: float | None
    efficiency_usd: float | None
    words: str


class Diagnosis(Record):
    """Which cause explains the drifts together; ``ranked`` starts with ``cause``."""

    model: ModelName
    day: date
    cause: Cause
    ranked: tuple[CauseEvidence, ...]
    cost: CostSplit | None = None


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
    """What a decision asks the cluster to do, what that costs, and what it is worth a day.

    ``usd_per_day`` is what it saves or protects, ``harm_per_day`` the loss of quality that it
    is to end, in tolerances x requests. None: not known, or not of this kind of job.
    """

    kind: Literal["compress", "retrain"]
    method: str
    gpu_hours: NonNegative = 0.0
    usd: NonNegative = 0.0
    usd_per_day: float | None = None
    harm_per_day: NonNegative | None = None
    payback_days: NonNegative | None = None


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
