"""Who of the fleet may start a job today, where the budget is short. Pure.

An exact 0/1 knapsack with two limits, solved by HiGHS (scipy.optimize.milp):

    maximise  sum x_i value_i   with  sum x_i <= jobs left,  sum x_i gpu_hours_i <= hours left,
    x_i in {0, 1}

lexicographically: of two choices that are worth the same, the one that keeps the wish that
stands first in the order of :func:`preferred`. So the answer is one, whatever the order of the
models. Values are USD a day; where a retraining's protection has no price in USD, protection is
compared first, in tolerances x requests, and the USD of the compressions next.

Numbers are whole numbers to the solver, so that no rounding of its own can break a limit:
GPU-hours in hundredths (wishes rounded up, the budget down), values in steps of the fourth
figure of the largest one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal, NamedTuple

import numpy as np

from upkeep.records import Allotted, Used, Wish

FIGURES = 4
CHUNK = 12  # wishes whose order one solve decides: their weights 1, 2, 4 .. stay small
NAMED = 3


class Limits(NamedTuple):
    """What a day's jobs may use together; None does not limit. ``why_none`` refuses all."""

    jobs: int | None
    gpu_hours: float | None
    why_none: str = ""


class _Left(NamedTuple):
    jobs: int | None
    hundredths: int | None  # of a GPU-hour


def share_out(wishes: Sequence[Wish], limits: Limits, used: Sequence[Used]) -> tuple[Allotted, ...]:
    """Grant or refuse each wish, with the reason; sorted by model and kind.

    ``used`` is what today's budget was spent on already. A rollback needs no GPU and is always
    granted; what a person ordered stands outside of the budget, and takes of it first; a job
    that is there already is granted again and not counted twice.

    Raises:
        ValueError: two wishes are of one model and kind.

    """
    ordered = sorted(wishes, key=lambda w: (w.model, w.kind))
    keys = [(w.model, w.kind) for w in ordered]
    if len(set(keys)) != len(keys):
        raise ValueError(f"two wishes of one model and kind: {keys}")
    free = [w for w in ordered if w.kind == "rollback" or w.exists]
    by_hand = [w for w in ordered if w not in free and w.ordered_by is not None]
    asking = [w for w in ordered if w not in free and w not in by_hand]
    left = _left(limits, used, by_hand)
    granted = set() if limits.why_none else _chosen(asking, left)
    winners = sorted((w for w in asking if _key(w) in granted), key=preferred)
    answers = [*map(_free, free), *map(_by_hand, by_hand)]
    for wish in asking:
        if _key(wish) in granted:
            answers.append(Allotted(wish=wish, verdict="granted", words=_granted(wish, left)))
        else:
            words = limits.why_none or _refused(wish, left, winners)
            answers.append(Allotted(wish=wish, verdict="refused", words=f"refused: {words}"))
    return tuple(sorted(answers, key=lambda a: (a.wish.model, a.wish.kind)))


def preferred(wish: Wish) -> tuple[bool, float, str, str]:
    """The order among wishes worth the same: users first, then what is paid back sooner, by name.

    A retraining protects users, a compression saves money.
    """
    soon = math.inf if wish.payback_days is None else wish.payback_days
    return wish.kind == "compress", soon, wish.model, wish.kind


def _key(wish: Wish) -> tuple[str, str]:
    return wish.model, wish.kind


def _left(limits: Limits, used: Sequence[Used], by_hand: Sequence[Wish]) -> _Left:
    taken = [*(u.gpu_hours for u in used if u.kind != "rollback"), *(w.gpu_hours for w in by_hand)]
    jobs = None if limits.jobs is None else max(0, limits.jobs - len(taken))
    if limits.gpu_hours is None:
        return _Left(jobs, None)
    hours = _hundredths(limits.gpu_hours, ROUND_FLOOR)
    return _Left(jobs, max(0, hours - sum(_hundredths(t, ROUND_CEILING) for t in taken)))


def _hundredths(hours: float, rounding: Literal["ROUND_CEILING", "ROUND_FLOOR"]) -> int:
    return int((Decimal(repr(hours)) * 100).to_integral_value(rounding))


# ---------------------------------------------------------------- which of them


def _chosen(asking: Sequence[Wish], left: _Left) -> set[tuple[str, str]]:
    """The models and kinds that are granted; everything where everything fits."""
    wishes = sorted(asking, key=preferred)
    hours = [_hundredths(w.gpu_hours, ROUND_CEILING) for w in wishes]
    enough = left.jobs is None or len(wishes) <= left.jobs
    if enough and (left.hundredths is None or sum(hours) <= left.hundredths):
        return {_key(w) for w in wishes}
    problem = _Problem(hours, left)
    for values in _objectives(wishes):
        problem.keep_best(values)
    for start in range(0, len(wishes), CHUNK):
        places = range(start, min(start + CHUNK, len(wishes)))
        weights = [0] * len(wishes)
        for place in places:
            weights[place] = 2 ** (places[-1] - place)
        problem.fix(places, problem.solve(weights))
    return {_key(wishes[place]) for place, x in enumerate(problem.low) if x == 1}


def _objectives(wishes: Sequence[Wish]) -> list[list[int]]:
    """What is maximised, one after the other, in whole numbers; see the module."""
    usd = [w.usd_per_day for w in wishes]
    unpriced = [w for w in wishes if w.kind == "retrain" and w.usd_per_day is None]
    if not unpriced:
        return [_whole(usd)]
    harm = [w.harm_per_day if w.kind == "retrain" else 0.0 for w in wishes]
    saved = [w.usd_per_day if w.kind == "compress" else 0.0 for w in wishes]
    return [_whole(harm), _whole(saved)]


