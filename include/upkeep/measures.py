"""The names of measures: which family each belongs to, and how a slice is written.

``perplexity[editor]`` is the perplexity of the slice ``editor``; ``share[editor]`` is that
slice's share of the day's requests.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

from upkeep.records import Direction

MeasureName = Literal[
    "bits_per_byte",
    "bleu",
    "chrf",
    "clip_score",
    "distinct_2",
    "fid",
    "image_vendi",
    "inception_score",
    "kid",
    "perplexity",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "rouge_lsum",
    "self_bleu",
    "text_vendi",
]
"""What ``quality.measures`` of a model's file may name."""

SliceBy = Literal["length", "script"]
"""What ``quality.slice_by`` may name."""

LOWER_IS_BETTER = frozenset({"bits_per_byte", "fid", "kid", "perplexity", "self_bleu"})
OF_IMAGES = frozenset({"clip_score", "fid", "image_vendi", "inception_score", "kid"})
HUMAN = "human"
LIBRARIES = ("version", "rouge-score", "torchmetrics", "transformers")
INCIDENTAL = frozenset({"precision", *LIBRARIES, "bs", "seed", "interval"})

Family = Literal["quality", "people", "latency", "traffic", "cost", "price", "errors", "resources"]

SHARE = "share"
OPERATIONAL: dict[str, Family] = {
    "requests": "traffic",
    "prompt_chars_mean": "traffic",
    "prompt_mmd": "traffic",
    "tokens_in_mean": "traffic",
    "tokens_out_mean": "traffic",
    SHARE: "traffic",
    "latency_p95_ms": "latency",
    "ttft_p95_ms": "latency",
    "tokens_out_per_s": "latency",
    "ms_per_token_out": "latency",
    "cost_usd_per_1k": "cost",
    "price_usd_per_hour": "price",
    "error_rate": "errors",
    "generation_error_rate": "errors",
    "api_error_rate": "errors",
    "gpu_share": "resources",
    "cpu_share": "resources",
    "gpu_memory_share_high": "resources",
    "host_memory_share_high": "resources",
    "network_bytes_per_s": "resources",
    "gpu_memory_growth_per_1k": "resources",
    "host_memory_growth_per_1k": "resources",
}


@lru_cache(maxsize=4096)
def split(name: str) -> tuple[str, str | None]:
    """``"perplexity[editor]"`` -> ``("perplexity", "editor")``; no slice gives None."""
    if not name.endswith("]") or "[" not in name:
        return name, None
    parent, _, slice_ = name[:-1].partition("[")
    return parent, slice_


def sliced(parent: str, slice_: str) -> str:
    """The name of a measure on one slice."""
    return f"{parent}[{slice_}]"


@lru_cache(maxsize=4096)
def family(name: str) -> Family:
    """The family of a measure or of its slice; what is neither operational nor people's is quality.

    >>> family("perplexity[editor]"), family("ttft_p95_ms")
    ('quality', 'latency')
    """
    parent, _ = split(name)
    if parent.startswith(f"{HUMAN}_"):
        return "people"
    return OPERATIONAL.get(parent, "quality")


def better(name: str) -> Direction:
    """Which way a quality measure is better."""
    return "lower_is_better" if name in LOWER_IS_BETTER else "higher_is_better"


def of_modality(modality: Literal["text", "image"]) -> tuple[str, ...]:
    """The quality measures that a model of this modality can have, sorted."""
    return tuple(n for n in get_args(MeasureName) if (n in OF_IMAGES) == (modality == "image"))


def comparable(signature: str) -> str:
    """The part of a measure's signature that two scores must share to be compared.

    Left out are the precision (a compressed model is measured against the same history), the
    versions of libraries, and what only the interval depends on.

    >>> comparable("unit:token|tokenizer:0a1b|precision:weights i8|bs:1000")
    'unit:token|tokenizer:0a1b'
    """
    return "|".join(p for p in signature.split("|") if p.partition(":")[0] not in INCIDENTAL)
