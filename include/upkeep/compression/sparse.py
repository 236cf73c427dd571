"""Single weights set to zero: ``prune-magnitude``, ``prune-wanda``, ``prune-sparsegpt``.

All matrices of the decoder's blocks get the same share of zeros, or a pattern of n in m.
Magnitude: the smallest |W| go (Han et al. 2015, arXiv:1506.02626; PyTorch's own
``nn.utils.prune``). Wanda: the smallest |W_ij| ||X_j||_2 of each row go (Sun et al. 2023,
arXiv:2306.11695). SparseGPT: see :mod:`upkeep.compression.sparsegpt`. The last two look at
calibration texts, block after block on the pruned ones before. Zeros are stored as a bit each:
the file is smaller, the expanded matrix is not faster. Healing holds the zeros.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upkeep.compression.activations import walk_blocks
from upkeep.compression.decoder_parts import linears_of, matrices_of
from upkeep.compression.healing import Heal, judge
from upkeep.compression.masks import Sparsity, keep_largest
from upkeep.compression.outcome import outcome
from upkeep.compression.sparsegpt import sparsegpt
from upkeep.compression.texts import TextParams, Texts, need_texts, texts_of
from upkeep.job_params import read_params
from upkeep.packed_weights import Packed, pack_sparse
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample


class Sparse(Sparsity, TextParams):
    """How much goes, what it is calibrated on, and the fine-tune after it, if any."""

    heal: Heal | None = None


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write ``champion`` with zeros to ``out``; see ``Compress``.

    Raises:
        ParamError: unknown params, or no texts where the method or the healing needs them.
        ArtifactError: the network is not built as a Llama is, or a pattern does not fit it.
        JobFailed: healing diverged.

    """
    settings = read_params(Sparse, method, params)
    started = time.perf_counter()
    model, tokenizer = load_model(champion)
    texts = texts_of(model, tokenizer, samples, settings)
    if method == "prune-magnitude":
        prune_by_magnitude(model, settings)
    else:
        prune_by_activation(model, need_texts(texts, method), method, settings)
    hold_zeros(model)
    losses, notes = judge(model, champion, texts, settings.heal)
    release_zeros(model)
    packed = {f"{name}.weight": pack_sparse(m.weight) for name, m in matrices_of(model).items()}
    save_model(model, champion, out, packed)
    numbers, sizes = outcome(champion, out, started)
    shares, said = _zeros(packed)
    return {**numbers, **losses, **shares}, (
        f"{method}: {settings.pattern}, {said}",
        *sizes,
        *notes,
    )


def prune_by_magnitude(model: Any, settings: Sparsity) -> None:
    """Set the smallest weights of each matrix to zero, in place."""
    from torch.nn.utils import prune

    for name, linear in matrices_of(model).items():
        if settings.pattern == "unstructured":
            prune.l1_unstructured(linear, "weight", amount=settings.share)
        else:
            mask = keep_largest(linear.weight.detach().abs(), settings, name)
            prune.custom_from_mask(linear, "weight", mask)
        prune.remove(linear, "weight")


def prune_by_activation(model: Any, texts: Texts, method: str, settings: Sparsity) -> None:
    """Prune each block in place by what its matrices see of the texts."""

    def visit(number: int, block: Any, grams: dict[str, Any], _: float) -> None:
        for name, linear in linears_of(block).items():
            place, weight = f"block {number}: {name}", linear.weight.detach()
            if method == "prune-wanda":
                scores = weight.abs() * grams[name].diagonal().sqrt().float()
                pruned = weight * keep_largest(scores, settings, place)
            else:
                pruned = sparsegpt(weight, grams[name], settings, place)
            linear.weight.data.copy_(pruned)

    walk_blocks(model, texts.calibration, visit)


def hold_zeros(model: Any) -> None:
    """Keep every weight that is zero at zero while the model is trained."""
    from torch.nn.utils import prune

    for linear in matrices_of(model).values():
        prune.custom_from_mask(linear, "weight", (linear.weight != 0).float())


def release_zeros(model: Any) -> None:
    """Make plain weights of the held ones."""
    from torch.nn.utils import prune

    for linear in matrices_of(model).values():
        prune.remove(linear, "weight")


def _zeros(packed: Mapping[str, Packed]) -> tuple[dict[str, float], str]:
    shares = {n: 1.0 - len(p.parts["values"]) / p.form.count for n, p in packed.items()}
    count = sum(p.form.count for p in packed.values())
    whole = sum(shares[name] * p.form.count for name, p in packed.items()) / count
    found = {
        "sparsity": whole,
        "least_sparsity": min(shares.values()),
        "most_sparsity": max(shares.values()),
    }
    return found, f"{whole:.1%} of {count} weights in {len(packed)} matrices are zero"
