"""As few bits as a loss allows: ``openvino-accuracy``.

Layers are ranked by how much they suffer from 4 bits (NNCF, from the calibration blocks), and the
largest share that keeps the loss gets 4 bits, the rest 8: bisection over shares, each tried in the
runtime that will serve it, on blocks that were held back from calibration. The rise of the loss is
paired a block; its upper 95 % bound, not its mean, must stay within ``max_loss_increase``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upkeep.compression.openvino_export import (
    Calibration,
    Exported,
    changed,
    read_both,
    write_graph,
)
from upkeep.compression.outcome import outcome
from upkeep.compression.quantization import Int4, Int8, to_int4, to_int8
from upkeep.compression.texts import TextParams
from upkeep.errors import ParamError
from upkeep.job_params import read_params
from upkeep.records import Sample
from upkeep.runtime import token_nll
from upkeep.runtime.openvino import Graph

SHARES = tuple(tenth / 10 for tenth in range(11))
"""Shares of layers in 4 bits that are tried; 0 is 8 bits everywhere."""

MIN_BLOCKS = 2
ONE_SIDED_95 = 1.645


class Accuracy(TextParams):
    """``max_loss_increase`` is in nats a token: 0.01 is 1 % of perplexity."""

    max_loss_increase: Annotated[float, Field(gt=0.0, le=10.0)] = 0.01
    sym: bool = False
    group_size: Literal[-1, 32, 64, 128, 256] = 64


class Tried(NamedTuple):
    """A share of 4-bit layers, its graph, and what the loss rose by: mean and upper bound, nats."""

    share: float
    exported: Exported
    increase: float
    upper: float


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Export ``champion`` to OpenVINO in as few bits as its loss allows; see ``Compress``.

    Raises:
        ParamError: a setting is not allowed, texts are too few, or 8 bits lose too much already.
        ArtifactError: the model cannot be exported.

    """
    settings = read_params(Accuracy, method, params)
    started = time.perf_counter()
    exported, texts = read_both(champion, Calibration(method, samples, settings))
    if len(texts.held_out) < MIN_BLOCKS:
        rule = f"leaves {len(texts.held_out)} blocks to judge by; {MIN_BLOCKS} are needed"
        raise ParamError(f"{method}.held_out_share", settings.held_out_share, rule, "raise it")
    exact = losses(exported, champion, texts.held_out)

    def attempt(share: float) -> Tried:
        made = changed(exported._replace(graph=exported.graph.clone()), _at(share, settings, texts))
        return _tried(share, made, losses(made, champion, texts.held_out) - exact)

    best = largest(attempt, settings.max_loss_increase, method)
    write_graph(best.exported, champion, out)
    numbers, sentences = outcome(champion, out, started)
    left = eight_bits(best.exported.graph)
    numbers |= {
        "loss_before_nats": float(exact.mean()),
        "loss_after_nats": float(exact.mean()) + best.increase,
        "loss_increase_upper_nats": best.upper,
        "share_4_bits": best.share,
        "layers_8_bits": float(len(left)),
    }
    said = (
        f"{method}: {best.share:.0%} of the layers' weights in 4 bits; on {len(exact)} blocks held"
        f" back the loss rose by {best.increase:+.4f} nats a token, at most {best.upper:+.4f} with"
        f" 95 % confidence, {settings.max_loss_increase} allowed"
    )
    return numbers, (
        said,
        f"left at 8 bits: {', '.join(left) or 'nothing'}",
        *sentences,
    )


def largest(attempt: Callable[[float], Tried], allowed: float, method: str) -> Tried:
    """The try with the largest share whose upper bound is within ``allowed``, by bisection.

    Raises:
        ParamError: there is none.

    """
    whole = attempt(SHARES[-1])
    if whole.upper <= allowed:
        return whole
    best = attempt(SHARES[0])
    if not best.upper <= allowed:
        rule = f"no candidate, because 8 bits everywhere may raise it by {best.upper:.4f} already"
        fix = f"allow {best.upper:.4f}, or take openvino-fp16"
        raise ParamError(f"{method}.max_loss_increase", allowed, rule, fix)
    low, high = 0, len(SHARES) - 1
    while high - low > 1:
        middle = (low + high) // 2
        found = attempt(SHARES[middle])
        if found.upper <= allowed:
            low, best = middle, found
        else:
            high = middle
    return best


def losses(exported: Exported, champion: Path, blocks: Any) -> NDArray[np.float64]:
    """Loss of each of ``blocks`` [blocks, tokens], nats a token, in the runtime that serves it."""
    rows = np.asarray(blocks, dtype=np.int64)
    with tempfile.TemporaryDirectory(prefix="upkeep-accuracy-") as folder:
        write_graph(exported, champion, Path(folder))
        graph = Graph(Path(folder), len(os.sched_getaffinity(0)))
        found = [token_nll(graph.logits(row[None, :-1]), row[None, 1:]).mean() for row in rows]
    return np.asarray(found, dtype=np.float64)


def eight_bits(graph: Any) -> list[str]:
    """Names of the weights that hold 8-bit numbers, sorted."""
    return sorted(
        node.get_friendly_name().removeprefix("self.")
        for node in graph.get_ops()
        if node.get_type_name() == "Constant"
        and node.get_element_type().get_type_name() in {"i8", "u8"}
        and "zero_point" not in node.get_friendly_name()
        and len(node.get_output_shape(0)) > 1
    )


def _at(share: float, settings: Accuracy, texts: Any) -> Callable[[Exported], Any]:
    if share == 0.0:
        return lambda exported: to_int8(exported, Int8(sym=settings.sym))
    four = Int4(ratio=share, sym=settings.sym, group_size=settings.group_size)
    return lambda exported: to_int4(exported, four, texts.calibration)


def _tried(share: float, exported: Exported, rises: NDArray[np.float64]) -> Tried:
    error = float(rises.std(ddof=1)) / len(rises) ** 0.5
    mean = float(rises.mean())
    return Tried(share, exported, mean, mean + ONE_SIDED_95 * error)
