"""``prune-channels``: a generator with fewer channels, healed on what its champion paints.

A channel is judged by the size of its batch norm's scale, |g| (network slimming: Liu et al. 2017,
arXiv:1708.06519), or by the L1 norm of its filter (Li et al. 2017, arXiv:1608.08710). Of each layer
but the last the smallest ``share`` go, with the rows that make them and the columns that read
them: the network that is left is small and whole, and runs faster everywhere.

Healing needs no image of production: the champion's own images of drawn latent numbers are
learnt, pixel by pixel (distillation of a generator: Aguinaldo et al. 2019, arXiv:1902.00159).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from upkeep.compression.image_outcome import (
    Champion,
    drawn_conditions,
    image_outcome,
    read_champion,
)
from upkeep.compression.outcome import parameters
from upkeep.errors import ParamError
from upkeep.fitting import FitParams, Player, Task, fit, use_threads
from upkeep.job_params import JobParams, read_params
from upkeep.network_layers import GeneratorConfig
from upkeep.networks import half_of, load_network, save_network
from upkeep.records import Sample

HELD_OUT = 256
MAKERS = ("linear", "conv", "conv_transpose")


class ImageHeal(FitParams):
    """The loop's settings, and ``images``: how many of the champion's are drawn to learn from."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 400
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    batch_blocks: Annotated[int, Field(ge=1, le=4096)] = 64
    images: Annotated[int, Field(ge=2, le=1_000_000)] = 4096


class Channels(JobParams):
    """``share`` of each layer's channels that go; ``heal`` None leaves what is left as it is."""

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    score: Literal["bn_scale", "l1"] = "bn_scale"
    heal: ImageHeal | None = ImageHeal()


SETTINGS = {"prune-channels": Channels}


class Cut(NamedTuple):
    """A layer that makes channels, what stands between, and the layer that reads them, by place."""

    maker: int
    between: tuple[int, ...]
    reader: int
    channels: int


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write ``champion`` with fewer channels; ``samples`` say which classes are asked for.

    Raises:
        ParamError: unknown params, no channel can go, or there is no batch norm to judge by.
        JobFailed: healing diverged.

    """
    settings = read_params(Channels, method, params)
    found = read_champion(champion, method)
    network, _ = load_network(champion)
    cuts = cuts_of(found.config)
    kept = {cut: keep(network, found.config, cut, settings) for cut in cuts}
    if all(len(places) == cut.channels for cut, places in kept.items()):
        least = 1.0 / max((cut.channels for cut in cuts), default=1)
        rule = "no candidate: no channel goes at this share"
        raise ParamError(f"{method}.share", settings.share, rule, f"the nearest is {least:.3f}")
    config = cut_channels(network, found.config, kept)
    before = parameters(found.network, network)
    healed, words = _heal(found, network, samples, settings.heal)
    save_network(network, config, out, half=half_of(champion))
    told = ", ".join(f"{cut.channels} -> {len(places)}" for cut, places in kept.items())
    numbers, notes = image_outcome(found, out, f"{method}: channels {told} by {settings.score}")
    return numbers | before | healed, (*notes, words)


def cuts_of(config: GeneratorConfig) -> list[Cut]:
    """Every layer whose channels are read by a later one; the last makes the image's own."""
    kinds = [layer.kind for layer in config.layers]
    makers = [place for place, kind in enumerate(kinds) if kind in MAKERS]
    shapes = config.shapes()
    return [
        Cut(maker, tuple(range(maker + 1, reader)), reader, shapes[reader - 1][0])
        for maker, reader in pairwise(makers)
    ]


def keep(network: Any, config: GeneratorConfig, cut: Cut, settings: Channels) -> list[int]:
    """The channels that stay, ascending: one at least.

    Raises:
        ParamError: they are to be judged by a batch norm, and none is there.

    """
    if settings.score == "l1":
        weight = _by_channel(network.layers[cut.maker], cut.channels)
        scores = weight.detach().abs().sum(dim=1)
    else:
        norms = [place for place in cut.between if config.layers[place].kind == "batch_norm"]
        if not norms:
            rule = f"layer {cut.maker} has no batch norm behind it"
            raise ParamError("prune-channels.score", settings.score, rule, "take l1")
        scores = network.layers[norms[-1]].weight.detach().abs()
    left = max(1, cut.channels - int(settings.share * cut.channels))
    # Equal scores are taken in their order: the same weights always give the same network.
    best = scores.argsort(descending=True, stable=True)[:left]
    return sorted(int(channel) for channel in best)