def _whole(values: Sequence[float | None]) -> list[int]:
    """Values as whole steps of the largest one's fourth figure; what is not known counts 0."""
    known = [max(0.0, v) if v is not None else 0.0 for v in values]
    largest = max(known, default=0.0)
    if largest <= 0.0:
        return [0] * len(known)
    step = Decimal(1).scaleb(Decimal(repr(largest)).adjusted() - FIGURES + 1)
    return [int((Decimal(repr(v)) / step).to_integral_value()) for v in known]


class _Problem:
    """The budget's limits, and everything that earlier objectives have settled."""

    def __init__(self, hours: Sequence[int], left: _Left) -> None:
        count = len(hours)
        self.low, self.high = np.zeros(count), np.ones(count)
        self._rows: list[Sequence[int]] = []
        self._least: list[float] = []
        self._most: list[float] = []
        if left.jobs is not None:
            self._add([1] * count, -math.inf, left.jobs)
        if left.hundredths is not None:
            # A wish that is larger than what is left is out, and no number of it is left over.
            self.high = np.array([float(h <= left.hundredths) for h in hours])
            self._add([min(h, left.hundredths + 1) for h in hours], -math.inf, left.hundredths)

    def _add(self, row: Sequence[int], least: float, most: float) -> None:
        self._rows.append(row)
        self._least.append(least)
        self._most.append(most)

    def keep_best(self, values: Sequence[int]) -> None:
        """Settle for choices that are worth the most that is possible."""
        if any(values):
            best = sum(v for v, x in zip(values, self.solve(values), strict=True) if x)
            self._add(values, best, math.inf)

    def fix(self, places: range, chosen: Sequence[int]) -> None:
        """Settle some of the wishes as they were chosen."""
        for place in places:
            self.low[place] = self.high[place] = chosen[place]

    def solve(self, values: Sequence[int]) -> list[int]:
        """The best choice, 0 or 1 for each wish.

        Raises:
            ArithmeticError: the solver did not prove one that keeps every limit.

        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        limits = LinearConstraint(np.array(self._rows, float), self._least, self._most)
        found = milp(
            -np.array(values, float),
            integrality=np.ones(len(values)),
            bounds=Bounds(self.low, self.high),
            constraints=limits,
            options={"mip_rel_gap": 0.0},
        )
        if found.status != 0:
            raise ArithmeticError(f"the budget could not be shared out: {found.message}")
        chosen = [round(x) for x in found.x]
        sums = [sum(a * x for a, x in zip(row, chosen, strict=True)) for row in self._rows]
        if any(not a <= s <= b for a, s, b in zip(self._least, sums, self._most, strict=True)):
            raise ArithmeticError(f"the budget could not be shared out: {chosen} breaks a limit")
        return chosen


# ---------------------------------------------------------------- in words


def _free(wish: Wish) -> Allotted:
    words = "granted: a rollback needs no GPU and no budget"
    if wish.exists:
        words = "granted: its job was started already, and is counted"
    return Allotted(wish=wish, verdict="granted", words=words)


def _by_hand(wish: Wish) -> Allotted:
    words = (
        f"ordered by {wish.ordered_by}: outside of the budget, and counted "
        f"({wish.gpu_hours:.2f} GPU-hours)"
    )
    return Allotted(wish=wish, verdict="ordered", words=words)


def _granted(wish: Wish, left: _Left) -> str:
    return f"granted: {wish.gpu_hours:.2f} GPU-hours of {_said(left)}; {_value(wish)}"


def _refused(wish: Wish, left: _Left, winners: Sequence[Wish]) -> str:
    asked = f"{wish.gpu_hours:.2f} GPU-hours asked, {_said(_after(left, winners))} left"
    if not winners:
        return f"{asked}; {_value(wish)}"
    first = [f"{w.model} ({w.kind}, {_value(w)})" for w in winners[:NAMED]]
    more = f" and {len(winners) - NAMED} more" if len(winners) > NAMED else ""
    return (
        f"{asked} after {', '.join(first)}{more}, which together {_do(winners)} most a day; "
        f"{wish.model}: {_value(wish)}"
    )


def _after(left: _Left, winners: Sequence[Wish]) -> _Left:
    taken = sum(_hundredths(w.gpu_hours, ROUND_CEILING) for w in winners)
    return _Left(
        None if left.jobs is None else left.jobs - len(winners),
        None if left.hundredths is None else left.hundredths - taken,
    )


def _do(winners: Sequence[Wish]) -> str:
    kinds = {w.kind for w in winners}
    if kinds == {"compress"}:
        return "save"
    return "protect" if kinds == {"retrain"} else "protect or save"


def _said(left: _Left) -> str:
    hours = "unlimited" if left.hundredths is None else f"{left.hundredths / 100:.2f}"
    jobs = "any number of" if left.jobs is None else str(left.jobs)
    return f"{hours} GPU-hours and {jobs} jobs"


def _value(wish: Wish) -> str:
    if wish.usd_per_day is not None:
        return f"{wish.usd_per_day:.3g} USD a day"
    if wish.harm_per_day is not None:
        return f"{wish.harm_per_day:,.0f} tolerances x requests a day"
    return "worth not known"
