"""What one YAML of fleet/ says about one model: its sources, objectives, policy and jobs.

``config`` reads the files and reports errors by file:line:field; this module holds the shape.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticKnownError

from upkeep.compression_methods import METHODS
from upkeep.measures import MeasureName, SliceBy
from upkeep.records import (
    Action,
    Cause,
    Criterion,
    DayOpen,
    Direction,
    ModelName,
    Resources,
    canonical_json,
    sha256_hex,
)
from upkeep.spec_engines import (
    AwsBatchSettings,
    EngineName,
    KubernetesSettings,
    RaySettings,
    SageMakerSettings,
    SlurmSettings,
)
from upkeep.spec_part import OpenShare, Part, Ratio, Url
from upkeep.spec_payback import Payback
from upkeep.spec_serving import ReviewJob, Serving
from upkeep.spec_sources import Source


class Price(Part):
    """What serving costs from a day on: by the hour, by 1,000 tokens, or both.

    Without ``machines`` an hour is a busy one, of a server that answers one request at a time
    (decision 4). With it, so many machines are paid by the clock, busy or not.
    """

    since: date = Field(strict=False)
    usd_per_hour: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = None
    machines: Annotated[int, Field(ge=1, le=100_000)] | None = None
    usd_per_1k_tokens_in: Annotated[float, Field(ge=0.0, le=1_000.0)] | None = None
    usd_per_1k_tokens_out: Annotated[float, Field(ge=0.0, le=1_000.0)] | None = None


class Trust(Part):
    """When a day's data may be believed.

    ``agreement`` is how far the counts of two kinds of sources may differ, as a share of the
    larger, ``agreement_times`` how far their quantiles may: two values of one bucket that grows
    2.5 times are 60 % apart. For ``late_days`` days after a day its data is looked at again.
    """

    min_coverage: OpenShare = 0.9
    max_bad_share: OpenShare = 0.05
    min_requests: Annotated[int, Field(ge=1)] = 20
    agreement: OpenShare = 0.05
    agreement_times: OpenShare = 0.6
    late_days: Annotated[int, Field(ge=0, le=31)] = 3


class Quality(Part):
    """Which quality measures are computed, and on how many samples of the day.

    ``modality`` is what the model makes. Of images, ``references`` is a Parquet file of real
    ones, ``features`` the folder of the ONNX model that extracts features, ``clip`` that of a
    CLIP model; they may name ``${VAR}``. ``slice_by`` adds slices by the prompt's length
    (under 100 characters, under 1,000, longer) or script. ``lowercase``, ``tokenize`` and
    ``stemmer`` are told to sacrebleu and rouge-score.
    """

    modality: Literal["text", "image"] = "text"
    measures: tuple[MeasureName, ...] = Field(("perplexity",), strict=False)
    max_samples: Annotated[int, Field(ge=10, le=1_000_000)] = 2_000
    min_samples: Annotated[int, Field(ge=2)] = 20
    references: Url | None = None
    features: Url | None = None
    clip: Url | None = None
    lowercase: bool = False
    tokenize: Literal["13a", "char", "intl", "none", "zh"] = "13a"
    stemmer: bool = False
    slice_by: tuple[SliceBy, ...] = Field((), strict=False)


class Reviews(Part):
    """Which outputs people are asked about, and what their answers count.

    Of each day ``samples_per_day`` outputs go to the reviewers. Answers count of the last
    ``window_days`` days, of outputs with at least ``min_raters``, at most ``max_per_rater`` of
    one person a day. Where Krippendorff's alpha is under ``min_alpha`` they count less. A
    measure whose rank correlation with people is shown to be under ``min_agreement``, on at
    least ``min_outputs`` outputs, loses its vote.
    """

    samples_per_day: Annotated[int, Field(ge=1, le=1_000)] = 10
    criteria: tuple[Criterion, ...] = Field(
        ("coherence", "relevance", "diversity", "realism"), min_length=1, strict=False
    )
    window_days: Annotated[int, Field(ge=1, le=366)] = 28
    min_raters: Annotated[int, Field(ge=1, le=100)] = 2
    max_per_rater: Annotated[int, Field(ge=1, le=100_000)] = 200
    min_alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    min_agreement: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    min_outputs: Annotated[int, Field(ge=4, le=100_000)] = 30


class MeasurePolicy(Part):
    """How one measure is judged.

    ``tolerance`` is the change that nobody would act upon: a share of the baseline
    (``relative``) or a number in the measure's unit (``absolute``).
    """

    direction: Direction
    tolerance: Annotated[float, Field(gt=0.0, le=1_000_000.0)]
    kind: Literal["relative", "absolute"] = "relative"


class BaselinePolicy(Part):
    """Which days are the baseline; none before ``since``, which orders a new one.

    It reaches ``days`` and a month back, the month because a bad level of some weeks must not be
    all that is remembered; under ``min_days`` nothing is judged.
    """

    since: date | None = Field(None, strict=False)
    days: Annotated[int, Field(ge=3, le=366)] = 56
    min_days: Annotated[int, Field(ge=3, le=366)] = 5


class Rule(Part):
    """The action for a cause; the first rule that fits is taken.

    ``state`` asks that the day is in this state: ``drifted`` if any measure drifted, else
    ``watch`` if any is watched, else ``improved`` if any improved. ``over_objective`` asks that
    the objective of this measure is missed: over its ceiling, or under its floor.
    """

    cause: Cause
    action: Action
    state: Literal["drifted", "watch", "improved"] | None = None
    over_objective: str | None = None

    @property
    def always(self) -> bool:
        """Whether the rule fits on every day of its cause."""
        return self.state is None and self.over_objective is None


class Objective(Part):
    """What a measure must keep: a ceiling, a floor, absolute or as a ratio to the baseline.

    ``max`` and ``min`` are in the measure's unit; a ratio is to the baseline's median.
    """

    max: Annotated[float, Field(gt=0.0)] | None = None
    min: Annotated[float, Field(gt=0.0)] | None = None
    max_ratio_to_baseline: Annotated[float, Field(gt=1.0, le=1000.0)] | None = None
    min_ratio_to_baseline: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None


class Cooldowns(Part):
    """Days without a second one of a kind, where it is not ``cooldown_days``."""

    compress: Annotated[int, Field(ge=0, le=365)] | None = None
    retrain: Annotated[int, Field(ge=0, le=365)] | None = None
    rollback: Annotated[int, Field(ge=0, le=365)] | None = None


class Policy(Part):
    """The declared policy: pure data; ``digest()`` names it in every decision."""

    version: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    baseline: BaselinePolicy = BaselinePolicy()
    pages_per_model_month: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1
    measures: dict[str, MeasurePolicy]
    objectives: dict[str, Objective] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = Field(strict=False)
    cooldown_days: Annotated[int, Field(ge=0, le=365)] = 3
    cooldowns: Cooldowns = Cooldowns()
    max_jobs_per_day: Annotated[int, Field(ge=0, le=100)] = 1
    payback: Payback = Payback()

    def cooldown(self, kind: Literal["compress", "retrain", "rollback"]) -> int:
        """The days that must pass after one of a kind before the next."""
        own: int | None = getattr(self.cooldowns, kind)
        return self.cooldown_days if own is None else own

    def digest(self) -> str:
        """Hash of the policy's canonical JSON."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))


