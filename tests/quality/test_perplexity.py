"""Perplexity is the exponential of the cross-entropy, of what production wrote on purpose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from fakes.tiny_model import CONTEXT, FakeRuntime, make_samples, tiny_llama

from upkeep.errors import ArtifactError, ParamError
from upkeep.quality import Settings
from upkeep.quality.perplexity import measure
from upkeep.records import Sample
from upkeep.runtime import TextLoss, load


def test_it_is_the_exponential_of_transformers_own_cross_entropy() -> None:
    """It is the exponential of the cross-entropy that transformers computes."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    samples = make_samples(25)
    tokenizer = Tokenizer.from_file(str(tiny_llama() / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(tiny_llama())
    nats = tokens = 0.0
    for sample in samples:
        ids = torch.tensor([tokenizer.encode(sample.prompt + sample.reference).ids[:CONTEXT]])
        with torch.no_grad():
            loss = model(ids, labels=ids).loss.item()
        nats, tokens = nats + loss * (ids.shape[1] - 1), tokens + ids.shape[1] - 1
    found = measure(load(tiny_llama(), "safetensors"), samples, Settings())
    assert found.score == pytest.approx(math.exp(nats / tokens), rel=1e-5)
    assert found.measure == "perplexity"
    assert found.direction == "lower_is_better"
    assert "|context:64|tokenizer:" in found.signature


def test_what_the_model_itself_wrote_is_left_out() -> None:
    """What the model itself wrote is left out."""
    plain = [s.model_copy(update={"completion": ""}) for s in make_samples(20)]
    runtime = load(tiny_llama(), "safetensors")
    told = measure(runtime, make_samples(20), Settings())
    assert told == measure(runtime, plain, Settings())


class UnevenRuntime(FakeRuntime):
    """Finds texts that start with an even number easy and others hard."""

    def nll(self, texts: Sequence[str]) -> list[TextLoss]:
        """Ten tokens a text, 1 nat a token or 2."""
        return [TextLoss(10.0 * (1.0 + int(t.split()[0]) % 2), 10) for t in texts]


def test_each_slice_has_its_own_score() -> None:
    """Each slice has its own score."""
    found = measure(UnevenRuntime(), make_samples(40), Settings())
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

    found = measure(Weighted(), make_samples(2), Settings(min_samples=2))
    assert found.score == pytest.approx(math.exp(130 / 110))


def test_a_slice_of_one_sample_has_a_score_and_no_interval() -> None:
    """A slice of one sample has a score and no interval."""
    samples = [*make_samples(20, slices=("docs",)), *make_samples(1, slices=("code",))]
    code, docs = measure(FakeRuntime(), samples, Settings()).slices
    assert (code.n, code.interval) == (1, None)
    assert docs.interval is not None


def test_texts_too_short_to_score_are_not_counted() -> None:
    """Texts too short to score are not counted."""
    short = [Sample(id=f"x{i}", slice="docs", prompt="q") for i in range(10)]
    assert measure(FakeRuntime(), make_samples(20) + short, Settings()).n == 20
    with pytest.raises(ParamError, match="two tokens and more: 0: are fewer"):
        measure(FakeRuntime(), short, Settings(min_samples=2))


@pytest.mark.parametrize("nats", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_an_error_naming_the_sample(nats: float) -> None:
    """A loss that is no number is an error naming the sample."""
    with pytest.raises(ArtifactError, match="sample s000"):
        measure(FakeRuntime(nats_per_char=nats), make_samples(20), Settings())


def test_a_perplexity_beyond_all_floats_is_an_error() -> None:
    """A perplexity beyond all floats is an error."""
    with pytest.raises(ArtifactError, match="perplexity"):
        measure(FakeRuntime(nats_per_char=800.0), make_samples(20), Settings())
