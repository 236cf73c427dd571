"""How good a model version's answers were on one evaluation set."""

from __future__ import annotations

from datetime import date

from upkeep.records.base import (
    Count,
    Direction,
    FileHash,
    Interval,
    ModelName,
    Record,
    Sha256,
    Share,
)


class SliceScore(Record):
    """A measure's score on one slice of the evaluation set."""

    name: str
    score: float
    interval: Interval | None
    n: Count


class QualityResult(Record):
    """One quality measure of one model version on one evaluation set.

    ``signature`` says how it was computed: scores compare only where it is the same. ``tokens``
    counts what was predicted, where that is what is scored.
    """

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
    tokens: Count | None = None


class Unmeasured(Record):
    """A measure that was asked for and has no score, and why: never the same as not asked for."""

    measure: str
    words: str


class FailureMode(Record):
    """One kind of bad output: its name, how many outputs are of it, and some of them by id.

    ``words`` says what they have in common; ``share`` is of all outputs looked at.
    """

    name: str
    words: str
    n: Count
    share: Share
    sample_ids: tuple[str, ...]


class Evaluation(Record):
    """What the evaluate job gives: all quality results of one model version on one day.

    ``scores`` are the scores of each sample, JSON lines in the store; see
    :class:`SampleScores`.
    """

    model: ModelName
    day: date
    model_version: str
    results: tuple[QualityResult, ...]
    unmeasured: tuple[Unmeasured, ...] = ()
    failure_modes: tuple[FailureMode, ...] = ()
    scores: FileHash | None = None


class SampleScores(Record):
    """One sample's scores, by measure, where a measure has one for each sample."""

    id: str
    slice: str
    scores: dict[str, float]
