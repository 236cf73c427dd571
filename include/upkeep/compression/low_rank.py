"""Matrices as products of two thin ones: ``low-rank-svd``, ``low-rank-activation``.

W [out, in] becomes B A with A [rank, in], B [out, rank], smaller and faster where rank * (in +
out) < in * out; a matrix for which no such rank is good enough stays whole. SVD: the best B A for
||W - B A||_F (Eckart & Young 1936). Activation-aware: the best for ||(W - B A) X||_F, by the SVD of
W L with L L^T = X X^T from calibration texts (Wang et al. 2024, "SVD-LLM", arXiv:2403.07378).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from upkeep.compression.activations import walk_blocks
from upkeep.compression.decoder_parts import linears_of, matrices_of
from upkeep.compression.healing import Heal, judge
from upkeep.compression.outcome import outcome
from upkeep.compression.ranks import by_error, by_share, least_error
from upkeep.compression.spectrum import Spectrum, spectrum_of
from upkeep.compression.texts import TextParams, Texts, need_texts, texts_of
from upkeep.errors import ArtifactError, ParamError
from upkeep.job_params import read_params
from upkeep.pretrained import load_model, low_rank_of, low_rank_pair, save_model
from upkeep.records import Sample


class LowRank(TextParams):
    """One of two targets.

    ``error``: each matrix may lose this share of its norm (SVD) or of its output's norm
    (activation-aware). ``parameter_share``: so many of the matrices' weights stay, dealt out so
    that each next one takes away the most error.
    """

    error: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    parameter_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    heal: Heal | None = None

    @model_validator(mode="after")
    def _one(self) -> LowRank:
        if (self.error is None) == (self.parameter_share is None):
            raise ValueError("give one of error and parameter_share")
        return self


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write ``champion`` with thin pairs of matrices to ``out``; see ``Compress``.

    Raises:
        ParamError: unknown params, no texts where they are needed, or a budget under which no
            matrix becomes smaller, with the nearest one.
        ArtifactError: the network is not built as a Llama is, or is of low rank already.
        JobFailed: healing diverged.

    """
    settings = read_params(LowRank, method, params)
    started = time.perf_counter()
    model, tokenizer = load_model(champion)
    if low_rank_of(model):
        rule = "is of low rank already"
        raise ArtifactError(champion.name, method, rule, "start from whole matrices")
    before = sum(p.numel() for p in model.parameters())
    texts = texts_of(model, tokenizer, samples, settings)
    activation = method == "low-rank-activation"
    spectra = find_spectra(model, need_texts(texts, method) if activation else None)
    ranks = choose_ranks(spectra, settings, method)
    errors = put_pairs(model, spectra, ranks)
    losses, notes = judge(model, champion, texts, settings.heal)
    save_model(model, champion, out)
    numbers, sizes = outcome(champion, out, started)
    after = sum(p.numel() for p in model.parameters())
    said = (
        f"{method}: {len(ranks)} of {len(spectra)} matrices are pairs, rank {min(ranks.values())} "
        f"to {max(ranks.values())}, relative error at most {max(errors):.4f}"
    )
    return {
        **numbers,
        "parent_parameters": float(before),
        "parameters": float(after),
        "factorised_matrices": float(len(ranks)),
        "worst_relative_error": max(errors),
        **losses,
    }, (said, *sizes, *notes)


def find_spectra(model: Any, texts: Texts | None) -> dict[str, Spectrum]:
    """The spectrum of each matrix of the blocks: of itself, or of its outputs on the texts."""
    matrices = matrices_of(model)
    if texts is None:
        return {
            name: spectrum_of(linear.weight.detach(), None) for name, linear in matrices.items()
        }
    names = {id(linear): name for name, linear in matrices.items()}
    found: dict[str, Spectrum] = {}

    def visit(_: int, block: Any, grams: dict[str, Any], __: float) -> None:
        for inner, linear in linears_of(block).items():
            found[names[id(linear)]] = spectrum_of(linear.weight.detach(), grams[inner])

    walk_blocks(model, texts.calibration, visit)
    return found


def choose_ranks(spectra: Mapping[str, Spectrum], settings: LowRank, method: str) -> dict[str, int]:
    """The rank of each matrix that becomes smaller by it.

    Raises:
        ParamError: there is none.

    """
    if settings.error is not None:
        found, asked, key = by_error(spectra, settings.error), settings.error, "error"
    else:
        asked, key = float(settings.parameter_share or 0.0), "parameter_share"
        found = by_share(spectra, asked)
    if not found:
        rule = "no candidate: no matrix is smaller as a pair at this target"
        near = f"the nearest error is {least_error(spectra):.3f}"
        raise ParamError(f"{method}.{key}", asked, rule, near)
    return found


def put_pairs(model: Any, spectra: Mapping[str, Spectrum], ranks: Mapping[str, int]) -> list[float]:
    """Put a pair in the place of each matrix that has a rank, in place; gives their errors."""
    for name, rank in ranks.items():
        linear = model.get_submodule(name)
        pair = low_rank_pair(linear, rank)
        narrow, wide = spectra[name].factors(rank)
        pair.narrow.weight.data.copy_(narrow)
        pair.wide.weight.data.copy_(wide)
        if linear.bias is not None:
            pair.wide.bias.data.copy_(linear.bias.detach())
        model.set_submodule(name, pair)
    return [float(spectra[name].errors()[rank]) for name, rank in ranks.items()]
