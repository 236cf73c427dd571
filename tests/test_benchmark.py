"""Champion and candidate are measured on the same texts, in turn, with equal work."""

from __future__ import annotations

import math

import pytest
from fakes.tiny_model import FakeRuntime, make_samples, tiny_llama, tiny_openvino

from upkeep.benchmark import (
    BenchmarkParams,
    choose_prompts,
    machine,
    paired_losses,
    paired_times,
)
from upkeep.errors import ArtifactError, ParamError
from upkeep.records import Sample
from upkeep.runtime import load

QUICK = BenchmarkParams(rounds=6, warmup_rounds=1, prompts=2, new_tokens=5)


def test_losses_are_paired_by_sample_over_the_whole_set() -> None:
    """Losses are paired by sample over the whole set."""
    samples = make_samples(30)
    found = paired_losses(FakeRuntime(0.5), FakeRuntime(0.4), samples)
    assert found.sample_ids == tuple(s.id for s in samples)
    assert found.slices == tuple(s.slice for s in samples)
    assert found.weights == tuple(float(len(s.text) - 1) for s in samples)
    assert found.champion == pytest.approx([0.5 * w for w in found.weights])
    assert found.candidate == pytest.approx([0.4 * w for w in found.weights])
    assert (found.measure, found.direction) == ("perplexity", "lower_is_better")


def test_losses_of_a_real_pair_are_each_models_own() -> None:
    """Losses of a real pair are what each model says alone."""
    samples = make_samples(12)
    champion, candidate = load(tiny_llama(), "safetensors"), load(tiny_openvino(), "openvino")
    found = paired_losses(champion, candidate, samples)
    texts = [s.text for s in samples]
    assert found.champion == tuple(loss.nll_nats for loss in champion.nll(texts))
    assert found.candidate == tuple(loss.nll_nats for loss in candidate.nll(texts))
    assert found.champion != found.candidate


def test_texts_too_short_to_score_are_left_out_of_both() -> None:
    """Texts too short to score are left out of both."""
    short = Sample(id="x", slice="docs", prompt="q")
    found = paired_losses(FakeRuntime(), FakeRuntime(), [short, *make_samples(3)])
    assert found.sample_ids == ("s000", "s001", "s002")
    with pytest.raises(ParamError, match="no text to score"):
        paired_losses(FakeRuntime(), FakeRuntime(), [short])


@pytest.mark.parametrize("nats", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("who", ["champion", "candidate"])
def test_a_loss_that_is_no_number_ends_the_benchmark(nats: float, who: str) -> None:
    """A loss that is no number ends the benchmark."""
    pair = {"champion": FakeRuntime(), "candidate": FakeRuntime()} | {who: FakeRuntime(nats)}
    with pytest.raises(ArtifactError, match=f"{who}'s loss on sample s000"):
        paired_losses(pair["champion"], pair["candidate"], make_samples(3))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (FakeRuntime(tokenizer_sha256="f" * 64), "candidate's tokenizer_sha256"),
        (FakeRuntime(context_tokens=7), "candidate's context_tokens"),
    ],
)
def test_losses_that_mean_different_things_are_not_compared(other: FakeRuntime, said: str) -> None:
    """Losses that mean different things are not compared."""
    with pytest.raises(ArtifactError, match=said):
        paired_losses(FakeRuntime(), other, make_samples(3))


def test_a_rounds_number_is_the_mean_over_its_prompts() -> None:
    """Latency and the time to the first token, each a number a round and model."""
    latency, first = paired_times(FakeRuntime(step_ms=3.0), FakeRuntime(), make_samples(9), QUICK)
    assert (latency.quantity, first.quantity) == ("latency_ms", "ttft_ms")
    assert latency.champion_ms == (15.0,) * 6
    assert latency.candidate_ms == (5.0,) * 6
    assert first.champion_ms == (3.0,) * 6
    assert first.candidate_ms == (1.0,) * 6


def test_models_alternate_a_prompt_and_the_first_one_changes_a_round() -> None:
    """Each prompt goes to both models in turn; who begins changes from round to round."""
    calls: list[tuple[str, str]] = []
    champion = FakeRuntime(name="A", calls=calls)
    candidate = FakeRuntime(name="B", calls=calls)
    paired_times(champion, candidate, make_samples(9), QUICK)
    order = "".join(name for name, _ in calls)
    assert order == "ABAB" + "BABA" + "ABAB" + "BABA" + "ABAB" + "BABA" + "ABAB"
    pairs = zip(calls[::2], calls[1::2], strict=True)
    assert all(first[1] == second[1] for first, second in pairs)


def test_prompts_are_spread_over_the_lengths_that_production_has() -> None:
    """Prompts are spread over the lengths that production has."""
    samples = [Sample(id=str(n), slice="a", prompt="x" * n) for n in range(1, 101)]
    assert [len(p) for p in choose_prompts(samples, 4)] == [13, 38, 63, 88]
    assert choose_prompts(samples[::-1], 4) == choose_prompts(samples, 4)
    assert [len(p) for p in choose_prompts(samples[:1], 3)] == [1, 1, 1]
    with pytest.raises(ParamError, match="hold no prompt"):
        choose_prompts([Sample(id="x", slice="a", prompt="")], 2)


def test_the_machine_says_what_ran_where_and_in_what_precision() -> None:
    """The machine says what ran where and in what precision."""
    champion, candidate = load(tiny_llama(), "safetensors"), load(tiny_openvino(), "openvino")
    found = machine(champion, candidate, QUICK)
    assert found["champion_precision"].startswith("weights float32, eager torch")
    assert "cache f32" in found["candidate_precision"]
    assert found["latency_ms"] == "mean of 2 prompts x 5 tokens, batch 1"
    assert int(found["cores"]) >= int(found["threads"]) == 1
    assert all(found[name] not in {"", "absent"} for name in ("cpu", "torch", "openvino"))


@pytest.mark.parametrize("rounds", [5, 0, 10_001])
def test_fewer_rounds_than_bound_a_median_are_refused(rounds: int) -> None:
    """Fewer rounds than bound a median are refused."""
    with pytest.raises(ValueError, match="rounds"):
        BenchmarkParams(rounds=rounds)
