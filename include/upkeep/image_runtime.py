"""An image generator on this machine: a class and a seed in, an image out.

Each format is run by one small class, a :class:`Canvas`; seeds, latent numbers and classes are the
same lines for all, so that a difference between two models is a difference of the models. The
same seed draws the same latent numbers for every model that has as many of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ArtifactError, ParamError
from upkeep.networks import load_network, read_config
from upkeep.records import sha256_hex
from upkeep.runtime import Format, onnx, openvino, safetensors

Images = NDArray[np.float32]
"""[images, channels, height, width] in 0..1."""

ONNX_GRAPH, OPENVINO_GRAPH = "model.onnx", "openvino_model.xml"
INPUT, OUTPUT = "conditions", "images"
PRODUCTS = frozenset({"MatMul", "Convolution", "ConvolutionBackpropData"})


class ImageRuntime(Protocol):
    """What the benchmark and an example's server need of an image model."""

    @property
    def format(self) -> Format:
        """The files that it was loaded from."""

    @property
    def precision(self) -> str:
        """Weights and arithmetic, as the running model reports them."""

    @property
    def threads(self) -> int:
        """Threads that one step may use."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The prompts that it was trained for, by class."""

    @property
    def latent(self) -> int:
        """Numbers that a seed draws."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""

    def paint(self, labels: Sequence[int], seeds: Sequence[int]) -> Images:
        """An image of each class with the handwriting of its seed."""


class Canvas(Protocol):
    """A loaded generator: the only part that differs between formats."""

    precision: str

    def images(self, conditions: Images) -> Images:
        """Images of latent numbers and classes [images, latent + classes]."""


class Painter:
    """An :class:`ImageRuntime` over a :class:`Canvas` and the folder's own config.json."""

    def __init__(self, folder: Path, file_format: Format, threads: int, canvas: Canvas) -> None:
        """Read config.json of ``folder``; ``canvas`` is its network."""
        config = read_config(folder)
        self.format: Format = file_format
        self.threads = threads
        self.precision = canvas.precision
        self.classes = config.classes
        self.latent = config.latent
        self.shape = config.image
        self._canvas = canvas

    def paint(self, labels: Sequence[int], seeds: Sequence[int]) -> Images:
        """An image of each class with the handwriting of its seed; at once, in one batch.

        Raises:
            ParamError: there is no such class, or not one seed a label.
            ArtifactError: an image is not one: another shape, or a number that is not finite.

        """
        made = self._canvas.images(conditions(labels, seeds, self.latent, len(self.classes)))
        if made.shape != (len(labels), *self.shape) or not np.isfinite(made).all():
            rule = f"are no {len(labels)} images of {list(self.shape)} finite numbers"
            raise ArtifactError(f"{self.format}: images", list(made.shape), rule, "export it again")
        return made


def conditions(labels: Sequence[int], seeds: Sequence[int], latent: int, classes: int) -> Images:
    """What a generator reads: [images, latent + classes], a 1 at the place of the class.

    Raises:
        ParamError: there is no such class, no image is asked for, or not one seed a label.

    """
    import torch

    if not labels or len(labels) != len(seeds):
        value = f"{len(labels)} labels, {len(seeds)} seeds"
        raise ParamError("labels", value, "must be as many, one or more", "give a seed a label")
    wrong = [label for label in labels if not 0 <= label < classes]
    if wrong:
        rule = f"is no class; there are 0 to {classes - 1}"
        raise ParamError("label", wrong[0], rule, "ask for one of them")
    rows = np.zeros((len(labels), latent + classes), dtype=np.float32)
    for row, label, seed in zip(rows, labels, seeds, strict=True):
        noise = torch.Generator().manual_seed(seed)
        row[:latent] = torch.randn(1, latent, generator=noise)[0].numpy()
        row[latent + label] = 1.0
    return rows


def seed_of(name: str) -> int:
    """31 bits of a hash of a request's name: the seed of its image.

    >>> seed_of("gan-2026-03-05-0000")
    1704242540
    """
    return int(sha256_hex(name.encode())[:8], 16) >> 1


def class_of(classes: Sequence[str], prompt: str) -> int:
    """The class that a prompt asks for.

    Raises:
        ParamError: the model was trained for no such prompt.

    """
    if prompt not in classes:
        rule = f"is none of the {len(classes)} prompts of its classes, as {classes[0]!r}"
        raise ParamError("prompt", prompt, rule, "ask for one of them")
    return list(classes).index(prompt)


