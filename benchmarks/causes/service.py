"""A made-up model in production: from what is really so on a day to what is measured of it.

Requests queue for GPUs (M/M/1: Kleinrock 1975), are read and answered token by token, and come
back over a network; cost is paid by the busy second or by the clock. Every model has its own
size, load, noise, weekend, slices and prices, drawn from wide ranges, and not every model
collects every resource. What it does not prove: that real services are like this. None of its
numbers is known to the diagnosis.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from upkeep.records import DayMeasures, Interval, MeasureValue

HOURS = 24
WEEKEND = 5
FULL = 0.97
COLLECTED, BY_CLOCK, TAILS, WILD = 0.92, 0.4, 0.5, 0.05  # probabilities
RESOURCES = ("gpu_share", "network_bytes_per_s", "gpu_memory_share_high", "host_memory_share_high")
OPTIONAL = (*RESOURCES, "cpu_share", "tokens_in_mean", "tokens_out_mean", "ms_per_token_out")


@dataclass(frozen=True)
class Model:
    """What a model's production is like on every day."""

    requests: float
    weekend: float
    tokens_in: float
    tokens_out: float
    read_ms: float
    token_ms: float
    network_ms: float
    busy: float
    price: float
    by_clock: bool
    errors: tuple[float, float]
    memory: float
    perplexity: float
    shares: Mapping[str, float]
    hardness: Mapping[str, float]
    noise: float
    tails: bool
    collected: frozenset[str]

    @classmethod
    def drawn(cls, rng: random.Random, collected: float = COLLECTED) -> Model:
        """Another model; each resource is collected with probability ``collected``."""
        names = ["chat", "code", "docs", "mail"][: rng.randint(2, 4)]
        weights = [rng.uniform(0.5, 2.0) for _ in names]
        return cls(
            requests=math.exp(rng.uniform(math.log(800), math.log(60_000))),
            weekend=rng.uniform(0.4, 1.0),
            tokens_in=math.exp(rng.uniform(math.log(80), math.log(2_000))),
            tokens_out=math.exp(rng.uniform(math.log(40), math.log(500))),
            read_ms=math.exp(rng.uniform(math.log(0.05), math.log(0.4))),
            token_ms=rng.uniform(4.0, 40.0),
            network_ms=rng.uniform(5.0, 50.0),
            busy=rng.uniform(0.2, 0.7),
            price=rng.uniform(0.4, 6.0),
            by_clock=rng.random() < BY_CLOCK,
            errors=(rng.uniform(0.0002, 0.004), rng.uniform(0.0002, 0.004)),
            memory=rng.uniform(0.45, 0.82),
            perplexity=math.exp(rng.uniform(math.log(3), math.log(40))),
            shares={n: w / sum(weights) for n, w in zip(names, weights, strict=True)},
            hardness={n: rng.uniform(0.7, 1.4) for n in names},
            noise=rng.uniform(0.02, 0.07),
            tails=rng.random() < TAILS,
            collected=frozenset(n for n in OPTIONAL if rng.random() < collected),
        )


@dataclass(frozen=True)
class Truth:
    """What is really so on a day: factors of the model's usual, or what is added to it."""

    requests: float = 1.0
    retried: float = 0.0  # requests that are sent again and never reach a GPU, as a share
    tokens_in: float = 1.0
    tokens_out: float = 1.0
    token_ms: float = 1.0
    machines: float = 1.0
    slots: float = 1.0  # requests that are let in at once; fewer leave the GPUs idle
    network_ms: float = 1.0
    network_bytes: float = 1.0
    price: float = 1.0
    generation_errors: float = 0.0
    api_errors: float = 0.0
    gpu_memory: float = 0.0
    leak_a_day: float = 0.0
    swapping: float = 1.0  # every token waits for memory
    perplexity: float = 1.0
    slice_perplexity: Mapping[str, float] = field(default_factory=dict)
    new_slice: tuple[float, float] = (0.0, 1.0)  # its share, and how much harder it is
    shift: float = 0.0  # share of the traffic that moves from the first slice to the last
    cost: float = 1.0
    tail: float = 1.0
    version: str = "1"


