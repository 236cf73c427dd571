"""A simulated fleet: models, each a run of days, with every cause of change known.

A model's truth is a :class:`Course`: arrays over days. Faults change a course
(:mod:`benchmarks.drift.faults`); :mod:`benchmarks.drift.rendering` observes one through the
noise of a day's samples and gives what the cycle would have stored.

Day effects are AR(1): x_t = rho x_(t-1) + sqrt(1 - rho^2) e_t with unit variance, e_t normal or
Student's t scaled to unit variance. Operational effects of one day share a common factor:
sqrt(c) g_t + sqrt(1 - c) x_t.

Tolerances (:func:`policy_of`) are the same in every world: 0.10 within-day SD of the score for
quality, which lies under the smallest planted drop of 0.15, 15 % for latency and cost, under the
planted 25 % and 30 %; the rest is as shipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.drift.worlds import Range, World
from upkeep.spec import MeasurePolicy, Policy

DEFAULTS = Path(__file__).parents[2] / "include" / "fleet" / "defaults.yaml"
START = date(2026, 1, 5)  # a Monday
QUALITY_TOLERANCE_SD = 0.10
OPERATIONAL_TOLERANCE = 0.15
LOWEST_SHARE = 0.03
QUALITIES = (("rouge_l",), ("perplexity",), ("perplexity", "rouge_l"))

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Model:
    """One model: what does not change from day to day.

    ``topics`` holds the topics' mean scores in within-day SDs, higher is better. A ROUGE-L of
    score s is ``rouge_mean`` + ``rouge_sd`` s, a logarithm of perplexity ``nll_mean`` -
    ``nll_sd`` s.
    """

    world: World
    number: int
    seed: int
    topics: Floats
    samples: int
    qualities: tuple[str, ...]
    rouge_mean: float
    rouge_sd: float
    nll_mean: float
    nll_sd: float

    @property
    def name(self) -> str:
        """A name that the records accept."""
        return f"{self.world.name}-{self.number}"

    def rng(self, purpose: str, *more: int) -> np.random.Generator:
        """Random numbers for one purpose: equal arguments, equal numbers."""
        key = [self.seed, crc32(self.world.name.encode()), self.number, crc32(purpose.encode())]
        return np.random.default_rng([*key, *more])


@dataclass(frozen=True)
class Course:
    """The truth of each day: shapes (days,), or (days, topics) for quality and shares.

    ``quality`` is in within-day SDs, higher is better; the operational series are factors of
    the healthy value, ``errors`` the probability that a request fails.
    """

    quality: Floats
    shares: Floats
    requests: Floats
    latency: Floats
    ttft: Floats
    cost: Floats
    price: Floats
    prompt: Floats
    errors: Floats
    present: Flags
    trusted: Flags

    @property
    def days(self) -> int:
        """How many days."""
        return len(self.requests)


def day_of(index: int) -> date:
    """The date of day ``index``; day 0 is a Monday."""
    return START + timedelta(index)


def _within(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))


def _log_within(rng: np.random.Generator, limits: Range) -> float:
    return math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1])))


def model_of(world: World, number: int, seed: int) -> Model:
    """Draw one model of a world."""
    empty = Model(world, number, seed, np.zeros(0), 0, (), 0.0, 0.0, 0.0, 0.0)
    rng = empty.rng("model")
    slices = int(rng.integers(world.slices[0], world.slices[1] + 1))
    topics = rng.normal(0.0, _within(rng, world.topic_spread), slices)
    return Model(
        world=world,
        number=number,
        seed=seed,
        topics=topics - topics.mean(),
        samples=round(_log_within(rng, world.samples)),
        qualities=QUALITIES[int(rng.integers(len(QUALITIES)))],
        rouge_mean=_within(rng, (0.3, 0.6)),
        rouge_sd=_within(rng, (0.08, 0.2)),
        nll_mean=_within(rng, (1.2, 3.0)),
        nll_sd=_within(rng, (0.2, 0.8)),
    )


def effects(
    rng: np.random.Generator, days: int, rho: float, df: float | None, columns: int = 1
) -> Floats:
    """AR(1) day effects with unit variance, shape (days, columns)."""
    burn = 30
    shape = (burn + days, columns)
    if df is None:
        shocks = rng.normal(size=shape)
    else:
        shocks = rng.standard_t(df, size=shape) / math.sqrt(df / (df - 2.0))
    found = np.empty(shape)
    found[0] = shocks[0]
    for t in range(1, burn + days):
        found[t] = rho * found[t - 1] + math.sqrt(1.0 - rho * rho) * shocks[t]
    return found[burn:]


def _week(rng: np.random.Generator, days: int, size: float, columns: int = 1) -> Floats:
    """A pattern over the seven weekdays with standard deviation ``size``, repeated."""
    pattern = rng.normal(size=(7, columns))
    pattern -= pattern.mean(axis=0)
    scale = pattern.std(axis=0)
    repeated: Floats = size * (pattern / scale)[np.arange(days) % 7]
    return repeated


def course_of(model: Model, days: int) -> Course:
    """The fault-free truth of a model over ``days`` days."""
    world, rng = model.world, model.rng("course")
    rho = _within(rng, world.ar)
    df = _within(rng, world.tail) if world.tail else None

    def steps(columns: int = 1) -> Floats:
        return effects(rng, days, rho, df, columns)

    common, weight = steps()[:, 0], _within(rng, world.common)

    def operational(size: Range, week: Range = (0.0, 0.0), base: float = 0.0) -> Floats:
        own = math.sqrt(weight) * common + math.sqrt(1.0 - weight) * steps()[:, 0]
        weekly = _week(rng, days, _within(rng, week))[:, 0]
        return np.exp(base + _within(rng, size) * own + weekly)

    slow = operational(world.latency_day, world.latency_week)
    return Course(
        quality=_quality(model, rng, days, steps),
        shares=_shares(model, rng, days, steps),
        requests=_requests(world, rng, days, steps),
        latency=slow,
        ttft=slow * np.exp(_within(rng, world.latency_day) * 0.5 * steps()[:, 0]),
        cost=operational(world.cost_day),
        price=np.ones(days),
        prompt=operational(world.prompt_day),
        errors=operational(world.errors_day, base=math.log(_log_within(rng, world.errors))),
        **_gaps(world, rng, days),
    )


def _quality(
    model: Model, rng: np.random.Generator, days: int, steps: Callable[[int], Floats]
) -> Floats:
    world, topics = model.world, len(model.topics)
    together = _within(rng, world.quality_day) * steps(1)
    alone = _within(rng, world.slice_day) * steps(topics)
    return together + alone + _week(rng, days, _within(rng, world.quality_week))


def _shares(
    model: Model, rng: np.random.Generator, days: int, steps: Callable[[int], Floats]
) -> Floats:
    world, topics = model.world, len(model.topics)
    usual = np.log(rng.dirichlet(np.full(topics, 4.0)) + LOWEST_SHARE)
    daily = _within(rng, world.mix_day) * steps(topics)
    weekly = _week(rng, days, _within(rng, world.mix_week), topics)
    return normalised(usual + daily + weekly)


def normalised(logits: Floats) -> Floats:
    """Shares of log odds: each day's add up to 1."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = odds / odds.sum(axis=1, keepdims=True)
    return shares


