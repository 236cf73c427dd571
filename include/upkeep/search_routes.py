"""The routes of a search over a decoder where a model's file names none. Pure.

Each family once in its quickest form, then the combinations that are known to add up: fewer
layers or neurons, healed or distilled, and then fewer bits. Settings are written as in
``search_params``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from upkeep.compression_methods import METHODS
from upkeep.search_params import Route

HEAL: dict[str, Any] = {"steps": 200}
INT8: dict[str, Any] = {"method": "openvino-int8"}
INT4: dict[str, Any] = {
    "method": "openvino-int4",
    "params": {"group_size": [64, 32, 128], "ratio": [1.0, 0.8]},
}
ONNX8: dict[str, Any] = {"method": "onnx-int8", "params": {"reduce_range": [True, False]}}
ONNX4: dict[str, Any] = {"method": "onnx-int4", "params": {"block_size": [32, 64, 128]}}
FEWER_NEURONS: dict[str, Any] = {
    "method": "prune-mlp",
    "params": {"share": {"low": 0.1, "high": 0.5}, "heal": HEAL},
}
FEWER_LAYERS: dict[str, Any] = {
    "method": "prune-layers",
    "params": {"layers": [1, 2], "heal": HEAL},
}
STUDENT: dict[str, Any] = {
    "method": "distill-logits",
    "params": {"mlp_share": {"low": 0.4, "high": 0.8}, "steps": 400},
}
LOW_RANK: dict[str, Any] = {
    "method": "low-rank-activation",
    "params": {"parameter_share": {"low": 0.4, "high": 0.8}, "heal": HEAL},
}
CALIBRATED: dict[str, Any] = {
    "method": "openvino-full-int8",
    "params": {"smooth_quant": [0.95, 0.5]},
}
STEPS: tuple[tuple[dict[str, Any], ...], ...] = (
    (INT8,),
    (INT4,),
    (ONNX8,),
    (ONNX4,),
    (CALIBRATED,),
    ({"method": "fuse-norms"}, ONNX8),
    (FEWER_NEURONS, INT8),
    (FEWER_NEURONS, INT4),
    (FEWER_NEURONS, ONNX4),
    (FEWER_LAYERS, INT4),
    (FEWER_LAYERS, ONNX4),
    (STUDENT, INT4),
    (STUDENT, ONNX4),
    (LOW_RANK, INT8),
)


def default_routes() -> Iterator[Route]:
    """The routes whose methods there are."""
    for steps in STEPS:
        if all(step["method"] in METHODS for step in steps):
            yield Route.model_validate({"steps": list(steps)})
