"""What a generator is trained against: a critic, or an encoder. Neither is ever served or kept.

A retraining makes its partner anew, and lets it learn alone, against the champion as it is, before
the two train together: so that a champion's folder holds what it serves and nothing else, whatever
has been pruned or fused in it.

Rows are [examples, classes + pixels]: a 1 at the place of the class, then the image.
"""

from __future__ import annotations

from typing import Any

from upkeep.network_layers import GeneratorConfig

SLOPE = 0.2
LEAST_SIDE = 4
"""Maps are halved until a side is smaller."""


def critic_of(config: GeneratorConfig, width: int) -> Any:
    """A critic of this generator's images, its slope bounded by spectral norm in each layer.

    Miyato et al. 2018, "Spectral normalization for generative adversarial networks"; the class
    enters by projection (Miyato & Koyama 2018).
    """
    from torch import nn

    norm = nn.utils.parametrizations.spectral_norm
    seen, size = _seen(config, width, norm)
    return nn.ModuleDict(
        {
            "seen": seen,
            "real": norm(nn.Linear(size, 1)),
            "class": norm(nn.Linear(len(config.classes), size, bias=False)),
        }
    )


def scores(critic: Any, images: Any, told: Any) -> Any:
    """One score an image [images]: high for real ones of the class that ``told`` marks."""
    seen = critic["seen"](images)
    return critic["real"](seen).squeeze(1) + (seen * critic["class"](told)).sum(dim=1)


def encoder_of(config: GeneratorConfig, width: int) -> Any:
    """Images and their classes -> mean and log variance of the latent numbers."""
    from torch import nn

    seen, size = _seen(config, width, lambda layer: layer)
    out = nn.Linear(size + len(config.classes), 2 * config.latent)
    return nn.ModuleDict({"seen": seen, "out": out})


def encoded(encoder: Any, images: Any, told: Any) -> tuple[Any, Any]:
    """Mean and log variance [images, latent]."""
    import torch

    seen = torch.cat([encoder["seen"](images), told], dim=1)
    mean, log_variance = encoder["out"](seen).chunk(2, dim=1)
    return mean, log_variance


def split(rows: Any, config: GeneratorConfig) -> tuple[Any, Any]:
    """Images [examples, channels, height, width] and marks of classes [examples, classes]."""
    count = len(config.classes)
    return rows[:, count:].view(-1, *config.image), rows[:, :count]


def _seen(config: GeneratorConfig, width: int, norm: Any) -> tuple[Any, int]:
    """Convolutions that halve the image to small maps, as one vector, and its length."""
    from torch import nn

    channels, height, side = config.image
    layers: list[Any] = []
    while min(height, side) >= LEAST_SIDE:
        layers += [norm(nn.Conv2d(channels, width, 4, 2, 1)), nn.LeakyReLU(SLOPE)]
        channels, height, side = width, height // 2, side // 2
    return nn.Sequential(*layers, nn.Flatten()), channels * height * side
