"""What people's answers say on a day: scores by criterion, their agreement, and who may vote.

Pure: the same answers in any order, scores and settings give the same record. Records of
earlier days stay as they are, also where a rater's answers are deleted afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from upkeep.agreement import CONFIDENCE, alpha
from upkeep.judgement_answers import Admitted, Output, admit, first_day
from upkeep.judgement_votes import Opinion, agreements, votes
from upkeep.records import Criterion, CriterionResult, Direction, Interval, People, Rating
from upkeep.records.people import HIGHEST, LOWEST
from upkeep.spec import Reviews
from upkeep.stats import mean_interval

if TYPE_CHECKING:
    import numpy as np

PAIR = 2


def judge(
    model: str,
    day: date,
    reviews: Reviews,
    ratings: Sequence[Rating],
    scores: Mapping[Output, Mapping[str, float]],
    versions: Mapping[date, str],
    directions: Mapping[str, Direction],
    offered: Collection[Output],
) -> People:
    """What people say about ``model`` over the window of days that ends with ``day``.

    ``scores`` has what each automatic measure gave an output, ``versions`` the model version
    that served a day, ``directions`` the measures that have a vote, and ``offered`` the
    outputs that people were asked about: answers about others do not count.
    """
    admitted = admit(day, reviews, ratings, offered)
    results, opinions = [], []
    for criterion in dict.fromkeys(reviews.criteria):
        result, opinion = _criterion(criterion, admitted, reviews)
        results.append(result)
        opinions.append(opinion)
    return People(
        model=model,
        day=day,
        first_day=first_day(day, reviews),
        ratings=len(admitted.kept),
        excluded=admitted.excluded,
        criteria=tuple(results),
        agreements=agreements(opinions, scores, versions, directions),
        votes=votes(opinions, scores, directions, reviews),
        flags=tuple(_flags(results, admitted, reviews)),
    )


def _criterion(
    criterion: Criterion, admitted: Admitted, reviews: Reviews
) -> tuple[CriterionResult, Opinion]:
    """One criterion's result, and the mean rating of each output that counts."""
    import numpy as np

    given = admitted.counts(criterion)
    counted = {o: row for o, row in given.items() if sum(row) >= reviews.min_raters}
    table = np.array(list(counted.values()), dtype=int).reshape(-1, HIGHEST - LOWEST + 1)
    means = table @ np.arange(LOWEST, HIGHEST + 1) / table.sum(axis=1)
    agreed = alpha(table)
    weight = 0.0 if agreed is None else min(1.0, max(0.0, agreed / reviews.min_alpha))
    score, interval = _mean(means)
    result = CriterionResult(
        criterion=criterion,
        score=score,
        interval=interval,
        outputs=len(counted),
        ratings=sum(map(sum, given.values())),
        raters=len(admitted.raters(criterion)),
        alpha=agreed,
        weight=weight,
        words=_words(table, len(given), score, interval, agreed, reviews),
    )
    return result, Opinion(criterion, tuple(counted), means, weight)


def _mean(means: np.ndarray) -> tuple[float | None, Interval | None]:
    """Mean over outputs with Student's interval, cut to the scale; one output bounds nothing."""
    if not len(means):
        return None, None
    found = mean_interval([float(mean) for mean in means], CONFIDENCE)
    if not found.bounded:
        return found.value, None
    low, high = max(float(LOWEST), found.low), min(float(HIGHEST), found.high)
    return found.value, Interval(low=low, high=high, confidence=CONFIDENCE)


def _words(
    table: np.ndarray,
    given: int,
    score: float | None,
    interval: Interval | None,
    agreed: float | None,
    reviews: Reviews,
) -> str:
    """The criterion's result in words, with its numbers."""
    if score is None:
        none = f"none of {given} has {reviews.min_raters} raters" if given else "nobody answered"
        return f"no score: {none}; it counts nothing"
    within = f" ({interval.low:.2f} to {interval.high:.2f})" if interval else ""
    said = f"{score:.2f} of {HIGHEST}{within} over {len(table)} of {given} outputs answered"
    return f"{said}; {_agreement_words(table, agreed, reviews.min_alpha)}"


def _agreement_words(table: np.ndarray, agreed: float | None, needed: float) -> str:
    if agreed is None and not (table.sum(axis=1) >= PAIR).any():
        return "no output has two raters: whether people agree is not known, it counts nothing"
    if agreed is None:
        return "all ties: everybody gave the same value, alpha is undefined, it counts nothing"
    if agreed >= needed:
        return f"people agree (alpha {agreed:.2f}, {needed:g} needed): it counts in full"
    share = max(0.0, agreed / needed)
    return f"people agree little (alpha {agreed:.2f}, {needed:g} needed): it counts {share:.0%}"


def _flags(
    results: Iterable[CriterionResult], admitted: Admitted, reviews: Reviews
) -> Iterable[str]:
    """What a reader should know before believing the scores."""
    for result in results:
        name, ties = result.criterion, result.alpha is None and result.outputs > 0
        if result.raters == 1:
            yield f"{name}: all {result.ratings} answers are of one person"
        if ties and _all_same(admitted.counts(name).values()):
            yield f"{name}: all ties, every answer is the same value"
        if result.alpha is not None and result.alpha < reviews.min_alpha:
            rule = f"alpha {result.alpha:.2f} is under {reviews.min_alpha:g}"
            yield f"{name}: low agreement, {rule}, it counts {result.weight:.0%}"
    if admitted.capped:
        named = ", ".join(admitted.capped[:3]) + (", .." if len(admitted.capped) > 3 else "")  # noqa: PLR2004
        yield f"capped at {reviews.max_per_rater} answers a day: {named}"


def _all_same(rows: Iterable[Sequence[int]]) -> bool:
    return sum(1 for column in zip(*rows, strict=True) if any(column)) == 1
