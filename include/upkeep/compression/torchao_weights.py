"""Weights by torchao: ``torchao-int8``, ``torchao-fp8`` and ``torchao-int4``, as safetensors.

Int8: one scale an output channel. Fp8 (e4m3, Micikevicius et al. 2022, arXiv:2209.05433): the
same; products in the weights' own precision. Int4: one scale a group of ``group_size``, by
PyTorch's tinygemm kernels, which are for CUDA and bf16. torchao is no part of the lock, because it
is made for GPUs; where it is not installed, or there is no GPU for int4, the answer says so.

Int8 and fp8 were run by hand on a CPU with torchao 0.18; int4 is written from its documentation
and has been run nowhere yet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from upkeep.compression.outcome import outcome
from upkeep.errors import ArtifactError, ParamError
from upkeep.job_params import JobParams, read_params
from upkeep.pretrained import copy_tokenizer
from upkeep.records import Sample


class Whole(JobParams):
    """Nothing to set: a scale for each output channel."""


class Int4(JobParams):
    """``group_size`` weights share a scale."""

    group_size: Literal[32, 64, 128, 256] = 64


SETTINGS: dict[str, type[Whole | Int4]] = {
    "torchao-fp8": Whole,
    "torchao-int4": Int4,
    "torchao-int8": Whole,
}


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Quantize ``champion``'s linear layers with torchao; ``samples`` are not used.

    Raises:
        ParamError: a setting is not allowed; torchao is not installed; int4 without a GPU.
        ArtifactError: the model cannot be loaded as it lies there.

    """
    del samples
    settings = read_params(SETTINGS[method], method, params)
    _check_available(method)
    started = time.perf_counter()
    model = _quantized(champion, method, settings)
    model.save_pretrained(out)
    copy_tokenizer(champion, out)
    numbers, sentences = outcome(champion, out, started)
    told = json.dumps(settings.model_dump(), sort_keys=True)
    return numbers, (f"{method}: {told}, rounding to nearest, no data", *sentences)


def _check_available(method: str) -> None:
    if find_spec("torchao") is None:
        rule = "not available here: install torchao (CUDA for int4; a CPU runs int8 and fp8 slowly)"
        raise ParamError("compress.method", method, rule, "or take an openvino or onnx method")
    import torch

    if method == "torchao-int4" and not torch.cuda.is_available():
        rule = "not available here: torchao's int4 kernels need a CUDA GPU, and there is none"
        raise ParamError("compress.method", method, rule, "or take openvino-int4 or onnx-int4")


def _quantized(champion: Path, method: str, settings: Whole | Int4) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, TorchAoConfig

    on_gpu = method == "torchao-int4"
    try:
        return AutoModelForCausalLM.from_pretrained(
            champion,
            quantization_config=TorchAoConfig(_recipe(settings, method)),
            dtype=torch.bfloat16 if on_gpu else torch.float32,
            device_map="cuda" if on_gpu else None,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        rule, fix = f"cannot be quantized: {error}", "torchao starts from plain weights"
        raise ArtifactError(champion.name, method, rule, fix) from error


def _recipe(settings: Whole | Int4, method: str) -> Any:
    from torchao import quantization

    if isinstance(settings, Int4):
        return quantization.Int4WeightOnlyConfig(
            group_size=settings.group_size, int4_packing_format="tile_packed_to_4d"
        )
    whole = {"torchao-fp8": "Float8WeightOnlyConfig", "torchao-int8": "Int8WeightOnlyConfig"}
    return getattr(quantization, whole[method])()
