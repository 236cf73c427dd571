"""A generator is built from what config.json declares, and from nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.tiny_painter import GROW, LAYERS, declared, tiny_painter
from pydantic import ValidationError

from upkeep.errors import ArtifactError
from upkeep.model_files import check_model_folder
from upkeep.network_layers import GeneratorConfig
from upkeep.networks import build, is_generator, load_network, read_config, save_network
from upkeep.packed_weights import Packed, pack_sparse
from upkeep.pretrained import low_rank_pair

LINEAR, UNFLATTEN, _, _, _, _, _, CONV, SIGMOID = LAYERS


def changed(place: int, layer: dict[str, Any]) -> dict[str, Any]:
    return declared(layers=(*LAYERS[:place], layer, *LAYERS[place + 1 :]))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (changed(0, {"linear": {"out": 127}}), "unflatten to .8, 4, 4. is given .127."),
        (changed(0, {"linear": {"out": 2**21}}), "less than or equal to 1048576"),
        (changed(0, {"linear": {"out": 128.0}}), "valid integer"),
        (changed(0, {"linear": {}}), "Field required"),
        (changed(0, {"linear": {"out": 128, "code": "x"}}), "Extra inputs"),
        (changed(0, {"os.system": {"out": 128}}), "Extra inputs"),
        (changed(0, LINEAR | SIGMOID), "a layer is one of"),
        (changed(0, {"linear": None}), "a layer is one of"),
        (changed(0, {}), "a layer is one of"),
        (changed(4, {"conv_transpose": GROW | {"kernel": 99}}), "less than or equal to 15"),
        (changed(7, {"conv": {"out": 2, "kernel": 3, "padding": 1}}), r"an image is \[1 or 3"),
        (changed(7, {"conv": {"out": 1, "kernel": 15}}), "a convolution is given"),
        (changed(7, LINEAR), "linear reads a vector"),
        (changed(8, {"tanh": {}}), "last layer must be sigmoid"),
        (declared(layers=(LINEAR, SIGMOID)), r"gives \[128\]"),
        (declared(classes=("a", "a")), "stands twice"),
        (declared(classes=()), "at least 1 item"),
        (declared(latent=0), "greater than or equal to 1"),
        (declared(model_type="llama"), "upkeep-image-generator"),
        (
            declared(
                layers=(
                    {"linear": {"out": 2**20}},
                    {"unflatten": {"channels": 2**18, "height": 2, "width": 2}},
                    {"conv": {"out": 2**18, "kernel": 2}},
                    SIGMOID,
                )
            ),
            "too large to be loaded",
        ),
    ],
)
def test_what_may_not_be_declared_is_refused(fields: dict[str, Any], said: str) -> None:
    """Before a tensor is made, with what is wrong."""
    with pytest.raises(ValidationError, match=said):
        GeneratorConfig.model_validate(fields)


def test_shapes_are_those_that_torch_makes() -> None:
    """Layer by layer, also where strides and paddings do not divide."""
    odd = (
        LINEAR,
        UNFLATTEN,
        {"conv_transpose": {"out": 3, "kernel": 5, "stride": 3, "padding": 2}},
        {"batch_norm": {}},
        {"tanh": {}},
        {"conv": {"out": 3, "kernel": 4, "stride": 2, "padding": 1}},
        SIGMOID,
    )
    config = GeneratorConfig.model_validate(declared(layers=odd))
    flowing = torch.zeros(2, config.reads)
    for layer, shape in zip(build(config).layers, config.shapes(), strict=True):
        flowing = layer(flowing)
        assert tuple(flowing.shape) == (2, *shape)
    declared_weights = sum(
        layer.part.weights(reads)
        for layer, reads in zip(
            config.layers, ((config.reads,), *config.shapes()[:-1]), strict=True
        )
    )
    state = build(config).state_dict()
    assert declared_weights == sum(v.numel() for n, v in state.items() if "tracked" not in n)


def test_a_folder_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """Weights, statistics and config, and the product's own check lets it pass."""
    network, config = load_network(tiny_painter())
    save_network(network, config, tmp_path / "again")
    check_model_folder(tmp_path / "again", "safetensors")
    found, again = load_network(tmp_path / "again")
    assert again == config
    assert not found.training
    for name, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_thin_pairs_and_packed_weights_come_back(tmp_path: Path) -> None:
    """A filter of four dimensions is packed as a matrix, and is a filter again."""
    network, config = load_network(tiny_painter())
    pair = low_rank_pair(network.layers[0], 3)
    network.set_submodule("layers.0", pair)
    filters = network.layers[4].weight
    with torch.no_grad():
        filters[filters.abs() < filters.abs().median() * 1.5] = 0.0
    packed = {"layers.4.weight": pack_sparse(filters.detach().flatten(1))}
    save_network(network, config, tmp_path / "small", packed)
    check_model_folder(tmp_path / "small", "safetensors")
    found, again = load_network(tmp_path / "small")
    assert (again, is_generator(tmp_path / "small")) == (config, True)
    for name, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    assert "layers.4.weight.mask" in (tmp_path / "small" / "model.safetensors").read_bytes().decode(
        "latin1"
    )


def test_a_packed_form_that_is_larger_is_not_taken(tmp_path: Path) -> None:
    """Nothing grows by being packed."""
    network, config = load_network(tiny_painter())
    dense: Packed = pack_sparse(network.layers[4].weight.detach().flatten(1))
    save_network(network, config, tmp_path / "m", {"layers.4.weight": dense})
    assert json.loads((tmp_path / "m/config.json").read_text())["model_type"] == config.model_type


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """Named with their file, in one line."""
    shutil.copytree(tiny_painter(), tmp_path / "m")
    config = json.loads((tmp_path / "m/config.json").read_text())
    config["latent"] = 5
    (tmp_path / "m/config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=r"m/model\.safetensors.*does not fit its config"):
        load_network(tmp_path / "m")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "an object"),
        ('{"layers": 3}', "config.json: "),
        (None, "No such"),
    ],
)
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    """By its place in the file."""
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ArtifactError, match=said):
        read_config(tmp_path)


def test_only_a_generator_is_one(tmp_path: Path) -> None:
    """A decoder, a broken file and an empty folder are none."""
    assert is_generator(tiny_painter())
    assert not is_generator(tmp_path)
    for text in ("{", "[]", '{"upkeep": 3}', '{"model_type": "llama"}'):
        (tmp_path / "config.json").write_text(text)
        assert not is_generator(tmp_path)
