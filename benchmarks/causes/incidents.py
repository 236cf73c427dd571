"""Incidents of every cause, and days on which something drifted for no cause that is in sight.

Magnitudes are drawn widely, from little more than the policy's tolerance to several times it.
Half of all incidents come with a confounder: something else that changed, on that day or days
before, and did no harm.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.causes.service import Model, Truth
from upkeep.records import Bottleneck, Cause

HALF = 0.5
Draw = Callable[[random.Random, Model], Truth]
Broken = Literal["no", "untrusted", "doubtful", "empty"]


@dataclass(frozen=True)
class Incident:
    """What happens, why, and what happened beside it ``before_days`` earlier."""

    kind: str
    cause: Cause
    truth: Truth
    beside: Truth
    before_days: int
    bottleneck: Bottleneck | None = None
    broken: Broken = "no"
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of incident: how it is drawn, and how many of 200 there are."""

    cause: Cause
    number: int
    draw: Draw
    bottleneck: Bottleneck | None = None
    broken: Broken = "no"
    release: int = 1  # 1: a release may fall on its day; 0: only days before
    needs: tuple[str, ...] = ()


def _overload(rng: random.Random, model: Model) -> Truth:
    """Traffic that fills the GPUs."""
    most = 0.95 / model.busy
    return Truth(requests=max(1.35, rng.uniform(0.93, 1.15) * most))


def _leak(rng: random.Random, _: Model) -> Truth:
    failing = rng.random() < HALF
    return Truth(
        leak_a_day=rng.uniform(0.08, 0.4),
        generation_errors=rng.uniform(0.04, 0.2) if failing else 0.0,
        swapping=1.0 if failing else rng.uniform(1.8, 3.5),
    )


def _memory(rng: random.Random, model: Model) -> Truth:
    failing = rng.random() < HALF
    return Truth(
        gpu_memory=rng.uniform(0.95, 1.0) - model.memory,
        generation_errors=rng.uniform(0.04, 0.2) if failing else 0.0,
        swapping=1.0 if failing else rng.uniform(1.9, 3.5),
    )


def _network(rng: random.Random, model: Model) -> Truth:
    """Packets are lost: slow, fewer bytes, and some requests are sent again."""
    usual = model.read_ms * model.tokens_in + model.token_ms * model.tokens_out
    slower = rng.uniform(1.0, 3.0) * usual / model.network_ms
    again = rng.choice([0.0, 0.0, rng.uniform(0.3, 1.5)])
    return Truth(network_ms=1.0 + slower, network_bytes=rng.uniform(0.25, 0.55), retried=again)


def _queue(rng: random.Random, model: Model) -> Truth:
    """Fewer requests are let in at once than the GPUs could serve."""
    return Truth(slots=rng.uniform(model.busy / 0.93, model.busy / 0.85))


def _one_slice(rng: random.Random, model: Model) -> Truth:
    """One slice gets worse, or all of them."""
    if rng.random() < HALF:
        return Truth(perplexity=rng.uniform(1.25, 2.5))
    name = max(sorted(model.shares), key=lambda n: model.shares[n])
    return Truth(slice_perplexity={name: rng.uniform(1.5, 3.0) ** (0.5 / model.shares[name])})


def _release(rng: random.Random, _: Model) -> Truth:
    made = rng.choice(["quality", "slow", "fails", "verbose"])
    return {
        "quality": Truth(version="2", perplexity=rng.uniform(1.25, 2.5)),
        "slow": Truth(version="2", token_ms=rng.uniform(1.8, 3.5)),
        "fails": Truth(version="2", generation_errors=rng.uniform(0.04, 0.25)),
        "verbose": Truth(version="2", tokens_out=rng.uniform(2.2, 4.0)),
    }[made]


def _prompts(rng: random.Random, model: Model) -> Truth:
    """Prompts so long that reading them is felt."""
    usual = model.read_ms * model.tokens_in + model.token_ms * model.tokens_out
    longer = 1.0 + rng.uniform(0.8, 2.0) * usual / (model.read_ms * model.tokens_in)
    return Truth(tokens_in=min(10.0, max(2.0, longer)))


def _mix(rng: random.Random, _: Model) -> Truth:
    share = rng.uniform(0.12, 0.6)
    return Truth(
        new_slice=(share, rng.uniform(1.35, 2.5) ** (1.0 / share)), tokens_in=rng.uniform(0.8, 1.3)
    )


