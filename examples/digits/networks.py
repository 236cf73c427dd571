"""The networks; images are [N, 1, 8, 8] in 0..1.

What serves is declared, and built by Upkeep; what only training or judging needs stands here.
Generator and decoder are told the digit beside the latent vector (Mirza & Osindero 2014), and
have batch norm (Ioffe & Szegedy 2015) after each layer that is not the last.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.functional import one_hot

from examples.digits.data import CLASSES, prompt_of
from upkeep.network_layers import GeneratorConfig

WIDTH = 32
"""Channels of the widest layer."""

FEATURES = 32
SLOPE = 0.2


def declared(kind: Literal["gan", "vae"], latent: int) -> GeneratorConfig:
    """The layers of a generator or decoder, as DCGAN has them (Radford 2016)."""
    side, half = 4, WIDTH // 2
    grow = {"out": half, "kernel": 4, "stride": 2, "padding": 1, "bias": False}
    layers = [
        {"linear": {"out": WIDTH * side * side, "bias": False}},
        {"unflatten": {"channels": WIDTH, "height": side, "width": side}},
        {"batch_norm": {}},
        {"relu": {}},
        {"conv_transpose": grow},
        {"batch_norm": {}},
        {"relu": {}},
        {"conv": {"out": 1, "kernel": 3, "padding": 1}},
        {"sigmoid": {}},
    ]
    prompts = tuple(prompt_of(digit) for digit in range(CLASSES))
    return GeneratorConfig.model_validate(
        {"name": f"digits-{kind}", "latent": latent, "classes": prompts, "layers": tuple(layers)}
    )


GAN, VAE = declared("gan", latent=16), declared("vae", latent=8)


def told(latent: torch.Tensor, digits: torch.Tensor) -> torch.Tensor:
    """What a generator reads: latent vectors [N, latent], and the digits [N] beside them."""
    return torch.cat([latent, one_hot(digits, CLASSES).to(latent.dtype)], dim=1)


class Critic(nn.Module):  # type: ignore[misc] # torch is Any to mypy
    """Scores [N] of images: high for real ones of that digit.

    Spectral norm in each layer (Miyato et al. 2018), the digit by projection (Miyato & Koyama
    2018).
    """

    def __init__(self) -> None:
        """Weights are drawn from PyTorch's seed."""
        super().__init__()
        width = WIDTH
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

    def __init__(self, latent: int) -> None:
        """Weights are drawn from PyTorch's seed."""
        super().__init__()
        width = WIDTH
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
        mean, log_variance = self.out(told(self.seen(images), digits)).chunk(2, dim=1)
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
