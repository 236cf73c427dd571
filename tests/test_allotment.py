"""Who gets what of a short budget: checked against every possible choice, whatever the order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.allotment import Limits, preferred, share_out
from upkeep.records import Allotted, Used, Wish, WishKind

HOURS = (0.0, 0.5, 1.0, 2.0, 3.25, 6.0)


def wish(model: str, kind: WishKind = "compress", hours: float = 1.0, **worth: Any) -> Wish:
    """A wish for a job."""
    return Wish(model=model, kind=kind, gpu_hours=hours, **worth)


def granted(answers: Sequence[Allotted]) -> set[str]:
    """The models that were not refused."""
    return {a.wish.model for a in answers if a.verdict != "refused"}


def shared(wishes: Sequence[Wish], jobs: int | None, hours: float | None) -> set[str]:
    """Who gets a job of an unused budget."""
    return granted(share_out(wishes, Limits(jobs, hours), ()))


# ---------------------------------------------------------------- the best of all choices


def worth_of(wishes: Sequence[Wish]) -> tuple[Decimal, Decimal]:
    """What a choice is worth, as the module's page says; exact."""
    usd = [Decimal(repr(w.usd_per_day or 0.0)) for w in wishes]
    harm = [Decimal(repr(w.harm_per_day or 0.0)) for w in wishes if w.kind == "retrain"]
    return sum(harm, Decimal(0)), sum(usd, Decimal(0))


def best(wishes: Sequence[Wish], jobs: int | None, hours: float | None, *, usd: bool) -> set[str]:
    """The best choice by trying every one."""
    ordered = sorted(wishes, key=preferred)
    choices = []
    for bits in itertools.product((1, 0), repeat=len(ordered)):
        chosen = [w for w, bit in zip(ordered, bits, strict=True) if bit]
        fits = jobs is None or len(chosen) <= jobs
        if fits and (hours is None or sum(w.gpu_hours for w in chosen) <= hours):
            harm, money = worth_of(chosen)
            saved = sum((worth_of([w])[1] for w in chosen if w.kind == "compress"), Decimal(0))
            value = (money,) if usd else (harm, saved)
            choices.append((value, bits, {w.model for w in chosen}))
    return max(choices, key=lambda choice: choice[:2])[2]


USD = st.sampled_from([None, 0.5, 1.0, 2.0, 3.5, 12.0])
PRICED = st.tuples(st.sampled_from(["compress", "retrain"]), st.sampled_from(HOURS), USD)
BUDGETS = st.tuples(st.none() | st.integers(0, 4), st.none() | st.sampled_from([0.0, 2.5, 6.0]))


@settings(max_examples=120, deadline=None)
@given(found=st.lists(PRICED, max_size=7), budget=BUDGETS)
def test_the_best_of_all_choices_is_made(
    found: list[Any], budget: tuple[int | None, float | None]
) -> None:
    """Any wishes in USD, any budget: the same models as by trying every choice."""
    wishes = [
        wish(f"m{n}", kind, hours, usd_per_day=usd if kind == "compress" else usd or 0.25)
        for n, (kind, hours, usd) in enumerate(found)
    ]
    assert shared(wishes, *budget) == best(wishes, *budget, usd=True)


@settings(max_examples=80, deadline=None)
@given(found=st.lists(PRICED, max_size=7), budget=BUDGETS, data=st.data())
def test_protection_without_a_price_goes_before_savings(
    found: list[Any], budget: tuple[int | None, float | None], data: st.DataObject
) -> None:
    """Tolerances x requests first, USD next; the same as by trying every choice."""
    wishes = [wish("m-unpriced", "retrain", 1.0, harm_per_day=100.0)]
    for n, (kind, hours, usd) in enumerate(found):
        harm = data.draw(st.sampled_from([50.0, 100.0, 150.0])) if kind == "retrain" else None
        wishes.append(wish(f"m{n}", kind, hours, usd_per_day=usd, harm_per_day=harm))
    assert shared(wishes, *budget) == best(wishes, *budget, usd=False)


@settings(max_examples=60, deadline=None)
@given(found=st.lists(PRICED, max_size=8), budget=BUDGETS, data=st.data())
def test_the_order_of_the_models_does_not_matter(
    found: list[Any], budget: tuple[int | None, float | None], data: st.DataObject
) -> None:
    """The same answers, word for word and in the same order."""
    wishes = [wish(f"m{n}", k, h, usd_per_day=usd) for n, (k, h, usd) in enumerate(found)]
    mixed = data.draw(st.permutations(wishes))
    limits = Limits(*budget)
    assert share_out(mixed, limits, ()) == share_out(wishes, limits, ())