class TorchCanvas:
    """``safetensors``: eager PyTorch on the CPU, in 32-bit floats whatever the files hold."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the weights; ``threads`` holds for the whole process, as PyTorch has it."""
        import torch

        torch.set_num_threads(threads)
        self._torch = torch
        self._network, _ = load_network(folder)
        kinds = sorted({str(p.dtype).removeprefix("torch.") for p in self._network.parameters()})
        stored = safetensors.stored_kinds(folder)
        files = f"files {stored}, " if stored != "F32" else ""
        self.precision = f"{files}weights {'+'.join(kinds)}, eager torch {torch.__version__}"

    def images(self, conditions: Images) -> Images:
        """Images of latent numbers and classes."""
        with self._torch.inference_mode():
            made: Images = self._network(self._torch.from_numpy(conditions)).numpy()
        return made


class OpenvinoCanvas:
    """``openvino``: the CPU device, arithmetic held at 32-bit floats where nothing is quantized."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Read and compile ``openvino_model.xml``."""
        import openvino as ov

        core = ov.Core()
        model = core.read_model(folder / OPENVINO_GRAPH)
        settings = openvino.cpu_settings(threads)
        del settings["KV_CACHE_PRECISION"]  # of decoders: there is no cache
        compiled = core.compile_model(model, "CPU", settings)
        self._request = compiled.create_infer_request()
        arithmetic = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        whole, quantized = products(model)
        eight = f", 8-bit activations in {quantized} of {whole} products" if quantized else ""
        kinds = openvino.weight_kinds(model)
        version = ov.__version__.split("-")[0]
        self.precision = f"weights {kinds}{eight}, {arithmetic}, openvino {version}"

    def images(self, conditions: Images) -> Images:
        """Images of latent numbers and classes."""
        self._request.infer({INPUT: conditions}, share_inputs=False)
        made: Images = self._request.get_tensor(OUTPUT).data.copy()
        return made


class OnnxCanvas:
    """``onnx``: ONNX Runtime on the CPU."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Read ``model.onnx``."""
        import onnx as onnx_files
        import onnxruntime as ort

        try:
            self._session = ort.InferenceSession(
                str(folder / ONNX_GRAPH),
                onnx.session_options(threads),
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:
            # Its errors share no base but Exception.
            raise ValueError(f"ONNX Runtime: {error}") from error
        names = [p.name for p in (*self._session.get_inputs(), *self._session.get_outputs())]
        if names != [INPUT, OUTPUT]:
            raise ValueError(f"{ONNX_GRAPH} has {names}, and must have {[INPUT, OUTPUT]}")
        graph = onnx_files.load(str(folder / ONNX_GRAPH), load_external_data=False).graph
        kinds, arithmetic = onnx.weight_kinds(graph), onnx.arithmetic(graph)
        self.precision = f"weights {kinds}, {arithmetic}, onnxruntime {ort.__version__}"

    def images(self, conditions: Images) -> Images:
        """Images of latent numbers and classes."""
        made: Images = self._session.run([OUTPUT], {INPUT: conditions})[0]
        return made


CANVASES: dict[str, Any] = {
    "onnx": OnnxCanvas,
    "openvino": OpenvinoCanvas,
    "safetensors": TorchCanvas,
}
"""Name of a format in records -> what runs it."""


def load_painter(folder: Path, file_format: Format, threads: int = 1) -> ImageRuntime:
    """Load the model files in ``folder``, whose hashes the caller has verified.

    Raises:
        ArtifactError: files are missing, do not fit together or cannot be run.

    """
    if file_format not in CANVASES:
        rule = f"can run {sorted(CANVASES)}"
        raise ArtifactError(str(folder), file_format, rule, "convert the model")
    try:
        return Painter(folder, file_format, threads, CANVASES[file_format](folder, threads))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        rule = f"cannot be loaded: {error}"
        raise ArtifactError(str(folder), file_format, rule, "restore the recorded files") from error


def products(model: Any) -> tuple[int, int]:
    """How many products and convolutions a graph has, and how many read 8-bit activations."""
    found = [node for node in model.get_ops() if node.get_type_name() in PRODUCTS]
    quantized = [openvino.is_quantized(node.input_value(0).get_node()) for node in found]
    return len(found), sum(quantized)
