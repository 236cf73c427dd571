"""How unlike two sets of prompts are: by hand, on real text, and over many days of one kind."""

from __future__ import annotations

import inspect
import math
import pydoc_data.topics
import random
import statistics
import typing
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.errors import ParamError
from upkeep.prompt_distance import SCALE, distance, profile, together

LENGTH = 300
TOLERANCE = 0.005  # of fleet/defaults.yaml


def passages(text: str) -> list[str]:
    """Prompts of 300 characters."""
    return [text[at : at + LENGTH] for at in range(0, len(text) - LENGTH, LENGTH)]


TOPICS: dict[str, str] = pydoc_data.topics.topics
MANUAL = sorted(p for text in TOPICS.values() for p in passages(text))
FORMATS = passages(TOPICS["formatstrings"] + TOPICS["string-methods"])
CODE = passages(inspect.getsource(statistics) + inspect.getsource(typing))


def days(texts: Sequence[str], number: int, size: int, seed: int) -> list[list[str]]:
    """Days of ``size`` prompts each, drawn from ``texts``."""
    rng = random.Random(seed)
    return [rng.choices(texts, k=size) for _ in range(number)]


def cosine(one: str, other: str) -> float:
    """The kernel, from its definition: no hashing, no rounding."""
    counts = [
        {p: padded.count(p) for p in {padded[i : i + 3] for i in range(len(padded) - 2)}}
        for padded in (f" {one} ", f" {other} ")
    ]
    both = sum(n * counts[1].get(p, 0) for p, n in counts[0].items())
    return both / math.prod(math.sqrt(sum(n * n for n in c.values())) for c in counts)


def test_it_is_the_formula() -> None:
    """Against the double sums of Gretton et al. over cosines that are counted one by one."""
    day, before = ["aba", "abc", "cab", "bcd"], ["xab", "yba", "zzz"]
    within = sum(cosine(x, y) for x in day for y in day if x is not y) / 12
    known = sum(cosine(x, y) for x in before for y in before if x is not y) / 6
    across = sum(cosine(x, y) for x in day for y in before) / 12
    found = distance(day, profile(before)).value
    assert found == pytest.approx(within + known - 2 * across, abs=1e-4)


def test_the_error_is_the_jackknifes() -> None:
    """Each prompt left out once, the rest measured again."""
    day, reference = MANUAL[:40:4], profile(MANUAL[100:160])
    without = [distance(day[:i] + day[i + 1 :], reference).value for i in range(10)]
    mean = sum(without) / 10
    error = math.sqrt(9 / 10 * sum((v - mean) ** 2 for v in without))
    assert distance(day, reference).error == pytest.approx(error, rel=1e-9)


def test_days_of_one_kind_lie_around_nothing() -> None:
    """Without bias: the mean of many days is 0 within its error; a biased one is at +1/n."""
    pairs = [
        distance(day, profile(reference)).value
        for day, reference in zip(
            days(MANUAL, 60, 60, seed=1), days(MANUAL, 60, 60, seed=2), strict=True
        )
    ]
    error = statistics.stdev(pairs) / math.sqrt(len(pairs))
    assert abs(statistics.fmean(pairs)) < 3 * error < 1 / 60


def test_a_days_error_is_about_what_its_days_scatter_by() -> None:
    """The jackknife errs on the large side, by less than half."""
    reference = profile(MANUAL[::3])
    found = [distance(day, reference) for day in days(MANUAL, 60, 80, seed=3)]
    scatter = statistics.stdev(d.value for d in found)
    said = statistics.fmean(d.error for d in found)
    assert 0.8 * scatter < said < 1.8 * scatter


@pytest.mark.parametrize(
    ("other", "share", "least"),
    [
        pytest.param(CODE, 1.0, 0.08, id="source-code"),
        pytest.param(CODE, 0.5, 0.02, id="half-source-code"),
        pytest.param(FORMATS, 1.0, 0.04, id="another-topic-of-the-same-manual"),
        pytest.param(FORMATS, 0.5, TOLERANCE, id="half-another-topic"),
    ],
)
def test_other_prompts_are_told_from_the_manuals_own(
    other: list[str], share: float, least: float
) -> None:
    """Real text: 100 prompts of Python's manual, or of something else."""
    reference = profile(MANUAL[::3])
    usual = [distance(day, reference).value for day in days(MANUAL, 20, 100, seed=4)]
    mixed = days(MANUAL, 1, 100, seed=5)[0][round(100 * share) :] + other[: round(100 * share)]
    found = distance(mixed, reference)
    assert found.value > least
    assert found.value - statistics.fmean(usual) > 3 * statistics.stdev(usual)
    assert statistics.stdev(usual) < TOLERANCE / 2  # the manual's text differs by Python's release


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=3, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_prompts_changes_no_bit(prompts: list[str], rng: random.Random) -> None:
    """On both sides, for any text: emoji, lone surrogates, white space, nothing at all."""
    shuffled = rng.sample(prompts, len(prompts))
    reference = profile(MANUAL[:20])
    assert distance(shuffled, reference) == distance(prompts, reference)
    assert distance(MANUAL[:5], profile(shuffled)) == distance(MANUAL[:5], profile(prompts))


def test_profiles_add_up() -> None:
    """Days that are put together are one set of prompts."""
    whole, parts = profile(MANUAL[:30]), together([profile(MANUAL[:10]), profile(MANUAL[10:30])])
    assert (whole.n, whole.squares) == (parts.n, parts.squares)
    assert np.array_equal(whole.sums, parts.sums)


def test_the_numbers_are_the_same_on_every_machine() -> None:
    """Pinned: a changed hash would make every stored reference another one."""
    found = profile(["What is a list?", "größer-als 漢字 \U0001f600"])
    places = np.flatnonzero(found.sums)
    assert (len(places), int(places[0]), int(places[-1])) == (30, 15, 4053)
    assert int(found.sums @ np.arange(len(found.sums))) == 1_177_278_575
    assert found.squares == pytest.approx(2 * SCALE**2, rel=1e-4)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_what_says_nothing_has_no_direction(text: str) -> None:
    """An empty prompt adds nothing, so that it is unlike everything else."""
    found = profile([text, text, text])
    assert (found.n, found.squares, int(found.sums.sum())) == (3, 0, 0)
    assert distance([text] * 3, profile(MANUAL[:30])).value > 0.1


def test_white_space_and_length_beyond_the_beginning_do_not_count() -> None:
    """Indentation is no topic; a prompt of a megabyte is known by its first 4,000 characters."""
    assert profile(["a  b\n\n c"]).squares == profile(["a b c"]).squares
    assert np.array_equal(profile(["a  b\n\n c"]).sums, profile(["a b c"]).sums)
    assert np.array_equal(profile(["ab" * 2000 + "x" * 10**6]).sums, profile(["ab" * 2000]).sums)


def test_too_few_prompts_are_refused() -> None:
    """Two prompts have no error."""
    with pytest.raises(ParamError, match="prompts: 2: must be at least 3"):
        distance(["a", "b"], profile(MANUAL[:5]))
    with pytest.raises(ParamError, match="reference prompts"):
        distance(["a", "b", "c"], profile([]))


def test_two_texts_without_a_trigram_in_common_are_as_far_apart_as_can_be() -> None:
    """One text over and over against another: 2."""
    assert distance(["aaaa"] * 3, profile(["zzzz"] * 3)).value == pytest.approx(2.0, abs=1e-3)
