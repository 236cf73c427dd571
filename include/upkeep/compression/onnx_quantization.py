"""A decoder as ONNX: ``onnx-fp32``, ``onnx-int8`` and ``onnx-int4``, by ONNX Runtime's quantizers.

``onnx-int8`` rounds weights to 8 bits, one scale an output channel, and activations at run time,
one scale a tensor and call. ``onnx-int4`` rounds weights to 4 bits, one scale a block of
``block_size`` (Dettmers & Zettlemoyer 2023); its products run in 32 bits, or with activations in
8 where ``accuracy_level`` is 4. No data is needed, so nothing of production gets into the weights.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from upkeep.compression.onnx_export import DATA, GRAPH, export, write
from upkeep.compression.outcome import outcome
from upkeep.errors import ArtifactError
from upkeep.job_params import JobParams, read_params
from upkeep.records import Sample


class Fp32(JobParams):
    """Nothing to set: the graph as it is exported. ONNX Runtime optimises it when it loads it."""


class Int8(JobParams):
    """How activations and weights are rounded.

    ``reduce_range`` takes 7 bits of a weight: on 8 the sums of a processor without VNNI saturate.
    ``embeddings``: the table of embeddings too, one scale for the whole table.
    """

    per_channel: bool = True
    reduce_range: bool = True
    embeddings: bool = True


class Int4(JobParams):
    """``block_size`` weights share a scale; ``embeddings``: the table of embeddings too.

    ``accuracy_level`` 4 lets products run on 8-bit activations, 1 keeps them in 32 bits.
    """

    block_size: Literal[16, 32, 64, 128, 256] = 32
    sym: bool = False
    accuracy_level: Literal[1, 4] = 4
    embeddings: bool = True


SETTINGS: dict[str, type[Fp32 | Int8 | Int4]] = {
    "onnx-fp32": Fp32,
    "onnx-int4": Int4,
    "onnx-int8": Int8,
}


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Export ``champion`` (safetensors) to ONNX and quantize it; ``samples`` are not used.

    Raises:
        ParamError: a setting is not allowed.
        ArtifactError: the model cannot be exported or quantized.

    """
    del samples
    settings = read_params(SETTINGS[method], method, params)
    started = time.perf_counter()
    graph = changed(export(champion, out), settings)
    write(graph, out)
    numbers, sentences = outcome(champion, out, started)
    told = json.dumps(settings.model_dump(), sort_keys=True)
    return numbers, (f"{method}: {told}, rounding to nearest, no data", counted(graph), *sentences)


def changed(graph: Any, settings: Fp32 | Int8 | Int4) -> Any:
    """The ``onnx.ModelProto`` that the settings make of another; ArtifactError if they cannot."""
    try:
        if isinstance(settings, Int8):
            return to_int8(graph, settings)
        return to_int4(graph, settings) if isinstance(settings, Int4) else graph
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        rule, fix = f"cannot be quantized: {error}", "take another method"
        raise ArtifactError("graph", "onnx", rule, fix) from error


def to_int8(graph: Any, settings: Int8) -> Any:
    """The graph with 8-bit weights, its products on 8-bit activations."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="upkeep-onnx-") as folder, _quiet():
        write(graph, Path(folder))
        quantize_dynamic(
            Path(folder) / GRAPH,
            Path(folder) / "int8.onnx",
            op_types_to_quantize=["MatMul", *(["Gather"] if settings.embeddings else [])],
            per_channel=settings.per_channel,
            reduce_range=settings.reduce_range,
            weight_type=QuantType.QInt8,
            use_external_data_format=(Path(folder) / DATA).exists(),
        )
        return onnx.load(str(Path(folder) / "int8.onnx"))


def to_int4(graph: Any, settings: Int4) -> Any:
    """The graph with 4-bit weights in blocks, each with its scale and, unless ``sym``, its zero."""
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    with _quiet():
        quantizer = MatMulNBitsQuantizer(
            graph,
            bits=4,
            block_size=settings.block_size,
            is_symmetric=settings.sym,
            accuracy_level=settings.accuracy_level,
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=("MatMul", *(("Gather",) if settings.embeddings else ())),
        )
        quantizer.process()
    return quantizer.model.model


def counted(graph: Any) -> str:
    """How many products run on what, in words."""
    kinds = Counter(node.op_type for node in graph.graph.node)
    known = ("MatMul", "MatMulInteger", "MatMulNBits", "Gather", "GatherBlockQuantized")
    return "operators: " + ", ".join(f"{kinds[kind]} {kind}" for kind in known if kinds[kind])


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizers log to the root logger whatever they do."""
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        # A block of zeros has scale 0; the quotient is not used there.
        with np.errstate(divide="ignore", invalid="ignore"):
            yield
    finally:
        logging.root.setLevel(before)
