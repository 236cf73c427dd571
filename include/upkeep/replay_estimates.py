"""What another policy changes over the days, with intervals. Pure.

The change of a quantity is the sum over the days of (other - stored). Its interval is that of
as many days drawn anew from the same days: a circular block bootstrap (Politis and Romano 1992)
with blocks of ``BLOCK_DAYS``, a week, so that seasons and runs of bad days stay together. A
fleet's draws take the same days for all models, which keep what happened to them together, and
draw the models as well (percentile intervals, ``DRAWS`` draws, 95 %).

Degraded days of a job that never ran count by the chance that it was refused: with a Beta(1 +
promoted, 1 + not promoted) for the model's promoted share, whose mean is Laplace's rule of
succession; every draw draws the share too. Draws are seeded by the days and names alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upkeep.records import Interval, canonical_json, sha256_hex
from upkeep.replay_records import Arm, Estimate, ModelReplay, Quantity

BLOCK_DAYS = 7
DRAWS = 1000
CONFIDENCE = 0.95
DIGITS = 6  # sums of floats may differ in their last bits from machine to machine
UNITS: dict[Quantity, str] = {
    "jobs": "jobs",
    "gpu_hours": "GPU-hours",
    "job_usd": "USD",
    "degraded_days": "days",
    "serving_usd": "USD",
}

Floats = NDArray[np.float64]


class _Model(NamedTuple):
    """One model's quantity: both totals, the draws of the change, days known and not known."""

    stored: float
    other: float
    drawn: Floats
    known: int
    unknown: int
    differs: bool


def estimates_of(replays: Sequence[ModelReplay]) -> tuple[Estimate, ...]:
    """Every quantity over all days of these models; none where none tried another policy."""
    tried = sorted((r for r in replays if r.other is not None), key=lambda r: r.question.model)
    days = sorted({day for r in tried for day in _days(r)})
    if not days:
        return ()
    weights = block_weights(len(days), _seed([d.isoformat() for d in days]))
    chosen = _chosen([r.question.model for r in tried])
    return tuple(_estimate(quantity, tried, days, weights, chosen) for quantity in UNITS)


def block_weights(n: int, seed: int, draws: int = DRAWS) -> Floats:
    """How often each of ``n`` days is drawn: [draws, n], every row sums to ``n``."""
    length = max(1, min(BLOCK_DAYS, n // 2))
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n, size=(draws, -(-n // length)))
    picked = ((starts[:, :, None] + np.arange(length)) % n).reshape(draws, -1)[:, :n]
    flat = picked + np.arange(draws)[:, None] * n
    counts = np.bincount(flat.ravel(), minlength=draws * n)
    return counts.reshape(draws, n).astype(np.float64)


def _chosen(names: Sequence[str]) -> Floats:
    """How often each model is drawn: [draws, models]; a single one always."""
    n = len(names)
    rng = np.random.default_rng(_seed(names))
    return rng.multinomial(n, np.full(n, 1.0 / n), size=DRAWS).astype(np.float64)


def _seed(parts: Sequence[str]) -> int:
    return int(sha256_hex(canonical_json(list(parts)))[:16], 16)


def _days(replay: ModelReplay) -> list[date]:
    """The days that the arms have an entry of."""
    return [day.day for day in replay.days if not day.problem]


def _estimate(
    quantity: Quantity,
    replays: Sequence[ModelReplay],
    days: Sequence[date],
    weights: Floats,
    chosen: Floats,
) -> Estimate:
    models = [_model(quantity, r, days, weights) for r in replays]
    unknown, known = sum(m.unknown for m in models), sum(m.known for m in models)
    if known == 0 or (unknown and quantity != "serving_usd"):
        words = f"not known on {unknown} of {known + unknown} days"
        return _result(quantity, models, None, None, words)
    stored, other = sum(m.stored for m in models), sum(m.other for m in models)
    words = f"without {unknown} days whose cost is not known" if unknown else ""
    if not any(m.differs for m in models):
        said = "no day differs, which says nothing of other days"
        return _result(quantity, models, (stored, other), None, f"{words}; {said}".strip("; "))
    drawn = (chosen * np.column_stack([m.drawn for m in models])).sum(axis=1)
    tail = 100.0 * (1.0 - CONFIDENCE) / 2.0
    low, high = (float(x) for x in np.percentile(drawn, [tail, 100.0 - tail]))
    return _result(quantity, models, (stored, other), (low, high), words)


def _result(
    quantity: Quantity,
    models: Sequence[_Model],
    totals: tuple[float, float] | None,
    span: tuple[float, float] | None,
    words: str,
) -> Estimate:
    interval = Interval(low=_short(span[0]), high=_short(span[1])) if span else None
    return Estimate(
        quantity=quantity,
        unit=UNITS[quantity],
        stored=_short(totals[0]) if totals else None,
        other=_short(totals[1]) if totals else None,
        change=_short(totals[1] - totals[0]) if totals else None,
        interval=interval,
        n_days=sum(m.known for m in models),
        n_models=len(models),
        words=words,
    )


def _short(number: float) -> float:
    return float(f"{number:.{DIGITS}g}") + 0.0  # -0.0 is 0.0


# ---------------------------------------------------------------- one model


def _model(
    quantity: Quantity, replay: ModelReplay, days: Sequence[date], weights: Floats
) -> _Model:
    assert replay.stored is not None  # noqa: S101 - for the type; estimates_of has looked
    assert replay.other is not None  # noqa: S101 - as above
    place = {day: n for n, day in enumerate(days)}
    mine = weights[:, [place[day] for day in _days(replay)]]
    if quantity == "degraded_days":
        return _degraded(replay, replay.stored, replay.other, mine)
    before, after = (_column(quantity, arm) for arm in (replay.stored, replay.other))
    known = np.isfinite(before) & np.isfinite(after)
    change = np.where(known, after - before, 0.0)
    return _Model(
        stored=float(before[known].sum()),
        other=float(after[known].sum()),
        drawn=mine @ change,
        known=int(known.sum()),
        unknown=int((~known).sum()),
        differs=bool(change.any()),
    )


def _column(quantity: Quantity, arm: Arm) -> Floats:
    return np.array([np.nan if x is None else x for x in getattr(arm, quantity)], dtype=np.float64)


def _degraded(replay: ModelReplay, before: Arm, after: Arm, mine: Floats) -> _Model:
    a = 1.0 + replay.gates.promoted
    b = 1.0 + replay.gates.judged - replay.gates.promoted
    rng = np.random.default_rng(_seed([replay.question.model]))
    refused = 1.0 - rng.beta(a, b, size=mine.shape[0])
    stored = np.array(before.harmed, dtype=np.float64)
    harmed, tries = np.array(after.harmed, dtype=np.float64), np.array(after.tries)
    total, drawn = 0.0, -(mine @ stored)
    for n in sorted(set(after.tries)):
        days = harmed * (tries == n)
        drawn = drawn + refused**n * (mine @ days)
        total += float(days.sum()) * all_refused(n, a, b)
    return _Model(
        stored=float(stored.sum()),
        other=total,
        drawn=drawn,
        known=len(stored),
        unknown=0,
        differs=before.harmed != after.harmed or bool((harmed * tries).any()),
    )


def all_refused(n: int, a: float, b: float) -> float:
    """The chance that ``n`` jobs are all refused, their promoted share being Beta(a, b)."""
    chance = 1.0
    for k in range(n):
        chance *= (b + k) / (a + b + k)
    return chance
