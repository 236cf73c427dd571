"""How good a model version's answers were on one evaluation set."""

from __future__ import annotations

from datetime import date

from upkeep.records.base import Count, Direction, Interval, ModelName, Record, Sha256


class SliceScore(Record):
    """A measure's score on one slice of the evaluation set."""

    name: str
    score: float
    interval: Interval | None
    n: Count


class QualityResult(Record):
    """One quality measure of one model version on one evaluation set."""

    model: ModelName
    day: date
    measure: str
    score: float
    interval: Interval | None
    n: Count
    unit: str
    direction: Direction
    model_version: str
    evaluation_set_sha256: Sha256
    signature: str
    slices: tuple[SliceScore, ...] = ()


class Evaluation(Record):
    """What the evaluate job gives: all quality results of one model version on one day."""

    model: ModelName
    day: date
    model_version: str
    results: tuple[QualityResult, ...]
