"""Weights and activations in 8 bits, calibrated: ``openvino-full-int8``, by NNCF.

Matrix products run on 8-bit integers: x = scale * (q - zero_point) for both sides, the ranges
of activations taken from the calibration blocks, outliers moved into the weights first
(SmoothQuant, Xiao et al. 2022, arXiv:2211.10438). Attention between queries, keys and values stays
in floating point: quantized, it falls out of the CPU's fused operator.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from upkeep.compression.openvino_export import (
    Calibration,
    Exported,
    changed,
    feeds,
    read_both,
    write_graph,
)
from upkeep.compression.outcome import outcome
from upkeep.compression.texts import TextParams
from upkeep.job_params import read_params
from upkeep.records import Sample
from upkeep.runtime.openvino import products


class FullInt8(TextParams):
    """``smooth_quant``: how far outliers of activations move into the weights."""

    smooth_quant: Annotated[float, Field(ge=0.0, le=1.0)] = 0.95


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Export ``champion`` (safetensors) with weights and activations in 8 bits; see ``Compress``.

    Raises:
        ParamError: a setting is not allowed, or there are too few training texts.
        ArtifactError: the model cannot be exported.

    """
    settings = read_params(FullInt8, method, params)
    started = time.perf_counter()
    exported, texts = read_both(champion, Calibration(method, samples, settings))
    blocks = texts.calibration
    made = changed(exported, lambda found: to_full_int8(found, settings, blocks))
    write_graph(made, champion, out)
    numbers, sentences = outcome(champion, out, started)
    whole, eight = products(made.graph)
    numbers |= {"products": float(whole), "products_int8": float(eight)}
    looked = f"{blocks.numel()} tokens of training texts, SmoothQuant {settings.smooth_quant}"
    return numbers, (
        f"{method}: ranges of activations from {looked}",
        f"{eight} of {whole} matrix products run on 8-bit integers",
        *sentences,
    )


def to_full_int8(exported: Exported, settings: FullInt8, blocks: Any) -> Any:
    """The graph with 8-bit weights and activations; ``blocks`` [blocks, tokens] give the ranges."""
    import nncf

    advanced = nncf.AdvancedQuantizationParameters(
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=settings.smooth_quant)
    )
    return nncf.quantize(
        exported.graph,
        nncf.Dataset(feeds(exported, blocks)),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(blocks),
        ignored_scope=nncf.IgnoredScope(types=["ScaledDotProductAttention"], validate=False),
        advanced_parameters=advanced,
    )
