"""What a search for a compression tried, what it found, and what earlier days knew of it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from upkeep.records.base import Count, NonNegative, Record

TrialState = Literal["measured", "failed", "stopped"]
Verdict = Literal["passed", "refused", "measured", "slower", "failed"]


class Step(Record):
    """One method with its settings; a route is several, each reading what the one before made."""

    method: str
    params: dict[str, Any] = Field(default_factory=dict)


class Prediction(Record):
    """What was expected before anything ran; ``words`` say from what.

    ``speedup`` is champion's / candidate's time of a token, ``size_share`` candidate's /
    champion's bytes on disk.
    """

    speedup: float | None = None
    size_share: float | None = None
    words: str = ""


class Measured(Record):
    """A trial beside the champion, in turn, on texts that neither gate nor calibration sees.

    ``quality_loss`` is the relative change of perplexity (0.01 = 1 % worse), with the standard
    error of the paired samples; of a method that trained, against a control of equal training.
    Speed-ups are medians over the rounds of champion / candidate.
    """

    quality_loss: float
    quality_loss_se: NonNegative | None = None
    against_control: bool = False
    speedup: float
    speedup_low: float | None = None
    speedup_high: float | None = None
    concurrent_speedup: float | None = None
    size_bytes: Count
    size_share: NonNegative
    token_agreement: float | None = None
    precision: str
    rounds: Count
    samples: Count

    @property
    def words(self) -> str:
        """Loss, speed and size, as people read them."""
        error = f" +- {self.quality_loss_se:.2%}" if self.quality_loss_se is not None else ""
        against = " against equal training" if self.against_control else ""
        return (
            f"quality loss {self.quality_loss:+.2%}{error}{against}, {self.speedup:.2f} times as "
            f"fast, {self.size_share:.3f} of the size"
        )


class Trial(Record):
    """One way that was tried. ``suggested`` is what the sampler chose, by the space's names.

    ``stopped`` ended the search: out of disk or memory.
    """

    number: Count
    route: str
    steps: tuple[Step, ...]
    suggested: dict[str, str | int | float]
    target: str
    predicted: Prediction
    state: TrialState
    reason: str = ""
    measured: Measured | None = None
    measurements: dict[str, float] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: NonNegative


class TrialStart(Record):
    """That a trial was begun: one that kills the process twice is not tried a third time."""

    number: Count
    attempt: Annotated[int, Field(ge=1)]
    steps: tuple[Step, ...]


class SearchResult(Record):
    """How a search ended: the chosen trial and why, or why there is none and which was nearest.

    ``front`` are the trials that no other beats in quality, speed and size at once.
    """

    goal: dict[str, float | str]
    target: str
    trials: Count
    front: tuple[int, ...]
    finalists: tuple[int, ...]
    chosen: int | None
    nearest: int | None
    why: str
    ended: str
    tried_last: tuple[str, ...] = ()


class Earlier(Record):
    """What an earlier day found of a route on a target: by a trial, or by the gate."""

    day: date
    target: str
    steps: tuple[Step, ...]
    verdict: Verdict
    speedup: float | None = None
    size_share: float | None = None
    quality_loss: float | None = None
    words: str = ""
