"""``onnx`` folders: a decoder with its cache as inputs and outputs, on ONNX Runtime's CPU.

The names are those that exporters of decoders share: ``input_ids`` and, where the graph asks,
``attention_mask`` and ``position_ids``; ``past_key_values.<layer>.key`` and ``.value``
[row, head, position, channel]; ``logits`` and ``present.<layer>.key`` and ``.value``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from upkeep.runtime import Ids, Logits

GRAPH = "model.onnx"
PAST, PRESENT = "past_key_values.", "present."
KINDS: dict[str, Any] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}

DYNAMIC = frozenset({"MatMulInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLinear"})
"""Operators that round activations to 8 bits, with a scale for each call."""

STATIC = ("QLinear", "QuantizeLinear", "QGemm", "QAttention")
ACCURACY_LEVELS = {0: "f32", 1: "f32", 2: "f16", 3: "bf16", 4: "8-bit activations"}
"""What ``MatMulNBits`` computes in; 0 leaves it to ONNX Runtime, which takes 32 bits on a CPU."""


class Graph:
    """An ONNX decoder; what is in its cache stays with ONNX Runtime between steps."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Read ``model.onnx`` and its constants."""
        import onnxruntime as ort

        self._ort = ort
        try:
            self._session = ort.InferenceSession(
                str(folder / GRAPH), session_options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # Its errors share no base but Exception.
            raise ValueError(f"ONNX Runtime: {error}") from error
        self._inputs = {port.name: port for port in self._session.get_inputs()}
        self._outputs = [port.name for port in self._session.get_outputs()]
        self._past = sorted(name for name in self._inputs if name.startswith(PAST))
        _check_ports(self._inputs, self._outputs)
        self._state: dict[str, Any] = {}
        self._read = 0
        self.precision = (
            f"{_precision(folder / GRAPH, self._cache())}, onnxruntime {ort.__version__}"
        )

    def logits(self, ids: Ids) -> Logits:
        """Logits of whole rows; ends any generation that was under way."""
        return self._infer(ids, fresh=True)

    def extend(self, ids: Ids) -> Logits:
        """Logits of further ids of the rows that were read last."""
        return self._infer(ids, fresh=False)

    def begin(self, ids: Ids) -> int:
        """Read a prompt into an empty cache."""
        return int(self._infer(ids, fresh=True)[0, -1].argmax())

    def step(self, token: int) -> int:
        """Append one id to the cache."""
        ids = np.asarray([[token]], dtype=np.int64)
        return int(self._infer(ids, fresh=False)[0, -1].argmax())

    def _infer(self, ids: Ids, *, fresh: bool) -> Logits:
        rows, width = ids.shape
        if fresh:
            self._read = 0
            self._state = {name: self._empty(name, rows) for name in self._past}
        seen = self._read + width
        binding = self._session.io_binding()
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones((rows, seen), dtype=np.int64),
            "position_ids": np.broadcast_to(np.arange(self._read, seen), (rows, width)),
        }
        for name, value in feed.items():
            if name in self._inputs:
                kind = KINDS[self._inputs[name].type]
                binding.bind_cpu_input(name, np.ascontiguousarray(value, dtype=kind))
        for name, value in self._state.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        made = dict(zip(self._outputs, binding.get_outputs(), strict=True))
        self._read = seen
        self._state = {name: made[_present(name)] for name in self._past}
        found = made["logits"].numpy()
        return cast("Logits", found.astype(np.float32, copy=False))

    def _empty(self, name: str, rows: int) -> Any:
        port = self._inputs[name]
        shape = (rows, port.shape[1], 0, port.shape[3])
        return self._ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, KINDS[port.type]))

    def _cache(self) -> str:
        kinds = {str(KINDS[self._inputs[name].type]) for name in self._past}
        return "+".join(sorted(kinds)) or "none"


def session_options(threads: int) -> Any:
    """What every graph is loaded with."""
    import onnxruntime as ort

    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores of the model beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _check_ports(inputs: Mapping[str, Any], outputs: list[str]) -> None:
    past = [name for name in inputs if name.startswith(PAST)]
    missing = sorted(({"input_ids"} - inputs.keys()) | ({"logits"} - set(outputs)))
    missing += [_present(name) for name in past if _present(name) not in outputs]
    if not past:
        missing.append(f"{PAST}0.key")
    unknown = inputs.keys() - {"input_ids", "attention_mask", "position_ids", *past}
    if missing or unknown:
        rule = f"is no decoder with a cache: lacks {missing}, has the unknown {sorted(unknown)}"
        raise ValueError(f"{GRAPH} {rule}")
    for name, port in inputs.items():
        fixed = name not in past or (
            isinstance(port.shape[1], int) and isinstance(port.shape[3], int)
        )
        if port.type not in KINDS or not fixed:
            raise ValueError(f"{GRAPH}: input {name} is {port.type} {port.shape}")


def _present(past: str) -> str:
    return PRESENT + past.removeprefix(PAST)


def _precision(file: Path, cache: str) -> str:
    """Weights, arithmetic and cache, from the constants and operators of the graph."""
    import onnx

    graph = onnx.load(str(file), load_external_data=False).graph
    return f"weights {weight_kinds(graph)}, {arithmetic(graph)}, cache {cache}"


def weight_kinds(graph: Any) -> str:
    """Element types of the constants that hold at least a hundredth of their bytes.

    Constants of a 4-bit operator are told as 4 bits: the file packs them into bytes.
    """
    import onnx

    packed = {
        name: f"int{attribute.i}"
        for node in graph.node
        if node.op_type in {"MatMulNBits", "GatherBlockQuantized"}
        for attribute in node.attribute
        if attribute.name == "bits"
        for name in (node.input[1] if node.op_type == "MatMulNBits" else node.input[0],)
    }
    sizes: dict[str, float] = {}
    for tensor in graph.initializer:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        count = float(np.prod(tensor.dims)) * _bytes_of(tensor.data_type)
        sizes[packed.get(tensor.name, kind)] = sizes.get(packed.get(tensor.name, kind), 0) + count
    total = sum(sizes.values())
    return "+".join(kind for kind, size in sorted(sizes.items()) if size * 100 >= total)


def _bytes_of(kind: int) -> float:
    import onnx

    name = onnx.TensorProto.DataType.Name(kind)
    if name.endswith("INT4"):
        return 0.5
    return float(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).itemsize)


def arithmetic(graph: Any) -> str:
    """The arithmetic of the matrix products that are not in 32 bits, else ``float32``."""
    kinds = {node.op_type for node in graph.node}
    levels = {
        next((a.i for a in node.attribute if a.name == "accuracy_level"), 0)
        for node in graph.node
        if node.op_type == "MatMulNBits"
    }
    told = [f"4-bit products in {ACCURACY_LEVELS.get(n, str(n))}" for n in sorted(levels)]
    if kinds & DYNAMIC:
        told.append("8-bit activations, scales at run time")
    if any(kind.startswith(STATIC) for kind in kinds):
        told.append("8-bit activations, scales calibrated")
    return "; ".join(told) or "float32"
