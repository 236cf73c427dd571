"""Operators that become one: ``fuse-norms``, ``fuse-graph``, and convolutions with their norms.

``fuse-norms`` moves the scale g of an RMS norm into the matrices that read it,
W (g * x / rms(x)) = (W diag(g)) (x / rms(x)), and leaves ones behind: the same function, up to
rounding. ``fuse-graph`` writes the graph that ONNX Runtime's optimisers make of the exported one,
so that a server does not do it again at each start. Outputs are compared before anything is kept.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from upkeep.compression.onnx_export import GRAPH, check_same, export, write
from upkeep.compression.outcome import outcome
from upkeep.errors import ArtifactError
from upkeep.job_params import JobParams, read_params
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample

TOLERANCE = 1e-4
"""Of the largest logit: what rounding may change."""

READERS = {
    "input_layernorm": (
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.qkv_proj",
    ),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj", "mlp.gate_up_proj"),
}
"""The norms of a block of Llama and its kin, and the matrices that read each."""


class Norms(JobParams):
    """Nothing to set."""


class Graphs(JobParams):
    """``level``: ``basic`` folds constants, ``extended`` also joins operators into larger ones."""

    level: Literal["basic", "extended"] = "extended"


SETTINGS: dict[str, type[Norms | Graphs]] = {"fuse-graph": Graphs, "fuse-norms": Norms}


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Fuse what is next to each other in ``champion``; ``samples`` are not used; see ``Compress``.

    Raises:
        ParamError: a setting is not allowed.
        ArtifactError: the model cannot be fused, or would not do the same.

    """
    del samples
    settings = read_params(SETTINGS[method], method, params)
    started = time.perf_counter()
    if isinstance(settings, Graphs):
        numbers, said = _fuse_graph(champion, settings, out)
    else:
        numbers, said = _fuse_norms(champion, out)
    sizes, sentences = outcome(champion, out, started)
    return sizes | numbers, (f"{method}: {said}", *sentences)


def fuse_norms(model: Any) -> int:
    """Move the scales of a decoder's RMS norms into the matrices behind them, in place.

    Gives how many norms are ones now. A norm stays where a reader of it is no plain matrix, and
    the last one where its reader shares its weights with the table of embeddings.

    Raises:
        ArtifactError: it has no norm that can be moved, or its outputs would change.

    """
    import torch

    ids = torch.arange(2 * 7).view(2, 7) * 31 % model.config.vocab_size
    with torch.inference_mode():
        before = model(input_ids=ids, use_cache=False).logits
    count = sum(_move(norm, readers) for norm, readers in _norms(model))
    if count == 0:
        rule, fix = "has no RMS norm before plain matrices", "take another method"
        raise ArtifactError("config.json", type(model).__name__, rule, fix)
    with torch.inference_mode():
        after = model(input_ids=ids, use_cache=False).logits
    worst = float((after - before).abs().max() / before.abs().max())
    if not worst <= TOLERANCE:
        rule = f"its outputs would change by {worst:.2g} of the largest"
        raise ArtifactError("config.json", type(model).__name__, rule, "take another method")
    return count


def fuse_conv_bn(module: Any) -> Any:
    """A copy of ``module`` in which each batch norm is part of the convolution before it.

    In inference a batch norm is a scale and a shift for each channel:
    W' = W * g / sqrt(var + eps), b' = (b - mean) * g / sqrt(var + eps) + beta (Jacob et al. 2018,
    arXiv:1712.05877, section 3.2). ``torch.fx`` finds the pairs; ``module`` must be in inference
    mode and its forward must not branch on values.

    Raises:
        ArtifactError: it is in training mode, or cannot be traced.

    """
    from torch import fx
    from torch.fx.experimental.optimization import fuse

    name = type(module).__name__
    if module.training:
        raise ArtifactError("module", name, "is in training mode", "call eval() first")
    try:
        return fuse(module, inplace=False)
    except (fx.proxy.TraceError, TypeError, ValueError, NotImplementedError) as error:
        rule, fix = f"cannot be traced: {error}", "fuse its convolutional parts one by one"
        raise ArtifactError("module", name, rule, fix) from error


def _fuse_norms(champion: Path, out: Path) -> tuple[dict[str, float], str]:
    model, _ = load_model(champion)
    count = fuse_norms(model.eval())
    save_model(model, champion, out)
    return {"norms": float(count)}, f"{count} scales of norms moved into the matrices behind them"


def _norms(model: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Each RMS norm with all that reads it."""
    inner: Any = getattr(model, "model", None)
    for block in getattr(inner, "layers", ()):
        parts = dict(block.named_modules())
        for norm, names in READERS.items():
            if norm in parts:
                yield parts[norm], [parts[name] for name in names if name in parts]
    head = getattr(model, "lm_head", None)
    if head is not None and hasattr(inner, "norm"):
        tied = head.weight is model.get_input_embeddings().weight
        yield inner.norm, [] if tied else [head]


def _move(norm: Any, readers: list[Any]) -> bool:
    """Whether the scale of ``norm`` could go into ``readers``; then it did."""
    import torch
    from torch import nn

    first = [getattr(reader, "narrow", reader) for reader in readers]
    movable = getattr(norm, "weight", None) is not None and first
    if not movable or not all(isinstance(reader, nn.Linear) for reader in first):
        return False
    with torch.no_grad():
        for reader in first:
            reader.weight.mul_(norm.weight)
        norm.weight.fill_(1.0)
    return True


def _fuse_graph(champion: Path, settings: Graphs, out: Path) -> tuple[dict[str, float], str]:
    before = export(champion, out)
    after = optimised(before, settings.level)
    write(after, out)
    check_same(load_model(champion)[0], out)
    counts = len(before.graph.node), len(after.graph.node)
    numbers = dict(zip(("operators_before", "operators"), map(float, counts), strict=True))
    told = json.dumps(settings.model_dump())
    return numbers, f"{told}, {counts[0]} operators -> {counts[1]}"


def optimised(graph: Any, level: str) -> Any:
    """The ``onnx.ModelProto`` that ONNX Runtime's optimisers make of ``graph`` at ``level``."""
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = {
        "basic": levels.ORT_ENABLE_BASIC,
        "extended": levels.ORT_ENABLE_EXTENDED,
    }[level]
    with tempfile.TemporaryDirectory(prefix="upkeep-onnx-") as folder:
        write(graph, Path(folder))
        made = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(made)
        ort.InferenceSession(str(Path(folder) / GRAPH), options, providers=["CPUExecutionProvider"])
        found = onnx.load(str(made))
    used = {node.domain for node in found.graph.node}
    kept = [opset for opset in found.opset_import if opset.domain in used | {""}]
    del found.opset_import[:]
    found.opset_import.extend(kept)
    return found