def _known_method(name: str) -> str:
    if name not in METHODS:
        known = " or ".join(f"'{known}'" for known in sorted(METHODS))
        raise PydanticKnownError("literal_error", {"expected": known})
    return name


class CompressJob(Part):
    """How this model is compressed."""

    method: Annotated[str, AfterValidator(_known_method)] = "openvino-int8"
    params: dict[str, Any] = Field(default_factory=dict)


class RetrainJob(Part):
    """How this model is retrained: all weights (``full``), or added ones of low rank (``lora``).

    Texts are those of the last ``days`` trusted days, of all slices or only of those where the
    day drifted, at most ``max_per_slice`` of each. Outputs that people rated at most
    ``bad_rating`` (of 1 to 5) are no targets, those of at least ``good_rating`` are preferred.
    """

    method: Literal["full", "lora"] = "full"
    days: Annotated[int, Field(ge=1, le=365)] = 14
    slices: Literal["all", "drifted"] = "all"
    max_per_slice: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    bad_rating: Annotated[float, Field(ge=0.0, le=5.0)] = 2.0
    good_rating: Annotated[float, Field(ge=1.0, le=6.0)] = 4.0
    params: dict[str, Any] = Field(default_factory=dict)


class BenchmarkJob(Part):
    """How champion and candidate are measured: as production serves them."""

    params: dict[str, Any] = Field(default_factory=dict)


GateGoal = Literal["speed", "size", "cost"]
SpeedAt = Literal["batch_1", "concurrency"]


class GatePolicy(Part):
    """What a candidate must show. Margins are relative (0.02 = 2 %).

    A compression reaches one of ``goals``: ``speed`` (``min_speedup`` times as fast), ``size``
    (``min_size_ratio`` times smaller, and not slower) or ``cost`` (a token ``min_speedup`` times
    as cheap). Speed counts with one request at a time, or at the production concurrency that
    ``jobs.benchmark`` states (``speed_at``); at the other it stays inside the tolerance. A token's
    cost is its time at the production concurrency.
    """

    quality_margin: OpenShare = 0.03
    confidence: OpenShare = 0.95
    min_speedup: Ratio = 1.05
    min_size_ratio: Ratio = 1.5
    goals: tuple[GateGoal, ...] = Field(("speed", "size", "cost"), min_length=1, strict=False)
    speed_at: SpeedAt = "batch_1"
    require_approval: bool = False


class Jobs(Part):
    """Where jobs run and what they may use; the named engine's settings stand under its name."""

    engine: EngineName = "local"
    slurm: SlurmSettings | None = None
    ray: RaySettings | None = None
    kubernetes: KubernetesSettings | None = None
    aws_batch: AwsBatchSettings | None = None
    sagemaker: SageMakerSettings | None = None
    resources: Resources = Field(default_factory=Resources, strict=False)
    compress: CompressJob = CompressJob()
    retrain: RetrainJob = RetrainJob()
    benchmark: BenchmarkJob = BenchmarkJob()
    review: ReviewJob = ReviewJob()


class ModelSpec(Part):
    """One model of the fleet."""

    name: ModelName
    description: str = ""
    sources: tuple[Source, ...] = Field(min_length=1, strict=False)
    prices: tuple[Price, ...] = Field(min_length=1, strict=False)
    trust: Trust = Trust()
    quality: Quality = Quality()
    reviews: Reviews | None = None
    policy: Policy
    gate: GatePolicy = GatePolicy()
    jobs: Jobs = Jobs()
    serving: Serving | None = None

    def digest(self) -> str:
        """Hash of the whole specification: the snapshot's name in MLflow."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))

    def price_on(self, day: date) -> Price | None:
        """The prices on ``day``, or None before the first."""
        known = [p for p in self.prices if p.since <= day]
        return max(known, key=lambda p: p.since) if known else None


def spec_of(opened: DayOpen) -> ModelSpec:
    """The specification that a day's snapshot holds."""
    return ModelSpec.model_validate_json(json.dumps(opened.spec))
