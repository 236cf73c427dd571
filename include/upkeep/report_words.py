"""Numbers and names as people read them, the same in the note, the page and the charts. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from upkeep.records import DriftResult, Interval

STATES = ("drifted", "unknown", "watch", "improved", "stable")
FIGURES = 3
SMALLEST_EXPONENT = -4
LABELS = {
    "requests": "Requests",
    "error_rate": "Error rate",
    "latency_p95_ms": "Latency p95, ms",
    "ttft_p95_ms": "Time to first token p95, ms",
    "tokens_out_per_s": "Tokens out per second",
    "cost_usd_per_1k": "Cost per 1,000, USD",
    "price_usd_per_hour": "Machine, USD per hour",
    "prompt_chars_mean": "Prompt length, characters",
    "prompt_mmd": "Prompts unlike the reference, MMD squared",
    "tokens_in_mean": "Tokens in per request",
    "tokens_out_mean": "Tokens out per request",
    "ms_per_token_out": "Milliseconds per token out",
    "generation_error_rate": "Generation errors",
    "api_error_rate": "API errors",
    "gpu_share": "GPU in use",
    "cpu_share": "CPU in use",
    "gpu_memory_share_high": "GPU memory, highest",
    "host_memory_share_high": "Host memory, highest",
    "network_bytes_per_s": "Network, bytes per second",
    "gpu_memory_growth_per_1k": "GPU memory growth per 1,000 requests",
    "host_memory_growth_per_1k": "Host memory growth per 1,000 requests",
    "perplexity": "Perplexity",
    "bits_per_byte": "Bits per byte",
    "bleu": "BLEU",
    "chrf": "chrF",
    "clip_score": "CLIP score",
    "distinct_2": "Distinct bigrams",
    "fid": "FID",
    "human_coherence": "People: coherence",
    "human_diversity": "People: diversity",
    "human_realism": "People: realism",
    "human_relevance": "People: relevance",
    "image_vendi": "Different images (Vendi)",
    "inception_score": "Inception score",
    "kid": "KID",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "rouge_lsum": "ROUGE-Lsum",
    "self_bleu": "Self-BLEU",
    "text_vendi": "Different texts (Vendi)",
    "share": "Share of requests",
}
SHARES = (
    *("error_rate", "generation_error_rate", "api_error_rate", "share"),
    *("gpu_share", "cpu_share", "gpu_memory_share_high", "host_memory_share_high"),
    *("gpu_memory_growth_per_1k", "host_memory_growth_per_1k"),
)


def label(measure: str) -> str:
    """A measure's name for people; an unknown one keeps its own."""
    parent, bracket, rest = measure.partition("[")
    name = LABELS.get(parent, parent)
    return f"{name} [{rest}" if bracket else name


def is_share(measure: str) -> bool:
    """Whether a measure is a share of something, which people read in per cent."""
    return measure.partition("[")[0] in SHARES


def measured(measure: str, value: float | None) -> str:
    """A measure's value: shares in per cent, everything else as a number."""
    if value is None or not is_share(measure):
        return number(value)
    return f"{100 * value:.3g}%"


def number(value: float | None) -> str:
    """A number as people read it: three figures, thousands separated.

    >>> number(12345.678), number(0.04321), number(None)
    ('12,346', '0.0432', 'not known')
    """
    if value is None:
        return "not known"
    if value == int(value):
        return f"{int(value):,}"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < SMALLEST_EXPONENT:
        return f"{value:.2g}"
    return f"{value:,.{max(0, FIGURES - 1 - exponent)}f}"


def change(result: DriftResult) -> str:
    """The effect as people read it: per cent of the baseline, or the measure's unit."""
    if result.effect is None:
        return "not known"
    if result.tolerance_kind == "relative":
        return f"{result.effect:+.1%}"
    if is_share(result.measure):
        return f"{100 * result.effect:+.3g} points"
    return f"{'+' if result.effect >= 0 else ''}{number(result.effect)}"


def tolerance(result: DriftResult) -> str:
    """The tolerance in the same unit as :func:`change`."""
    if result.tolerance_kind == "relative":
        return f"{result.tolerance:.0%}"
    if is_share(result.measure):
        return f"{100 * result.tolerance:g} points"
    return number(result.tolerance)


def by_urgency(results: Iterable[DriftResult]) -> list[DriftResult]:
    """What drifted first, harm before mere facts, slices after the whole."""

    def place(result: DriftResult) -> tuple[int, bool, bool]:
        return STATES.index(result.state), result.direction == "neither", "[" in result.measure

    return sorted(results, key=place)


def state_of(result: DriftResult) -> str:
    """The state in a word; a fact that has no worse is no alarm when it changed."""
    changed = result.direction == "neither" and result.state == "drifted"
    return "changed" if changed else result.state


def effect_words(effect: float | None, interval: Interval | None) -> str:
    """An effect with its interval."""
    if interval is None:
        return number(effect)
    return f"{number(effect)} ({number(interval.low)} to {number(interval.high)})"
