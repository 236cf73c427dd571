"""How good the outputs of a day are: one file a measure, each with formula, source and unit.

Every file has one function ``measure``, a :class:`Measure`. A measure either gives a finite
score or raises: there is no way to come back without one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from upkeep.errors import ArtifactError, ParamError
from upkeep.measures import SliceBy
from upkeep.pictures import Pictures
from upkeep.quality.slices import derived
from upkeep.records import Direction, Interval, Sample, SliceScore
from upkeep.runtime import Runtime

if TYPE_CHECKING:
    from upkeep.quality.features import FeatureSets

__all__ = [
    "MEASURES",
    "Material",
    "Measure",
    "Score",
    "Settings",
    "bootstrap",
    "by_slice",
    "enough",
    "finite",
    "mean_score",
    "measure",
    "with_reference",
]

MEASURES: dict[str, str] = {
    "bits_per_byte": "upkeep.quality.perplexity",
    "bleu": "upkeep.quality.bleu",
    "chrf": "upkeep.quality.chrf",
    "clip_score": "upkeep.quality.clip_score",
    "distinct_2": "upkeep.quality.text_diversity",
    "fid": "upkeep.quality.fid",
    "image_vendi": "upkeep.quality.image_diversity",
    "inception_score": "upkeep.quality.inception_score",
    "kid": "upkeep.quality.kid",
    "perplexity": "upkeep.quality.perplexity",
    "rouge_1": "upkeep.quality.rouge",
    "rouge_2": "upkeep.quality.rouge",
    "rouge_l": "upkeep.quality.rouge",
    "rouge_lsum": "upkeep.quality.rouge",
    "self_bleu": "upkeep.quality.text_diversity",
    "text_vendi": "upkeep.quality.text_diversity",
}
"""Name in a model's YAML -> the module that measures it, imported when used."""


@dataclass(frozen=True)
class Settings:
    """What a measure may be told.

    ``min_samples`` is the fewest samples that give a score; ``confidence`` is the intervals'
    (0.95 = 95 %); ``resamples`` and ``seed`` drive the bootstrap where there is one.
    ``lowercase`` (BLEU, chrF), ``tokenize`` (BLEU: sacrebleu's name) and ``stemmer`` (ROUGE)
    are the libraries' own options. ``slice_by`` adds slices; see :mod:`upkeep.quality.slices`.
    """

    min_samples: int = 20
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0
    lowercase: bool = False
    tokenize: str = "13a"
    stemmer: bool = False
    slice_by: tuple[SliceBy, ...] = ()


@dataclass(frozen=True)
class Score:
    """One measure's result; ``n`` counts samples, ``signature`` says how it was computed.

    ``tokens`` counts what was predicted, where that is what is scored. ``per_sample`` has the
    score of each sample by its id, where a sample has one.
    """

    measure: str
    score: float
    interval: Interval | None
    n: int
    unit: str
    direction: Direction
    signature: str
    slices: tuple[SliceScore, ...] = ()
    per_sample: Mapping[str, float] = field(default_factory=dict)
    tokens: int | None = None


@dataclass(frozen=True)
class Material:
    """What a measure may look at: the day's samples, and what only some measures need.

    ``load`` loads the model that served; measures of outputs that production made already do
    not ask for it. ``pictures`` are the images of an image model.
    """

    samples: Sequence[Sample]
    settings: Settings
    load: Callable[[], Runtime]
    pictures: Pictures | None = None

    @cached_property
    def runtime(self) -> Runtime:
        """The model that served the day, loaded once."""
        return self.load()

    @cached_property
    def features(self) -> FeatureSets:
        """What the feature extractor sees in the outputs and in the references, once for all.

        Raises:
            ParamError: the model has no pictures, or nothing that extracts features.

        """
        from upkeep.quality.features import FeatureSets

        return FeatureSets.of(self.samples, self.pictures)


class Measure(Protocol):
    """What each file of this folder offers as ``measure``."""

    def __call__(self, material: Material, name: str) -> Score:
        """Score one day's outputs by the measure ``name``, one of those that the file has.

        Raises:
            ParamError: there are too few samples, or what the measure needs is missing.
            ArtifactError: the model gives something that is not a finite number.

        """


def measure(name: str) -> Measure:
    """The measure of this name; ParamError for a name that is not in ``MEASURES``."""
    if name not in MEASURES:
        raise ParamError("measures", name, f"must be one of {sorted(MEASURES)}", "correct it")
    found: Measure = import_module(MEASURES[name]).measure
    return found


def enough(name: str, count: int, settings: Settings, what: str) -> None:
    """ParamError if fewer than ``min_samples`` of ``what`` are there."""
    if count < settings.min_samples:
        raise ParamError(
            f"{name}: {what}",
            count,
            f"are fewer than min_samples = {settings.min_samples}",
            "collect more, or lower quality.min_samples",
        )


def finite(name: str, where: str, value: float) -> float:
    """``value`` if it is a finite number, else ArtifactError: an unknown is never a pass."""
    if not math.isfinite(value):
        raise ArtifactError(
            f"{name} of {where}", value, "is not a finite number", "look at the model's weights"
        )
    return float(value)


def with_reference(name: str, samples: Sequence[Sample], settings: Settings) -> list[Sample]:
    """The samples whose right answer is known; ParamError if there are too few."""
    known = [sample for sample in samples if sample.references]
    enough(name, len(known), settings, "samples with a reference")
    return known


def by_slice(samples: Sequence[Sample], settings: Settings) -> dict[str, list[int]]:
    """Positions of the samples of each slice, slices in alphabetical order.

    Beside the log's own slices those that ``settings.slice_by`` asks for.
    """
    places: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        for name in (sample.slice, *derived(sample, settings.slice_by)):
            places.setdefault(name, []).append(place)
    return dict(sorted(places.items()))


def bootstrap(
    n: int, statistic: Callable[[np.ndarray], float], settings: Settings
) -> Interval | None:
    """Percentile bootstrap over ``n`` samples (Efron 1979, Annals of Statistics 7).

    ``statistic`` is given an array of ``n`` positions drawn with replacement. The same seed
    gives the same interval. One sample bounds nothing: None.
    """
    if n < 2:  # noqa: PLR2004 - one sample has no spread
        return None
    draw = np.random.default_rng(settings.seed)
    values = [statistic(draw.integers(0, n, n)) for _ in range(settings.resamples)]
    tail = (1.0 - settings.confidence) / 2.0
    low, high = np.quantile(values, (tail, 1.0 - tail))
    return Interval(low=float(low), high=float(high), confidence=settings.confidence)


def mean_score(name: str, where: str, values: np.ndarray, settings: Settings) -> SliceScore:
    """The mean of finite per-sample scores (shape [n]) with its bootstrap interval."""
    score = finite(name, where, float(values.mean()))
    interval = bootstrap(len(values), lambda places: float(values[places].mean()), settings)
    return SliceScore(name=where, score=score, interval=interval, n=len(values))
