"""Backends that this worker knows and does not run: each answers what it would need.

TensorRT engines and LiteRT files are no format that a model's folder may have here; llm-compressor
and modelopt are for GPUs that serve with vLLM or TensorRT-LLM. A method that somebody asks for
is never skipped in silence: the answer names the package and what else is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from upkeep.errors import ParamError
from upkeep.job_params import JobParams, read_params
from upkeep.records import Sample


class Backend(NamedTuple):
    """A package by its names for pip and Python, what it needs, and what to take instead."""

    package: str
    module: str
    needs: str
    instead: str


BACKENDS = {
    "litert": Backend(
        "litert-torch", "litert_torch", "a runtime of .tflite files in the worker", "onnx-int8"
    ),
    "llm-compressor": Backend(
        "llmcompressor",
        "llmcompressor",
        "a CUDA GPU, and a server that reads compressed-tensors (vLLM)",
        "openvino-int4 with scale_estimation, or torchao-int4",
    ),
    "modelopt": Backend(
        "nvidia-modelopt", "modelopt", "a CUDA GPU and TensorRT-LLM or vLLM", "torchao-fp8"
    ),
    "tensorrt": Backend(
        "tensorrt",
        "tensorrt",
        "a CUDA GPU, and engines built on the machine that serves",
        "onnx-fp32",
    ),
}
"""Name in a model's YAML -> what would do it."""


class Nothing(JobParams):
    """No settings: there is nothing to set yet."""


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Say what ``method`` needs; see ``Compress``.

    Raises:
        ParamError: always, naming what to install, or what else is missing where it is installed.

    """
    del champion, samples, out
    read_params(Nothing, method, params)
    backend = BACKENDS[method]
    there = find_spec(backend.module) is not None
    what = (
        f"{backend.package} is installed, but needs"
        if there
        else f"install {backend.package}, with"
    )
    raise ParamError(
        "compress.method",
        method,
        f"not available here: {what} {backend.needs}",
        f"or take {backend.instead}",
    )