def cut_channels(
    network: Any, config: GeneratorConfig, kept: Mapping[Cut, list[int]]
) -> GeneratorConfig:
    """Leave only the channels in ``kept``, in place; the config of what is left."""
    values = config.model_dump(exclude_unset=True)
    declared = list(values["layers"])
    for cut, channels in kept.items():
        maker, kind = network.layers[cut.maker], config.layers[cut.maker].kind
        rows = _out_size(maker) // cut.channels
        _keep_out(maker, [c * rows + row for c in channels for row in range(rows)])
        declared[cut.maker][kind]["out"] = rows * len(channels)
        for place in cut.between:
            _keep_between(network.layers[place], channels)
            if config.layers[place].kind == "unflatten":
                declared[place]["unflatten"]["channels"] = len(channels)
        _keep_in(network.layers[cut.reader], channels)
    values["layers"] = tuple(declared)
    return GeneratorConfig.model_validate(values)


def distillation(
    champion: Champion, samples: Sequence[Sample], heal: ImageHeal
) -> tuple[Any, Any, Task]:
    """Examples to learn the champion's images from, held-out ones, and the task."""
    import torch

    teacher = champion.network
    rows = torch.from_numpy(drawn_conditions(champion.config, samples, heal.images, "heal"))
    held = torch.from_numpy(drawn_conditions(champion.config, samples, HELD_OUT, "held out"))

    def loss(student: Any, asked: Any) -> Any:
        with torch.no_grad():
            wanted = teacher.to(asked.device)(asked)
        return (student(asked) - wanted).square().mean()

    return rows, held, Task((Player(loss),), loss)


def _heal(
    champion: Champion, network: Any, samples: Sequence[Sample], heal: ImageHeal | None
) -> tuple[dict[str, float], str]:
    if heal is None:
        return {}, "not healed"
    use_threads(heal.threads)
    rows, held, task = distillation(champion, samples, heal)
    done = fit(network, rows, held, heal, task=task)
    champion.network.to("cpu")
    before, after = (value.held_out**0.5 for value in (done.curve[0], done.kept))
    numbers = {"healed_rmse": after, "unhealed_rmse": before, "trained_steps": float(done.steps)}
    words = f"healed in {done.steps} steps: {before:.3g} -> {after:.3g} of 1 from its images"
    return numbers, words


def _by_channel(maker: Any, channels: int) -> Any:
    """The maker's weight as [channels, rest]."""
    from torch import nn

    outer = getattr(maker, "wide", maker)
    weight = outer.weight
    if isinstance(outer, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    return weight.reshape(channels, -1)


def _out_size(maker: Any) -> int:
    outer = getattr(maker, "wide", maker)
    return int(outer.out_features if hasattr(outer, "out_features") else outer.out_channels)


def _keep_out(maker: Any, rows: list[int]) -> None:
    from torch import nn

    outer = getattr(maker, "wide", maker)
    _take(outer, "weight", rows, 1 if isinstance(outer, nn.ConvTranspose2d) else 0)
    _take(outer, "bias", rows, 0)
    name = "out_features" if isinstance(outer, nn.Linear) else "out_channels"
    setattr(outer, name, len(rows))


def _keep_in(reader: Any, columns: list[int]) -> None:
    from torch import nn

    inner = getattr(reader, "narrow", reader)
    _take(inner, "weight", columns, 0 if isinstance(inner, nn.ConvTranspose2d) else 1)
    name = "in_features" if isinstance(inner, nn.Linear) else "in_channels"
    setattr(inner, name, len(columns))


def _keep_between(layer: Any, channels: list[int]) -> None:
    from torch import nn

    if isinstance(layer, nn.Unflatten):
        layer.unflattened_size = (len(channels), *layer.unflattened_size[1:])
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        for name in ("weight", "bias", "running_mean", "running_var"):
            _take(layer, name, channels, 0)
        layer.num_features = len(channels)


def _take(module: Any, name: str, places: list[int], dim: int) -> None:
    """Leave only ``places`` of a weight or buffer along ``dim``."""
    import torch
    from torch import nn

    whole = getattr(module, name)
    if whole is None:
        return
    left = whole.detach().index_select(dim, torch.tensor(places)).clone()
    setattr(module, name, nn.Parameter(left) if isinstance(whole, nn.Parameter) else left)
