"""How far each automatic measure goes with people, and whether it keeps its vote.

A measure loses its vote only where it is shown not to agree: too few answers, or people who
do not agree with each other, take no vote away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, get_args

from upkeep.agreement import Correlation, correlate, over_systems
from upkeep.judgement_answers import Output
from upkeep.records import Agreement, Criterion, Direction, Vote
from upkeep.records.people import Level, Statistic
from upkeep.spec import Reviews

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Opinion:
    """The mean rating of each output that counts for a criterion, and the criterion's weight."""

    criterion: Criterion
    outputs: tuple[Output, ...]
    means: np.ndarray
    weight: float


def agreements(
    opinions: Sequence[Opinion],
    scores: Mapping[Output, Mapping[str, float]],
    versions: Mapping[date, str],
    directions: Mapping[str, Direction],
) -> tuple[Agreement, ...]:
    """Each measure against each criterion: every statistic, over outputs and over versions.

    Signed so that + is good. A measure that is better in neither direction has none.
    """
    found: list[Agreement] = []
    for measure, sign in _signed(directions):
        for opinion in opinions:
            mine, people, outputs = _paired(measure, opinion.outputs, opinion.means, scores)
            by_level = _levels(sign * mine, people, [versions.get(day) for day, _ in outputs])
            found += [
                Agreement(
                    measure=measure,
                    criterion=opinion.criterion,
                    level=level,
                    statistic=statistic,
                    value=correlation.value,
                    interval=correlation.interval,
                    n=correlation.n,
                )
                for level, statistic, correlation in by_level
            ]
    return tuple(found)


def votes(
    opinions: Sequence[Opinion],
    scores: Mapping[Output, Mapping[str, float]],
    directions: Mapping[str, Direction],
    reviews: Reviews,
) -> tuple[Vote, ...]:
    """Which measures keep their vote, and why.

    Judged by Spearman's correlation over outputs with one human score an output (see
    :func:`pooled`): ranks, because a measure has its own scale and its own outliers; one
    score, because a measure need not go with each criterion. A vote is lost where at least
    ``min_outputs`` outputs are rated and the whole 95 % interval lies under ``min_agreement``.
    """
    import numpy as np

    human = pooled(opinions)
    outputs, values = tuple(human), np.array(list(human.values()), dtype=float)
    judged = any(opinion.weight > 0.0 for opinion in opinions)
    found = []
    for measure, direction in sorted(directions.items()):
        if direction == "neither":
            words = "kept: it is better in neither direction, people cannot contradict it"
            found.append(Vote(measure=measure, counts=True, words=words))
        elif not judged:
            words = "kept: people's own agreement gives no criterion any weight"
            found.append(Vote(measure=measure, counts=True, words=words))
        else:
            mine, people, _ = _paired(measure, outputs, values, scores)
            sign = -1.0 if direction == "lower_is_better" else 1.0
            found.append(_vote(measure, correlate(sign * mine, people, "spearman"), reviews))
    return tuple(found)


def pooled(opinions: Iterable[Opinion]) -> dict[Output, float]:
    """One human score an output: by how much people rate it over the average output.

    The mean, weighted with the criteria's weights, of (mean rating - the criterion's mean over
    outputs). Centred, because an output that was rated on a lenient criterion only would
    otherwise look better than others. Criteria of weight 0 are left out.
    """
    sums: dict[Output, tuple[float, float]] = {}
    for opinion in opinions:
        if opinion.weight <= 0.0:
            continue
        above = opinion.means - opinion.means.mean()
        for output, value in zip(opinion.outputs, above, strict=True):
            total, weight = sums.get(output, (0.0, 0.0))
            sums[output] = (total + opinion.weight * float(value), weight + opinion.weight)
    return {output: total / weight for output, (total, weight) in sorted(sums.items())}


def _vote(measure: str, found: Correlation, reviews: Reviews) -> Vote:
    needed = reviews.min_agreement
    if found.n < reviews.min_outputs:
        words = f"kept: {found.n} of {reviews.min_outputs} rated outputs that have its score"
        return Vote(measure=measure, counts=True, words=words)
    if found.value is None or found.interval is None:
        words = f"kept: no spread in the scores or ratings of {found.n} outputs"
        return Vote(measure=measure, counts=True, words=words)
    low, high = found.interval.low, found.interval.high
    said = f"Spearman {found.value:.2f} ({low:.2f} to {high:.2f}) with people on {found.n} outputs"
    if high < needed:
        words = f"lost: shown not to agree, {said}, all of it under {needed:g}"
        return Vote(measure=measure, counts=False, words=words)
    shown = "shown to agree" if low >= needed else "not shown either way"
    return Vote(measure=measure, counts=True, words=f"kept: {shown}, {said}, {needed:g} needed")


def _signed(directions: Mapping[str, Direction]) -> list[tuple[str, float]]:
    """Each measure, and what its score is multiplied with so that more is better."""
    signs = {"higher_is_better": 1.0, "lower_is_better": -1.0}
    return [(m, signs[d]) for m, d in sorted(directions.items()) if d in signs]


def _paired(
    measure: str,
    outputs: Sequence[Output],
    human: np.ndarray,
    scores: Mapping[Output, Mapping[str, float]],
) -> tuple[np.ndarray, np.ndarray, list[Output]]:
    """The measure's and people's scores of the outputs that have both, and which these are."""
    import numpy as np

    places = [place for place, output in enumerate(outputs) if measure in scores.get(output, {})]
    both = [outputs[place] for place in places]
    mine = np.array([scores[output][measure] for output in both], dtype=float)
    return mine, human[places], both


def _levels(
    mine: np.ndarray, people: np.ndarray, systems: Sequence[str | None]
) -> list[tuple[Level, Statistic, Correlation]]:
    """All statistics over outputs, then over versions where the version is known."""
    known = [place for place, system in enumerate(systems) if system is not None]
    names = [str(systems[place]) for place in known]
    statistics: tuple[Statistic, ...] = get_args(Statistic)
    return [
        *(("sample", name, correlate(mine, people, name)) for name in statistics),
        *(("system", n, over_systems(mine[known], people[known], names, n)) for n in statistics),
    ]
