"""Train the decoder of ``digits-vae``: a conditional variational autoencoder.

Loss: binary cross-entropy of the pixels plus the divergence of the latent vectors from a normal
distribution (Kingma & Welling 2014), in nats an image. The decoder is told the digit, so that
the latent vector is left with the handwriting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from examples.digits.data import Digits

if TYPE_CHECKING:
    import torch
    from torch import nn

Progress = Callable[[str], None]

STEPS, BATCH = 700, 64
LEARNING_RATE = 3e-3  # the peak of one cycle (Smith & Topin 2018)
REPORT_EVERY = 100


def fit(digits: Digits, seed: int, progress: Progress) -> nn.Sequential:
    """A trained decoder; the same digits, seed and machine give the same weights."""
    import torch

    from examples.digits.networks import VAE, Encoder, told
    from upkeep.networks import build

    torch.manual_seed(seed)
    encoder, decoder = Encoder(VAE.latent), build(VAE)
    images, labels = torch.from_numpy(digits.images)[:, None], torch.from_numpy(digits.labels)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], LEARNING_RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    for step in range(1, STEPS + 1):
        drawn = torch.randint(len(images), (BATCH,))
        real, asked = images[drawn], labels[drawn]
        mean, log_variance = encoder(real, asked)
        latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        loss = _loss(decoder(told(latent, asked)), real, mean, log_variance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
        if step % REPORT_EVERY == 0:
            progress(f"vae: step {step} of {STEPS}: {loss.item():.1f} nats an image")
    decoder.eval()
    return decoder


def _loss(
    made: torch.Tensor, real: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor
) -> torch.Tensor:
    from torch.nn.functional import binary_cross_entropy

    pixels = binary_cross_entropy(made, real, reduction="sum")
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    return (pixels + divergence) / len(real)
