"""The one loader of safetensors decoders: what it writes it reads, and nobody misreads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.learnt_llama import learnt_llama, logits_of, weights_of
from fakes.tiny_model import copy_of, tiny_llama

from upkeep.errors import ArtifactError
from upkeep.packed_weights import pack_sparse
from upkeep.pretrained import load_model, low_rank_of, low_rank_pair, save_model

NAME = "model.layers.0.mlp.up_proj"


def changed(folder: Path) -> Any:
    """A model with a matrix of low rank, and one with zeros."""
    model = load_model(folder)[0]
    pair = low_rank_pair(model.get_submodule(NAME), 5)
    model.set_submodule(NAME, pair)
    weight = model.model.layers[1].mlp.up_proj.weight
    weight.data[weight.abs() < weight.abs().median()] = 0.0
    return model


@pytest.mark.parametrize("source", [tiny_llama, learnt_llama])
def test_what_is_written_is_read(tmp_path: Path, source: Any) -> None:
    """Pairs, packed weights, plain ones; embeddings tied or not."""
    model = changed(source())
    name = "model.layers.1.mlp.up_proj.weight"
    packed = {name: pack_sparse(model.state_dict()[name])}
    save_model(model, source(), tmp_path / "m", packed)
    found, tokenizer = load_model(tmp_path / "m")
    assert low_rank_of(found) == {NAME: 5}
    assert torch.equal(logits_of(found), logits_of(model.eval()))
    assert tokenizer.get_vocab_size() == load_model(source())[1].get_vocab_size()
    tied = found.get_output_embeddings().weight is found.get_input_embeddings().weight
    assert tied == (source is learnt_llama)


def test_a_loader_that_does_not_know_the_forms_refuses_instead_of_making_weights_up(
    tmp_path: Path,
) -> None:
    """Transformers fills missing weights with random numbers, with no more than a warning."""
    from transformers import AutoModelForCausalLM

    save_model(changed(tiny_llama()), tiny_llama(), tmp_path / "m")
    with pytest.raises(ValueError, match="model type `upkeep`"):
        AutoModelForCausalLM.from_pretrained(tmp_path / "m", local_files_only=True)


def test_a_plain_model_is_written_as_any_other(tmp_path: Path) -> None:
    """Its config.json is that of its kind, also after it was packed."""
    model = changed(tiny_llama())
    name = "model.layers.1.mlp.up_proj.weight"
    save_model(model, tiny_llama(), tmp_path / "a", {name: pack_sparse(model.state_dict()[name])})
    again = load_model(tmp_path / "a")[0]
    again.set_submodule(NAME, load_model(tiny_llama())[0].get_submodule(NAME))
    save_model(again, tiny_llama(), tmp_path / "b")
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert config["model_type"] == "llama"
    assert "upkeep" not in config
    assert set(weights_of(tmp_path / "b")) == set(weights_of(tiny_llama()))


def test_a_form_that_is_not_smaller_is_not_used(tmp_path: Path) -> None:
    """A bit a weight on top of every value."""
    model = load_model(tiny_llama())[0]
    name = f"{NAME}.weight"
    save_model(model, tiny_llama(), tmp_path / "m", {name: pack_sparse(model.state_dict()[name])})
    assert "upkeep" not in json.loads((tmp_path / "m" / "config.json").read_text())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"num_hidden_layers": 3}, "weights do not fit"),
        ({"model_type": "upkeep"}, "belong together"),
        ({"upkeep": {"model_type": "llama"}}, "belong together"),
        ({"model_type": "upkeep", "upkeep": {"low_rank": {"x": 0}}}, "upkeep"),
        ({"model_type": "upkeep", "upkeep": {"model_type": "llama", "low_rank": {"x": 1}}}, "x"),
        ({"model_type": "upkeep", "upkeep": ["llama"]}, "upkeep"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    """Never half a model."""
    with pytest.raises(ArtifactError, match=said):
        load_model(copy_of(tiny_llama(), tmp_path / "m", **config))
