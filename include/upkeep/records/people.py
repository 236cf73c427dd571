"""What people said about a model's outputs, and what that does to the automatic measures."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from upkeep.records.base import Count, Interval, ModelName, Record, Share

Criterion = Literal["coherence", "relevance", "diversity", "realism"]
Level = Literal["system", "sample"]
Statistic = Literal["pearson", "spearman", "kendall"]
LOWEST, HIGHEST = 1, 5


def _in_utc(at: datetime) -> datetime:
    """The same moment in UTC; a time without a zone is meant in UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


class Rating(Record):
    """One person's answer about one output: 1 (bad) to 5 (good).

    ``day`` is the day that the output was made, ``at`` when the answer was given (UTC), and
    ``door`` where.
    """

    sample_id: str
    day: date
    criterion: Criterion
    value: Annotated[int, Field(ge=LOWEST, le=HIGHEST)]
    rater: Annotated[str, Field(min_length=1, max_length=320)]
    at: Annotated[datetime, AfterValidator(_in_utc)]
    door: Literal["mlflow", "airflow"]


class Excluded(Record):
    """Ratings that do not count, how many, and why."""

    what: str
    n: Count
    reason: str


class CriterionResult(Record):
    """One criterion over the window: what people say, and how far they agree.

    ``score`` is the mean of the outputs' mean ratings (1 to 5). ``outputs`` counts those with
    enough raters; ``ratings`` and ``raters`` are all that were let in, also of outputs that
    have too few raters so far. ``alpha`` is Krippendorff's for ordinal data, None where no
    output has two raters or all gave the same value; ``weight`` (0 to 1) is what it counts.
    """

    criterion: Criterion
    score: float | None
    interval: Interval | None
    outputs: Count
    ratings: Count
    raters: Count
    alpha: float | None
    weight: Share
    words: str


class Agreement(Record):
    """How far one automatic measure goes with people: 1 together, 0 not at all, -1 against.

    Signed so that more is better, whatever the measure's direction. ``n`` counts outputs, or
    model versions at the level ``system``. None: too few, or no spread.
    """

    measure: str
    criterion: Criterion
    level: Level
    statistic: Statistic
    value: float | None
    interval: Interval | None
    n: Count


class Vote(Record):
    """Whether an automatic measure may move the decision, and why."""

    measure: str
    counts: bool
    words: str


class People(Record):
    """Everything that people's answers say on a day, as the day's decision reads it.

    ``first_day`` to ``day`` is the window of outputs; ``ratings`` counts the answers let in.
    """

    model: ModelName
    day: date
    first_day: date
    ratings: Count
    excluded: tuple[Excluded, ...] = ()
    criteria: tuple[CriterionResult, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    votes: tuple[Vote, ...] = ()
    flags: tuple[str, ...] = ()

    def vote(self, measure: str) -> Vote | None:
        """The vote of a measure; None where people said nothing about it."""
        return next((vote for vote in self.votes if vote.measure == measure), None)


class Offered(Record):
    """The outputs of a day that people are asked about, and by which criteria."""

    model: ModelName
    day: date
    sample_ids: tuple[str, ...]
    criteria: tuple[Criterion, ...]


class Answers(Record):
    """What one person answered about one output in one form; empty where they answered nothing."""

    model: ModelName
    day: date
    ratings: tuple[Rating, ...]
