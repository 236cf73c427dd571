"""How widely the simulated models differ: ranges, in named worlds.

A world is no fit to any fleet. Each pushes one assumption that a drift detector makes (normal,
independent days without a week, none missing, slices large) until it is false.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

Range = tuple[float, float]


@dataclass(frozen=True)
class World:
    """Ranges that each model's parameters are drawn from, uniformly; ``log`` where said.

    Quality is in within-day standard deviations (SD): of one sample's score among the samples
    of one topic and day. Operational noise is of natural logarithms (0.1 = 10 %).
    """

    name: str
    why: str
    slices: tuple[int, int] = (4, 8)
    topic_spread: Range = (0.2, 0.8)
    """SD of the topics' mean scores, in within-day SDs."""
    samples: Range = (300.0, 2000.0)
    """Samples a day that are scored (log)."""
    quality_day: Range = (0.05, 0.15)
    """Day effect of all topics together."""
    slice_day: Range = (0.0, 0.05)
    """Day effect of each topic by itself."""
    quality_week: Range = (0.0, 0.02)
    """SD over the seven weekdays of quality."""
    ar: Range = (0.0, 0.3)
    """Autocorrelation of day effects at one day."""
    tail: Range | None = None
    """Degrees of freedom of Student's t for day effects; None is the normal distribution."""
    mix_day: Range = (0.05, 0.25)
    """Day-to-day SD of each topic's log odds of being asked about."""
    mix_week: Range = (0.0, 0.2)
    requests: Range = (2e3, 2e5)
    """Requests a day (log)."""
    volume_day: Range = (0.05, 0.15)
    weekend: Range = (0.5, 1.0)
    """Weekend volume as a share of a weekday's."""
    growth: Range = (-0.001, 0.003)
    """Growth of volume a day."""
    latency_day: Range = (0.03, 0.08)
    latency_week: Range = (0.0, 0.02)
    cost_day: Range = (0.02, 0.08)
    prompt_day: Range = (0.01, 0.05)
    errors: Range = (0.0005, 0.01)
    """Error rate (log)."""
    errors_day: Range = (0.1, 0.4)
    common: Range = (0.1, 0.6)
    """Share of the operational day effects' variance that all of them have in common."""
    missing: Range = (0.0, 0.01)
    """Share of days without any record, and half as many that cannot be trusted."""


CALM = World("calm", "normal, nearly independent days")

WORLDS: dict[str, World] = {
    world.name: world
    for world in (
        CALM,
        replace(CALM, name="heavy-tailed", why="days of Student's t, 3 to 5 df", tail=(3.0, 5.0)),
        replace(CALM, name="autocorrelated", why="AR(1) days, rho 0 to 0.7", ar=(0.0, 0.7)),
        replace(
            CALM,
            name="weekly",
            why="every measure has a week",
            quality_week=(0.05, 0.15),
            mix_week=(0.3, 1.0),
            weekend=(0.2, 0.5),
            latency_week=(0.05, 0.15),
        ),
        replace(CALM, name="few-slices", why="one or two topics", slices=(1, 2)),
        replace(
            CALM,
            name="many-slices",
            why="10 to 16 topics, small ones among them",
            slices=(10, 16),
            slice_day=(0.03, 0.10),
        ),
        replace(CALM, name="gappy", why="up to 15 % of days missing", missing=(0.05, 0.15)),
        replace(
            CALM,
            name="growing",
            why="volume doubles in a month or two",
            growth=(0.01, 0.025),
            requests=(5e2, 2e4),
        ),
        replace(
            CALM,
            name="noisy",
            why="large day effects, few samples",
            quality_day=(0.15, 0.25),
            samples=(100.0, 300.0),
            latency_day=(0.10, 0.20),
            cost_day=(0.08, 0.15),
            errors_day=(0.4, 0.9),
            prompt_day=(0.05, 0.15),
        ),
        replace(
            CALM,
            name="quiet",
            why="hardly any noise: what is certain and small must not alarm",
            quality_day=(0.005, 0.03),
            slice_day=(0.0, 0.01),
            samples=(2e3, 2e4),
            latency_day=(0.005, 0.02),
            cost_day=(0.005, 0.02),
        ),
        World(
            name="everything",
            why="heavy tails, autocorrelation, weeks and gaps at once",
            slices=(2, 12),
            quality_week=(0.0, 0.10),
            ar=(0.0, 0.6),
            tail=(3.0, 8.0),
            mix_week=(0.0, 0.6),
            weekend=(0.2, 1.0),
            growth=(-0.005, 0.015),
            latency_day=(0.02, 0.12),
            latency_week=(0.0, 0.10),
            missing=(0.0, 0.12),
            common=(0.0, 0.9),
        ),
    )
}


def worlds_of(names: str) -> tuple[World, ...]:
    """The worlds named, with commas between; ``all`` is every one.

    Raises:
        ValueError: a name that is no world.

    """
    if names == "all":
        return tuple(WORLDS.values())
    unknown = [name for name in names.split(",") if name not in WORLDS]
    if unknown:
        raise ValueError(f"worlds: {', '.join(unknown)}; allowed are all, {', '.join(WORLDS)}")
    return tuple(WORLDS[name] for name in names.split(","))


def said(world: World) -> str:
    """What a world has that ``calm`` has not."""
    changed = [
        f"{f.name} {getattr(world, f.name)}"
        for f in fields(World)
        if f.name not in ("name", "why") and getattr(world, f.name) != getattr(CALM, f.name)
    ]
    return "; ".join(changed) or "-"
