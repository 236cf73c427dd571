"""The part of a runtime that is the same for all formats, and that formats agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes.tiny_model import CONTEXT, END, WORDS, copy_of, tiny_llama, tiny_onnx, tiny_openvino

from upkeep import runtime
from upkeep.errors import ArtifactError, ParamError
from upkeep.runtime import Format, Runtime, TextLoss, load, token_nll

TEXTS = [WORDS[:40], "a", "", WORDS, "loop", "ünïcödé \N{SNOWMAN} bytes", WORDS[10:35]]
FOLDERS = {"onnx": tiny_onnx, "openvino": tiny_openvino, "safetensors": tiny_llama}


@pytest.fixture(scope="module", params=["safetensors", "openvino", "onnx"])
def model(request: pytest.FixtureRequest) -> Runtime:
    """The tiny model in each of the formats."""
    return load(FOLDERS[request.param](), request.param)


def test_losses_are_of_each_text_alone_and_in_the_order_given(model: Runtime) -> None:
    """Losses are of each text alone and in the order given."""
    together = model.nll(TEXTS)
    assert [loss.tokens for loss in together] == [model.nll([t])[0].tokens for t in TEXTS]
    for text, loss in zip(TEXTS, together, strict=True):
        assert loss.nll_nats == pytest.approx(model.nll([text])[0].nll_nats, rel=1e-5)


def test_a_text_without_a_second_token_has_nothing_to_predict(model: Runtime) -> None:
    """A text without a second token has nothing to predict."""
    assert model.nll(["", "a"]) == [TextLoss(0.0, 0), TextLoss(0.0, 0)]
    assert model.nll([]) == []


def test_small_batches_give_the_losses_of_large_ones(
    model: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small batches give the losses of large ones."""
    large = model.nll(TEXTS)
    monkeypatch.setattr(runtime, "LOGITS_BYTES", 4 * 320 * 20)
    for small, big in zip(model.nll(TEXTS), large, strict=True):
        assert small.tokens == big.tokens
        assert small.nll_nats == pytest.approx(big.nll_nats, rel=1e-5)


def test_a_text_is_scored_up_to_the_models_context(model: Runtime) -> None:
    """A text is scored up to the models context."""
    loss, longer = model.nll(["z" * CONTEXT, "z" * CONTEXT + "y" * 50])
    assert loss.tokens == longer.tokens == CONTEXT - 1
    assert loss.nll_nats == pytest.approx(longer.nll_nats, rel=1e-6)


def test_a_generation_is_the_same_whatever_came_before(model: Runtime) -> None:
    """No state of an earlier generation or loss leaks into the next one."""
    losses = model.nll(TEXTS)
    first = model.generate("the loop", 12)
    model.generate("another prompt", 5)
    assert model.nll(TEXTS) == losses
    again = model.generate("the loop", 12)
    assert (again.text, again.tokens_out) == (first.text, first.tokens_out)


def test_times_and_tokens_of_a_generation_are_counted(model: Runtime) -> None:
    """Times and tokens of a generation are counted."""
    made = model.generate("the loop", 7, ignore_end=True)
    assert made.tokens_out == 7
    assert made.tokens_in > 0
    assert 0.0 < made.ttft_ms < made.latency_ms


@pytest.mark.parametrize("tokens", [0, -1, CONTEXT])
def test_tokens_that_do_not_fit_the_context_are_refused(model: Runtime, tokens: int) -> None:
    """Tokens that do not fit the context are refused."""
    with pytest.raises(ParamError, match="max_new_tokens"):
        model.generate("the loop", tokens)


def test_an_empty_prompt_is_refused(model: Runtime) -> None:
    """An empty prompt is refused."""
    with pytest.raises(ParamError, match="no tokens"):
        model.generate("", 4)


def test_of_a_long_prompt_the_end_is_read(model: Runtime) -> None:
    """Of a long prompt the end is read."""
    kept = "q" * (CONTEXT - 8)
    assert model.generate("z" * 30 + kept, 8).tokens_in == CONTEXT - 8
    assert model.generate("z" * 30 + kept, 8).text == model.generate(kept, 8).text


def test_a_lone_surrogate_is_replaced_and_not_raised(model: Runtime) -> None:
    """A lone surrogate is replaced and not raised."""
    assert model.nll(["loop \ud800 end"]) == model.nll(["loop ? end"])


