"""People's answers become one record: whose count, what they say, and which measure may vote."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.judgement import judge
from upkeep.judgement_answers import Output, admit
from upkeep.records import Agreement, CriterionResult, Direction, People, Rating
from upkeep.spec import Reviews
from upkeep.stats import mean_interval

DAY = date(2026, 3, 5)
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
HIGHER: dict[str, Direction] = {"bleu": "higher_is_better"}


def answer(output: int = 0, value: int = 3, rater: str = "ann", **more: Any) -> Rating:
    given = {"criterion": "coherence", "day": DAY, "at": NOON, "door": "mlflow"} | more
    return Rating(sample_id=f"s{output}", value=value, rater=rater, **given)


def said(
    ratings: Sequence[Rating],
    scores: Mapping[Output, Mapping[str, float]] | None = None,
    directions: Mapping[str, Direction] | None = None,
    offered: Collection[Output] | None = None,
    versions: Mapping[date, str] | None = None,
    **reviews: Any,
) -> People:
    """The record of these answers, about outputs that were all offered unless said otherwise."""
    return judge(
        "docs-assistant",
        DAY,
        Reviews(**{"criteria": ("coherence",)} | reviews),
        ratings,
        scores or {},
        versions or {},
        directions or {},
        {(r.day, r.sample_id) for r in ratings} if offered is None else offered,
    )


def first(people: People) -> CriterionResult:
    return people.criteria[0]


def panel(n: int, raters: int = 3, noise: float = 0.5, seed: int = 0) -> list[Rating]:
    """Raters who see the same good in an output, each with some noise: output k has good k % 5."""
    draw = random.Random(seed)
    return [
        answer(k, min(5, max(1, round(1 + k % 5 + draw.gauss(0.0, noise)))), f"rater-{r}")
        for k in range(n)
        for r in range(raters)
    ]


def scored(n: int, slope: float, noise: float = 0.0) -> dict[Output, dict[str, float]]:
    """BLEU that goes up (slope 1), down (-1) or not at all (0) with the good of :func:`panel`."""
    draw = random.Random(2)
    return {
        (DAY, f"s{k}"): {"bleu": slope * (k % 5) + noise * draw.gauss(0.0, 1.0)} for k in range(n)
    }


# ---------------------------------------------------------------- which answers count


@pytest.mark.parametrize(
    ("stray", "what"),
    [
        (answer(rater=" "), "answers of nobody"),
        (answer(rater="Default"), "answers of nobody"),
        (answer(rater="unknown"), "answers of nobody"),
        (answer(criterion="realism"), "answers on realism"),
        (answer(day=DAY - timedelta(days=7)), "answers about outputs outside the window"),
        (answer(day=DAY + timedelta(days=1)), "answers about outputs outside the window"),
        (answer(output=99), "answers about unknown outputs"),
    ],
)
def test_an_answer_that_does_not_count_is_left_out_with_its_reason(
    stray: Rating, what: str
) -> None:
    """An answer that does not count is left out with its reason, and changes nothing else."""
    offered = [(stray.day, "s0"), (DAY, "s0"), (DAY, "s1")]
    good = [answer(k, 1 + k + v, f"rater-{v}") for k in (0, 1) for v in (0, 1)]
    with_it = said([*good, stray], offered=offered, window_days=7)
    (left_out,) = with_it.excluded
    assert (left_out.what, left_out.n) == (what, 1)
    assert left_out.reason
    assert with_it.model_copy(update={"excluded": ()}) == said(good, window_days=7)


def test_the_first_day_of_the_window_counts() -> None:
    """The window of 7 days begins six days before the day."""
    people = said([answer(day=DAY - timedelta(days=6))], window_days=7)
    assert people.first_day == DAY - timedelta(days=6)
    assert people.ratings == 1


@pytest.mark.parametrize("turned", [False, True])
def test_the_last_answer_of_a_person_counts(*, turned: bool) -> None:
    """The last answer of a person counts, whichever door it came through."""
    early = answer(value=1, at=NOON, door="airflow")
    late = answer(value=5, at=NOON + timedelta(hours=1))
    people = said([late, early] if turned else [early, late], min_raters=1)
    assert first(people).score == 5.0
    assert [(e.what, e.n) for e in people.excluded] == [("earlier answers", 1)]


def test_two_answers_of_one_moment_have_one_winner() -> None:
    """Two answers of one moment have one winner, whatever the order."""
    one, other = answer(value=2), answer(value=4)
    assert said([one, other], min_raters=1) == said([other, one], min_raters=1)


def test_a_time_is_kept_in_utc() -> None:
    """A time without a zone is meant in UTC; another zone is turned into it."""
    eve = datetime(2026, 3, 6, 1, tzinfo=timezone(timedelta(hours=2)))
    assert answer(at=eve).at.date() == DAY
    assert answer(at=datetime(2026, 3, 5, 12)) == answer(at=NOON)  # noqa: DTZ001
    assert Rating.parse(answer(at=eve).canonical_bytes()) == answer(at=eve)


# ---------------------------------------------------------------- the cap


def test_over_the_cap_a_person_cannot_choose_which_answers_count() -> None:
    """The same outputs are kept whoever spams, in whatever order and at whatever hour."""
    reviews = Reviews(criteria=("coherence", "realism"), max_per_rater=6)
    both = [answer(k, criterion=c) for k in range(20) for c in ("coherence", "realism")]
    again = [r.model_copy(update={"rater": "bob", "value": 5}) for r in reversed(both)]
    offered = {(DAY, f"s{k}") for k in range(20)}
    ann, bob = (admit(DAY, reviews, given, offered).kept for given in (both, again))
    kept = [sorted((r.sample_id, r.criterion) for r in who) for who in (ann, bob)]
    assert kept[0] == kept[1]
    assert len(ann) == 6
    assert len({r.sample_id for r in ann}) == 3  # an output's criteria stay together


def test_the_cap_is_one_persons_on_one_day() -> None:
    """What is over the cap of one person takes nothing from another person or day."""
    spam = [answer(k, rater="spam") for k in range(50)]
    quiet = [answer(k, rater="ann") for k in range(5)]
    next_day = [answer(60 + k, rater="spam", at=NOON + timedelta(days=1)) for k in range(5)]
    people = said([*spam, *quiet, *next_day], max_per_rater=5)
    assert people.ratings == 15
    (over,) = people.excluded
    assert (over.what, over.n) == ("answers over the cap", 45)
    assert "capped at 5 answers a day: spam" in people.flags


def test_a_million_spam_votes_change_nothing_but_the_flag() -> None:
    """F10: one person's million votes, again and again on each output, weigh as 20 answers do."""
    honest = panel(40)
    outputs = [(DAY, f"s{k}") for k in range(20_000)]
    spam = [answer(k, 5, "spam") for k in range(20_000)] * 50
    people = said([*spam, *honest], offered=outputs, max_per_rater=20, min_raters=3)
    left_out = {e.what: e.n for e in people.excluded}
    assert left_out["earlier answers"] == 980_000
    assert sum(left_out.values()) + people.ratings == 1_000_000 + len(honest)
    assert people.ratings == 3 * 20 + 20
    assert any(flag.startswith("capped at 20 answers a day: ") for flag in people.flags)


