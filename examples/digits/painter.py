"""A trained generator or decoder as a folder of files, and the images that it paints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from upkeep.errors import ArtifactError
from upkeep.image_runtime import ImageRuntime, load_painter
from upkeep.model_files import check_model_folder, format_of
from upkeep.networks import read_config, save_network

if TYPE_CHECKING:
    from torch import nn

    from upkeep.network_layers import GeneratorConfig

Kind = Literal["gan", "vae"]


class Painter:
    """Paints a digit from a seed: one seed, one handwriting."""

    def __init__(self, runtime: ImageRuntime) -> None:
        """``runtime`` may be of any format."""
        self._runtime = runtime

    def paint(self, digit: int, seed: int) -> np.ndarray:
        """One image [8, 8], float32 in 0..1.

        Raises:
            ParamError: there is no such digit.

        """
        image: np.ndarray = self._runtime.paint([digit], [seed])[0, 0]
        return image


def save(network: nn.Sequential, config: GeneratorConfig, folder: Path) -> None:
    """Write config.json and model.safetensors."""
    folder.mkdir(parents=True)
    save_network(network, config, folder)


def load(folder: Path, kind: Kind) -> Painter:
    """The painter of a folder that :func:`save` wrote, or of one compressed from it.

    Raises:
        ArtifactError: a file is missing, broken or unsafe, or the model is of another kind.

    """
    found = format_of(folder)
    check_model_folder(folder, found)
    name = read_config(folder).name
    if name != f"digits-{kind}":
        rule, fix = f"is not digits-{kind}", "give the model's own folder"
        raise ArtifactError(f"{folder.name}/config.json", name, rule, fix)
    # A second thread only hurts a model this small.
    return Painter(load_painter(folder, found, threads=1))
