"""``fuse-batch-norm``: a generator's batch norms as part of the layers before them.

In inference a batch norm is a scale and a shift for each channel, which the convolution, the
transposed convolution or the matrix before it can do as well:
W' = W * g / sqrt(var + eps), b' = (b - mean) * g / sqrt(var + eps) + beta (Jacob et al. 2018,
arXiv:1712.05877, section 3.2). The same function up to rounding; a fused generator has no batch
norm left to train.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upkeep.compression.image_outcome import image_outcome, read_champion
from upkeep.errors import ParamError
from upkeep.job_params import JobParams, read_params
from upkeep.network_layers import GeneratorConfig
from upkeep.networks import half_of, save_network
from upkeep.records import Sample


class Fusion(JobParams):
    """Nothing to set."""


SETTINGS = {"fuse-batch-norm": Fusion}


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Fuse the batch norms of ``champion``; ``samples`` are not used; see ``Compress``.

    Raises:
        ParamError: a setting is given, or there is no batch norm to fuse.

    """
    del samples
    read_params(Fusion, method, params)
    found = read_champion(champion, method)
    network, config, count = fuse_batch_norms(found.network, found.config)
    if count == 0:
        rule = "no candidate: has no batch norm behind a convolution or a matrix"
        raise ParamError(method, found.config.name, rule, "take another method")
    save_network(network, config, out, half=half_of(champion))
    numbers, notes = image_outcome(found, out, f"{method}: {count} batch norms fused")
    return numbers | {"batch_norms_fused": float(count)}, notes


def fuse_batch_norms(network: Any, config: GeneratorConfig) -> tuple[Any, GeneratorConfig, int]:
    """The network without the batch norms that could be fused, its config, and how many."""
    from torch import nn

    values = config.model_dump(exclude_unset=True)
    layers, declared, count = list(network.layers), list(values["layers"]), 0
    for place in reversed(range(1, len(layers))):
        at = place - 1
        while config.layers[at].kind == "unflatten" and at > 0:
            at -= 1
        if config.layers[place].kind != "batch_norm" or not _fuse(layers[at], layers[place]):
            continue
        declared[at][config.layers[at].kind]["bias"] = True
        del layers[place], declared[place]
        count += 1
    values["layers"] = tuple(declared)
    made = nn.Sequential(OrderedDict(layers=nn.Sequential(*layers)))
    return made.eval(), GeneratorConfig.model_validate(values), count


def _fuse(layer: Any, norm: Any) -> bool:
    """Whether ``norm`` could become part of ``layer``; then it did."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    layer = getattr(layer, "wide", layer)
    if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        return False
    channels = norm.num_features
    rows = layer.weight.shape[1 if isinstance(layer, nn.ConvTranspose2d) else 0]
    # A matrix whose outputs are maps has as many rows a channel as a map has places.
    of_row = [
        value.detach().repeat_interleave(rows // channels)
        for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    ]
    mean, var, scale, shift = of_row
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight,
        layer.bias,
        mean,
        var,
        norm.eps,
        scale,
        shift,
        transpose=isinstance(layer, nn.ConvTranspose2d),
    )
    return True