def _requests(
    world: World, rng: np.random.Generator, days: int, steps: Callable[[int], Floats]
) -> Floats:
    weekend = np.where(np.arange(days) % 7 >= 5, _within(rng, world.weekend), 1.0)  # noqa: PLR2004
    daily = np.exp(_within(rng, world.volume_day) * steps(1)[:, 0])
    grown = np.exp(_within(rng, world.growth) * np.arange(days))
    requests: Floats = _log_within(rng, world.requests) * weekend * daily * grown
    return requests


def _gaps(world: World, rng: np.random.Generator, days: int) -> dict[str, Flags]:
    share = _within(rng, world.missing)
    return {
        "present": rng.random(days) >= share,
        "trusted": rng.random(days) >= share / 2.0,
    }


# ---------------------------------------------------------------- what is judged


@cache
def shipped_policy() -> Policy:
    """The policy of fleet/defaults.yaml."""
    return Policy.model_validate(yaml.safe_load(DEFAULTS.read_text("utf-8"))["policy"])


def policy_of(model: Model) -> Policy:
    """The shipped policy with this model's measures and tolerances."""
    shipped = shipped_policy()
    measures = dict(shipped.measures)
    for name in ("latency_p95_ms", "ttft_p95_ms", "cost_usd_per_1k"):
        measures[name] = MeasurePolicy(direction="lower_is_better", tolerance=OPERATIONAL_TOLERANCE)
    measures.pop("perplexity")
    if "perplexity" in model.qualities:
        tolerance = math.expm1(QUALITY_TOLERANCE_SD * model.nll_sd)
        measures["perplexity"] = MeasurePolicy(direction="lower_is_better", tolerance=tolerance)
    if "rouge_l" in model.qualities:
        measures["rouge_l"] = MeasurePolicy(
            direction="higher_is_better",
            tolerance=QUALITY_TOLERANCE_SD * model.rouge_sd,
            kind="absolute",
        )
    return shipped.model_copy(update={"measures": measures})
