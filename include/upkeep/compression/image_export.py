"""Image generators as graphs: OpenVINO in 16 and 8 bits, ONNX in 32 and 8.

``openvino-fp16`` rounds constants to 16 bits. ``openvino-full-int8`` runs products and
convolutions on 8-bit integers, ranges taken from images of the classes that production asks for
(NNCF). ``onnx-fp32`` is the graph alone; ``onnx-int8`` rounds matrices to 8 bits and their inputs
at run time (ONNX Runtime), and leaves convolutions in 32 bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from upkeep.compression.image_outcome import (
    Champion,
    drawn_conditions,
    image_outcome,
    read_champion,
)
from upkeep.compression.onnx_export import OPSET, clean, write
from upkeep.compression.onnx_export import quiet as quiet_onnx
from upkeep.compression.onnx_quantization import Int8, changed, counted
from upkeep.compression.openvino_export import FAILURES, number_names, quiet
from upkeep.errors import ArtifactError
from upkeep.image_runtime import INPUT, OPENVINO_GRAPH, OUTPUT, products
from upkeep.job_params import JobParams, read_params
from upkeep.networks import write_config
from upkeep.records import Sample

Numbers = dict[str, float]
BATCH = 2
"""Of the example that a graph is traced with: sizes of 0 and 1 would be taken for constants."""


class Plain(JobParams):
    """Nothing to set."""


class ImageFullInt8(JobParams):
    """``images``: how many give the ranges."""

    images: Annotated[int, Field(ge=1, le=10_000)] = 300


class ImageOnnxInt8(JobParams):
    """As :class:`~upkeep.compression.onnx_quantization.Int8` has it."""

    per_channel: bool = True
    reduce_range: bool = False


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Export ``champion`` as a graph; ``samples`` say which classes are asked for.

    Raises:
        ParamError: a setting is not allowed, or a sample's prompt is of no class.
        ArtifactError: the model cannot be exported or quantized.

    """
    kind, export = METHODS[method]
    settings = read_params(kind, method, params)
    found = read_champion(champion, method)
    out.mkdir(parents=True, exist_ok=True)
    try:
        numbers, said = export(found, settings, samples, out)
    except FAILURES as error:
        if isinstance(error, ArtifactError):
            raise
        rule = f"cannot be exported: {' '.join(str(error).split())[:300]}"
        raise ArtifactError("config.json", found.config.name, rule, "another method") from error
    write_config(found.config, out)
    told = json.dumps(settings.model_dump(), sort_keys=True)
    measured, notes = image_outcome(found, out, f"{method}: {told}, {said}")
    return measured | numbers, notes


def openvino_graph(champion: Champion) -> Any:
    """The generator as an ``openvino.Model`` with 32-bit constants."""
    import openvino as ov
    import torch

    reads = champion.config.reads
    graph = ov.convert_model(
        champion.network, example_input=torch.zeros(BATCH, reads), input=[-1, reads]
    )
    graph.inputs[0].get_tensor().set_names({INPUT})
    graph.outputs[0].get_tensor().set_names({OUTPUT})
    return graph


def onnx_graph(champion: Champion) -> Any:
    """The generator as an ``onnx.ModelProto``; nothing in it tells of this machine."""
    import torch

    with quiet_onnx():
        program = torch.onnx.export(
            champion.network,
            (torch.zeros(BATCH, champion.config.reads),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("images")},),
            verbose=False,
        )
    graph = program.model_proto
    clean(graph)
    return graph


def _openvino_fp16(
    champion: Champion, settings: Plain, samples: Sequence[Sample], out: Path
) -> tuple[Numbers, str]:
    del settings, samples
    with quiet():
        _write_openvino(openvino_graph(champion), out)
    return {}, "constants rounded to 16 bits, no data"


def _openvino_full_int8(
    champion: Champion, settings: ImageFullInt8, samples: Sequence[Sample], out: Path
) -> tuple[Numbers, str]:
    import nncf

    asked = drawn_conditions(champion.config, samples, settings.images, "calibration")
    with quiet():
        made = nncf.quantize(
            openvino_graph(champion),
            nncf.Dataset([{INPUT: row[None]} for row in asked]),
            subset_size=len(asked),
        )
        _write_openvino(made, out)
    whole, eight = products(made)
    numbers = {"products": float(whole), "products_int8": float(eight)}
    return numbers, f"{eight} of {whole} products and convolutions run on 8-bit integers"


def _write_openvino(graph: Any, out: Path) -> None:
    import openvino as ov

    number_names(graph, "generator")
    ov.save_model(graph, out / OPENVINO_GRAPH, compress_to_fp16=True)


def _onnx_fp32(
    champion: Champion, settings: Plain, samples: Sequence[Sample], out: Path
) -> tuple[Numbers, str]:
    del settings, samples
    graph = onnx_graph(champion)
    write(graph, out)
    return {}, f"{len(graph.graph.node)} operators in 32 bits"


def _onnx_int8(
    champion: Champion, settings: ImageOnnxInt8, samples: Sequence[Sample], out: Path
) -> tuple[Numbers, str]:
    del samples
    both = Int8(**settings.model_dump(), embeddings=False)
    graph = changed(onnx_graph(champion), both)
    write(graph, out)
    return {}, counted(graph)


METHODS: dict[str, tuple[type[Any], Callable[..., tuple[Numbers, str]]]] = {
    "onnx-fp32": (Plain, _onnx_fp32),
    "onnx-int8": (ImageOnnxInt8, _onnx_int8),
    "openvino-fp16": (Plain, _openvino_fp16),
    "openvino-full-int8": (ImageFullInt8, _openvino_full_int8),
}
