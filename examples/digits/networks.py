"""Three small convolutional networks; images are [N, 1, 8, 8] in 0..1.

Generator and decoder are told the digit beside the latent vector (Mirza & Osindero 2014), and
have batch norm (Ioffe & Szegedy 2015) after each layer that is not the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import one_hot

from examples.digits.data import CLASSES

Config = Mapping[str, Any]
"""``latent``: length of the latent vector; ``width``: channels of the widest layer."""

GAN: Config = {"model_type": "digits-gan", "latent": 16, "width": 32}
VAE: Config = {"model_type": "digits-vae", "latent": 8, "width": 32}
FEATURES = 32
SLOPE = 0.2


class Generator(nn.Module):  # type: ignore[misc] # torch is Any to mypy
    """Latent vectors [N, latent] and digits [N] -> images, as DCGAN does (Radford 2016)."""

    def __init__(self, config: Config) -> None:
        """Weights are drawn from PyTorch's seed."""
        super().__init__()
        width = config["width"]
        self.latent: int = config["latent"]
        self.layers = nn.Sequential(
            nn.Linear(self.latent + CLASSES, width * 16, bias=False),
            nn.Unflatten(1, (width, 4, 4)),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.Conv2d(width // 2, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, latent: torch.Tensor, digits: torch.Tensor) -> torch.Tensor:
        """Images of these digits."""
        told = one_hot(digits, CLASSES).to(latent.dtype)
        return self.layers(torch.cat([latent, told], dim=1))


class Critic(nn.Module):  # type: ignore[misc] # torch is Any to mypy
    """Scores [N] of images: high for real ones of that digit.

    Spectral norm in each layer (Miyato et al. 2018), the digit by projection (Miyato & Koyama
    2018).
    """

    def __init__(self, width: int) -> None:
        """Weights are drawn from PyTorch's seed."""
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.seen = nn.Sequential(
            norm(nn.Conv2d(1, width, 4, 2, 1)),
            nn.LeakyReLU(SLOPE),
            norm(nn.Conv2d(width, width, 4, 2, 1)),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
        )
        self.real = norm(nn.Linear(width * 4, 1))
        self.digit = norm(nn.Embedding(CLASSES, width * 4))

    def forward(self, images: torch.Tensor, digits: torch.Tensor) -> torch.Tensor:
        """One score an image."""
        seen = self.seen(images)
        return self.real(seen).squeeze(1) + (seen * self.digit(digits)).sum(dim=1)


class Encoder(nn.Module):  # type: ignore[misc] # torch is Any to mypy
    """Images and their digits -> mean and log variance [N, latent] of the latent vectors."""

    def __init__(self, config: Config) -> None:
        """Weights are drawn from PyTorch's seed."""
        super().__init__()
        width, latent = config["width"], config["latent"]
        self.seen = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
        )
        self.out = nn.Linear(width * 4 + CLASSES, 2 * latent)

    def forward(
        self, images: torch.Tensor, digits: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance."""
        told = one_hot(digits, CLASSES).to(images.dtype)
        mean, log_variance = self.out(torch.cat([self.seen(images), told], dim=1)).chunk(2, dim=1)
        return mean, log_variance


class Classifier(nn.Module):  # type: ignore[misc] # torch is Any to mypy
    """Images -> features [N, 32] and logits [N, 10]."""

    def __init__(self) -> None:
        """Weights are drawn from PyTorch's seed."""
        super().__init__()
        self.seen = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 4, FEATURES),
            nn.BatchNorm1d(FEATURES, affine=False),  # each feature has variance 1, none is dead
        )
        self.digit = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, CLASSES))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and logits."""
        features = self.seen(images)
        return features, self.digit(features)
