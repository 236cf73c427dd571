"""Planted bad outputs are found and named; what is well is left alone."""

from __future__ import annotations

import random

import pytest

from upkeep.quality import Material, Score, Settings
from upkeep.quality.failure_modes import clusters, failure_modes, repeated_share, worst_of
from upkeep.records import FailureMode, Sample

TOPICS = (
    "a list keeps its order and a tuple cannot change",
    "the loop ends when the iterator is exhausted",
    "a module is imported once and then kept",
    "an exception climbs until somebody catches it",
    "a generator gives one value after another",
)
RECIPES = ("onions", "butter", "flour", "garlic", "pepper")


def healthy(count: int) -> list[Sample]:
    """Answers about their own prompts, each a little different."""
    return [
        Sample(
            id=f"h{n:04d}",
            slice="docs",
            prompt=f"Explain in your own words: {TOPICS[n % 5]}",
            completion=f"Number {n}: {TOPICS[n % 5]}, as chapter {n % 17} of the manual says",
        )
        for n in range(count)
    ]


def planted(count: int, completion: str, prefix: str) -> list[Sample]:
    """Samples with a planted output."""
    prompt = "Explain in your own words: a list keeps its order"
    return [
        Sample(id=f"{prefix}{n:04d}", slice="docs", prompt=prompt, completion=completion)
        for n in range(count)
    ]


def scored(samples: list[Sample], bad: str, measure: str = "bleu") -> Score:
    """A score for each sample: low where its id begins with ``bad``."""
    draw = random.Random(1)
    values = {s.id: draw.uniform(30, 60) - 29 * s.id.startswith(bad) for s in samples}
    if measure == "perplexity":
        values = {name: -value for name, value in values.items()}
    return Score(measure, 1.0, None, len(samples), "1", "neither", "made up", (), values)


def found_in(samples: list[Sample], *scores: Score) -> dict[str, FailureMode]:
    """The failure modes by name."""
    material = Material(samples, Settings(), lambda: pytest.fail("no model is needed"))
    return {mode.name: mode for mode in failure_modes(material, scores)}


def test_healthy_outputs_have_no_failure_mode() -> None:
    """Neither with scores nor without."""
    samples = healthy(100)
    assert found_in(samples) == {}
    assert found_in([]) == {}


@pytest.mark.parametrize(
    ("name", "completion"),
    [
        pytest.param("repetition", "the list keeps the order and " * 12, id="repetition"),
        pytest.param("empty", " \n\t", id="empty"),
        pytest.param("too long", " ".join(f"list{n}" for n in range(400)) + " list", id="too-long"),
        pytest.param("off topic", "Buttered onions fry gently beside garlic", id="off-topic"),
    ],
)
def test_a_planted_kind_is_found_named_and_counted(name: str, completion: str) -> None:
    """Exactly the planted outputs, and their share."""
    samples = healthy(100) + planted(12, completion, "bad")
    modes = found_in(samples)
    assert list(modes) == [name]
    assert (modes[name].n, modes[name].share) == (12, 12 / 112)
    assert modes[name].sample_ids == tuple(f"bad{n:04d}" for n in range(5))
    assert modes[name].words


def test_an_output_belongs_to_one_mode_and_the_largest_comes_first() -> None:
    """A text that repeats and is too long repeats."""
    samples = healthy(100)
    samples += planted(3, "", "void") + planted(8, "the list keeps the order and " * 300, "loop")
    modes = found_in(samples)
    assert [(name, mode.n) for name, mode in modes.items()] == [("repetition", 8), ("empty", 3)]


def test_prompts_without_shared_words_say_nothing_about_the_topic() -> None:
    """Where most outputs share no word with their prompts, that is the task and no failure."""
    samples = [
        s.model_copy(update={"prompt": f"Übersetze Nummer {n * 7919}"})
        for n, s in enumerate(healthy(60))
    ]
    samples = [s.model_copy(update={"completion": s.completion[9:]}) for s in samples]
    assert found_in(samples) == {}


@pytest.mark.parametrize("measure", ["bleu", "perplexity"])
def test_the_worst_outputs_that_are_alike_are_a_mode_named_by_their_words(measure: str) -> None:
    """Scores say which are bad, in the measure's own direction; shared words say what they are."""
    draw = random.Random(3)
    cooking = [
        Sample(
            id=f"bad{n:02d}",
            slice="docs",
            prompt="Explain how to fry a list in its order",
            completion=f"Fry the {draw.choice(RECIPES)} with the list, stir, serve it {n} times",
        )
        for n in range(30)
    ]
    samples = healthy(130) + cooking
    modes = found_in(samples, scored(samples, "bad", measure))
    assert sum(mode.n for mode in modes.values()) >= 25
    assert all(name.startswith("about ") for name in modes)
    assert any("fry" in name or "stir" in name or "serve" in name for name in modes)
    assert all(i.startswith("bad") for mode in modes.values() for i in mode.sample_ids)


def test_the_worst_outputs_that_have_nothing_in_common_are_no_mode() -> None:
    """Every text has other words."""
    draw = random.Random(5)

    def word() -> str:
        return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=8))

    samples = [
        Sample(id=f"x{n}", slice="docs", prompt="p", completion=" ".join(word() for _ in range(9)))
        for n in range(40)
    ]
    assert clusters(samples, samples) == {}


def test_the_worst_fifth_is_of_all_measures_together_and_none_of_a_few() -> None:
    """A mean rank over the measures; too few samples have no worst fifth."""
    samples = healthy(100)
    low, high = samples[:20], samples[20:]
    bleu = {s.id: (1.0 if s in low else 9.0) for s in samples}
    surprise = {s.id: (9.0 if s in low else 1.0) for s in samples}
    scores = [
        Score("bleu", 1.0, None, 100, "1", "higher_is_better", "", (), bleu),
        Score("perplexity", 1.0, None, 100, "1", "lower_is_better", "", (), surprise),
    ]
    assert {s.id for s in worst_of(samples, scores)} == {s.id for s in low}
    assert worst_of(samples[:50], scores) == []
    assert worst_of(high, []) == []


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0.0), ("one two three", 0.0), ("a b c d e f g h", 0.0), ("a a a a a a a", 0.75)],
)
def test_the_repeated_share_counts_4_grams(text: str, share: float) -> None:
    """1 - distinct / all."""
    assert repeated_share(text) == share
