"""Weights in 8 or 4 bits: ``openvino-int8`` and ``openvino-int4``, by NNCF through optimum-intel.

Rounding to nearest of each weight matrix, w = scale * (q - zero_point), one scale an output
channel (8 bits) or one a group of ``group_size`` weights (4 bits; Dettmers & Zettlemoyer 2023,
"The case for 4-bit precision"). Activations stay in floating point and no data is needed, so
nothing of production gets into the weights. 4 bits leave embeddings and the last layer at 8.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from upkeep.errors import ArtifactError
from upkeep.job_params import JobParams, read_params
from upkeep.records import Sample

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


class Int8(JobParams):
    """``sym``: symmetric around zero, without zero points."""

    bits: Literal[8] = 8
    sym: bool = False


class Int4(JobParams):
    """``group_size`` weights share a scale (-1: a whole channel); ``ratio`` of layers get 4 bits.

    A group size that does not divide a layer is made smaller for that layer, down to 32; a
    layer that even 32 does not divide stays at 8 bits.
    """

    bits: Literal[4] = 4
    sym: bool = False
    group_size: Literal[-1, 32, 64, 128, 256] = 64
    ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0


SETTINGS: dict[str, type[Int8 | Int4]] = {"openvino-int8": Int8, "openvino-int4": Int4}


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Export ``champion`` (safetensors) to OpenVINO with quantized weights; see ``Compress``.

    ``samples`` are not used. Raises ArtifactError where the model cannot be exported.
    """
    del samples
    settings = read_params(SETTINGS[method], method, params)
    started = time.perf_counter()
    try:
        _export(champion, settings, out)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            str(champion), method, f"cannot be exported: {error}", "is this architecture supported?"
        ) from error
    _complete(champion, out)
    before, after = _size_bytes(champion), _size_bytes(out)
    measurements = {
        "seconds": time.perf_counter() - started,
        "parent_size_bytes": float(before),
        "size_bytes": float(after),
    }
    told = json.dumps(settings.model_dump(), sort_keys=True)
    return measurements, (
        f"{method}: {told}, rounding to nearest, no data",
        f"files {before} -> {after} bytes ({after / before:.0%})",
    )


def _export(champion: Path, settings: Int8 | Int4, out: Path) -> None:
    with warnings.catch_warnings():
        # Tracing warns of every constant shape of a graph that it exports rightly.
        warnings.simplefilter("ignore")
        import nncf
        from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig
        from transformers.utils import logging as transformers_logging

        nncf.set_log_level(logging.ERROR)
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        logging.getLogger("optimum").setLevel(logging.ERROR)
        chosen = settings.model_dump()
        if isinstance(settings, Int4):
            chosen["group_size_fallback"] = "adjust"
        model = OVModelForCausalLM.from_pretrained(
            str(champion),
            export=True,
            compile=False,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            quantization_config=OVWeightQuantizationConfig(**chosen),
        )
        model.save_pretrained(out)


def _complete(champion: Path, out: Path) -> None:
    """Add the tokenizer, and take out this machine's path to the champion."""
    for name in TOKENIZER_FILES:
        if (champion / name).is_file():
            shutil.copyfile(champion / name, out / name)
    path = out / "openvino_config.json"
    found = json.loads(path.read_bytes())
    found["quantization_config"]["tokenizer"] = None
    path.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
