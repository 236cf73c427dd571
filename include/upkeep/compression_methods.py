"""The names of the ways to compress, what each gives, and what may be expected of it. Pure.

Cycle and policy name a method; only the worker imports the module that does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from upkeep.errors import ParamError

Family = Literal[
    "quantization",
    "pruning",
    "distillation",
    "fusion",
    "low_rank",
    "weight_sharing",
    "search",
]
FileFormat = Literal["safetensors", "openvino", "onnx"]


class Method(NamedTuple):
    """One way to compress.

    ``format`` is what it writes, None where that depends on its settings; a later step of a chain
    needs safetensors. ``gain`` says where a gain may be expected and where none can be.
    ``trains`` methods change weights by gradient steps, so that their loss is told against a
    control of equal training too.
    """

    module: str
    family: Family
    format: FileFormat | None
    gain: str
    trains: bool = False


def _method(module: str, family: Family, file_format: FileFormat | None, gain: str) -> Method:
    return Method(f"upkeep.compression.{module}", family, file_format, gain)


def _torch(module: str, family: Family, gain: str, *, trains: bool = False) -> Method:
    return Method(f"upkeep.compression.{module}", family, "safetensors", gain, trains)


_SPARSE = "smaller when packed, not faster"
_FEWER = "smaller and faster"
_ELSEWHERE = "none here: it answers what it would need"


METHODS: dict[str, Method] = {
    "fuse-batch-norm": _torch("image_fusion", "fusion", "faster where layers run one by one"),
    "fuse-graph": _method("fusion", "fusion", "onnx", "faster start; not smaller"),
    "fuse-norms": _torch("fusion", "fusion", "none alone: a quantizer after it sees the scales"),
    "onnx-fp32": _method("onnx_quantization", "quantization", "onnx", "faster; not smaller"),
    "onnx-int4": _method(
        "onnx_quantization", "quantization", "onnx", "smallest; faster where memory is the limit"
    ),
    "onnx-int8": _method(
        "onnx_quantization", "quantization", "onnx", "smaller; faster, most with 8-bit products"
    ),
    "openvino-accuracy": _method(
        "accuracy", "quantization", "openvino", "as small as the loss allows; faster"
    ),
    "openvino-fp16": _method(
        "quantization", "quantization", "openvino", "half the size; faster than eager PyTorch"
    ),
    "openvino-full-int8": _method(
        "calibrated", "quantization", "openvino", "smaller; faster where 8-bit products are"
    ),
    "openvino-int4": _method(
        "quantization", "quantization", "openvino", "smallest; faster where memory is the limit"
    ),
    "openvino-int8": _method(
        "quantization", "quantization", "openvino", "smaller; faster where memory is the limit"
    ),
    "safetensors-bf16": _torch("half", "quantization", "half the files; not faster"),
    "safetensors-fp16": _torch("half", "quantization", "half the files; not faster"),
    "litert": _method("backends", "quantization", "onnx", _ELSEWHERE),
    "llm-compressor": _torch("backends", "quantization", _ELSEWHERE),
    "modelopt": _torch("backends", "quantization", _ELSEWHERE),
    "tensorrt": _method("backends", "quantization", "onnx", _ELSEWHERE),
    "torchao-fp8": _torch("torchao_weights", "quantization", "smaller; faster on GPUs with fp8"),
    "torchao-int4": _torch("torchao_weights", "quantization", "smallest; faster on CUDA GPUs"),
    "torchao-int8": _torch("torchao_weights", "quantization", "smaller; faster on CUDA GPUs"),
    "prune-magnitude": _torch("sparse", "pruning", _SPARSE),
    "prune-wanda": _torch("sparse", "pruning", _SPARSE),
    "prune-sparsegpt": _torch("sparse", "pruning", _SPARSE),
    "prune-channels": _torch("image_channels", "pruning", _FEWER),
    "prune-heads": _torch("structured", "pruning", _FEWER),
    "prune-mlp": _torch("structured", "pruning", _FEWER),
    "prune-layers": _torch("structured", "pruning", _FEWER),
    "distill-logits": _torch("distillation", "distillation", _FEWER, trains=True),
    "distill-sequences": _torch("distillation", "distillation", _FEWER, trains=True),
    "low-rank-svd": _torch("low_rank", "low_rank", _FEWER),
    "low-rank-activation": _torch("low_rank", "low_rank", _FEWER),
    "palette": _torch("weight_sharing", "weight_sharing", "smaller on disk, not faster"),
    "hashed": _torch(
        "weight_sharing", "weight_sharing", "smaller on disk, not faster", trains=True
    ),
    "chain": _method("chain", "search", None, "that of its steps together"),
    "search": _method("search", "search", None, "the best that its budget finds on this machine"),
}
"""Name in a model's YAML -> what does it."""

OF_IMAGES: dict[str, str] = {
    "chain": "upkeep.compression.chain",
    "fuse-batch-norm": "upkeep.compression.image_fusion",
    "low-rank-svd": "upkeep.compression.image_matrices",
    "onnx-fp32": "upkeep.compression.image_export",
    "onnx-int8": "upkeep.compression.image_export",
    "openvino-fp16": "upkeep.compression.image_export",
    "openvino-full-int8": "upkeep.compression.image_export",
    "palette": "upkeep.compression.image_matrices",
    "prune-channels": "upkeep.compression.image_channels",
    "safetensors-bf16": "upkeep.compression.image_matrices",
    "safetensors-fp16": "upkeep.compression.image_matrices",
}
"""The methods that an image generator has -> the module that does them."""


def control_gain_nats(measurements: Mapping[str, float]) -> float | None:
    """What equal training alone gave the champion, in nats a token; None where nothing trained.

    A candidate that was trained further looks better than it is beside a champion that was not:
    this much of it is the training's. Never under 0: a control that training made worse excuses
    nothing.
    """
    gain = measurements.get("control_gain_nats")
    if gain is None:
        control = measurements.get("control_loss_held_out_nats")
        before = measurements.get("champion_loss_held_out_nats")
        if control is None or before is None:
            return None
        gain = before - control
    return max(0.0, gain)


def method_of(name: str) -> Method:
    """The method of a name; ParamError for one that there is not."""
    if name not in METHODS:
        raise ParamError("compress.method", name, f"must be one of {sorted(METHODS)}", "correct")
    return METHODS[name]


def image_module(name: str) -> str:
    """The module that does a method for image generators; ParamError where they have none."""
    if name not in OF_IMAGES:
        rule = "is no method for image generators, and this is one"
        raise ParamError("compress.method", name, rule, f"name one of {sorted(OF_IMAGES)}")
    return OF_IMAGES[name]
