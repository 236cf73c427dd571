"""A smaller decoder of the same kind, from chosen layers, heads and neurons of a larger one.

The result is a plain network whose config.json says its new sizes: any loader takes it. Ours and
not torch-pruning's, whose dependency graph finds by tracing which matrices belong together: in a
decoder they are known by name, and slicing them by name keeps whole groups of queries, keys and
values and says in config.json what it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from upkeep.compression.decoder_parts import HEADS, MLP, blocks_of, plain_parts

Kept = Sequence[Sequence[int]]


def keep_layers(model: Any, kept: Sequence[int]) -> Any:
    """A decoder of the layers ``kept`` only, in their order."""
    list(plain_parts(model, HEADS + MLP))
    prefix = "model.layers."
    new_place = {str(old): str(new) for new, old in enumerate(kept)}
    state = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith(prefix):
            state[name] = tensor
            continue
        layer, rest = name.removeprefix(prefix).split(".", 1)
        if layer in new_place:
            state[f"{prefix}{new_place[layer]}.{rest}"] = tensor
    changed: dict[str, Any] = {"num_hidden_layers": len(kept)}
    kinds = getattr(model.config, "layer_types", None)
    if kinds:
        changed["layer_types"] = [kinds[layer] for layer in kept]
    return _rebuilt(model, changed, state)


def keep_groups(model: Any, kept: Kept) -> Any:
    """A decoder with the key-value groups ``kept[layer]`` only, each with all of its queries."""
    config = model.config
    groups, size = config.num_key_value_heads, config.head_dim
    queries = config.num_attention_heads // groups
    state = dict(model.state_dict())
    for layer, places in enumerate(kept):
        name = f"model.layers.{layer}.self_attn"
        wide, thin = _runs(places, queries * size), _runs(places, size)
        for part, rows in (("q_proj", wide), ("k_proj", thin), ("v_proj", thin)):
            _take_rows(state, f"{name}.{part}", rows)
        state[f"{name}.o_proj.weight"] = state[f"{name}.o_proj.weight"][:, wide]
    count = len(kept[0])
    changed = {
        "num_key_value_heads": count,
        "num_attention_heads": count * queries,
        "head_dim": size,
    }
    return _rebuilt(model, changed, state)


def keep_neurons(model: Any, kept: Kept) -> Any:
    """A decoder with the neurons ``kept[layer]`` of each layer's MLP only."""
    state = dict(model.state_dict())
    for layer, places in enumerate(kept):
        name = f"model.layers.{layer}.mlp"
        for part in ("gate_proj", "up_proj"):
            _take_rows(state, f"{name}.{part}", list(places))
        state[f"{name}.down_proj.weight"] = state[f"{name}.down_proj.weight"][:, list(places)]
    return _rebuilt(model, {"intermediate_size": len(kept[0])}, state)


def layer_count(model: Any) -> int:
    """How many layers the decoder has."""
    return len(blocks_of(model))


def _runs(places: Sequence[int], size: int) -> list[int]:
    return [place * size + inner for place in places for inner in range(size)]


def _take_rows(state: dict[str, Any], name: str, rows: list[int]) -> None:
    for key in (f"{name}.weight", f"{name}.bias"):
        if key in state:
            state[key] = state[key][rows]


def _rebuilt(model: Any, changed: Mapping[str, Any], state: Mapping[str, Any]) -> Any:
    config = type(model.config).from_dict(model.config.to_dict() | changed)
    found = type(model)(config)
    found.load_state_dict(state)
    found.generation_config = model.generation_config
    return found.eval()
