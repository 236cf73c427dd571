"""Weights in 16 bits in the files: ``safetensors-bf16`` and ``safetensors-fp16``.

Rounding to nearest. bf16 keeps the range of 32-bit floats and 8 bits of precision, fp16 keeps 11
bits and ends at 65504 (Kalamkar et al. 2019, arXiv:1905.12322). The runtime expands them again
and computes in 32 bits, so that files and memory on the way are halved and nothing is faster.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upkeep.compression.outcome import outcome
from upkeep.errors import ArtifactError
from upkeep.job_params import JobParams, read_params
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample

TYPES = {"safetensors-bf16": "bfloat16", "safetensors-fp16": "float16"}


class Half(JobParams):
    """Nothing to set."""


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write ``champion``'s weights in 16 bits; ``samples`` are not used; see ``Compress``.

    Raises:
        ParamError: a setting is given.
        ArtifactError: a weight is too large for 16 bits.

    """
    del samples
    read_params(Half, method, params)
    import torch

    started = time.perf_counter()
    model, _ = load_model(champion)
    worst = _rounded(model, getattr(torch, TYPES[method]))
    save_model(model, champion, out)
    numbers, sentences = outcome(champion, out, started)
    said = (
        f"{method}: rounded to nearest, worst change of a weight {worst:.2g}; computed in 32 bits"
    )
    return numbers | {"worst_weight_change": worst}, (said, *sentences)


def _rounded(model: Any, kind: Any) -> float:
    """Round the weights in place; the largest change of one."""
    worst = 0.0
    for name, weight in model.named_parameters():
        rounded = weight.detach().to(kind)
        if not bool(rounded.isfinite().all()):
            value = float(weight.detach().abs().max())
            rule, fix = f"is beyond what {kind} holds", "take safetensors-bf16"
            raise ArtifactError(name, value, rule, fix)
        worst = max(worst, float((rounded.float() - weight.detach()).abs().max()))
    model.to(kind)
    return worst
