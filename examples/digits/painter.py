"""A trained generator or decoder as a folder of files, and the images that it paints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from examples.digits.data import CLASSES
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder

if TYPE_CHECKING:
    from examples.digits.networks import Generator

Kind = Literal["gan", "vae"]
CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Painter:
    """Paints a digit from a seed: one seed, one handwriting."""

    def __init__(self, network: Generator) -> None:
        """``network`` is in eval mode: batch norm uses what it learnt, not the request."""
        self._network = network

    def paint(self, digit: int, seed: int) -> np.ndarray:
        """One image [8, 8], float32 in 0..1.

        Raises:
            ParamError: there is no such digit.

        """
        import torch

        if not 0 <= digit < CLASSES:
            raise ParamError("digit", digit, "is no digit", "ask for 0 to 9")
        noise = torch.Generator().manual_seed(seed)
        latent = torch.randn(1, self._network.latent, generator=noise)
        with torch.inference_mode():
            image: np.ndarray = self._network(latent, torch.tensor([digit]))[0, 0].numpy()
        return image


def save(network: Generator, config: dict[str, Any], folder: Path) -> None:
    """Write config.json and model.safetensors."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)


def load(folder: Path, kind: Kind) -> Painter:
    """The painter of a folder that :func:`save` wrote, on one thread.

    Raises:
        ArtifactError: a file is missing, broken or unsafe, or the model is of another kind.

    """
    import torch
    from safetensors.torch import load_file

    from examples.digits.networks import Generator

    check_model_folder(folder, "safetensors")
    config = json.loads((folder / CONFIG).read_bytes())
    if config.get("model_type") != f"digits-{kind}":
        value, rule = config.get("model_type"), f"is not digits-{kind}"
        raise ArtifactError(f"{folder.name}/{CONFIG}", value, rule, "give the model's own folder")
    torch.set_num_threads(1)  # a second thread only hurts a model this small
    network = Generator(config)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        rule = "does not fit its config"
        fix = "restore the recorded files"
        raise ArtifactError(f"{folder.name}/{WEIGHTS}", kind, rule, fix) from error
    return Painter(network.eval())