def test_the_tokenizers_hash_is_the_files(model: Runtime) -> None:
    """The hash names the tokenizer file, whatever the format of the weights."""
    assert model.tokenizer_sha256 == load(tiny_llama(), "safetensors").tokenizer_sha256
    assert len(model.tokenizer_sha256) == 64


def test_formats_agree_within_what_eight_bits_cost() -> None:
    """Formats agree within what eight bits cost."""
    exact, rounded = (
        load(FOLDERS[name](), name).nll([WORDS])[0] for name in ("safetensors", "openvino")
    )
    assert rounded.tokens == exact.tokens
    assert rounded.nll_nats == pytest.approx(exact.nll_nats, rel=0.02)
    assert rounded.nll_nats != exact.nll_nats


@pytest.mark.parametrize("ends", [lambda end: end, lambda end: [299, end]])
def test_generation_stops_at_the_end_token_and_leaves_it_out(tmp_path: Path, ends: object) -> None:
    """Generation stops at the end token and leaves it out."""
    free = load(tiny_llama(), "safetensors")
    ids = _greedy_ids("the loop", 12)
    end = ids[4]
    stopping = load(
        copy_of(tiny_llama(), tmp_path / "m", eos_token_id=ends(end)),  # type: ignore[operator]
        "safetensors",
    )
    made = stopping.generate("the loop", 12)
    assert made.tokens_out == ids.index(end)
    whole = free.generate("the loop", 12, ignore_end=True)
    assert stopping.generate("the loop", 12, ignore_end=True).text == whole.text


def _greedy_ids(prompt: str, count: int) -> list[int]:
    """Greedy continuation by transformers' own loop: the reference."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(tiny_llama())
    ids = Tokenizer.from_file(str(tiny_llama() / "tokenizer.json")).encode(prompt).ids
    made = model.generate(
        torch.tensor([ids]), max_new_tokens=count, do_sample=False, eos_token_id=None
    )
    found: list[int] = made[0, len(ids) :].tolist()
    return found


def test_greedy_generation_is_transformers_own() -> None:
    """Greedy generation is transformers own."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny_llama() / "tokenizer.json"))
    expected = tokenizer.decode(_greedy_ids("the model", 20), skip_special_tokens=True)
    made = load(tiny_llama(), "safetensors").generate("the model", 20, ignore_end=True)
    assert made.text == expected


def test_a_model_without_end_token_runs_to_the_limit(tmp_path: Path) -> None:
    """A model without end token runs to the limit."""
    endless = load(copy_of(tiny_llama(), tmp_path / "m", eos_token_id=None), "safetensors")
    assert endless.generate("the loop", 9).tokens_out == 9
    assert END == 0


def test_token_nll_is_the_cross_entropy() -> None:
    """Token nll is the cross entropy."""
    import torch

    logits = np.random.default_rng(0).normal(0, 30, (2, 5, 7)).astype(np.float32)
    targets = np.random.default_rng(1).integers(0, 7, (2, 5))
    direct = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).double().flatten(0, 1),
        torch.from_numpy(targets).flatten(),
        reduction="none",
    )
    assert token_nll(logits, targets).ravel() == pytest.approx(direct.numpy(), abs=1e-5)


@pytest.mark.parametrize("missing", ["tokenizer.json", "config.json"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    """A missing file is named."""
    broken = copy_of(tiny_openvino(), tmp_path / "m")
    (broken / missing).unlink()
    with pytest.raises(ArtifactError, match=missing):
        load(broken, "openvino")


def test_an_unknown_format_is_refused() -> None:
    """An unknown format is refused."""
    with pytest.raises(ArtifactError, match=r"gguf.*can run \['onnx', 'openvino', 'safetensors'\]"):
        load(tiny_llama(), "gguf")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file_format", "absent"),
    [
        ("onnx", ["torch", "transformers", "openvino"]),
        ("openvino", ["torch", "transformers", "optimum"]),
        ("safetensors", ["openvino", "optimum", "onnxruntime"]),
    ],
)
def test_a_format_imports_only_its_own_library(file_format: Format, absent: list[str]) -> None:
    """A format imports only its own library."""
    code = (
        "import sys, json; from pathlib import Path; import upkeep.runtime as r\n"
        "before = [m for m in ('torch', 'openvino', 'transformers') if m in sys.modules]\n"
        f"r.load(Path({str(FOLDERS[file_format]())!r}), {file_format!r})\n"
        f"print(json.dumps([before, [m for m in {absent!r} if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], []]
