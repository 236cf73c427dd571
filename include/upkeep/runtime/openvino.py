"""``openvino`` folders: the stateful graph that optimum-intel exports, without optimum-intel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from upkeep.runtime import Ids, Logits

MOVES = frozenset({"Broadcast", "Concat", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


class Graph:
    """The stateful decoder that optimum-intel exports, on OpenVINO's CPU device.

    Inputs ``input_ids``, ``attention_mask``, ``position_ids``, ``beam_idx``; the cache is the
    graph's own state. Arithmetic and cache are held at 32-bit floats: left alone the device
    takes bf16 where it can and keeps the cache in 8 bits, and the cache's loss shows in
    generation only, never in a teacher-forced measure.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        """Read and compile ``openvino_model.xml``."""
        import openvino as ov

        core = ov.Core()
        model = core.read_model(folder / "openvino_model.xml")
        self._names = {name for port in model.inputs for name in port.get_names()}
        compiled = core.compile_model(model, "CPU", cpu_settings(threads))
        self._request = compiled.create_infer_request()
        self._read = 0
        kinds = f"weights {weight_kinds(model)}{_activation_kinds(model)}"
        self.precision = f"{kinds}, {_running_precision(compiled)}"

    def logits(self, ids: Ids) -> Logits:
        """Logits of whole rows; ends any generation that was under way."""
        return self._infer(ids, fresh=True)

    def begin(self, ids: Ids) -> int:
        """Read a prompt into an empty state."""
        return int(self._infer(ids, fresh=True)[0, -1].argmax())

    def step(self, token: int) -> int:
        """Append one id to the state."""
        ids = np.asarray([[token]], dtype=np.int64)
        return int(self._infer(ids, fresh=False)[0, -1].argmax())

    def _infer(self, ids: Ids, *, fresh: bool) -> Logits:
        if fresh:
            self._request.reset_state()
            self._read = 0
        rows, width = ids.shape
        seen = self._read + width
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones((rows, seen), dtype=np.int64),
            "position_ids": np.broadcast_to(np.arange(self._read, seen), (rows, width)),
            "beam_idx": np.arange(rows, dtype=np.int32),
        }
        self._read = seen
        self._request.infer({name: feed[name] for name in self._names}, share_inputs=False)
        return cast("Logits", self._request.get_tensor("logits").data)


def cpu_settings(threads: int) -> dict[str, Any]:
    """What every graph is compiled with: nothing is rounded that the files do not round."""
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # Pinned threads of two processes can share one core while another core idles.
        "ENABLE_CPU_PINNING": False,
    }


def weight_kinds(model: Any) -> str:
    """Element types of the graph's constants that hold at least a hundredth of its bytes."""
    sizes: dict[str, int] = {}
    for node in model.get_ops():
        if node.get_type_name() == "Constant":
            kind = node.get_element_type().get_type_name()
            sizes[kind] = sizes.get(kind, 0) + int(node.get_byte_size())
    total = sum(sizes.values())
    return "+".join(kind for kind, size in sorted(sizes.items()) if size * 100 >= total)


def products(model: Any) -> tuple[int, int]:
    """How many matrix products a graph has, and how many of them read 8-bit activations."""
    found = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    return len(found), sum(is_quantized(node.input_value(0).get_node()) for node in found)


def is_quantized(node: Any) -> bool:
    """Whether a value comes from a quantizer, maybe through operators that only move it."""
    while node.get_type_name() in MOVES:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "FakeQuantize")


def _activation_kinds(model: Any) -> str:
    total, quantized = products(model)
    return f", 8-bit activations in {quantized} of {total} products" if quantized else ""


def _running_precision(compiled: Any) -> str:
    import openvino as ov

    arithmetic = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    cache = compiled.get_property("KV_CACHE_PRECISION").get_type_name()
    group = compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE")
    version = ov.__version__.split("-")[0]
    return f"{arithmetic}, cache {cache}, dynamic quantization {group}, openvino {version}"
