"""Perplexity and bits per byte follow from the cross-entropy of production's own texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fakes.tiny_model import (
    CONTEXT,
    FakeRuntime,
    make_samples,
    scored,
    tiny_llama,
    tiny_openvino,
)

from upkeep.errors import ArtifactError, ParamError
from upkeep.measures import comparable
from upkeep.quality import Settings
from upkeep.records import Sample
from upkeep.runtime import TextLoss, load


@cache
def cross_entropies(folder: Path, samples: tuple[Sample, ...]) -> list[tuple[float, int]]:
    """Nats and scored tokens of each sample, as transformers computes them."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(folder)
    found = []
    for sample in samples:
        ids = torch.tensor([tokenizer.encode(sample.prompt + sample.reference).ids[:CONTEXT]])
        with torch.no_grad():
            loss = model(ids, labels=ids).loss.item()
        found.append((loss * (ids.shape[1] - 1), ids.shape[1] - 1))
    return found


def test_it_is_the_exponential_of_transformers_own_cross_entropy() -> None:
    """It is the exponential of the cross-entropy that transformers computes."""
    samples = make_samples(25)
    direct = cross_entropies(tiny_llama(), tuple(samples))
    nats, tokens = map(sum, zip(*direct, strict=True))
    found = scored("perplexity", samples, Settings(), load(tiny_llama(), "safetensors"))
    assert found.score == pytest.approx(math.exp(nats / tokens), rel=1e-5)
    assert found.measure == "perplexity"
    assert found.direction == "lower_is_better"
    assert "|context:64|tokenizer:" in found.signature
    assert found.per_sample == pytest.approx(
        {s.id: n / t for s, (n, t) in zip(samples, direct, strict=True)}, rel=1e-5
    )


def test_bits_per_byte_is_transformers_own_cross_entropy_by_the_bytes() -> None:
    """Nats / ln 2 by the bytes of the tokens after the first, over texts shorter than 64 tokens."""
    samples = [
        s.model_copy(update={"reference": s.reference + " für größere" * (i % 2)})
        for i, s in enumerate(make_samples(40))
    ]
    long = samples[0].model_copy(update={"id": "long", "reference": "x" * 100})
    bits = size = 0.0
    for sample, (nats, tokens) in zip(
        samples, cross_entropies(tiny_llama(), tuple(samples)), strict=True
    ):
        assert tokens + 1 < CONTEXT
        bits += nats / math.log(2)
        size += len(sample.text.encode()) * tokens / (tokens + 1)
    runtime = load(tiny_llama(), "safetensors")
    found = scored("bits_per_byte", [*samples, long], Settings(), runtime)
    assert found.score == pytest.approx(bits / size, rel=1e-5)
    assert found.n == 40
    assert "long" not in found.per_sample
    assert (found.unit, found.direction) == ("bits per byte", "lower_is_better")


@pytest.mark.parametrize("name", ["perplexity", "bits_per_byte"])
def test_a_compressed_openvino_model_is_measured_against_the_same_history(name: str) -> None:
    """8-bit weights score nearly as their source does, and their signatures compare."""
    samples = make_samples(25)
    source = scored(name, samples, Settings(), load(tiny_llama(), "safetensors"))
    small = scored(name, samples, Settings(), load(tiny_openvino(), "openvino"))
    assert small.score == pytest.approx(source.score, rel=0.02)
    assert small.score != source.score
    assert "|precision:weights" in source.signature
    assert source.signature != small.signature
    assert comparable(source.signature) == comparable(small.signature)


def test_what_the_model_itself_wrote_is_left_out() -> None:
    """What the model itself wrote is left out."""
    plain = [s.model_copy(update={"completion": ""}) for s in make_samples(20)]
    runtime = load(tiny_llama(), "safetensors")
    told = scored("perplexity", make_samples(20), Settings(), runtime)
    assert told == scored("perplexity", plain, Settings(), runtime)


class UnevenRuntime(FakeRuntime):
    """Finds texts that start with an even number easy and others hard."""

    def nll(self, texts: Sequence[str]) -> list[TextLoss]:
        """Ten tokens a text, 1 nat a token or 2."""
        return [TextLoss(10.0 * (1.0 + int(t.split()[0]) % 2), 10) for t in texts]


def test_each_slice_has_its_own_score() -> None:
    """Each slice has its own score."""
    found = scored("perplexity", make_samples(40), Settings(), UnevenRuntime())
    assert {s.name: s.score for s in found.slices} == pytest.approx(
        {"docs": math.exp(1.0), "code": math.exp(2.0)}
    )
    assert found.score == pytest.approx(math.exp(1.5))
    assert found.interval is not None
    assert found.interval.low < math.exp(1.5) < found.interval.high


def test_samples_weigh_as_much_as_they_have_tokens() -> None:
    """Samples weigh as much as they have tokens."""

    class Weighted(FakeRuntime):
        def nll(self, texts: Sequence[str]) -> list[TextLoss]:
            return [TextLoss(100.0, 100), TextLoss(30.0, 10)]

    found = scored("perplexity", make_samples(2), Settings(min_samples=2), Weighted())
    assert found.score == pytest.approx(math.exp(130 / 110))


def test_a_slice_of_one_sample_has_a_score_and_no_interval() -> None:
    """A slice of one sample has a score and no interval."""
    samples = [*make_samples(20, slices=("docs",)), *make_samples(1, slices=("code",))]
    code, docs = scored("perplexity", samples, Settings()).slices
    assert (code.n, code.interval) == (1, None)
    assert docs.interval is not None


