"""Mode collapse is caught by each measure of diversity, and the number of samples is not."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from statistics import mean

import pytest
from fakes.tiny_model import make_samples, scored
from fakes.varied_samples import SENTENCE, collapsed, healthy

from upkeep.errors import ParamError
from upkeep.measures import better
from upkeep.quality import Score, Settings
from upkeep.quality.groups import GROUP, dealt
from upkeep.records import Sample

NAMES = ["distinct_2", "self_bleu", "text_vendi"]
MANY = 120


@cache
def sound(name: str) -> Score:
    """The measure of healthy samples, once for all tests."""
    return scored(name, healthy(MANY), Settings())


def same(text: str, count: int = 40) -> list[Sample]:
    """One text as every completion."""
    return collapsed(make_samples(count), 1.0, text)


@pytest.mark.parametrize("text", [SENTENCE, "ok", ""])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_planted_mode_collapse_is_caught(name: str, share: float, text: str) -> None:
    """Half or all of the completions replaced by one: worse, and the intervals do not touch."""
    well = sound(name)
    sick = scored(name, collapsed(healthy(MANY), share, text), Settings())
    assert well.interval is not None
    assert sick.interval is not None
    if name == "distinct_2" and share < 1.0 and text != SENTENCE:
        # A text of one word has no bigram: the half that is left is as distinct as before.
        assert sick.score == pytest.approx(well.score, rel=0.1)
    elif better(name) == "higher_is_better":
        assert sick.interval.high < well.interval.low
    else:
        assert sick.interval.low > well.interval.high
    assert well.signature == sick.signature


@pytest.mark.parametrize("name", NAMES)
def test_a_collapse_of_one_slice_is_seen_in_that_slice(name: str) -> None:
    """The slice that collapsed is worse, the other as it was."""
    sick = [
        s.model_copy(update={"completion": SENTENCE}) if s.slice == "code" else s
        for s in healthy(MANY)
    ]
    before = {s.name: s for s in sound(name).slices}
    after = {s.name: s for s in scored(name, sick, Settings()).slices}
    assert after["docs"] == before["docs"]
    code = before["code"].interval
    assert code is not None
    assert not code.low <= after["code"].score <= code.high


@pytest.mark.parametrize("name", NAMES)
def test_more_samples_of_the_same_kind_do_not_change_the_score(name: str) -> None:
    """Three times the samples, drawn anew: within the interval, which gets shorter."""
    a, b = sound(name), scored(name, healthy(3 * MANY, seed=6), Settings())
    assert a.interval is not None
    assert b.interval is not None
    assert a.interval.low <= b.score <= a.interval.high
    assert b.interval.half_width < a.interval.half_width


def test_distinct_bigrams_over_all_fall_with_the_number_of_samples() -> None:
    """Why there are groups: the plain ratio loses a tenth by four times the samples."""

    def plain(samples: list[Sample]) -> float:
        pairs = [pair for s in samples for pair in pairwise(s.completion.split())]
        return len(set(pairs)) / len(pairs)

    assert plain(healthy(400, seed=6)) < 0.9 * plain(healthy(100, seed=5))


@pytest.mark.parametrize(
    ("name", "text", "score"),
    [
        ("distinct_2", "a b c d", 3 / 60),  # 3 bigrams, 20 times
        ("distinct_2", "a a a", 1 / 40),
        ("distinct_2", "alone", 0.0),  # no bigram at all
        ("distinct_2", "", 0.0),
        ("self_bleu", "a b c d e", 100.0),
        ("self_bleu", "alone", 100.0),
        ("self_bleu", "", 100.0),
        ("text_vendi", "a b c d e", 1.0),
        ("text_vendi", "", 1.0),
    ],
)
def test_the_same_text_throughout_has_the_worst_score(name: str, text: str, score: float) -> None:
    """The same text throughout has the worst score, and an interval of no width."""
    found = scored(name, same(text), Settings())
    assert found.score == pytest.approx(score)
    assert found.interval is not None
    assert found.interval.half_width == pytest.approx(0.0, abs=1e-9)


def test_texts_that_share_nothing_are_all_different() -> None:
    """Each of 20 texts has letters of its own."""
    own = [chr(0x4E00 + i) for i in range(200)]
    samples = [
        s.model_copy(update={"completion": " ".join(own[10 * i : 10 * i + 10])})
        for i, s in enumerate(make_samples(20))
    ]
    assert scored("distinct_2", samples, Settings()).score == 1.0
    assert scored("self_bleu", samples, Settings()).score == 0.0
    assert scored("text_vendi", samples, Settings()).score == pytest.approx(20.0, abs=0.2)


def test_empty_texts_are_one_kind_of_output() -> None:
    """Ten empty and ten unlike texts: shares of 1/2 and ten times 1/20."""
    own = [chr(0x4E00 + i) for i in range(100)]
    samples = [
        s.model_copy(update={"completion": " ".join(own[10 * i : 10 * i + 10]) if i < 10 else ""})
        for i, s in enumerate(make_samples(20))
    ]
    expected = math.exp(-(0.5 * math.log(0.5) + 0.5 * math.log(0.05)))
    assert scored("text_vendi", samples, Settings()).score == pytest.approx(expected, rel=0.01)


def test_self_bleu_is_sacrebleus_against_the_others_of_the_group() -> None:
    """With one group: the mean sentence BLEU of each against the other 19."""
    from sacrebleu.metrics import BLEU

    samples = make_samples(20)
    texts = [s.completion for s in samples]
    metric = BLEU(effective_order=True)
    expected = {
        s.id: metric.sentence_score(t, [*texts[:i], *texts[i + 1 :]]).score
        for i, (s, t) in enumerate(zip(samples, texts, strict=True))
    }
    found = scored("self_bleu", samples, Settings())
    assert found.per_sample == pytest.approx(expected)
    assert found.score == pytest.approx(mean(expected.values()))
    assert found.interval is None  # one group bounds nothing
    assert found.unit == "BLEU points"
    assert found.direction == "lower_is_better"


@pytest.mark.parametrize("name", NAMES)
def test_groups_are_whole_and_what_fills_none_is_left_out(name: str) -> None:
    """59 samples are two groups of 20; a slice of fewer than 20 has no score."""
    samples = [*make_samples(40, slices=("docs",)), *make_samples(19, slices=("code",))]
    found = scored(name, samples, Settings())
    assert found.n == 40
    assert [(s.name, s.n) for s in found.slices] == [("docs", 40)]


@pytest.mark.parametrize("name", NAMES)
def test_fewer_than_a_group_is_an_error(name: str) -> None:
    """Fewer than a group is an error, whatever min_samples allows."""
    with pytest.raises(ParamError, match="19: are fewer than a group of 20"):
        scored(name, make_samples(19), Settings(min_samples=2))


@pytest.mark.parametrize("name", NAMES)
def test_case_counts_as_told_and_the_signature_says_so(name: str) -> None:
    """Texts that differ by case only are the same under ``lowercase``."""
    texts = ["The Loop Closes Now", "the loop closes now"]
    samples = [
        s.model_copy(update={"completion": texts[i % 2]}) for i, s in enumerate(make_samples(40))
    ]
    mixed = scored(name, samples, Settings())
    lower = scored(name, samples, Settings(lowercase=True))
    worst = scored(name, same("the loop closes now"), Settings(lowercase=True)).score
    assert lower.score == pytest.approx(worst)
    assert ("|case:mixed|" in mixed.signature, "|case:lc|" in lower.signature) == (True, True)
    if name != "self_bleu":  # each has its own like among the other 19
        assert mixed.score > lower.score


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_letter_is_text_too(name: str) -> None:
    """Half of a surrogate pair, which no UTF-8 can hold, is scored."""
    samples = make_samples(40)
    odd = [s.model_copy(update={"completion": s.completion + "\ud83d"}) for s in samples]
    assert scored(name, odd, Settings()).score == pytest.approx(
        scored(name, samples, Settings()).score, rel=0.4
    )


@pytest.mark.parametrize(("n", "groups"), [(19, 0), (20, 1), (39, 1), (40, 2), (205, 10)])
def test_every_position_is_dealt_at_most_once(n: int, groups: int) -> None:
    """Every position is dealt at most once, the same under the same seed."""
    found = dealt(n, seed=3)
    assert len(found) == groups
    assert all(len(group) == GROUP for group in found)
    flat = [place for group in found for place in group]
    assert len(set(flat)) == len(flat)
    assert set(flat) <= set(range(n))
    assert found == dealt(n, seed=3)
