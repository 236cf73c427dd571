"""Train the generator of ``digits-gan``: a conditional GAN of two small networks.

Hinge loss (Lim & Ye 2017) against a critic with spectral norm, which bounds its slope (Miyato
et al. 2018): every seed that was tried came out well. What is kept is the moving average of the
generator's weights (Yazici et al. 2019), batch norm's statistics included: the weights of a
single step had two to three times its FID.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from examples.digits.data import CLASSES, Digits

if TYPE_CHECKING:
    import torch
    from torch import nn

    from examples.digits.networks import Critic

Progress = Callable[[str], None]

STEPS, BATCH = 700, 64
LEARNING_RATE, BETAS = 1.5e-3, (0.0, 0.99)
AVERAGED_STEPS = 60  # of which the average is about
REPORT_EVERY = 100


def fit(digits: Digits, seed: int, progress: Progress) -> nn.Sequential:
    """A trained generator; the same digits, seed and machine give the same weights."""
    import torch

    from examples.digits.networks import GAN, Critic
    from upkeep.networks import build

    torch.manual_seed(seed)
    generator, critic = build(GAN), Critic()
    average = copy.deepcopy(generator)
    images, labels = torch.from_numpy(digits.images)[:, None], torch.from_numpy(digits.labels)
    of_critic = torch.optim.Adam(critic.parameters(), LEARNING_RATE, betas=BETAS)
    of_generator = torch.optim.Adam(generator.parameters(), LEARNING_RATE, betas=BETAS)
    for step in range(1, STEPS + 1):
        drawn = torch.randint(len(images), (BATCH,))
        loss = _critic_loss(critic, generator, images[drawn], labels[drawn])
        _descend(of_critic, loss)
        _descend(of_generator, _generator_loss(critic, generator))
        _follow(average, generator)
        if step % REPORT_EVERY == 0:
            progress(f"gan: step {step} of {STEPS}: critic's loss {loss.item():.2f}")
    average.eval()
    return average


def _critic_loss(
    critic: Critic, generator: nn.Sequential, images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """max(0, 1 - real) + max(0, 1 + made), in the mean."""
    import torch

    with torch.no_grad():
        made, asked = _made(generator)
    scores = critic(torch.cat([images, made]), torch.cat([labels, asked]))
    real, fake = scores.chunk(2)
    return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()


def _generator_loss(critic: Critic, generator: nn.Sequential) -> torch.Tensor:
    made, asked = _made(generator)
    loss: torch.Tensor = -critic(made, asked).mean()
    return loss


def _made(generator: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    from examples.digits.networks import GAN, told

    asked = torch.randint(CLASSES, (BATCH,))
    return generator(told(torch.randn(BATCH, GAN.latent), asked)), asked


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _follow(average: nn.Sequential, generator: nn.Sequential) -> None:
    """Move the average's weights and statistics a little towards the generator's."""
    ours, theirs = average.state_dict(), generator.state_dict()
    for name, value in theirs.items():
        if value.is_floating_point():
            ours[name].lerp_(value, 1.0 / AVERAGED_STEPS)
        else:
            ours[name].copy_(value)
