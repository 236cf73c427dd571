"""The names of the ways to compress, what each gives, and what may be expected of it. Pure.

Cycle and policy name a method; only the worker imports the module that does it.
"""

from __future__ import annotations

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

    ``format`` is what it writes; a later step of a chain needs safetensors. ``gain`` says where
    a gain may be expected and where none can be. ``trains`` methods change weights by gradient
    steps, so that their loss is told against a control of equal training too.
    """

    module: str
    family: Family
    format: FileFormat
    gain: str
    trains: bool = False


def _method(module: str, family: Family, file_format: FileFormat, gain: str) -> Method:
    return Method(f"upkeep.compression.{module}", family, file_format, gain)


METHODS: dict[str, Method] = {
    "openvino-int8": _method(
        "quantization", "quantization", "openvino", "smaller; faster where memory is the limit"
    ),
    "openvino-int4": _method(
        "quantization", "quantization", "openvino", "smallest; faster where memory is the limit"
    ),
}
"""Name in a model's YAML -> what does it."""


def method_of(name: str) -> Method:
    """The method of a name; ParamError for one that there is not."""
    if name not in METHODS:
        raise ParamError("compress.method", name, f"must be one of {sorted(METHODS)}", "correct")
    return METHODS[name]
