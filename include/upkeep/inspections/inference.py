"""Inference code: where a request's time goes, and whether memory grows with every request.

Operators are torch's own profiler's, over whole generations, each with the time spent in itself.
Memory is the process's resident set after each generation; its growth a request is the
Theil-Sen slope with its 95 % interval (Sen 1968). The same few prompts come again and again, and
the first third of the generations is left out: pools and what is compiled for a length of input
are filled then, and what still grows is kept between requests.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from upkeep.inspections import Found, Material, finder
from upkeep.records import ReviewFinding, Uninspected
from upkeep.runtime import Runtime

PROMPTS = 3
"""So many, of different lengths; each is profiled once."""

MOST_NAMED = 8
LEAK_SHARE_PER_1K = 0.01
"""Of the job's memory, in 1,000 requests: what drift calls a growth of memory too."""

COPIES_SHARE = 0.3
OVERHEAD_SHARE = 0.5
SMALL_BYTES = 64 * 2**20
"""Weights of a model so small that Python and dispatch take most of the time in any framework."""

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::baddbmm", "attention")
COPIES = (
    *("aten::copy_", "aten::_to_copy", "aten::clone", "aten::contiguous", "aten::cat"),
    *("aten::item", "aten::_local_scalar_dense", "Memcpy"),
)
MIB = 2**20
_find = finder("inference")


class Operator(NamedTuple):
    """Time spent in an operator itself, in ms, and how often it was called."""

    name: str
    self_ms: float
    calls: int


class Growth(NamedTuple):
    """Growth of memory in bytes a request, with its 95 % interval, over ``n`` requests."""

    slope: float
    low: float
    high: float
    n: int


def review(material: Material) -> Sequence[Found]:
    """Operators and memory of the champion as it serves, on production's prompts."""
    prompts = _prompts(material)
    if not prompts:
        words = "production's texts hold no prompt"
        return [Uninspected(area="inference", what="requests", words=words)]
    runtime, tokens = material.runtime, material.params.new_tokens
    ask = _asker(runtime, prompts, min(tokens, runtime.context_tokens - 1))
    ask(0)  # the first one loads kernels
    found: list[Found] = []
    if runtime.format == "safetensors":
        found += _time(profile(ask), material.job.source.folder.size_bytes)
    else:
        words = f"torch's profiler sees nothing of {runtime.format}"
        found.append(Uninspected(area="inference", what="operators", words=words))
    memory = resident_bytes(ask, material.params.generations)
    return [*found, _memory(growth(memory), memory, material.job.resources.memory_gib)]


