"""What every method for image generators reads, and tells: how far the images moved."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from upkeep.compression.outcome import outcome
from upkeep.errors import ParamError
from upkeep.image_runtime import Images, class_of, conditions, load_painter, seed_of
from upkeep.model_files import format_of
from upkeep.network_layers import GeneratorConfig
from upkeep.networks import is_generator, load_network
from upkeep.records import Sample, sha256_hex

LOOKED_AT = 64


class Champion(NamedTuple):
    """An image generator in memory, where it came from, and since when it is worked on."""

    network: Any
    config: GeneratorConfig
    folder: Path
    started: float


def read_champion(folder: Path, method: str) -> Champion:
    """The generator in ``folder``, for a method that only image generators have.

    Raises:
        ParamError: another model lies there.
        ArtifactError: files are missing or do not fit together.

    """
    started = time.perf_counter()
    if not is_generator(folder):
        rule = "is of image generators; for decoders take prune-heads, prune-mlp or fuse-norms"
        raise ParamError("compress.method", method, rule, "name another method")
    return Champion(*load_network(folder), folder, started)


def labels_of(config: GeneratorConfig, samples: Sequence[Sample], count: int) -> list[int]:
    """``count`` classes in the mix that production asks for; each in turn where it is not known.

    Raises:
        ParamError: a prompt is of no class.

    """
    known = sorted(samples, key=lambda sample: sha256_hex(sample.id.encode()))
    asked = [class_of(config.classes, sample.prompt) for sample in known]
    asked = asked or list(range(len(config.classes)))
    return [asked[n % len(asked)] for n in range(count)]


def drawn_conditions(
    config: GeneratorConfig, samples: Sequence[Sample], count: int, what: str
) -> Images:
    """What the generator is asked, [count, latent + classes]; ``what`` names the seeds."""
    seeds = [seed_of(f"{what}/{n}") for n in range(count)]
    labels = labels_of(config, samples, count)
    return conditions(labels, seeds, config.latent, len(config.classes))


def image_outcome(
    champion: Champion, out: Path, said: str
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Sizes, seconds, and how far ``out``'s images are from the champion's, of 0..1.

    ``image_rmse`` is the root of the mean square over the pixels of 64 images of fixed seeds and
    classes in turn, by the runtime that would serve them.
    """
    labels, seeds = labels_of(champion.config, (), LOOKED_AT), list(range(LOOKED_AT))
    before = load_painter(champion.folder, "safetensors").paint(labels, seeds)
    after = load_painter(out, format_of(out)).paint(labels, seeds)
    moved = float(np.sqrt(np.square(after - before, dtype=np.float64).mean()))
    numbers, sizes = outcome(champion.folder, out, champion.started)
    words = f"images of the same seeds moved by {moved:.2g} of 1 (root mean square)"
    return numbers | {"image_rmse": moved}, (said, words, *sizes)
