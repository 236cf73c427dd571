"""What a replay asks and what it answers: the records that it leaves in the store."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from upkeep.records import (
    Action,
    Count,
    DayFacts,
    Decision,
    Diagnosis,
    Drift,
    HashedInput,
    Interval,
    JobRequest,
    ModelName,
    NonNegative,
    Record,
    Sha256,
)

Harm = Literal["", "quality", "latency"]
Outcome = Literal["none", "running", "promoted", "refused", "failed"]
Quantity = Literal["jobs", "gpu_hours", "job_usd", "degraded_days", "serving_usd"]


class ReplayQuestion(Record):
    """One model's days, decided again by ``policy`` (as JSON); None is each day's recorded one.

    ``first`` and ``last`` bound the days, both included; None does not bound. ``budget`` is what
    the fleet's jobs of a day may use together, as JSON; None is each day's recorded one.
    """

    model: ModelName
    first: date | None = None
    last: date | None = None
    policy: dict[str, Any] | None = None
    budget: dict[str, Any] | None = None

    @property
    def what_if(self) -> bool:
        """Whether something else is tried than what was in force."""
        return self.policy is not None or self.budget is not None


class ReplayedDay(Record):
    """One day decided again.

    ``stored`` is what was decided, ``replayed`` what is decided from the facts as they were,
    ``carried`` what is decided where the past is what the other policy made of it. ``differs``
    names the records that are not byte for byte what is stored. ``before`` and ``after`` are
    the first reasons of a flip, ``changed`` the words that come (+) and go (-). ``budget`` says
    what the fleet's budget has for the job that is carried on, where that is another answer than
    the recorded one. A day with a ``problem`` could not be replayed.
    """

    day: date
    problem: str = ""
    differs: tuple[str, ...] = ()
    stored: Action | None = None
    replayed: Action | None = None
    carried: Action | None = None
    before: str = ""
    after: str = ""
    changed: tuple[str, ...] = ()
    budget: str = ""

    @property
    def identical(self) -> bool:
        """Whether every record of the day came out byte for byte."""
        return not self.problem and not self.differs

    @property
    def flips(self) -> bool:
        """Whether another action is decided, from the facts as they were or carried on."""
        other = self.replayed != self.stored or self.carried not in (None, self.stored)
        return other and not self.problem

    @property
    def told(self) -> bool:
        """Whether another policy or budget makes something else of the day."""
        return self.flips or bool(self.budget)


class Arm(Record):
    """What one policy's decisions come to, one entry a replayed day.

    ``jobs`` that the budget had room for, their ``gpu_hours`` and ``job_usd``; ``harmed``: a
    harm on that day that nothing had healed for certain; ``tries``: the jobs since the harm
    began whose outcome is only estimated; ``serving_usd``. None: not known.
    """

    jobs: tuple[Count, ...]
    gpu_hours: tuple[NonNegative | None, ...]
    job_usd: tuple[NonNegative | None, ...]
    harmed: tuple[bool, ...]
    tries: tuple[Count, ...]
    serving_usd: tuple[NonNegative | None, ...]


class Gates(Record):
    """How many of a model's stored jobs were judged by a gate or failed, and were promoted."""

    promoted: Count
    judged: Count


class ModelReplay(Record):
    """The answer for one model; the arms are those of another policy, None for the recorded.

    ``inputs_sha256`` is over the hashes of every record that was read, ``program_sha256`` over
    the source of this program. ``assumptions`` say in words what is taken for granted. With a
    ``problem`` no day could be replayed.
    """

    question: ReplayQuestion
    inputs_sha256: Sha256
    program_sha256: Sha256
    days: tuple[ReplayedDay, ...]
    problem: str = ""
    stored: Arm | None = None
    other: Arm | None = None
    gates: Gates = Gates(promoted=0, judged=0)
    assumptions: tuple[str, ...] = ()


class AskingDay(Record):
    """What a day is decided from whose decision the days before can change.

    ``facts`` are without their history, which the rest was made of. ``policy`` is the recorded
    one as JSON, None where another is tried. ``stored`` and ``made`` are the decisions as they
    were and as the facts as they were give them.
    """

    facts: DayFacts
    drift: Drift
    diagnosis: Diagnosis
    methods: dict[str, str]
    policy: dict[str, Any] | None
    stored: Decision
    made: Decision


class Costs(Record):
    """What a job takes, or would take; None: not known."""

    gpu_hours: NonNegative | None
    usd: NonNegative | None


class LivedDay(Record):
    """One day as it was, for what is carried on.

    ``decided`` and ``outcome`` are the stored ones, ``replayed`` what is decided from the facts
    as they were, ``job`` what that asks for. ``ordered``: a person's order stands over the
    decision. ``harm`` is production's, None: not known. ``served_usd`` is what serving cost,
    ``saving`` the share of it that a compression saves. ``asking`` is None where no past
    decision changes the day's.
    """

    day: date
    decided: Action
    outcome: Outcome
    replayed: Action
    job: JobRequest | None
    ordered: bool
    compressed: bool
    harm: Harm | None
    served_usd: float | None
    saving: float
    compress: Costs
    retrain: Costs
    asking: AskingDay | None = None

    def costs(self, action: Action) -> Costs:
        """What the job of an action takes; nothing where it is none."""
        nothing = Costs(gpu_hours=0.0, usd=0.0)
        return {"compress": self.compress, "retrain": self.retrain}.get(action, nothing)


class Survey(Record):
    """One model's days decided again, each from its facts as they were; nothing is carried on yet.

    ``lived`` has the days that could be replayed; none where nothing else is tried.
    """

    answer: ModelReplay
    lived: tuple[LivedDay, ...] = ()


class Estimate(Record):
    """One quantity over the days: stored, under the other policy, and the change.

    ``interval`` is of the change, for as many days of the same fleet; None where it is not
    known. ``n_days`` are the days and ``n_models`` the models that it is made of.
    """

    quantity: Quantity
    unit: str
    stored: float | None
    other: float | None
    change: float | None
    interval: Interval | None
    n_days: Count
    n_models: Count
    words: str = ""


class ModelSummary(Record):
    """One model of a fleet's replay, without its days."""

    model: ModelName
    days: Count
    identical: Count
    flips: Count
    carried_flips: Count
    problems: Count
    estimates: tuple[Estimate, ...]


class FleetReplay(Record):
    """The answer for several models. ``replays`` are the models' answers, by key and hash."""

    policy_sha256: Sha256 | None
    replays: tuple[HashedInput, ...]
    budget: dict[str, Any] | None = None
    models: tuple[ModelSummary, ...]
    estimates: tuple[Estimate, ...]

    @property
    def what_if(self) -> bool:
        """Whether another policy or budget is tried than those that were in force."""
        return self.policy_sha256 is not None or self.budget is not None

    @property
    def flipped(self) -> bool:
        """Whether any decision flips, from the facts as they were or carried on."""
        return any(m.flips or m.carried_flips for m in self.models)

    @property
    def failed(self) -> bool:
        """Whether a day could not be replayed, or differs under its own recorded policy."""
        recorded = not self.what_if
        return any(m.problems or (recorded and m.identical != m.days) for m in self.models)