def test_texts_too_short_to_score_are_not_counted() -> None:
    """Texts too short to score are not counted."""
    short = [Sample(id=f"x{i}", slice="docs", prompt="q") for i in range(10)]
    assert scored("perplexity", make_samples(20) + short, Settings()).n == 20
    with pytest.raises(ParamError, match="two tokens and more: 0: are fewer"):
        scored("perplexity", short, Settings(min_samples=2))


@pytest.mark.parametrize("name", ["perplexity", "bits_per_byte"])
@pytest.mark.parametrize("nats", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_an_error_naming_the_sample(name: str, nats: float) -> None:
    """A loss that is no number is an error naming the sample."""
    with pytest.raises(ArtifactError, match=f"{name} of sample s000"):
        scored(name, make_samples(20), Settings(), FakeRuntime(nats_per_char=nats))


def test_a_perplexity_beyond_all_floats_is_an_error() -> None:
    """A perplexity beyond all floats is an error."""
    with pytest.raises(ArtifactError, match="perplexity"):
        scored("perplexity", make_samples(20), Settings(), FakeRuntime(nats_per_char=800.0))


class UniformRuntime(FakeRuntime):
    """Every byte costs 5 bits; a token is so many bytes; a start token may stand in front."""

    def __init__(self, token_bytes: int, *, start: bool = False, context: int = 10_000) -> None:
        super().__init__(context_tokens=context, tokenizer_sha256=f"{token_bytes}" * 64)
        self._token_bytes = token_bytes
        self._start = start

    def nll(self, texts: Sequence[str]) -> list[TextLoss]:
        """5 bits a byte of the tokens after the first, cut at the context."""
        found = []
        for text in texts:
            size = len(text.encode())
            sizes = [min(self._token_bytes, size - at) for at in range(0, size, self._token_bytes)]
            seen = ([0] * self._start + sizes)[: self.context_tokens]
            found.append(TextLoss(5 * math.log(2) * sum(seen[1:]), max(0, len(seen) - 1)))
        return found


def texts_of(size: int, count: int = 30) -> list[Sample]:
    """Texts of so many letters, two slices."""
    return [Sample(id=f"s{i}", slice=["a", "b"][i % 2], prompt="q" * size) for i in range(count)]


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("token_bytes", [1, 2, 4])
def test_bits_per_byte_compare_across_tokenizers(token_bytes: int, *, start: bool) -> None:
    """Whatever a token is, and with a start token or without: the same text, the same bits."""
    runtime = UniformRuntime(token_bytes, start=start)
    found = scored("bits_per_byte", texts_of(24), Settings(), runtime)
    assert found.score == pytest.approx(5.0)
    assert [s.score for s in found.slices] == pytest.approx([5.0, 5.0])
    assert list(found.per_sample.values()) == pytest.approx([5.0] * 30)
    plain = scored("bits_per_byte", texts_of(24), Settings(), UniformRuntime(8))
    assert found.signature == plain.signature
    nats = scored("perplexity", texts_of(24), Settings(), UniformRuntime(token_bytes))
    assert nats.score == pytest.approx(32.0**token_bytes)


def test_perplexities_under_two_tokenizers_have_two_signatures() -> None:
    """Perplexities under two tokenizers have two signatures."""
    one, other = (
        scored("perplexity", texts_of(24), Settings(), UniformRuntime(n)).signature for n in (1, 2)
    )
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize(("context", "counted"), [(26, 30), (25, 30), (24, None), (10, None)])
def test_texts_that_may_have_been_cut_have_no_bytes(context: int, counted: int | None) -> None:
    """A text that fills the context is left out; too few left is an error, not a wrong score."""
    runtime = UniformRuntime(1, context=context)
    if counted is None:
        with pytest.raises(ParamError, match="0: are fewer than min_samples = 20") as error:
            scored("bits_per_byte", texts_of(24), Settings(), runtime)
        assert f"under the context of {context}" in str(error.value)
    else:
        found = scored("bits_per_byte", texts_of(24), Settings(), runtime)
        assert (found.n, found.score) == (counted, pytest.approx(5.0))


def test_the_interval_of_bits_per_byte_covers_the_ratio_as_often_as_it_says() -> None:
    """Samples of random length and difficulty: 95 % of intervals hold the true ratio of sums."""
    draw = np.random.default_rng(8)

    class Noisy(UniformRuntime):
        def nll(self, texts: Sequence[str]) -> list[TextLoss]:
            return [
                TextLoss(loss.nll_nats * draw.uniform(0.5, 1.5), loss.tokens)
                for loss in super().nll(texts)
            ]

    hits = 0
    for _ in range(200):
        samples = [
            Sample(id=str(i), slice="a", prompt="q" * int(n))
            for i, n in enumerate(draw.integers(5, 200, 60))
        ]
        found = scored("bits_per_byte", samples, Settings(), Noisy(1)).interval
        assert found is not None
        hits += found.low <= 5.0 <= found.high
    assert 180 <= hits <= 199


def test_the_tokens_that_were_scored_are_counted() -> None:
    """The fake runtime has one token a character after the first."""
    samples = make_samples(20)
    assert scored("perplexity", samples, Settings()).tokens == sum(len(s.text) - 1 for s in samples)
    assert scored("bits_per_byte", samples, Settings()).tokens is None