class Days:
    """A model's days, one after the other, with noise that has a memory."""

    def __init__(self, model: Model, rng: random.Random) -> None:
        """Noise is drawn from ``rng``."""
        self.model, self.rng = model, rng
        self._slow = 0.0

    def measured(self, day: date, truth: Truth) -> DayMeasures:
        """What is collected of a day that really is like ``truth``."""
        m, rng = self.model, self.rng
        usual = m.weekend if day.weekday() >= WEEKEND else 1.0
        reached = m.requests * usual * truth.requests * self._near(2.0)
        requests = reached * (1.0 + truth.retried)
        self._slow = 0.4 * self._slow + rng.gauss(0.0, m.noise)
        values = dict(self._service(reached, requests, truth))
        values |= dict(self._money(requests, values, truth))
        values |= {"gpu_memory_share_high": self._memory(truth, values["gpu_share"])}
        kept = {n: v for n, v in values.items() if n not in OPTIONAL or n in m.collected}
        found = [MeasureValue(name=n, value=v, n=round(requests)) for n, v in kept.items()]
        found += [*self._growth(requests, truth), *self._quality(truth)]
        order = sorted(found, key=lambda f: f.name)
        return DayMeasures(
            day=day, trusted=True, champion_version=truth.version, measures=tuple(order)
        )

    def _near(self, times: float = 1.0) -> float:
        """A factor near 1; with heavy tails for some models."""
        rng, sd = self.rng, self.model.noise * times
        wild = 2.5 if self.model.tails and rng.random() < WILD else 1.0
        return math.exp(rng.gauss(0.0, sd) * wild)

    def _service(
        self, reached: float, requests: float, truth: Truth
    ) -> Iterator[tuple[str, float]]:
        m = self.model
        tokens_in = m.tokens_in * truth.tokens_in * self._near()
        tokens_out = m.tokens_out * truth.tokens_out * self._near()
        token_ms = m.token_ms * truth.token_ms
        work = m.read_ms * tokens_in + token_ms * tokens_out
        usual = m.read_ms * m.tokens_in + m.token_ms * m.tokens_out
        busy = min(FULL, m.busy * reached / m.requests * work / usual / truth.machines)
        admitted = min(FULL, busy / truth.slots)
        wait = 0.4 * work * admitted / (1.0 - admitted)
        slow = math.exp(self._slow)
        network = m.network_ms * truth.network_ms
        first = (network + wait + m.read_ms * tokens_in) * slow * self._near(0.5)
        token = token_ms * (1.0 + 0.5 * busy) * truth.swapping * slow * self._near(0.3)
        failed = [min(0.9, e) for e in self._failures(truth)]
        # A request that fails at once makes the day look faster.
        latency = (first + token * tokens_out + network) * (1.0 - 0.5 * failed[1])
        yield "requests", float(round(requests))
        yield "prompt_chars_mean", 4.0 * tokens_in
        yield "tokens_in_mean", tokens_in
        yield "tokens_out_mean", tokens_out
        yield "ms_per_token_out", token
        yield "latency_p95_ms", latency * 1.7 * truth.tail * self._near()
        yield "ttft_p95_ms", first * 2.0 * self._near()
        yield "generation_error_rate", failed[0]
        yield "api_error_rate", failed[1]
        yield "error_rate", sum(failed)
        yield "gpu_share", min(1.0, busy * self._near(0.7))
        yield "cpu_share", min(1.0, 0.3 * busy * self._near())
        sent = reached * (tokens_in + tokens_out) * truth.network_bytes
        yield "network_bytes_per_s", 6.0 * sent / (HOURS * 3600) * self._near()
        yield "host_memory_share_high", 0.4 * self._near(0.5)
        yield "mean_ms", latency

    def _failures(self, truth: Truth) -> tuple[float, float]:
        m = self.model
        usual = tuple(e * self._near(5.0) for e in m.errors)
        return usual[0] + truth.generation_errors, usual[1] + truth.api_errors

    def _money(
        self, requests: float, values: dict[str, float], truth: Truth
    ) -> Iterator[tuple[str, float]]:
        m, mean_ms = self.model, values.pop("mean_ms")
        price = m.price * truth.price
        well = requests * (1.0 - values["error_rate"])
        machines = max(1.0, m.requests / 5_000) * truth.machines
        busy_h = requests * mean_ms / 3.6e6
        hours = HOURS * machines if m.by_clock else busy_h
        yield "price_usd_per_hour", price
        yield "cost_usd_per_1k", hours * price * 1000.0 / well * truth.cost

    def _memory(self, truth: Truth, busy: float) -> float:
        usual = self.model.memory * (1.0 + 0.1 * (busy - self.model.busy)) * self._near(0.3)
        return min(1.0, usual + truth.gpu_memory + truth.leak_a_day)

    def _growth(self, requests: float, truth: Truth) -> Iterator[MeasureValue]:
        if "gpu_memory_share_high" not in self.model.collected:
            return
        a_day = self.rng.gauss(0.0, 0.004) + truth.leak_a_day
        width = 0.006 + 0.1 * abs(a_day)
        per_1k = 1000.0 / requests
        span = Interval(low=(a_day - width) * per_1k, high=(a_day + width) * per_1k)
        name = "gpu_memory_growth_per_1k"
        yield MeasureValue(name=name, value=a_day * per_1k, interval=span, n=HOURS)

    def _quality(self, truth: Truth) -> Iterator[MeasureValue]:
        m = self.model
        fresh, harder = truth.new_slice
        shares = {n: s * (1.0 - fresh) for n, s in m.shares.items()}
        names = sorted(shares)
        moved = min(truth.shift, shares[names[0]] * 0.9)
        shares[names[0]] -= moved
        shares[names[-1]] += moved
        hardness = dict(m.hardness)
        if fresh:
            shares["new"], hardness["new"] = fresh, harder
        today = self._near(0.5)
        whole = 0.0
        for name, share in sorted(shares.items()):
            worse = truth.perplexity * truth.slice_perplexity.get(name, 1.0)
            value = m.perplexity * hardness[name] * worse * today * self._near(0.3)
            whole += share * math.log(value)
            yield MeasureValue(name=f"share[{name}]", value=share, n=1000)
            yield _scored(f"perplexity[{name}]", value)
        yield _scored("perplexity", math.exp(whole))


def _scored(name: str, value: float) -> MeasureValue:
    """A score with an interval of 3 % within the day."""
    span = Interval(low=value * 0.97, high=value * 1.03)
    return MeasureValue(name=name, value=value, interval=span, n=400)
