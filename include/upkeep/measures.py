"""The names of measures: which family each belongs to, and how a slice is written.

``perplexity[editor]`` is the perplexity of the slice ``editor``; ``share[editor]`` is that
slice's share of the day's requests.
"""

from __future__ import annotations

from typing import Literal

Family = Literal["quality", "latency", "traffic", "cost", "price", "errors"]

SHARE = "share"
OPERATIONAL: dict[str, Family] = {
    "requests": "traffic",
    "prompt_chars_mean": "traffic",
    SHARE: "traffic",
    "latency_p95_ms": "latency",
    "ttft_p95_ms": "latency",
    "tokens_out_per_s": "latency",
    "cost_usd_per_1k": "cost",
    "price_usd_per_hour": "price",
    "error_rate": "errors",
}


def split(name: str) -> tuple[str, str | None]:
    """``"perplexity[editor]"`` -> ``("perplexity", "editor")``; no slice gives None."""
    if not name.endswith("]") or "[" not in name:
        return name, None
    parent, _, slice_ = name[:-1].partition("[")
    return parent, slice_


def sliced(parent: str, slice_: str) -> str:
    """The name of a measure on one slice."""
    return f"{parent}[{slice_}]"


def family(name: str) -> Family:
    """The family of a measure or of its slice; what is not operational is quality.

    >>> family("perplexity[editor]"), family("ttft_p95_ms")
    ('quality', 'latency')
    """
    return OPERATIONAL.get(split(name)[0], "quality")
