"""Few values for many weights: ``palette`` and ``hashed``. Smaller on disk, not faster.

Palette: k-means codebooks and an index of 1 to 8 bits a weight (Han et al. 2016, "Deep
Compression", arXiv:1510.00149). Hashed: a fixed hash deals ``share`` times as many values out
among a matrix' weights, so that no index is stored (Chen et al. 2015, "HashedNets",
arXiv:1504.04788); the values begin as the means of the weights that share them, which alone is a
poor model, and are trained. Healing trains shared values in both: the gradient of a value is the
sum over its weights. The loader expands both to whole matrices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from upkeep.compression.decoder_parts import matrices_of
from upkeep.compression.healing import Heal, judge
from upkeep.compression.kmeans import codebook_of, nearest
from upkeep.compression.outcome import outcome
from upkeep.compression.shared_values import Shared, share_weight, unshare_weight
from upkeep.compression.texts import TextParams, texts_of
from upkeep.errors import ParamError
from upkeep.job_params import read_params
from upkeep.packed_weights import (
    Packed,
    hashed_places,
    pack_hashed,
    pack_palette,
    pack_sparse_palette,
    size_bytes,
)
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample

Pack = Callable[[Any], Packed]
Bits = Annotated[int, Field(ge=1, le=8)]


class PaletteParams(TextParams):
    """``bits`` an index in the blocks' matrices, ``embedding_bits`` in embeddings and last layer.

    ``group_rows`` rows share a codebook; None: the whole matrix, and a matrix that was pruned
    before keeps its zeros. ``embedding_bits`` None leaves
    embeddings and last layer as they are.
    """

    bits: Bits = 4
    embedding_bits: Bits | None = 8
    group_rows: Annotated[int, Field(ge=1, le=2**20)] | None = None
    heal: Heal | None = None


class HashedParams(TextParams):
    """``share`` times as many values as weights in the blocks' matrices; ``seed`` of the hash."""

    share: Annotated[float, Field(ge=1 / 512, lt=1.0)] = 0.25
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    heal: Heal = Heal()


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write ``champion`` with shared weights to ``out``; see ``Compress``.

    Raises:
        ParamError: unknown params, no texts where values are trained, or no matrix that becomes
            smaller.
        ArtifactError: the network is not built as a Llama is.
        JobFailed: healing diverged.

    """
    kind, plan = METHODS[method]
    settings = read_params(kind, method, params)
    started = time.perf_counter()
    model, tokenizer = load_model(champion)
    texts = texts_of(model, tokenizer, samples, settings)
    packed = palette_embeddings(model, settings) if method == "palette" else {}
    packers, before = {}, {}
    for name, module in matrices_of(model).items():
        weight = module.weight.detach()
        shared, packer = plan(weight, settings)
        if pays(packer(shared.values), weight):
            packers[name], before[name] = packer, weight.clone()
            share_weight(module, shared)
    if not packed and not packers:
        rule = "no candidate: no matrix is smaller in this form"
        raise ParamError(method, settings.model_dump(exclude={"heal"}), rule, "share more")
    losses, notes = judge(model, champion, texts, settings.heal)
    for name, packer in packers.items():
        packed[f"{name}.weight"] = packer(unshare_weight(model.get_submodule(name)))
    save_model(model, champion, out, packed)
    errors = [relative_error(w, model.get_submodule(name).weight) for name, w in before.items()]
    numbers, sizes = outcome(champion, out, started)
    worst = max(errors, default=0.0)
    said = f"{len(packed)} matrices packed, those of the blocks changed by at most {worst:.4f}"
    measured = {**numbers, **losses, "worst_relative_error": worst}
    return measured, (f"{method}: {said} of their norm", *sizes, *notes)


def palette_embeddings(model: Any, settings: PaletteParams) -> dict[str, Packed]:
    """Embeddings and last layer as palettes, in place; healing leaves them as they are."""
    found: dict[str, Packed] = {}
    if settings.embedding_bits is None:
        return found
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    for name, module in model.named_modules():
        if module in ends and f"{name}.weight" not in model.all_tied_weights_keys:
            chosen = settings.model_copy(update={"bits": settings.embedding_bits})
            shared, pack = plan_palette(module.weight.detach(), chosen)
            small = pack(shared.values)
            if pays(small, module.weight):
                module.weight.requires_grad_(requires_grad=False).copy_(shared.matrix)
                found[f"{name}.weight"] = small
    return found


def pays(packed: Packed, weight: Any) -> bool:
    """Whether a packed weight takes less room than the plain one."""
    return bool(size_bytes(packed) < weight.numel() * weight.element_size())


def plan_palette(weight: Any, settings: PaletteParams) -> tuple[Shared, Pack]:
    """The palette of a matrix [out, in], and what packs its values once they are trained."""
    import torch

    zeros = float((weight == 0).float().mean())
    if settings.group_rows is None and zeros * settings.bits > 1.0:
        return _plan_sparse(weight, settings.bits)
    rows, codes = min(settings.group_rows or len(weight), len(weight)), 2**settings.bits
    groups = weight.split(rows)
    books = torch.stack([codebook_of(group.flatten(), codes) for group in groups])
    places = [nearest(group, book) for group, book in zip(groups, books, strict=True)]
    indices = torch.cat(places)
    offset = torch.arange(len(weight))[:, None] // rows * codes

    def pack(values: Any) -> Packed:
        return pack_palette(values.view(books.shape), indices, settings.bits, rows)

    return Shared(books.flatten(), indices + offset), pack


def _plan_sparse(weight: Any, bits: int) -> tuple[Shared, Pack]:
    """Zeros stay zeros, at a bit each: the palette is of the other weights."""
    mask = weight != 0
    book = codebook_of(weight[mask], 2**bits)
    indices = nearest(weight, book)

    def pack(values: Any) -> Packed:
        return pack_sparse_palette(values, indices, mask, bits)

    return Shared(book, indices, mask.to(weight.dtype)), pack


def plan_hashed(weight: Any, settings: HashedParams) -> tuple[Shared, Pack]:
    """The hash of a matrix [out, in], its values the means of the weights that share them."""
    shape = tuple(weight.shape)
    count = max(1, round(weight.numel() * settings.share))
    index, sign = hashed_places(shape, count, settings.seed)
    flat = index.flatten()
    sums = weight.new_zeros(count).index_add_(0, flat, (weight * sign).flatten())
    values = sums / flat.bincount(minlength=count).clamp_min(1)

    def pack(trained: Any) -> Packed:
        return pack_hashed(trained, shape, settings.seed)

    return Shared(values, index, sign.to(weight.dtype)), pack


def relative_error(before: Any, after: Any) -> float:
    """||after - before|| / ||before|| in the Frobenius norm."""
    return float((after.detach() - before).norm() / before.norm())


METHODS: dict[str, tuple[type[Any], Callable[[Any, Any], tuple[Shared, Pack]]]] = {
    "hashed": (HashedParams, plan_hashed),
    "palette": (PaletteParams, plan_palette),
}
