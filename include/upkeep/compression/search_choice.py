"""Which trial is best by the stated goal, and why; or why none is, and which was nearest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from upkeep.records import Measured, Trial
from upkeep.search_params import Goal

SCORES: dict[str, tuple[str, Callable[[Measured], float]]] = {
    "speed": ("the fastest", lambda m: m.speedup),
    "size": ("the smallest", lambda m: 1.0 / m.size_share),
    "balanced": ("the best in speed-up / size", lambda m: m.speedup / m.size_share),
}


def measured(trials: Sequence[Trial]) -> list[tuple[Trial, Measured]]:
    """The trials that were measured, with what was."""
    return [(trial, trial.measured) for trial in trials if trial.measured is not None]


def front(trials: Sequence[Trial]) -> tuple[int, ...]:
    """The numbers of the trials that no other beats (Pareto): loss, time and size, all small."""
    points = {
        t.number: (m.quality_loss, 1.0 / m.speedup, m.size_share) for t, m in measured(trials)
    }
    return tuple(
        number
        for number, point in sorted(points.items())
        if not any(_beats(other, point) for other in points.values())
    )


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def misses(found: Measured, goal: Goal) -> list[str]:
    """What of the goal a trial does not meet, in words; a gain in speed or size is always asked."""
    said = []
    if found.quality_loss > goal.max_quality_loss:
        said.append(f"quality loss {found.quality_loss:.2%} of at most {goal.max_quality_loss:.2%}")
    if goal.min_speedup is not None and found.speedup < goal.min_speedup:
        said.append(f"{found.speedup:.2f} times as fast of at least {goal.min_speedup:.2f}")
    if goal.max_size_share is not None and found.size_share > goal.max_size_share:
        said.append(f"{found.size_share:.3f} of the size of at most {goal.max_size_share:.3f}")
    if found.speedup <= 1.0 and found.size_share >= 1.0:
        said.append("neither faster nor smaller than the champion")
    return said


def shortfall(found: Measured, goal: Goal) -> float:
    """How far a trial is from the goal: the sum of what is missing, as shares of the limits."""
    total = max(0.0, found.quality_loss / goal.max_quality_loss - 1.0)
    if goal.min_speedup is not None:
        total += max(0.0, goal.min_speedup / found.speedup - 1.0)
    if goal.max_size_share is not None:
        total += max(0.0, found.size_share / goal.max_size_share - 1.0)
    return total


def ranked(trials: Sequence[Trial], goal: Goal) -> list[Trial]:
    """Measured trials, the best first: those that meet the goal by preference, then the nearest."""
    score = SCORES[goal.prefer][1]

    def rank(pair: tuple[Trial, Measured]) -> tuple[bool, float, float, int]:
        trial, found = pair
        unmet = bool(misses(found, goal))
        return unmet, shortfall(found, goal) if unmet else 0.0, -score(found), trial.number

    return [trial for trial, _ in sorted(measured(trials), key=rank)]


def choose(finalists: Sequence[Trial], goal: Goal) -> tuple[Trial | None, Trial]:
    """The best of the finalists, or None; and the nearest, which is the best where there is one.

    Raises:
        ValueError: nothing was measured.

    """
    order = ranked(finalists, goal)
    if not order:
        raise ValueError("nothing was measured")
    best = order[0]
    found = best.measured
    return (best if found is not None and not misses(found, goal) else None), best


def why(trials: Sequence[Trial], finalists: Sequence[Trial], goal: Goal) -> str:
    """The choice in words: what was chosen or nearest, against what, of how many."""
    chosen, best = choose(finalists, goal)
    found = best.measured
    if found is None:
        raise ValueError("nothing was measured")
    count = f"{len(measured(trials))} of {len(trials)} trials could be measured"
    said = f"trial {best.number} ({best.route}): {found.words}"
    if chosen is None:
        missing = "; ".join(misses(found, goal))
        none = "no candidate, because no trial meets the goal"
        return f"{none}; nearest is {said}; missed: {missing}. {count}."
    others = [t for t, m in measured(finalists) if t.number != best.number and not misses(m, goal)]
    against = f" of {len(others) + 1} finalists that meet the goal" if others else ", the only one"
    return f"{said}. It is {SCORES[goal.prefer][0]}{against} ({goal_words(goal)}). {count}."


def goal_words(goal: Goal) -> str:
    """The goal in words."""
    said = [f"quality loss at most {goal.max_quality_loss:.2%}"]
    if goal.min_speedup is not None:
        said.append(f"at least {goal.min_speedup:.2f} times as fast")
    if goal.max_size_share is not None:
        said.append(f"at most {goal.max_size_share:.3f} of the size")
    return ", ".join(said)
