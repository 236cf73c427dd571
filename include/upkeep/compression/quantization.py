"""Weights in 16, 8 or 4 bits: ``openvino-fp16``, ``-int8`` and ``-int4``, by NNCF and OpenVINO.

Rounding to nearest of each weight matrix, w = scale * (q - zero_point), one scale an output
channel (8 bits) or one a group of ``group_size`` weights (4 bits; Dettmers & Zettlemoyer 2023,
"The case for 4-bit precision"). Activations stay in floating point and, left alone, no data is
needed, so nothing of production gets into the weights. 4 bits leave embeddings and the last
layer at 8.

4 bits may look at data: ``scale_estimation`` fits the scales to the layers' outputs. (NNCF's AWQ,
arXiv:2306.00978, changed nothing on the models that were measured, and is not offered.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from upkeep.compression.openvino_export import (
    Calibration,
    Exported,
    changed,
    convert,
    feeds,
    read_both,
    write_graph,
)
from upkeep.compression.outcome import outcome
from upkeep.compression.texts import TextParams
from upkeep.job_params import JobParams, read_params
from upkeep.records import Sample


class Fp16(JobParams):
    """Nothing to set: every 32-bit constant is rounded to 16 bits."""


class Int8(JobParams):
    """``sym``: symmetric around zero, without zero points."""

    bits: Literal[8] = 8
    sym: bool = False


class Int4(TextParams):
    """``group_size`` weights share a scale (-1: a whole channel); ``ratio`` of layers get 4 bits.

    A group size that does not divide a layer is made smaller for that layer, down to 32; a
    layer that even 32 does not divide stays at 8 bits. ``scale_estimation`` reads the
    calibration blocks; without it no text is read.
    """

    bits: Literal[4] = 4
    sym: bool = False
    group_size: Literal[-1, 32, 64, 128, 256] = 64
    ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    scale_estimation: bool = False


SETTINGS: dict[str, type[Fp16 | Int8 | Int4]] = {
    "openvino-fp16": Fp16,
    "openvino-int8": Int8,
    "openvino-int4": Int4,
}


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Export ``champion`` (safetensors) to OpenVINO with smaller weights; see ``Compress``.

    Raises:
        ParamError: a setting is not allowed, or it needs samples and there are none.
        ArtifactError: the model cannot be exported.

    """
    settings = read_params(SETTINGS[method], method, params)
    if isinstance(settings, Fp16):
        said = (f"{method}: constants rounded to 16 bits, no data",)
        return convert(champion, out, lambda exported: exported.graph, said, half=True)
    if isinstance(settings, Int8):
        said = (f"{method}: {_told(settings)}, rounding to nearest, no data",)
        return convert(champion, out, lambda exported: to_int8(exported, settings), said)
    if settings.scale_estimation:
        return _compress_aware(champion, Calibration(method, samples, settings), settings, out)
    said = (f"{method}: {_told(settings)}, rounding to nearest, no data",)
    return convert(champion, out, lambda exported: to_int4(exported, settings, ()), said)


def to_int8(exported: Exported, settings: Int8) -> Any:
    """The graph with all weights in 8 bits, one scale an output channel."""
    import nncf

    modes = nncf.CompressWeightsMode
    mode = modes.INT8_SYM if settings.sym else modes.INT8_ASYM
    return nncf.compress_weights(exported.graph, mode=mode)


def to_int4(exported: Exported, settings: Int4, blocks: Any) -> Any:
    """The graph with ``ratio`` of its layers in 4 bits; ``blocks`` of ids where data is used."""
    import nncf

    modes = nncf.CompressWeightsMode
    return nncf.compress_weights(
        exported.graph,
        mode=modes.INT4_SYM if settings.sym else modes.INT4_ASYM,
        group_size=settings.group_size,
        ratio=settings.ratio,
        scale_estimation=settings.scale_estimation or None,
        dataset=nncf.Dataset(feeds(exported, blocks)) if len(blocks) else None,
        subset_size=max(1, len(blocks)),
        advanced_parameters=nncf.AdvancedCompressionParameters(
            group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST
        ),
    )


def _compress_aware(
    champion: Path, calibration: Calibration, settings: Int4, out: Path
) -> tuple[dict[str, float], tuple[str, ...]]:
    started = time.perf_counter()
    exported, texts = read_both(champion, calibration)
    blocks = texts.calibration
    made = changed(exported, lambda found: to_int4(found, settings, blocks))
    write_graph(made, champion, out)
    numbers, sentences = outcome(champion, out, started)
    how = f"scales fitted to {blocks.numel()} tokens of training texts"
    return numbers, (f"{calibration.method}: {_told(settings)}, {how}", *sentences)


def _told(settings: JobParams) -> str:
    unread = (
        set()
        if isinstance(settings, Int4) and settings.scale_estimation
        else set(TextParams.model_fields)
    )
    return json.dumps(settings.model_dump(exclude=unread), sort_keys=True)
