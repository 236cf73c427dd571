"""Slices by what a prompt says by itself, beside the log's own."""

from __future__ import annotations

import pytest
from fakes.tiny_model import make_samples, scored

from upkeep.quality import Settings, by_slice
from upkeep.quality.slices import derived, script
from upkeep.records import Sample


def sample(prompt: str, n: int = 0) -> Sample:
    """A sample with this prompt."""
    return Sample(id=str(n), slice="client", prompt=prompt, completion="c", reference="r")


@pytest.mark.parametrize(
    ("n", "name"), [(0, "short"), (99, "short"), (100, "medium"), (999, "medium"), (1_000, "long")]
)
def test_lengths_have_fixed_edges(n: int, name: str) -> None:
    """They are the same every day, whatever the day's prompts are."""
    assert list(derived(sample("x" * n), ["length"])) == [f"length:{name}"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("What is a list?", "latin"),
        ("Was heißt „Größe“?", "latin"),
        ("Что такое список?", "cyrillic"),
        ("リストとは何ですか", "hiragana"),
        ("什么是列表", "cjk"),
        ("ما هي القائمة", "arabic"),
        ("список или list? список!", "cyrillic"),
        ("12 + 30 = ?", "none"),
        ("", "none"),
        ("\ud800", "none"),
    ],
)
def test_the_script_of_most_letters(text: str, name: str) -> None:
    """By Unicode's own names; digits and signs say nothing."""
    assert script(text) == name


def test_slices_are_added_only_where_they_are_asked_for() -> None:
    """A sample belongs to its own slice and to each that it says by itself."""
    samples = [sample("short", 0), sample("длинный " * 40, 1)]
    assert by_slice(samples, Settings()) == {"client": [0, 1]}
    assert by_slice(samples, Settings(slice_by=("length", "script"))) == {
        "client": [0, 1],
        "length:medium": [1],
        "length:short": [0],
        "script:cyrillic": [1],
        "script:latin": [0],
    }


def test_a_measure_scores_them() -> None:
    """With their own numbers of samples and intervals."""
    settings = Settings(min_samples=2, resamples=100, slice_by=("length",))
    found = scored("rouge_l", make_samples(40), settings)
    counts = {part.name: part.n for part in found.slices}
    assert counts.pop("code") + counts.pop("docs") == sum(counts.values()) == 40
    assert all(name.startswith("length:") for name in counts)
