"""Settings of the methods that run other methods: ``chain`` and ``search``. Pure.

Both programs check them: the cycle when it reads a model's file, the worker before it reads
anything else.

A route's settings are values, or what may be chosen from::

    {group_size: 64}                          always 64
    {group_size: [32, 64, 128]}               one of these; the first is tried first
    {ratio: {low: 0.5, high: 1.0}}            a number in [0.5, 1]; whole where both ends are
    {rank: {low: 8, high: 512, log: true}}    the same, even on the logarithmic scale
    {blocks: {choice: [[0, 1], [2, 3]]}}      one of these, where a value is a list itself
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from upkeep.compression_methods import METHODS
from upkeep.job_params import JobParams
from upkeep.records import Step

Prefer = Literal["speed", "size", "balanced"]
RANGE_KEYS = frozenset({"low", "high", "log"})
SPACE_KEYS = RANGE_KEYS | {"choice"}  # a mapping without any of these is a setting's own value


def known_step(name: str) -> str:
    """The name itself; ValueError for a method that is none, or that runs others itself."""
    steps = sorted(n for n, method in METHODS.items() if method.family != "search")
    if name not in steps:
        raise ValueError(f"{name!r} is no step; known are {steps}")
    return name


class StepParams(JobParams):
    """One method and its settings."""

    method: Annotated[str, AfterValidator(known_step)]
    params: dict[str, Any] = Field(default_factory=dict)


Steps = Annotated[tuple[StepParams, ...], Field(min_length=1, max_length=8, strict=False)]


class ChainParams(JobParams):
    """``steps`` run one after the other, each on the folder that the one before made."""

    steps: Steps

    @model_validator(mode="after")
    def _follow(self) -> Self:
        check_order(self.steps)
        return self

    def records(self) -> tuple[Step, ...]:
        """The steps as records."""
        return tuple(Step(method=step.method, params=step.params) for step in self.steps)


class Route(JobParams):
    """A way to compress whose settings are still to be chosen."""

    steps: Steps

    @model_validator(mode="after")
    def _follow(self) -> Self:
        check_order(self.steps)
        for step in self.steps:
            for name, value in step.params.items():
                check_setting(f"{step.method}.{name}", value)
        return self


class Goal(JobParams):
    """What a candidate must show on the texts kept for the search, beside the champion.

    ``max_quality_loss`` is relative perplexity (0.01 = 1 % worse), ``min_speedup`` champion's /
    candidate's time of a continuation, ``max_size_share`` candidate's / champion's bytes.
    ``prefer`` says which of those that meet all is best: the fastest, the smallest, or the one
    of the largest speed-up / size.
    """

    max_quality_loss: Annotated[float, Field(gt=0.0, lt=10.0)] = 0.01
    min_speedup: Annotated[float, Field(gt=0.0, le=1000.0)] | None = None
    max_size_share: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    prefer: Prefer = "balanced"


class SearchParams(JobParams):
    """Budget, goal and space of a search.

    It ends after ``trials`` trials or when a trial would begin after ``minutes``, whichever is
    first; at least one of the two is stated. Without ``routes`` those of ``search_routes`` are
    tried. Of the texts ``dev_share`` (at most
    ``dev_samples``) judge; the others calibrate and train. The best ``finalists`` are measured
    once more over ``final_rounds``.
    """

    trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    minutes: Annotated[float, Field(gt=0.0, le=100_000.0)] | None = None
    goal: Goal = Goal()
    routes: Annotated[tuple[Route, ...], Field(max_length=200, strict=False)] = ()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dev_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    dev_samples: Annotated[int, Field(ge=10, le=100_000)] = 200
    rounds: Annotated[int, Field(ge=6, le=1_000)] = 6
    final_rounds: Annotated[int, Field(ge=6, le=10_000)] = 20
    finalists: Annotated[int, Field(ge=1, le=20)] = 3
    prompts: Annotated[int, Field(ge=1, le=1_000)] = 2
    new_tokens: Annotated[int, Field(ge=1, le=100_000)] = 24
    concurrency: Annotated[int, Field(ge=1, le=256)] = 1
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.trials is None and self.minutes is None:
            raise ValueError("a search needs a budget: state trials:, minutes: or both")
        return self


def check_order(steps: tuple[StepParams, ...]) -> None:
    """Return only if every step but the last leaves safetensors, which the next one reads."""
    for step in steps[:-1]:
        if METHODS[step.method].format != "safetensors":
            rule = f"writes {METHODS[step.method].format}: nothing can follow it"
            raise ValueError(f"{step.method} {rule}")


def check_setting(name: str, value: Any) -> None:
    """Return only if a route's setting is a value, a list of choices, or a range."""
    if isinstance(value, list) and not value:
        raise ValueError(f"{name}: an empty list leaves nothing to choose")
    if not isinstance(value, Mapping) or not SPACE_KEYS & set(value):
        return
    if set(value) == {"choice"} and isinstance(value["choice"], list) and value["choice"]:
        return
    if not {"low", "high"} <= set(value) <= RANGE_KEYS:
        raise ValueError(f"{name}: must be a value, a list, {{choice: [..]}} or {{low:, high:}}")
    low, high = value["low"], value["high"]
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        raise ValueError(f"{name}: low and high must be numbers")
    if not low < high or (value.get("log") and low <= 0):
        raise ValueError(f"{name}: low must be under high, and over 0 with log")


def target_name(cpu: str, threads: int | str) -> str:
    """What a speed was measured on: measures of two targets are not held against each other."""
    return f"{cpu}, {threads} threads"
