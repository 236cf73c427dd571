"""Near duplicates and overlap: against the exact answer, and with templates that mean nothing."""

from __future__ import annotations

import random

import pytest

from upkeep.near_duplicates import DuplicateParams, near_duplicates, overlaps

THRESHOLD = DuplicateParams().near_duplicate


def text(seed: int, words: int = 60) -> str:
    """Words that nobody else has."""
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(words))


def changed(base: str, places: int, seed: int = 0) -> str:
    """Put other words at some places, side by side: 5 - 1 + places shingles differ."""
    words = base.split()
    words[10 : 10 + places] = [f"x{seed}{n}" for n in range(places)]
    return " ".join(words)


@pytest.mark.parametrize(("places", "found"), [(0, True), (1, True), (2, True), (3, False)])
def test_texts_are_near_from_the_threshold_on(places: int, found: bool) -> None:  # noqa: FBT001
    """Of 56 shingles k + 4 differ: Jaccard (52 - k) / (60 + k), 0.84 at one and 0.81 at two."""
    texts = [text(1), text(2), changed(text(1), places)]
    assert near_duplicates(texts, [], 0.8).earlier == ([2] if found else [])


def test_spaces_capitals_and_marks_make_no_other_text() -> None:
    """A word is a word."""
    words = text(1).split()
    assert near_duplicates([" ".join(words), ",\n ".join(words).upper()], [], 1.0).earlier == [1]


def test_a_text_that_is_left_out_leaves_out_no_other() -> None:
    """A chain of small changes is not one text: the third is compared with the first."""
    first = text(1)
    second = changed(first, 2)
    words = second.split()
    words[30:32] = ["y1", "y2"]
    assert near_duplicates([first, second, " ".join(words)], [], 0.8).earlier == [1]


def test_what_is_near_a_judged_text_is_told_apart() -> None:
    """It is a leak, not a duplicate."""
    near = near_duplicates([text(1), changed(text(9), 1), text(1)], [text(9)], THRESHOLD)
    assert near == ([1], [2])


def test_a_template_makes_no_duplicates() -> None:
    """Thirty prompts with the same 300 words before their own twenty are thirty prompts."""
    template = text(0, 300)
    prompts = [f"{template} {text(seed, 20)}" for seed in range(1, 31)]
    assert near_duplicates(prompts, [], THRESHOLD).earlier == []
    assert near_duplicates([*prompts, prompts[3] + "!"], [], THRESHOLD).earlier == [30]


def test_the_same_text_many_times_is_still_found() -> None:
    """Its shingles are common, and it has no others."""
    assert near_duplicates([text(1)] * 20, [], THRESHOLD).earlier == list(range(1, 20))


def test_bands_miss_nothing_that_counts() -> None:
    """Two hundred pairs a little over the threshold are all found."""
    pairs = [(text(n), changed(text(n), 2, n)) for n in range(200)]
    texts = [one for pair in pairs for one in pair]
    assert near_duplicates(texts, [], THRESHOLD).earlier == list(range(1, 400, 2))


def test_languages_without_spaces_have_words_too() -> None:
    """Each character is one."""
    japanese = "".join(chr(0x3041 + random.Random(n).randrange(80)) for n in range(60))
    other = "".join(chr(0x4E00 + random.Random(n).randrange(5000)) for n in range(60))
    assert near_duplicates([japanese, other, japanese[:-1]], [], THRESHOLD).earlier == [2]


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["one", ""]])
def test_nothing_is_a_duplicate_of_nothing(texts: list[str]) -> None:
    """Empty texts are left to others."""
    assert near_duplicates(texts, [], THRESHOLD) == ([], [])
    assert overlaps(texts, ["", "one"], 0.5) == []


@pytest.mark.parametrize(("words", "found"), [(60, True), (40, True), (30, False)])
def test_a_text_that_holds_half_of_a_judged_one_is_found(words: int, found: bool) -> None:  # noqa: FBT001
    """Within a longer text; of 48 runs of 13 words 28 are in 40 words, 18 in 30."""
    part = " ".join(text(7).split()[:words])
    holding = f"{text(1)} {part} {text(2)}"
    assert overlaps([text(3), holding], [text(7)], 0.5) == ([1] if found else [])


def test_a_template_that_judged_texts_share_is_no_leak() -> None:
    """The system prompt stands in training and evaluation alike."""
    template = text(0, 100)
    judged = [f"{template} {text(seed, 20)}" for seed in range(30)]
    training = [f"{template} {text(seed, 20)}" for seed in range(100, 110)]
    assert overlaps(training, judged, 0.5) == []
    assert overlaps([*training, judged[3]], judged, 0.5) == [10]
