"""An image generator's safetensors folder as a PyTorch network, and back.

The network is an ``nn.Sequential`` of the layers that config.json declares, named ``layers.0``,
``layers.1`` ..: it reads [images, latent + classes] and gives [images, channels, height, width] in
0..1. Weights lie whole or in a smaller form that config.json declares
(:mod:`upkeep.formats.packed`), those of a convolution as a matrix [out, in x kernel x kernel] (of a
transposed one [in, out x kernel x kernel]); a matrix of low rank stays two thin ones.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from upkeep.errors import ArtifactError
from upkeep.formats.packed import KEY, Declared, declared, parts_of
from upkeep.formats.packed import MODEL_TYPE as PACKED_TYPE
from upkeep.formats.safetensors import SINGLE, packed_shapes
from upkeep.network_layers import MODEL_TYPE, GeneratorConfig, Layer, Shape
from upkeep.packed_weights import Packed, expand, size_bytes
from upkeep.pretrained import HALVES, low_rank_of, low_rank_pair

CONFIG = "config.json"


def is_generator(folder: Path) -> bool:
    """Whether config.json says that an image generator lies here; of any format."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(config, dict):
        return False
    said = config.get(KEY)
    packed = said.get("model_type") if isinstance(said, dict) else None
    return MODEL_TYPE in (config.get("model_type"), packed)


def read_config(folder: Path) -> GeneratorConfig:
    """What ``folder``'s config.json declares, forms of weights left out.

    Raises:
        ArtifactError: it is missing, no JSON, or declares what is not allowed; by its place.

    """
    where = f"{folder.name}/{CONFIG}"
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        found = declared(folder) if isinstance(config, dict) else None
        if found is not None:
            del config[KEY]
            config["model_type"] = found.model_type
        return GeneratorConfig.model_validate_json(json.dumps(config))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(
            f"{where}: {place}".rstrip(": "), first["input"], first["msg"], "restore the files"
        ) from error
    except (OSError, ValueError) as error:
        rule = f"cannot be read ({error})"
        raise ArtifactError(where, folder.name, rule, "restore the recorded files") from error


def build(config: GeneratorConfig) -> Any:
    """The network that ``config`` declares; its weights are drawn from PyTorch's seed."""
    from torch import nn

    layers = []
    reads: Shape = (config.reads,)
    for layer, gives in zip(config.layers, config.shapes(), strict=True):
        layers.append(_module(layer, reads))
        reads = gives
    return nn.Sequential(OrderedDict(layers=nn.Sequential(*layers)))


def load_network(folder: Path) -> tuple[Any, GeneratorConfig]:
    """The safetensors network in ``folder``, in 32-bit floats and inference mode.

    Raises:
        ArtifactError: files are missing, or do not fit together.

    """
    from safetensors import SafetensorError

    config = read_config(folder)
    try:
        network = build(config)
        state = _state(folder, network)
        network.load_state_dict(state)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, SafetensorError) as error:
        rule = f"does not fit its config: {' '.join(str(error).split())}"
        fix = "restore the recorded files"
        raise ArtifactError(f"{folder.name}/{SINGLE}", config.name, rule, fix) from error
    return network.float().eval(), config


def save_network(
    network: Any,
    config: GeneratorConfig,
    out: Path,
    packed: Mapping[str, Packed] | None = None,
    half: str | None = None,
) -> None:
    """Write ``network`` as config.json and safetensors into ``out``.

    The weights named in ``packed`` are stored in that form where it is smaller. ``half`` names
    the 16-bit type in which floats are stored.
    """
    import torch
    from safetensors.torch import save_file

    state = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    kept = {
        name: weight
        for name, weight in (packed or {}).items()
        if size_bytes(weight) < state[name].numel() * state[name].element_size()
    }
    for name, weight in kept.items():
        del state[name]
        state |= {f"{name}.{suffix}": part for suffix, part in weight.parts.items()}
    if half is not None:
        kind = getattr(torch, half)
        state = {n: v.to(kind) if v.dtype == torch.float32 else v for n, v in state.items()}
    out.mkdir(parents=True, exist_ok=True)
    save_file(state, out / SINGLE)
    write_config(config, out, low_rank_of(network), kept)


def write_config(
    config: GeneratorConfig,
    out: Path,
    low_rank: Mapping[str, int] | None = None,
    packed: Mapping[str, Packed] | None = None,
) -> None:
    """Write config.json, with the forms that some weights have."""
    values = config.model_dump(mode="json", exclude_unset=True)
    values["model_type"] = config.model_type
    if low_rank or packed:
        forms = {name: weight.form for name, weight in (packed or {}).items()}
        said = Declared(model_type=config.model_type, low_rank=dict(low_rank or {}), packed=forms)
        values |= {"model_type": PACKED_TYPE, KEY: said.model_dump(mode="json")}
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    (out / CONFIG).write_text(text, encoding="utf-8")


def half_of(folder: Path) -> str | None:
    """The 16-bit type that all stored floats of ``folder`` have; None where they have not."""
    from upkeep.formats.safetensors import read_header

    kinds = {tensor.kind for tensor in read_header(folder / SINGLE).values()}
    floats = {kind for kind in kinds if kind.endswith(("F16", "F32", "F64"))}
    return HALVES.get(floats.pop()) if len(floats) == 1 else None


def _module(layer: Layer, reads: Shape) -> Any:
    from torch import nn

    made: dict[str, Any] = {
        "relu": lambda _: nn.ReLU(),
        "leaky_relu": lambda part: nn.LeakyReLU(part.slope),
        "sigmoid": lambda _: nn.Sigmoid(),
        "tanh": lambda _: nn.Tanh(),
        "linear": lambda part: nn.Linear(reads[0], part.out, bias=part.bias),
        "unflatten": lambda part: nn.Unflatten(1, (part.channels, part.height, part.width)),
        "batch_norm": lambda _: (nn.BatchNorm1d if len(reads) == 1 else nn.BatchNorm2d)(reads[0]),
        "conv": lambda part: nn.Conv2d(reads[0], *_filters(part), bias=part.bias),
        "conv_transpose": lambda part: nn.ConvTranspose2d(
            reads[0], *_filters(part), bias=part.bias
        ),
    }
    return made[layer.kind](layer.part)


def _filters(part: Any) -> tuple[int, int, int, int]:
    return part.out, part.kernel, part.stride, part.padding


def _state(folder: Path, network: Any) -> dict[str, Any]:
    """The stored weights, expanded; thin pairs are put into ``network`` where they are declared."""
    from safetensors.torch import load_file

    found = declared(folder)
    state: dict[str, Any] = load_file(folder / SINGLE)
    if found is None:
        return state
    packed_shapes(folder, found)
    for name, rank in found.low_rank.items():
        network.set_submodule(name, low_rank_pair(network.get_submodule(name), rank))
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    for name, form in found.packed.items():
        parts = {suffix: state.pop(full) for suffix, full in parts_of(name, form)}
        state[name] = expand(Packed(form, parts)).view(shapes[name])
    return state
