"""A real, very small image generator with random weights, and spots to the left and to the right.

What it does not prove: that a method keeps the quality of a trained generator (benchmarks do, on
digits). It proves that numbers are computed rightly. The extractor is linear, its classes are the
halves of the image.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fakes.pictures import png, save_extractor
from fakes.tiny_model import _root

from upkeep.network_layers import GeneratorConfig
from upkeep.networks import build, save_network
from upkeep.pictures import image_name
from upkeep.records import Sample

SIDE = 8
PROMPTS = ("a spot on the left", "a spot on the right")
GROW = {"out": 4, "kernel": 4, "stride": 2, "padding": 1, "bias": False}
LAYERS: tuple[dict[str, Any], ...] = (
    {"linear": {"out": 128, "bias": False}},
    {"unflatten": {"channels": 8, "height": 4, "width": 4}},
    {"batch_norm": {}},
    {"relu": {}},
    {"conv_transpose": GROW},
    {"batch_norm": {}},
    {"leaky_relu": {"slope": 0.1}},
    {"conv": {"out": 1, "kernel": 3, "padding": 1}},
    {"sigmoid": {}},
)


def declared(**changes: Any) -> dict[str, Any]:
    """What config.json says, as Python has it."""
    fields = {"name": "spots", "latent": 4, "classes": PROMPTS, "layers": LAYERS}
    return fields | changes


@cache
def tiny_painter(seed: int = 0) -> Path:
    """A safetensors folder; read it, copy it, never write into it."""
    import torch

    folder = _root() / f"painter-{seed}"
    torch.manual_seed(seed)
    config = GeneratorConfig.model_validate(declared())
    network = build(config)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.weight, module.bias):
                torch.nn.init.normal_(value)
    with torch.no_grad():
        network.layers[7].weight.mul_(5.0)  # else all images are about grey
        for _ in range(60):  # what its batch norms have seen is what it is asked
            labels = torch.nn.functional.one_hot(torch.arange(32) % 2, 2)
            network(torch.cat([torch.randn(32, 4), labels], dim=1))
    save_network(network, config, folder)
    return folder


def spot(label: int, rng: np.random.Generator) -> bytes:
    """A bright spot of 3 x 3 somewhere in its half."""
    image = rng.integers(0, 30, (SIDE, SIDE)).astype(np.uint8)
    row, column = rng.integers(0, SIDE - 3), rng.integers(0, 2) + 4 * label
    image[row : row + 3, column : column + 3] = rng.integers(180, 255)
    return png(image)


def spots(count: int, seed: int = 0) -> dict[str, bytes]:
    """Real images by name, both classes in turn."""
    rng = np.random.default_rng(seed)
    images = [spot(place % 2, rng) for place in range(count)]
    return {image_name(image): image for image in images}


@cache
def halves_extractor() -> tuple[Path, str]:
    """Features: means of rows and of columns; logits: which half is brighter."""
    pixels = np.eye(SIDE * SIDE).reshape(SIDE, SIDE, SIDE * SIDE)
    features = np.concatenate([pixels.mean(axis=1), pixels.mean(axis=0)]).T
    logits = np.zeros((2 * SIDE, 2))
    logits[SIDE : SIDE + 4, 0] = logits[SIDE + 4 :, 1] = 50.0
    return save_extractor(_root() / "halves", features, logits, size=[SIDE, SIDE])


def requests(count: int, slices: tuple[str, ...] = ("a", "b")) -> list[Sample]:
    """Samples of production, the prompts in turn."""
    return [
        Sample(id=f"r{n:04d}", slice=slices[n % len(slices)], prompt=PROMPTS[n % 2])
        for n in range(count)
    ]