def _prompts(material: Material) -> list[str]:
    """The prompts at the middles of three equal parts, by length."""
    samples = [*material.served, *material.evaluation]
    found = sorted({s.prompt for s in samples if s.prompt.strip()}, key=lambda p: (len(p), p))
    return [
        found[(2 * i + 1) * len(found) // (2 * PROMPTS)] for i in range(PROMPTS if found else 0)
    ]


def _asker(runtime: Runtime, prompts: Sequence[str], tokens: int) -> Callable[[int], None]:
    """Ask for a continuation of the prompt whose turn it is."""

    def ask(turn: int) -> None:
        runtime.generate(prompts[turn % len(prompts)], tokens, ignore_end=True)

    return ask


# ---------------------------------------------------------------- time


def profile(ask: Callable[[int], None]) -> list[Operator]:
    """The operators of some generations, the dearest first."""
    import torch
    from torch.profiler import ProfilerActivity

    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        for turn in range(PROMPTS):
            ask(turn)
    on_device = torch.cuda.is_available()
    rows = [
        Operator(e.key, _self_us(e, on_device=on_device) / 1e3, int(e.count))
        for e in profiler.key_averages()
    ]
    return sorted((r for r in rows if r.self_ms > 0.0), key=lambda r: (-r.self_ms, r.name))


def _self_us(event: object, *, on_device: bool) -> float:
    name = "self_device_time_total" if on_device else "self_cpu_time_total"
    return float(getattr(event, name))


def _time(operators: Sequence[Operator], size_bytes: int) -> Iterator[ReviewFinding]:
    total = sum(op.self_ms for op in operators)
    products = _share(operators, PRODUCTS, total)
    copied = _share(operators, COPIES, total)
    top = operators[:MOST_NAMED]
    named = ", ".join(f"{op.name} {op.self_ms / total:.0%}" for op in top)
    evidence: dict[str, float | str] = {
        "operators_ms": total,
        "products_share": products,
        "copies_share": copied,
        **{f"share[{op.name}]": op.self_ms / total for op in top},
        **{f"calls[{op.name}]": float(op.calls) for op in top},
    }
    yield _find(
        "top-operators",
        "note",
        f"of the operators' time over {PROMPTS} generations: {named}",
        evidence,
        "none by itself: it says where time goes",
        because="it is an inventory",
    )
    small = size_bytes < SMALL_BYTES
    why_small = f"the model has {size_bytes / MIB:.1f} MiB: calls, not work, take its time"
    if copied > COPIES_SHARE:
        yield _find(
            "copies",
            "note" if small else "advice",
            f"{copied:.0%} of the operators' time goes into copies and changes of type",
            {"copies_share": copied, "operators_ms": total},
            f"up to {1 / (1 - copied):.1f} times the speed",
            action=None
            if small
            else "keep weights, cache and inputs in one number type on one device, and give the "
            "cache its full length from the start",
            because=why_small if small else None,
        )
    if products < OVERHEAD_SHARE:
        yield _find(
            "overhead",
            "note" if small else "advice",
            f"{products:.0%} of the operators' time are products of matrices and attention: the "
            "rest is what a compiled graph fuses",
            {"products_share": products, "size_bytes": float(size_bytes)},
            f"up to {1 / products:.1f} times the speed" if products else "not known",
            action=None if small else "serve a compiled graph: compress to openvino or onnx",
            because=why_small if small else None,
        )


def _share(operators: Sequence[Operator], names: Sequence[str], total: float) -> float:
    chosen = (op.self_ms for op in operators if any(name in op.name for name in names))
    return sum(chosen) / total if total else 0.0


# ---------------------------------------------------------------- memory


def resident_bytes(ask: Callable[[int], None], generations: int) -> list[int]:
    """Resident memory of this process after each generation, what is garbage freed."""
    import psutil

    process, seen = psutil.Process(), []
    gc.collect()
    gc.freeze()  # what was there before is not looked at again and again
    try:
        for turn in range(generations):
            ask(turn)
            gc.collect()
            seen.append(int(process.memory_info().rss))
    finally:
        gc.unfreeze()
    return seen


def growth(memory: Sequence[int]) -> Growth:
    """Growth in bytes a request, from the resident memory after each of at least 12 requests."""
    from scipy.stats import theilslopes

    kept = list(memory[len(memory) // 3 :])
    found = theilslopes(kept, range(len(kept)), 0.95)
    return Growth(float(found.slope), float(found.low_slope), float(found.high_slope), len(kept))


def _memory(found: Growth, memory: Sequence[int], memory_gib: float) -> ReviewFinding:
    limit = memory_gib * 2**30
    share = found.low * 1e3 / limit
    leaks = share > LEAK_SHARE_PER_1K
    left = limit - memory[-1]
    evidence: dict[str, float | str] = {
        "growth_bytes_per_request": found.slope,
        "growth_bytes_per_request_low": found.low,
        "growth_bytes_per_request_high": found.high,
        "requests": float(found.n),
        "resident_bytes": float(memory[-1]),
        "memory_bytes": limit,
    }
    grew = (
        f"memory grows by {found.slope / 1024:,.1f} KiB a request ({found.low / 1024:,.1f} to "
        f"{found.high / 1024:,.1f}) over {found.n} requests"
    )
    if not leaks:
        return _find(
            "memory-growth",
            "note",
            f"{grew}: no leak that matters is shown",
            evidence,
            "none",
            because=f"1,000 requests surely take less than {LEAK_SHARE_PER_1K:.0%} of the memory",
        )
    if left > 0:
        evidence["requests_until_full"] = left / found.slope
    return _find(
        "memory-growth",
        "warning",
        grew,
        evidence,
        f"the process is not killed after about {max(0.0, left) / found.slope:,.0f} requests",
        action="look for what is kept between requests (caches by prompt, lists of answers); "
        "until it is found, start the server anew in time",
    )
