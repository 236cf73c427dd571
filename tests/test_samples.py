"""A day's texts in the store, and what was set aside of it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from upkeep.records import Sample, sha256_hex
from upkeep.samples import Quarantine, choose_samples, put_samples, read_samples, samples_key
from upkeep.store import Store, open_store

DAY = date(2026, 3, 5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def samples(n: int) -> list[Sample]:
    return [Sample(id=f"r{i:03d}", slice="docs", prompt=f"prompt {i}") for i in range(n)]


def test_samples_come_back_as_they_went_in(store: Store) -> None:
    """Unicode line ends inside a text do not split it."""
    texts = [Sample(id="a", slice="docs", prompt="one\u2028two\nthree", reference="\x85 next")]
    kept = put_samples(store, samples_key("m", DAY), texts)
    assert read_samples(store, samples_key("m", DAY)) == texts
    assert kept.sha256 == sha256_hex(store.get(samples_key("m", DAY)) or b"")


def test_the_first_writer_wins_and_the_hash_is_of_what_lies_there(store: Store) -> None:
    """A second try with other texts adopts the first one's."""
    first = put_samples(store, "m/x.jsonl", samples(2))
    second = put_samples(store, "m/x.jsonl", samples(3))
    assert first == second
    assert len(read_samples(store, "m/x.jsonl")) == 2


def test_nothing_there_gives_no_samples(store: Store) -> None:
    """A day without texts has none."""
    assert read_samples(store, samples_key("m", DAY)) == []


def test_the_choice_does_not_depend_on_the_order() -> None:
    """The same samples are chosen however they were delivered."""
    texts = samples(50)
    chosen = choose_samples(texts, 10)
    assert chosen == choose_samples(texts[::-1], 10)
    assert len(chosen) == 10
    assert chosen == sorted(chosen, key=lambda s: s.id)


def test_a_prompt_is_on_the_same_side_with_and_without_its_reference() -> None:
    """What is held out is never trained on, whatever else is known of it."""
    for i in range(200):
        with_reference = Sample(id="a", slice="x", prompt=f"prompt {i}", reference="and so on")
        without = Sample(id="b", slice="y", prompt=f"prompt {i}")
        assert with_reference.held_out is without.held_out


def test_about_a_third_is_held_out() -> None:
    """30 % of prompts belong to evaluation."""
    share = sum(s.held_out for s in samples(2_000)) / 2_000
    assert 0.26 < share < 0.34


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\nb", "x" * 5_000, "<script>", "\ud800"])
def test_names_from_outside_never_become_paths(store: Store, name: str) -> None:
    """B28: the raw bytes are kept under their hash, the name only inside."""
    Quarantine(store, "m", DAY)(name, b"raw \x00 bytes", "planted")
    keys = store.list("m/2026-03-05/quarantine")
    assert [k.rsplit(".", 1)[1] for k in keys] == ["bin", "json"]
    assert store.get(keys[0]) == b"raw \x00 bytes"
    assert json.loads(store.get(keys[1]) or b"")["reason"] == "planted"


def test_the_same_thing_is_set_aside_once(store: Store) -> None:
    """A second try leaves nothing twice."""
    for _ in range(2):
        Quarantine(store, "m", DAY)("03.jsonl", b"half a li", "cut off")
    assert len(store.list("m/2026-03-05/quarantine")) == 2