NUMBER = st.floats(0.0, 1e4, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(
    asked=st.lists(st.tuples(NUMBER, NUMBER), max_size=25),
    used=st.lists(NUMBER, max_size=3),
    jobs=st.integers(0, 20),
    hours=NUMBER,
)
def test_the_budget_is_never_exceeded(
    asked: list[tuple[float, float]], used: list[float], jobs: int, hours: float
) -> None:
    """Any GPU-hours with any fractions, any values, a part used already: exact sums."""
    wishes = [wish(f"m{n}", "compress", h, usd_per_day=v) for n, (h, v) in enumerate(asked)]
    before = [Used(model=f"u{n}", kind="retrain", gpu_hours=h) for n, h in enumerate(used)]
    given_ = [a.wish for a in share_out(wishes, Limits(jobs, hours), before)
              if a.verdict == "granted"]  # fmt: skip
    assert not given_ or len(given_) + len(before) <= jobs
    total = sum((Decimal(repr(h)) for h in (*(w.gpu_hours for w in given_), *used)), Decimal(0))
    assert not [w for w in given_ if w.gpu_hours] or total <= Decimal(repr(hours))


@settings(max_examples=40, deadline=None)
@given(found=st.lists(PRICED, max_size=6), budget=BUDGETS)
def test_a_better_worth_never_loses_a_job(
    found: list[Any], budget: tuple[int | None, float | None]
) -> None:
    """Whoever is granted stays granted when it alone becomes worth more."""
    wishes = [wish(f"m{n}", k, h, usd_per_day=usd or 0.25) for n, (k, h, usd) in enumerate(found)]
    for winner in granted(share_out(wishes, Limits(*budget), ())):
        more = [
            w.model_copy(update={"usd_per_day": 2 * (w.usd_per_day or 0.0)})
            if w.model == winner
            else w
            for w in wishes
        ]
        assert winner in shared(more, *budget)


# ---------------------------------------------------------------- who goes first


@pytest.mark.parametrize(
    ("wishes", "first"),
    [
        ([wish("a", usd_per_day=1.0), wish("b", usd_per_day=2.0)], "b"),
        ([wish("a", usd_per_day=1.0), wish("b", "retrain", usd_per_day=1.0)], "b"),
        ([wish("a", usd_per_day=9.0), wish("b", "retrain", harm_per_day=1.0)], "b"),
        ([wish("b", usd_per_day=1.0), wish("a", usd_per_day=1.0)], "a"),
        ([wish("a", usd_per_day=1.0, payback_days=9.0),
          wish("b", usd_per_day=1.0, payback_days=2.0)], "b"),
        ([wish("a", usd_per_day=1.0), wish("b", usd_per_day=1.0, payback_days=2.0)], "b"),
        ([wish("a", usd_per_day=-1.0), wish("b", usd_per_day=0.1)], "b"),
        ([wish("a"), wish("b", usd_per_day=0.1)], "b"),
        ([wish("b"), wish("a")], "a"),
    ],
)  # fmt: skip
def test_what_is_worth_most_goes_first(wishes: list[Wish], first: str) -> None:
    """One job for two: worth, then users before money, then payback, then the name."""
    assert shared(wishes, 1, None) == {first}


def test_two_small_ones_stand_over_a_large_one() -> None:
    """Not the dearest first: 2 + 2 USD in 6 hours are more than 3 USD in 6 hours."""
    wishes = [
        wish("large", hours=6.0, usd_per_day=3.0),
        wish("one", hours=3.0, usd_per_day=2.0),
        wish("two", hours=3.0, usd_per_day=2.0),
    ]
    assert shared(wishes, None, 6.0) == {"one", "two"}


def test_the_first_by_name_is_kept_among_many_that_are_alike() -> None:
    """40 alike and 13 jobs: the first thirteen, although the solver sees them all as one."""
    wishes = [wish(f"m{n:02}", usd_per_day=1.0) for n in range(40)]
    assert shared(wishes, 13, None) == {f"m{n:02}" for n in range(13)}


def test_without_limits_everything_is_granted() -> None:
    """No budget is declared: nothing is refused, not even what is worth nothing."""
    assert shared([wish("a", hours=1e6), wish("b", usd_per_day=-5.0)], None, None) == {"a", "b"}


def test_a_rollback_is_always_granted_and_takes_nothing() -> None:
    """A budget of nothing: the rollback goes, the job does not."""
    answers = share_out([wish("a", usd_per_day=9.0), wish("b", "rollback")], Limits(0, 0.0), ())
    assert [(a.wish.model, a.verdict) for a in answers] == [("a", "refused"), ("b", "granted")]
    assert "needs no GPU" in answers[1].words
    after = [Used(model="b", kind="rollback", gpu_hours=0.0)]
    assert granted(share_out([wish("a")], Limits(1, None), after)) == {"a"}


def test_an_order_stands_outside_of_the_budget_and_is_counted() -> None:
    """6 hours ordered of 6: the order goes, and nothing is left for the rest."""
    order = wish("a", hours=6.0, ordered_by="ada")
    answers = share_out([order, wish("b", hours=0.5, usd_per_day=9.0)], Limits(5, 6.0), ())
    assert [a.verdict for a in answers] == ["ordered", "refused"]
    assert "ordered by ada: outside of the budget, and counted (6.00 GPU-hours)" in answers[0].words
    assert "0.50 GPU-hours asked, 0.00 GPU-hours and 4 jobs left" in answers[1].words
    [alone] = share_out([order], Limits(0, 0.0), ())
    assert alone.verdict == "ordered"


def test_a_job_that_is_there_already_is_not_counted_twice() -> None:
    """It takes its part of the budget as used, and its wish is granted with no more of it."""
    there = wish("a", hours=4.0, exists=True)
    used = [Used(model="a", kind="compress", gpu_hours=4.0)]
    answers = share_out([there, wish("b", hours=2.0, usd_per_day=1.0)], Limits(2, 6.0), used)
    assert [a.verdict for a in answers] == ["granted", "granted"]
    assert "was started already" in answers[0].words


def test_a_budget_that_was_refused_grants_nothing_but_rollbacks() -> None:
    """An unknown budget is no budget without limits."""
    limits = Limits(None, None, "budget.yaml was refused")
    answers = share_out([wish("a"), wish("b", "rollback")], limits, ())
    assert [a.verdict for a in answers] == ["refused", "granted"]
    assert answers[0].words == "refused: budget.yaml was refused"


# ---------------------------------------------------------------- in words


def test_a_refusal_names_what_was_asked_what_is_left_and_who_went_first() -> None:
    """The numbers, and at most three of those who got it."""
    wishes = [
        wish("loser", hours=6.0, usd_per_day=1.5),
        *(wish(f"m{n}", hours=3.0, usd_per_day=10.0 - n) for n in range(4)),
    ]
    answers = {a.wish.model: a.words for a in share_out(wishes, Limits(9, 14.5), ())}
    assert answers["loser"] == (
        "refused: 6.00 GPU-hours asked, 2.50 GPU-hours and 5 jobs left after m0 (compress, "
        "10 USD a day), m1 (compress, 9 USD a day), m2 (compress, 8 USD a day) and 1 more, which "
        "together save most a day; loser: 1.5 USD a day"
    )
    assert answers["m0"] == "granted: 3.00 GPU-hours of 14.50 GPU-hours and 9 jobs; 10 USD a day"


def test_a_refusal_by_an_empty_budget_says_so() -> None:
    """Nobody went first: the words name no one."""
    [answer] = share_out([wish("a", "retrain", 2.0, harm_per_day=30_000.0)], Limits(0, None), ())
    assert answer.words == (
        "refused: 2.00 GPU-hours asked, unlimited GPU-hours and 0 jobs left; "
        "30,000 tolerances x requests a day"
    )


def test_every_kind_of_wish_has_an_answer() -> None:
    """One model may wish for every kind; each is answered once."""
    wishes = [wish("a", kind) for kind in get_args(WishKind)]
    answers = share_out(wishes, Limits(None, None), ())
    assert [a.wish.kind for a in answers] == sorted(get_args(WishKind))


def test_two_wishes_of_one_model_and_kind_are_a_mistake() -> None:
    """Nothing can be granted twice by being asked twice."""
    with pytest.raises(ValueError, match="two wishes of one model and kind"):
        share_out([wish("a"), wish("a", hours=2.0)], Limits(None, None), ())
