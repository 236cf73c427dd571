"""What the worker takes in: nothing judged, nothing twice, nothing personal; and the mixture."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tiny_model import tiny_llama
from tests.test_training import QUICK, nats_per_token
from upkeep.errors import ParamError
from upkeep.pretrained import load_model
from upkeep.records import Sample
from upkeep.text_blocks import BlockParams, mixture
from upkeep.training import retrain
from upkeep.training_texts import TextParams, cut_texts, take_texts

SETTINGS = TextParams(block_tokens=16)


def sample(name: str, text: str, reference: str = "") -> Sample:
    return Sample(id=name, slice="docs", prompt=text, reference=reference)


def words(seed: int, count: int = 40) -> str:
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(count))


def test_what_is_left_out_is_counted() -> None:
    """A copy, a near copy, a text that holds a judged one, and an address."""
    judged = sample("e", words(0), words(1, 10))
    offered = [
        sample("a", words(2)),
        sample("a again", words(2)),
        sample("a nearly", words(2) + " more"),
        sample("leak", f"{words(3)} {judged.text} {words(4)}"),
        sample("mail", words(5) + " jane@example.org"),
    ]
    texts = take_texts(offered, [sample("old", words(6))], [judged], SETTINGS)
    assert [s.id for s in texts.production] == ["a", "mail"]
    assert [s.id for s in texts.original] == ["old"]
    assert texts.production[1].prompt.endswith(" <EMAIL>")
    assert texts.measurements() == {
        "texts": 3.0,
        "texts_original": 1.0,
        "duplicates": 1.0,
        "near_evaluation": 1.0,
        "near_duplicates": 1.0,
        "redacted[EMAIL]": 1.0,
    }
    assert "near_evaluation 1" in texts.notes()[0]


def test_texts_that_are_one_after_redaction_are_one() -> None:
    """They differed in the address only; nor is a judged one trained on so."""
    same = [sample(str(n), f"{words(1)} p{n}@example.org") for n in range(3)]
    texts = take_texts(same[:2], [], [], SETTINGS)
    assert [s.id for s in texts.production] == ["0"]
    assert take_texts(same[:2], [], same[2:], SETTINGS).production == []


def test_an_exact_leak_is_refused_rather_than_dropped() -> None:
    """The caller mixed up its sets."""
    with pytest.raises(ParamError, match="is a text of the evaluation set"):
        take_texts([sample("a", "one")], [], [sample("e", " one")], SETTINGS)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_asked_share_of_tokens_comes_from_the_original_training(share: float) -> None:
    """Whether the old texts must be repeated or thinned out for that."""
    _, tokenizer = load_model(tiny_llama())
    new = [sample(f"n{n}", words(n)) for n in range(40)]
    old = [sample(f"o{n}", words(100 + n)) for n in range(40)]
    settings = TextParams(block_tokens=16, original_share=share)
    texts = take_texts(new, old, [], settings)
    blocks, held_out, found = cut_texts(tokenizer, texts, 0, settings)
    assert found["original_share"] == pytest.approx(share, abs=0.01)
    even, _, _ = cut_texts(tokenizer, texts, 0, TextParams(block_tokens=16))
    assert len(blocks) / len(even) == pytest.approx(0.5 / (1 - share), rel=0.05)
    assert len(held_out) > 0


def test_a_mixture_repeats_small_slices_of_production_only() -> None:
    """100 + 100 tokens of production, the small slice four times; as many of the old 400."""
    times = mixture({"docs": 100, "code": 25}, {"old docs": 300, "old code": 100},
                    BlockParams(slice_exponent=0.0), 0.5)  # fmt: skip
    assert times == {"docs": 1.0, "code": 4.0, "old docs": 0.5, "old code": 0.5}


def test_a_share_of_nothing_is_refused() -> None:
    """A promise against forgetting that cannot be kept is none."""
    _, tokenizer = load_model(tiny_llama())
    settings = TextParams(original_share=0.5)
    texts = take_texts([sample("a", words(1))], [], [], settings)
    with pytest.raises(ParamError, match=r"original_share: 0\.5: cannot be kept"):
        cut_texts(tokenizer, texts, 0, settings)


def kind(name: str, count: int, seed: int) -> list[Sample]:
    """Texts with a rule of their own: each word is followed by its own mark."""
    rng = random.Random(seed)
    rules = {"old": ["loop!", "model!!", "drift!!!"], "new": ["loop?", "model??", "drift???"]}
    return [
        sample(f"{name}{seed}{n}", f"{seed}{n} " + " ".join(rng.choices(rules[name], k=12)))
        for n in range(count)
    ]


def test_the_mixture_keeps_what_was_learnt_first(tmp_path: Path) -> None:
    """A model of old texts is trained on new ones that contradict them, with and without."""
    settings: dict[str, Any] = QUICK | {"near_duplicate": 1.0, "steps": 60}
    retrain(tiny_llama(), kind("old", 40, 1), [], settings, tmp_path / "champion")
    for name, more in (("alone", {}), ("mixed", {"original_share": 0.5})):
        original = kind("old", 40, 1) if more else []
        retrain(tmp_path / "champion", kind("new", 40, 2), [], settings | more, tmp_path / name,
                original=original)  # fmt: skip
    loss = {
        (name, what): nats_per_token(tmp_path / name, kind(what, 12, 3))
        for name in ("champion", "alone", "mixed")
        for what in ("old", "new")
    }
    assert loss["alone", "old"] > loss["champion", "old"] + 0.3
    assert loss["mixed", "old"] < loss["champion", "old"] + 0.1
    assert loss["mixed", "new"] < loss["champion", "new"] - 0.5