KINDS: dict[str, Kind] = {
    "volume, harmless": Kind("traffic_volume", 8, lambda r, _: Truth(requests=r.uniform(2.6, 6))),
    "volume, overload": Kind("traffic_volume", 12, _overload),
    "new slice": Kind("traffic_mix", 20, _mix),
    "worse model": Kind("model_quality", 20, _one_slice, release=0),
    "gpu throttled": Kind(
        *("infrastructure", 10, lambda r, _: Truth(token_ms=r.uniform(1.8, 4)), "gpu"), release=0
    ),
    "network": Kind("infrastructure", 10, _network, "network", release=0),
    "memory full": Kind(
        *("infrastructure", 10, _memory, "memory"), release=0, needs=("gpu_memory_share_high",)
    ),
    "queue": Kind("infrastructure", 10, _queue, "queue", release=0),
    "price": Kind("price", 18, lambda r, _: Truth(price=r.uniform(1.1, 3.0))),
    "upstream": Kind("upstream_errors", 18, lambda r, _: Truth(api_errors=r.uniform(0.04, 0.4))),
    "release": Kind("release", 20, _release, release=0),
    "leak": Kind("memory_leak", 16, _leak, release=0, needs=("gpu_memory_share_high",)),
    "longer prompts": Kind("workload", 7, _prompts),
    "longer answers": Kind(
        *("workload", 7, lambda r, _: Truth(tokens_out=r.uniform(2, 4))),
        release=0,
        needs=("tokens_out_mean",),
    ),
    "untrusted data": Kind("data_breakage", 6, _one_slice, broken="untrusted"),
    "doubtful unit": Kind(
        *("data_breakage", 4, lambda r, _: Truth(tail=r.choice([60.0, 1000.0]))), broken="doubtful"
    ),
    "no traffic": Kind("no_traffic", 4, lambda _r, _m: Truth(), broken="empty"),
}
RESOURCES = ("gpu_share", "ms_per_token_out")
CAUSELESS: dict[str, Kind] = {
    "dearer": Kind("unknown", 67, lambda r, _: Truth(cost=r.uniform(2, 4)), release=0),
    "slower tail": Kind(
        *("unknown", 67, lambda r, _: Truth(tail=r.uniform(1.8, 4))), release=0, needs=RESOURCES
    ),
    "failing": Kind(
        *("unknown", 66, lambda r, _: Truth(generation_errors=r.uniform(0.04, 0.25))), release=0
    ),
}

BESIDE: dict[str, Draw] = {
    "nothing": lambda _r, _m: Truth(),
    "more requests": lambda r, _: Truth(requests=r.uniform(1.1, 1.3)),
    "fewer requests": lambda r, _: Truth(requests=r.uniform(0.7, 0.95)),
    "other lengths": lambda r, _: Truth(tokens_in=r.uniform(0.8, 1.2)),
    "known slices shift": lambda r, _: Truth(shift=r.uniform(0.05, 0.15)),
    "cheaper": lambda r, _: Truth(price=r.uniform(0.85, 0.97)),
    "release": lambda _r, _m: Truth(version="2"),
}


def drawn(kind: str, known: Kind, model: Model, rng: random.Random) -> Incident:
    """One incident of a kind, with its confounder."""
    names = [n for n in BESIDE if not (known.cause == "release" and n == "release")]
    name = rng.choice(names) if rng.random() < HALF else "nothing"
    earliest = 3 if name == "release" and not known.release else 0
    return Incident(
        kind=kind,
        cause=known.cause,
        truth=known.draw(rng, model),
        beside=BESIDE[name](rng, model),
        before_days=rng.randint(earliest, 10) if rng.random() < HALF else earliest,
        bottleneck=known.bottleneck,
        broken=known.broken,
        needs=known.needs,
    )


def together(one: Truth, other: Truth) -> Truth:
    """Both truths at once: factors multiply, the rest is of whichever says something."""
    usual = Truth()
    changes = {}
    for name in Truth.__dataclass_fields__:
        a, b, neutral = getattr(one, name), getattr(other, name), getattr(usual, name)
        if isinstance(neutral, float) and neutral == 1.0:
            changes[name] = a * b
        else:
            changes[name] = a if a != neutral else b
    return replace(usual, **changes)
