"""Smaller weights of image generators: ``low-rank-svd``, ``palette``, 16 bits.

The same computations as for decoders (:mod:`upkeep.compression.low_rank`,
:mod:`upkeep.compression.weight_sharing`), over a generator's matrices, and for palettes its
filters too: a convolution's as a matrix with a row a first index. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from upkeep.compression.half import TYPES, Half
from upkeep.compression.image_outcome import Champion, image_outcome, read_champion
from upkeep.compression.low_rank import LowRank, choose_ranks, put_pairs
from upkeep.compression.outcome import parameters
from upkeep.compression.spectrum import spectrum_of
from upkeep.compression.weight_sharing import PaletteParams, pays, plan_palette, relative_error
from upkeep.errors import ArtifactError, ParamError
from upkeep.job_params import JobParams, read_params
from upkeep.networks import half_of, load_network, save_network
from upkeep.packed_weights import Packed
from upkeep.pretrained import low_rank_of
from upkeep.records import Sample

Numbers = dict[str, float]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class ImageLowRank(JobParams):
    """One of two targets: ``error`` of each matrix' norm, or ``parameter_share`` that stays."""

    error: Share | None = None
    parameter_share: Share | None = None


class ImagePalette(JobParams):
    """``bits`` an index; ``group_rows`` rows share a codebook, None: the whole matrix."""

    bits: Annotated[int, Field(ge=1, le=8)] = 4
    group_rows: Annotated[int, Field(ge=1, le=2**20)] | None = None


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write ``champion`` with smaller weights; ``samples`` are not used; see ``Compress``.

    Raises:
        ParamError: unknown params, or a target that no matrix meets, with the nearest one.
        ArtifactError: it is of low rank already, or a weight is too large for 16 bits.

    """
    del samples
    kind, write = METHODS[method]
    settings = read_params(kind, method, params)
    found = read_champion(champion, method)
    numbers, said = write(found, settings, method, out)
    measured, notes = image_outcome(found, out, f"{method}: {said}")
    return measured | numbers, notes


def _low_rank(
    champion: Champion, settings: ImageLowRank, method: str, out: Path
) -> tuple[Numbers, str]:
    from torch import nn

    network = champion.network
    if low_rank_of(network):
        rule, fix = "is of low rank already", "start from whole matrices"
        raise ArtifactError(champion.folder.name, method, rule, fix)
    both = {"error": settings.error, "parameter_share": settings.parameter_share}
    target = read_params(LowRank, method, both)
    spectra = {
        name: spectrum_of(module.weight.detach(), None)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }
    if not spectra:
        raise ParamError(method, champion.config.name, "has no matrix", "take another method")
    ranks = choose_ranks(spectra, target, method)
    errors = put_pairs(network, spectra, ranks)
    save_network(network, champion.config, out, half=half_of(champion.folder))
    numbers = parameters(load_network(champion.folder)[0], network)
    told = ", ".join(f"{name} rank {rank}" for name, rank in sorted(ranks.items()))
    return numbers | {"worst_relative_error": max(errors)}, f"{told}, error {max(errors):.4f}"


def _palette(
    champion: Champion, settings: ImagePalette, method: str, out: Path
) -> tuple[Numbers, str]:
    import torch

    chosen = PaletteParams(bits=settings.bits, group_rows=settings.group_rows)
    packed: dict[str, Packed] = {}
    errors: list[float] = []
    for name, weight in champion.network.named_parameters():
        if weight.dim() < 2:  # noqa: PLR2004 - a matrix, or filters
            continue
        whole = weight.detach().flatten(1).clone()
        shared, pack = plan_palette(whole, chosen)
        small = pack(shared.values)
        if pays(small, weight):
            packed[name] = small
            errors.append(relative_error(whole, shared.matrix))
            with torch.no_grad():
                weight.copy_(shared.matrix.view(weight.shape))
    if not packed:
        rule = "no candidate: no weight is smaller in this form"
        raise ParamError(method, settings.model_dump(), rule, "take fewer bits")
    save_network(champion.network, champion.config, out, packed, half_of(champion.folder))
    said = f"{len(packed)} weights packed, changed by at most {max(errors):.4f} of their norm"
    return {"worst_relative_error": max(errors), "packed_weights": float(len(packed))}, said


def _half(champion: Champion, settings: Half, method: str, out: Path) -> tuple[Numbers, str]:
    del settings
    import torch

    kind = getattr(torch, TYPES[method])
    state = champion.network.state_dict()
    for name, value in state.items():
        if not bool(value.to(kind).isfinite().all()):
            rule = f"is beyond what {TYPES[method]} holds"
            raise ArtifactError(name, float(value.abs().max()), rule, "take safetensors-bf16")
    save_network(champion.network, champion.config, out, half=TYPES[method])
    return {}, "rounded to nearest, computed in 32 bits"


METHODS: dict[str, tuple[type[Any], Callable[..., tuple[Numbers, str]]]] = {
    "low-rank-svd": (ImageLowRank, _low_rank),
    "palette": (ImagePalette, _palette),
    "safetensors-bf16": (Half, _half),
    "safetensors-fp16": (Half, _half),
}
