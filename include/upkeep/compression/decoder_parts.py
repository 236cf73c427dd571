"""The parts of a decoder by the names that Llama and its kin (Mistral, Qwen, ..) give them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from upkeep.errors import ArtifactError

HEADS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def blocks_of(model: Any) -> Any:
    """The decoder's blocks, a ``ModuleList``.

    Raises:
        ArtifactError: the network is not built as a Llama is.

    """
    found = getattr(getattr(model, "model", None), "layers", None)
    if found is None or len(found) != model.config.num_hidden_layers:
        raise _unlike(model, "model.layers")
    return found


def matrices_of(model: Any) -> dict[str, Any]:
    """Every ``nn.Linear`` within the blocks by its name, in the order of the network."""
    from torch import nn

    inner = {id(part) for block in blocks_of(model) for part in block.modules()}
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in inner
    }
    if not found:
        raise _unlike(model, "nn.Linear")
    return found


def linears_of(block: Any) -> dict[str, Any]:
    """Every ``nn.Linear`` of one block by its name within it."""
    from torch import nn

    return {name: part for name, part in block.named_modules() if isinstance(part, nn.Linear)}


def plain_parts(model: Any, names: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """The matrices of ``names`` in each block.

    Raises:
        ArtifactError: a block has no such matrix, or keeps it as a pair of low rank.

    """
    from torch import nn

    for block in blocks_of(model):
        parts = dict(block.named_modules())
        for name in names:
            if not isinstance(parts.get(name), nn.Linear):
                raise _unlike(model, name)
        yield tuple(parts[name] for name in names)


def _unlike(model: Any, name: str) -> ArtifactError:
    rule = f"has no whole {name} in every block"
    fix = "prune whole matrices first, in a decoder that is built as a Llama is"
    return ArtifactError(type(model).__name__, name, rule, fix)
