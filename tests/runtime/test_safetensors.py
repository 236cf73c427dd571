"""PyTorch: the right numbers, and nothing that the folder brings along is run or made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tiny_model import WORDS, copy_of, tiny_llama

from upkeep.errors import ArtifactError
from upkeep.runtime import load


def test_losses_are_the_cross_entropy_of_transformers_itself() -> None:
    """Losses are the cross entropy of transformers itself."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    ids = Tokenizer.from_file(str(tiny_llama() / "tokenizer.json")).encode(WORDS).ids
    rows = torch.tensor([ids])
    with torch.no_grad():
        direct = LlamaForCausalLM.from_pretrained(tiny_llama())(rows, labels=rows).loss.item()
    loss = load(tiny_llama(), "safetensors").nll([WORDS])[0]
    assert loss.tokens == len(ids) - 1
    assert loss.nll_nats / loss.tokens == pytest.approx(direct, rel=1e-5)


def test_the_precision_says_float32_and_which_torch() -> None:
    """The precision says float32 and which torch."""
    import torch

    found = load(tiny_llama(), "safetensors").precision
    assert found == f"weights float32, eager torch {torch.__version__}"


def test_threads_are_set() -> None:
    """Threads are set."""
    import torch

    before = torch.get_num_threads()
    try:
        assert load(tiny_llama(), "safetensors", threads=2).threads == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_missing_weight_is_an_error_and_not_random_numbers(tmp_path: Path) -> None:
    """A missing weight is an error and not random numbers."""
    from safetensors.numpy import load_file, save_file

    broken = copy_of(tiny_llama(), tmp_path / "m")
    weights = load_file(broken / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"missing_keys.*up_proj"):
        load(broken, "safetensors")


def test_weights_of_another_shape_are_an_error(tmp_path: Path) -> None:
    """Weights of another shape are an error."""
    broken = copy_of(tiny_llama(), tmp_path / "m", intermediate_size=48)
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load(broken, "safetensors")


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    """A pickle is not read."""
    import torch

    broken = copy_of(tiny_llama(), tmp_path / "m")
    (broken / "model.safetensors").unlink()
    torch.save({}, broken / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load(broken, "safetensors")


def test_code_beside_the_weights_is_not_run(tmp_path: Path) -> None:
    """Code beside the weights is not run."""
    marker = tmp_path / "was-run"
    broken = copy_of(
        tiny_llama(),
        tmp_path / "m",
        model_type="mine",
        auto_map={"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Mine"},
    )
    (broken / "mine.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load(broken, "safetensors")
    assert not marker.exists()