# ---------------------------------------------------------------- what a criterion says


def test_the_score_is_the_mean_over_outputs() -> None:
    """An output that everybody rates weighs no more than one that two people rate."""
    crowd = [answer(0, 5, f"rater-{k}") for k in range(30)]
    pair = [answer(1, 1, "rater-0"), answer(1, 2, "rater-1")]
    found = first(said(crowd + pair))
    assert found.score == pytest.approx((5.0 + 1.5) / 2)
    assert (found.outputs, found.ratings, found.raters) == (2, 32, 30)


def test_the_interval_is_students_cut_to_the_scale() -> None:
    """The interval is Student's over outputs, cut to 1 to 5; one output has none."""
    pairs = [answer(k, 2 + k // 3, r) for k in range(6) for r in ("ann", "bob")]
    expected, found = mean_interval([2.0, 2.0, 2.0, 3.0, 3.0, 3.0]), first(said(pairs)).interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    wide = first(said([answer(k, 1 + 4 * k, r) for k in (0, 1) for r in ("ann", "bob")])).interval
    assert wide is not None
    assert (wide.low, wide.high) == (1.0, 5.0)
    assert first(said([answer(0, 3, r) for r in ("ann", "bob")])).interval is None


def test_an_output_with_too_few_raters_does_not_count_yet() -> None:
    """An output with too few raters does not count yet; its answers are not thrown away."""
    found = first(said([answer(0, 1), answer(1, 4), answer(1, 4, "bob")]))
    assert (found.score, found.outputs, found.ratings) == (4.0, 1, 3)
    assert "over 1 of 2 outputs answered" in found.words


def test_nobodys_answer_gives_no_score() -> None:
    """Without an answer there is a criterion with no score and no weight, and no flag."""
    people = said([])
    assert (first(people).score, first(people).alpha, first(people).weight) == (None, None, 0.0)
    assert first(people).words == "no score: nobody answered; it counts nothing"
    assert people.flags == ()


def test_people_who_agree_count_in_full_and_people_who_guess_do_not() -> None:
    """Weight is 1 at min_alpha and over, alpha / min_alpha under it, 0 where people contradict."""
    full = first(said(panel(60)))
    assert full.alpha is not None
    assert full.alpha > 0.8
    assert full.weight == 1.0
    less = first(said(panel(60, noise=2.5), min_alpha=0.9))
    assert less.alpha is not None
    assert 0.0 < less.alpha < 0.9
    assert less.weight == pytest.approx(less.alpha / 0.9)
    assert f"it counts {less.weight:.0%}" in less.words
    against = [answer(k, 1 + 4 * ((k + r) % 2), f"rater-{r}") for k in range(10) for r in (0, 1)]
    assert first(said(against)).weight == 0.0


@pytest.mark.parametrize(
    ("ratings", "flag"),
    [
        ([answer(k, 1 + k % 5) for k in range(9)], "coherence: all 9 answers are of one person"),
        (
            [answer(k, 3, r) for k in range(9) for r in ("ann", "bob")],
            "coherence: all ties, every answer is the same value",
        ),
        (panel(30, noise=9.0), "coherence: low agreement, alpha"),
    ],
)
def test_answers_that_prove_little_are_flagged_and_count_little(
    ratings: list[Rating], flag: str
) -> None:
    """F10: one rater, all ties, no agreement: a flag, and less than half of the weight."""
    people = said(ratings)
    assert any(text.startswith(flag) for text in people.flags)
    assert first(people).weight < 0.5
    assert people.criteria == People.parse(people.canonical_bytes()).criteria


def test_one_rater_alone_has_no_weight_even_where_one_is_enough() -> None:
    """With min_raters 1 there is a score, but nobody to agree with: it counts nothing."""
    found = first(said([answer(k, 1 + k % 5) for k in range(9)], min_raters=1))
    assert found.score is not None
    assert (found.alpha, found.weight) == (None, 0.0)
    assert "no output has two raters" in found.words


def test_a_deleted_rater_is_as_one_who_never_answered() -> None:
    """Deleted answers, and answers whose rater's name was wiped, give the same scores."""
    stay, gone = panel(40, raters=2), [answer(k, 1, "gone") for k in range(40)]
    wiped = [r.model_copy(update={"rater": "unknown"}) for r in gone]
    assert said(stay + wiped).criteria == said(stay).criteria
    assert said(stay + gone).criteria != said(stay).criteria


# ---------------------------------------------------------------- votes


@pytest.mark.parametrize(
    ("scores", "more", "counts", "words"),
    [
        (scored(40, -1.0), {}, False, "lost: shown not to agree, Spearman -0."),
        (scored(400, 0.0, 1.0), {"min_agreement": 0.5}, False, "lost: shown not to agree"),
        (scored(40, 1.0), {}, True, "kept: shown to agree, Spearman 0."),
        (scored(40, 0.0, 1.0), {}, True, "kept: not shown either way, Spearman"),
        (scored(12, -1.0), {}, True, "kept: 12 of 30 rated outputs that have its score"),
        ({}, {}, True, "kept: 0 of 30 rated outputs that have its score"),
        (scored(40, 0.0), {}, True, "kept: no spread in the scores or ratings of 40 outputs"),
    ],
)
def test_a_measure_loses_its_vote_only_where_it_is_shown_not_to_agree(
    scores: dict[Output, dict[str, float]], more: dict[str, float], counts: object, words: str
) -> None:
    """A measure loses its vote only where it is shown not to agree; the words say why."""
    ratings = panel(max(40, len(scores)))
    vote = said(ratings, scores, HIGHER, **more).vote("bleu")
    assert vote is not None
    assert vote.counts is counts
    assert vote.words.startswith(words)


def test_people_who_do_not_agree_take_no_vote_away() -> None:
    """People who do not agree with each other cannot judge a measure."""
    against = [answer(k, 1 + 4 * ((k + r) % 2), f"rater-{r}") for k in range(60) for r in (0, 1)]
    vote = said(against, scored(60, -1.0), HIGHER).vote("bleu")
    assert vote is not None
    assert vote.counts
    assert "gives no criterion any weight" in vote.words


def test_a_measure_without_a_better_direction_keeps_its_vote() -> None:
    """A measure that is better in neither direction cannot disagree: a vote, no agreement."""
    people = said(panel(40), scored(40, -1.0), {"bleu": "neither"})
    assert people.agreements == ()
    assert [vote.counts for vote in people.votes] == [True]
    assert people.vote("fid") is None


def test_an_output_rated_on_a_lenient_criterion_only_does_not_look_better() -> None:
    """Criteria are centred before they are pooled: their levels say nothing about outputs."""
    strict = [answer(k, 1 + k % 2, r) for k in range(20) for r in ("ann", "bob")]
    lenient = [
        answer(k, 4 + k % 2, r, criterion="realism") for k in range(20, 40) for r in ("ann", "bob")
    ]
    scores = {(DAY, f"s{k}"): {"bleu": float(k % 2)} for k in range(40)}
    vote = said(strict + lenient, scores, HIGHER, criteria=("coherence", "realism")).vote("bleu")
    assert vote is not None
    assert vote.words.startswith("kept: shown to agree, Spearman 1.00")


def test_a_criterion_without_weight_has_no_say() -> None:
    """A measure that goes against a criterion on which people contradict each other keeps it."""
    agreed = panel(40)
    quarrel = [
        answer(k, 1 + 4 * ((k + r) % 2), f"rater-{r}", criterion="realism")
        for k in range(40)
        for r in (0, 1)
    ]
    both = said(agreed + quarrel, scored(40, 1.0), HIGHER, criteria=("coherence", "realism"))
    assert both.votes == said(agreed, scored(40, 1.0), HIGHER).votes


# ---------------------------------------------------------------- agreements


def at(people: People, level: str, statistic: str) -> Agreement:
    (found,) = [a for a in people.agreements if (a.level, a.statistic) == (level, statistic)]
    return found


def over_days(days: int) -> tuple[list[Rating], dict[Output, dict[str, float]]]:
    """Each day's outputs are better than those of the day before, and perplexity is lower."""
    ratings = [
        answer(k, min(5, 1 + n + k), r, day=DAY - timedelta(days=n))
        for n in range(days)
        for k in (0, 1)
        for r in ("ann", "bob")
    ]
    scores = {(r.day, r.sample_id): {"perplexity": 50.0 - r.value} for r in ratings}
    return ratings, scores


@pytest.mark.parametrize(("versions", "n"), [(4, 4), (3, 3), (0, 0)])
def test_agreement_is_signed_and_over_versions_where_there_are_four(versions: int, n: int) -> None:
    """Lower perplexity with better ratings is +; days of no known version are left out."""
    ratings, scores = over_days(4)
    known = {DAY - timedelta(days=k): f"v{k}" for k in range(versions)}
    people = said(ratings, scores, {"perplexity": "lower_is_better"}, versions=known)
    assert len(people.agreements) == 6
    over_outputs, over_versions = at(people, "sample", "spearman"), at(people, "system", "pearson")
    assert (over_outputs.value, over_outputs.n) == (pytest.approx(1.0), 8)
    assert over_versions.n == n
    assert over_versions.value == (pytest.approx(1.0) if n == 4 else None)


# ---------------------------------------------------------------- what must not matter

ANSWERS = st.lists(
    st.builds(
        answer,
        output=st.integers(0, 6),
        value=st.integers(1, 5),
        rater=st.sampled_from(["ann", "bob", "cid", "unknown"]),
        criterion=st.sampled_from(["coherence", "realism"]),
        at=st.integers(0, 2).map(lambda hours: NOON + timedelta(hours=hours)),
        day=st.sampled_from([DAY, DAY - timedelta(days=1), DAY - timedelta(days=9)]),
    ),
    max_size=40,
)
FEW = settings(max_examples=40)
SCORES = {
    (day, f"s{k}"): {"bleu": float((k * 7 + day.day) % 5)}
    for day in (DAY, DAY - timedelta(days=1))
    for k in range(7)
}


def small(ratings: Sequence[Rating], **more: Any) -> People:
    return said(
        ratings,
        **{
            "scores": SCORES,
            "directions": HIGHER,
            "window_days": 5,
            "max_per_rater": 6,
            "min_outputs": 4,
        }
        | more,
    )


@FEW
@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(ratings: list[Rating], draw: random.Random) -> None:
    """The order of answers does not matter: the record is the same byte for byte."""
    shuffled = list(ratings)
    draw.shuffle(shuffled)
    assert small(shuffled).canonical_bytes() == small(ratings).canonical_bytes()


@FEW
@given(ANSWERS)
def test_answers_given_twice_count_once(ratings: list[Rating]) -> None:
    """Answers given twice count once, under the cap and over it."""
    once, twice = small(ratings), small([*ratings, *ratings])
    assert twice.model_copy(update={"excluded": once.excluded}) == once


@FEW
@given(ANSWERS)
def test_every_answer_is_counted_or_left_out_with_a_reason(ratings: list[Rating]) -> None:
    """Every answer is counted or left out with a reason; none vanishes."""
    people = small(ratings)
    assert people.ratings + sum(e.n for e in people.excluded) == len(ratings)
    assert people.ratings == sum(c.ratings for c in people.criteria)


@FEW
@given(st.integers(0, 99), st.sampled_from([0.01, 3.0, 1e6]), st.floats(-5.0, 5.0))
def test_rescaling_a_measure_changes_no_rank_correlation(
    seed: int, factor: float, shift: float
) -> None:
    """Rescaling a measure changes neither rank correlations nor its vote."""
    ratings, scores = panel(12, noise=1.5, seed=seed), scored(12, 1.0, 2.0)
    scaled = {o: {"bleu": factor * s["bleu"] + shift} for o, s in scores.items()}
    one, other = (said(ratings, s, HIGHER, min_outputs=4) for s in (scores, scaled))
    for statistic in ("spearman", "kendall"):
        assert at(one, "sample", statistic) == at(other, "sample", statistic)
    assert one.votes == other.votes


@FEW
@given(st.integers(0, 99), st.sampled_from([-1.0, 0.0, 1.0]))
def test_negating_a_measure_and_its_direction_changes_nothing(seed: int, slope: float) -> None:
    """Negating a measure and its direction changes nothing."""
    ratings, scores = panel(12, noise=1.5, seed=seed), scored(12, slope, 1.0)
    negated = {o: {"bleu": -s["bleu"]} for o, s in scores.items()}
    one = said(ratings, scores, HIGHER, min_outputs=4)
    other = said(ratings, negated, {"bleu": "lower_is_better"}, min_outputs=4)
    assert one == other
