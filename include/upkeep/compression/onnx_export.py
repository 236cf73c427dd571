"""A decoder in memory as an ONNX graph with its cache as inputs and outputs.

The network comes from ``pretrained.load_model``; ``torch.onnx`` captures it whole, at opset 23,
where attention, rotary embedding and RMS norm are operators of the standard. Inputs:
``input_ids`` [row, position] and ``past_key_values.<layer>.key`` and ``.value`` [row, head,
position, channel], which may hold no position; outputs: ``logits`` and ``present.*``. Positions
and the causal mask follow from the length of the cache. A graph that does not give PyTorch's
logits is refused.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from upkeep.errors import ArtifactError
from upkeep.pretrained import copy_tokenizer, load_model

GRAPH, DATA = "model.onnx", "model.onnx.data"
OPSET = 23
EMBED_BYTES = 2**30
"""A graph with more constants keeps them in a file of their own: protobuf ends at 2 GiB."""

TOLERANCE = 1e-3
"""Of the largest logit: PyTorch and ONNX Runtime sum in different orders."""


def export(champion: Path, out: Path) -> Any:
    """Write the safetensors model in ``champion`` to ``out``; gives the ``onnx.ModelProto``.

    Raises:
        ArtifactError: it cannot be loaded or exported, or the graph does not do the same.

    """
    model, _ = load_model(champion)
    try:
        with quiet():
            graph = _traced(model.eval())
    except Exception as error:
        # What torch.export raises has no base but Exception.
        raise ArtifactError(
            str(champion),
            type(model).__name__,
            f"cannot be exported: {_first_line(error)}",
            "is it supported?",
        ) from error
    clean(graph)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(model.config.to_json_string(), encoding="utf-8")
    copy_tokenizer(champion, out)
    write(graph, out)
    check_same(model, out)
    return graph


def write(graph: Any, out: Path) -> None:
    """Write a graph over the one in ``out``; large constants beside it."""
    import onnx

    for name in (GRAPH, DATA):
        (out / name).unlink(missing_ok=True)
    large = sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > EMBED_BYTES
    onnx.save(graph, str(out / GRAPH), save_as_external_data=large, location=DATA)


def _traced(model: Any) -> Any:
    """Capture ``model`` with free numbers of rows, positions and cached positions."""
    import torch

    config = model.config
    layers = config.num_hidden_layers
    channels = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    # Sizes of 0 and 1 would be taken for constants.
    past = [torch.zeros(2, heads, 5, channels) for _ in range(2 * layers)]
    ids = torch.arange(6).view(2, 3) % config.vocab_size
    rows, width, seen = (torch.export.Dim(name) for name in ("rows", "positions", "cached"))
    names = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    program = torch.onnx.export(
        _with_cache(model).eval(),
        (ids, past),
        dynamo=True,
        opset_version=OPSET,
        input_names=["input_ids", *(f"past_key_values.{name}" for name in names)],
        output_names=["logits", *(f"present.{name}" for name in names)],
        dynamic_shapes=({0: rows, 1: width}, [{0: rows, 2: seen}] * (2 * layers)),
        verbose=False,
    )
    return program.model_proto


def _with_cache(model: Any) -> Any:
    """``model`` with its cache as a list of tensors, key and value of each layer in turn."""
    import torch
    from transformers import DynamicCache

    class WithCache(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, past: Sequence[Any]) -> tuple[Any, ...]:
            rows, width = input_ids.shape
            seen = past[0].shape[2]
            places = torch.arange(seen, seen + width)
            visible = torch.arange(seen + width)[None, :] <= places[:, None]
            found = self.model(
                input_ids=input_ids,
                attention_mask=visible[None, None],
                position_ids=places[None].expand(rows, width),
                past_key_values=DynamicCache(zip(past[::2], past[1::2], strict=True)),
                use_cache=True,
            )
            layers = found.past_key_values.layers
            return found.logits, *(part for layer in layers for part in (layer.keys, layer.values))

    return WithCache()


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter warns of operators that no graph here has."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def clean(graph: Any) -> None:
    """Take out the traces of this machine's source files that the exporter leaves in."""
    for part in (graph, graph.graph, *graph.graph.node, *graph.graph.value_info):
        del part.metadata_props[:]
    for part in (*graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        del part.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""


def check_same(model: Any, out: Path) -> None:
    """Return if the graph in ``out`` gives PyTorch's logits, the later ones from its cache.

    Raises:
        ArtifactError: it does not.

    """
    import torch

    from upkeep.runtime.onnx import Graph

    size = model.config.vocab_size
    ids = np.random.default_rng(0).integers(0, size, (2, 9))
    with torch.inference_mode():
        wanted = model(input_ids=torch.from_numpy(ids), use_cache=False).logits.numpy()
    graph = Graph(out, 1)
    graph.logits(ids[:, :5])
    found = graph.extend(ids[:, 5:])
    worst = float(np.abs(found - wanted[:, 5:]).max())
    if not worst <= TOLERANCE * float(np.abs(wanted).max()):
        raise ArtifactError(
            GRAPH,
            type(model).__name__,
            f"its graph differs by {worst:.2g} in a logit",
            "this architecture cannot be exported",
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
