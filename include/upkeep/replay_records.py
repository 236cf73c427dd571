"""What a replay asks and what it answers: the records that it leaves in the store."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from upkeep.records import (
    Action,
    Count,
    HashedInput,
    Interval,
    ModelName,
    NonNegative,
    Record,
    Sha256,
)

Quantity = Literal["jobs", "gpu_hours", "job_usd", "degraded_days", "serving_usd"]


class ReplayQuestion(Record):
    """One model's days, decided again by ``policy`` (as JSON); None is each day's recorded one.

    ``first`` and ``last`` bound the days, both included; None does not bound.
    """

    model: ModelName
    first: date | None = None
    last: date | None = None
    policy: dict[str, Any] | None = None


class ReplayedDay(Record):
    """One day decided again.

    ``stored`` is what was decided, ``replayed`` what is decided from the facts as they were,
    ``carried`` what is decided where the past is what the other policy made of it. ``differs``
    names the records that are not byte for byte what is stored. ``before`` and ``after`` are
    the first reasons of a flip, ``changed`` the words that come (+) and go (-). A day with a
    ``problem`` could not be replayed.
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

    @property
    def identical(self) -> bool:
        """Whether every record of the day came out byte for byte."""
        return not self.problem and not self.differs

    @property
    def flips(self) -> bool:
        """Whether another action is decided, from the facts as they were or carried on."""
        other = self.replayed != self.stored or self.carried not in (None, self.stored)
        return other and not self.problem


class Arm(Record):
    """What one policy's decisions come to, one entry a replayed day.

    ``jobs`` asked for, their ``gpu_hours`` and ``job_usd``; ``harmed``: a harm on that day that
    nothing had healed for certain; ``tries``: the jobs since the harm began whose outcome is
    only estimated; ``serving_usd``. None: not known.
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
    models: tuple[ModelSummary, ...]
    estimates: tuple[Estimate, ...]

    @property
    def flipped(self) -> bool:
        """Whether any decision flips, from the facts as they were or carried on."""
        return any(m.flips or m.carried_flips for m in self.models)

    @property
    def failed(self) -> bool:
        """Whether a day could not be replayed, or differs under its own recorded policy."""
        recorded = self.policy_sha256 is None
        return any(m.problems or (recorded and m.identical != m.days) for m in self.models)
