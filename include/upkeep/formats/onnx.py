"""``onnx``: a graph, its weights inside it or in files beside it, and operators that are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from upkeep.formats import beside, refuse
from upkeep.formats.finite import first_non_finite

SUFFIXES = frozenset({".onnx", ".onnx_data", ".data"})
MAX_GRAPH_BYTES = 2**31
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operators that the runtime brings itself; any other domain needs a library of its own."""

KINDS: Mapping[str, str] = {
    "DOUBLE": "F64",
    "FLOAT": "F32",
    "FLOAT16": "F16",
    "BFLOAT16": "BF16",
    "FLOAT8E5M2": "F8_E5M2",
    "FLOAT8E4M3FN": "F8_E4M3",
    "FLOAT8E8M0": "F8_E8M0",
    "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ",
    "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ",
}
"""Element types that can be not finite, with their names in ``finite``."""

FINITE = frozenset({"BOOL", "STRING", "FLOAT4E2M1"}) | {
    f"{sign}INT{bits}" for sign in ("", "U") for bits in (2, 4, 8, 16, 32, 64)
}


def check(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the initializers by name; external data lies in the folder, numbers are numbers.

    Raises:
        ArtifactError: a graph is broken, leads out of its folder, or cannot run on the target.

    """
    graphs = sorted(folder.rglob("*.onnx"))
    if not graphs:
        refuse(folder / "model.onnx", "model.onnx", "is missing", "export the model again")
    shapes: dict[str, tuple[int, ...]] = {}
    for file in graphs:
        model = _read(file)
        _check_operators(file, model)
        shapes |= {t.name: tuple(t.dims) for t in model.graph.initializer}
        for tensor in _tensors(model):
            _check_tensor(file, tensor)
    return shapes


def _read(file: Path) -> Any:
    import onnx

    broken = import_module("google.protobuf.message").DecodeError
    if file.stat().st_size > MAX_GRAPH_BYTES:
        refuse(file, file.stat().st_size, "is larger than protobuf reads", "use external data")
    try:
        model = onnx.load(str(file), load_external_data=False)
    except (broken, ValueError) as error:
        refuse(file, file.name, f"is not ONNX ({error})", "restore the recorded file")
    if not model.graph.node:
        refuse(file, file.name, "holds no operator", "restore the recorded file")
    return model


def _check_operators(file: Path, model: Any) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain not in DOMAINS:
            rule = "not runnable on target: its operators need a library of their own"
            refuse(file, opset.domain, rule, "export with standard operators")
        if opset.domain in {"", "ai.onnx"} and opset.version > newest:
            rule = f"not runnable on target: opset above {newest}"
            refuse(file, opset.version, rule, f"export with opset {newest} or older")


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model: of its graph, of graphs within nodes, and of its functions."""
    graphs, nodes = [model.graph], [n for f in model.functions for n in f.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            yield from _tensors_of(attribute)


def _tensors_of(attribute: Any) -> Iterator[Any]:
    yield from attribute.tensors
    if attribute.HasField("t"):
        yield attribute.t
    alone = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for sparse in (*attribute.sparse_tensors, *alone):
        yield from (sparse.values, sparse.indices)


def _check_tensor(file: Path, tensor: Any) -> None:
    import numpy as np
    import onnx

    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    kind = KINDS.get(name)
    if kind is None and name not in FINITE:
        refuse(file, tensor.name, f"is of type {name}", "use a type of real numbers")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _check_external(file, tensor, kind)
        return
    try:
        values = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        refuse(file, tensor.name, f"is cut off ({error})", "restore the recorded file")
    if kind is not None:
        real = values.astype(np.float64)
        if np.isnan(real).any() or np.isposinf(real).any():
            refuse(file, tensor.name, "holds a NaN or an infinity", "export the model again")


def _check_external(file: Path, tensor: Any, kind: str | None) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    data = beside(file, entries.get("location", ""))
    size = data.stat().st_size
    try:
        start = int(entries.get("offset", "0"))
        end = start + int(entries.get("length", str(size - start)))
    except ValueError as error:
        refuse(file, tensor.name, f"has no place in its file ({error})", "export the model again")
    if not 0 <= start <= end <= size:
        rule = f"ends at byte {end} of a file of {size}: it is cut off"
        refuse(data, tensor.name, rule, "restore the recorded files")
    at = None if kind is None else first_non_finite(data, kind, start, end, masks=True)
    if at is not None:
        refuse(data, tensor.name, f"value {at} is not a number", "export the model again")
