"""What a GAN and a VAE minimise, as tasks of :mod:`upkeep.fitting`, and how both are judged.

``gan``: the hinge loss (Lim & Ye 2017, "Geometric GAN"), critic first. What is judged and kept is
the moving average of the generator's weights, batch norm's statistics included (Yazici et al.
2019). ``vae``: binary cross-entropy of the pixels and the divergence of the latent numbers from a
normal distribution, in nats an image (Kingma & Welling 2014).

The judge of both is KID (Binkowski et al. 2018) of images of the held-out classes, latent numbers
always the same, against the held-out images: a critic's loss says nothing of quality.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

from upkeep.fit_task import Player, Task
from upkeep.image_partners import critic_of, encoded, encoder_of, scores, split
from upkeep.image_sets import features_of
from upkeep.network_layers import GeneratorConfig
from upkeep.quality.features import Extractor
from upkeep.quality.kid import kernel_distance

Objective = Literal["gan", "vae"]
BETAS = {"gan": (0.0, 0.99), "vae": (0.9, 0.999)}
DRAWS = 4
"""Images for each held-out one: the judge's own noise is halved."""

JUDGE_SEED = 0


def pair_of(network: Any, config: GeneratorConfig, objective: Objective, width: int) -> Any:
    """The generator, the one that is kept, and a partner whose weights follow PyTorch's seed.

    The kept one holds buffers, no weights to train: in ``fitting`` they are saved and put back
    like statistics.
    """
    from torch import nn

    made = critic_of if objective == "gan" else encoder_of
    kept = copy.deepcopy(network)
    for module in kept.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, value.detach().clone())
    return nn.ModuleDict({"generator": network, "kept": kept, "partner": made(config, width)})


def alone_task(objective: Objective, config: GeneratorConfig) -> Task:
    """The partner learns against the generator as it is, and is judged by its own loss."""
    loss = _losses(objective, config)[0]
    return Task((Player(loss, _part("partner"), BETAS[objective]),), loss)


def both_task(
    objective: Objective, config: GeneratorConfig, extractor: Extractor, averaged_steps: int
) -> Task:
    """Generator and partner learn together; the kept one follows the generator."""
    of_partner, of_generator = _losses(objective, config)
    betas = BETAS[objective]
    if objective == "vae":
        players: tuple[Player, ...] = (Player(of_generator, _part("partner", "generator"), betas),)
    else:
        players = (
            Player(of_partner, _part("partner"), betas),
            Player(of_generator, _part("generator"), betas),
        )
    return Task(players, judge_of(config, extractor), lambda pair: follow(pair, averaged_steps))


def follow(pair: Any, averaged_steps: int) -> None:
    """Move the kept weights and statistics towards the generator's: an average of so many steps."""
    import torch

    theirs = pair["generator"].state_dict()
    with torch.no_grad():
        for name, value in pair["kept"].state_dict().items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1.0 / averaged_steps)
            else:
                value.copy_(theirs[name])


def judge_of(config: GeneratorConfig, extractor: Extractor) -> Callable[[Any, Any], Any]:
    """KID of what the kept generator paints against a batch of real images of the same classes."""

    def judge(pair: Any, rows: Any) -> Any:
        import torch

        real, told = split(rows, config)
        asked = told.repeat(DRAWS, 1)
        noise = torch.Generator().manual_seed(JUDGE_SEED)
        latent = torch.randn(len(asked), config.latent, generator=noise).to(asked.device)
        made = pair["kept"](torch.cat([latent, asked], dim=1))
        sides = [features_of(extractor, images.float().cpu().numpy()) for images in (real, made)]
        return kernel_distance(sides[0], sides[1])

    return judge


def _losses(objective: Objective, config: GeneratorConfig) -> tuple[Any, Any]:
    """What the partner minimises, and what the generator does."""
    import torch
    from torch.nn.functional import binary_cross_entropy

    def painted(pair: Any, told: Any) -> Any:
        latent = torch.randn(len(told), config.latent, device=told.device)
        return pair["generator"](torch.cat([latent, told], dim=1))

    def critic_loss(pair: Any, rows: Any) -> Any:
        images, told = split(rows, config)
        with torch.no_grad():
            made = painted(pair, told)
        found = scores(pair["partner"], torch.cat([images, made]), told.repeat(2, 1))
        real, fake = found.chunk(2)
        return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()

    def generator_loss(pair: Any, rows: Any) -> Any:
        _, told = split(rows, config)
        return -scores(pair["partner"], painted(pair, told), told).mean()

    def elbo(pair: Any, rows: Any) -> Any:
        images, told = split(rows, config)
        mean, log_variance = encoded(pair["partner"], images, told)
        latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        made = pair["generator"](torch.cat([latent, told], dim=1))
        pixels = binary_cross_entropy(made, images, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (pixels + divergence) / len(images)

    return (critic_loss, generator_loss) if objective == "gan" else (elbo, elbo)


def _part(*names: str) -> Callable[[Any], Any]:
    return lambda pair: [weight for name in names for weight in pair[name].parameters()]
