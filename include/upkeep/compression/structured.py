"""Whole parts taken out: ``prune-heads``, ``prune-mlp``, ``prune-layers``. Smaller and faster.

Heads go as whole key-value groups (Ainslie et al. 2023, arXiv:2305.13245), neurons of the MLP one
by one, equally many in each layer: those that add least to the residual stream on calibration
texts (:mod:`upkeep.compression.importance`). Layers go by block influence, the least first (Men
et al. 2024, "ShortGPT", arXiv:2403.03853). The result is a plain, smaller network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from upkeep.compression.activations import walk_blocks
from upkeep.compression.decoder_parts import HEADS, MLP, plain_parts
from upkeep.compression.healing import Heal, judge
from upkeep.compression.importance import group_scores, highest, neuron_scores
from upkeep.compression.outcome import outcome, parameters
from upkeep.compression.shrinking import keep_groups, keep_layers, keep_neurons, layer_count
from upkeep.compression.texts import TextParams, Texts, need_texts, texts_of
from upkeep.errors import ParamError
from upkeep.job_params import read_params
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample

OUTPUTS = {"prune-heads": "self_attn.o_proj", "prune-mlp": "mlp.down_proj"}

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class PruneHeads(TextParams):
    """``share`` of each layer's key-value groups goes, each with its queries."""

    share: Share
    heal: Heal | None = None


class PruneMlp(TextParams):
    """``share`` of each layer's neurons goes; what stays is rounded up to ``multiple_of``."""

    share: Share
    multiple_of: Annotated[int, Field(ge=1, le=1024)] = 8
    heal: Heal | None = None


class PruneLayers(TextParams):
    """So many ``layers`` go."""

    layers: Annotated[int, Field(ge=1, le=10_000)]
    heal: Heal | None = None


@dataclass
class Look:
    """What calibration tells: each layer's influence, and the scores of its parts."""

    influence: list[float] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write ``champion`` without its least parts to ``out``; see ``Compress``.

    Raises:
        ParamError: unknown params, no texts, or a share that leaves all, nothing, or a number of
            heads that the architecture does not take.
        ArtifactError: the network is not built as a Llama is.
        JobFailed: healing diverged.

    """
    kind, shrink = METHODS[method]
    settings = read_params(kind, method, params)
    started = time.perf_counter()
    model, tokenizer = load_model(champion)
    texts = need_texts(texts_of(model, tokenizer, samples, settings), method)
    smaller, said = shrink(model, texts, settings)
    counts = parameters(model, smaller)
    losses, notes = judge(smaller, champion, texts, settings.heal)
    save_model(smaller, champion, out)
    numbers, sizes = outcome(champion, out, started)
    return {**numbers, **counts, **losses}, (f"{method}: {said}", *sizes, *notes)


def influences(model: Any, texts: Texts) -> list[float]:
    """Each layer's 1 - mean cosine of a token's vector before and after it."""
    return look(model, texts, "").influence


def least_influence(model: Any, texts: Texts, count: int) -> tuple[list[int], list[float]]:
    """The ``count`` layers of least influence, and the influence of every layer."""
    found = influences(model, texts)
    return highest([-one for one in found], count), found


def look(model: Any, texts: Texts, method: str) -> Look:
    """Walk the calibration texts; scores are for the parts that ``method`` takes out."""
    found = Look()
    groups = model.config.num_key_value_heads

    def visit(_: int, block: Any, grams: dict[str, Any], influence: float) -> None:
        found.influence.append(influence)
        name = OUTPUTS.get(method)
        if name is not None:
            weight, gram = block.get_submodule(name).weight, grams[name]
            heads = method == "prune-heads"
            scores = group_scores(weight, gram, groups) if heads else neuron_scores(weight, gram)
            found.scores.append(scores)

    walk_blocks(model, texts.calibration, visit, only=OUTPUTS.get(method, ""))
    return found


def prune_heads(model: Any, texts: Texts, settings: PruneHeads) -> tuple[Any, str]:
    """Take the least key-value groups out of each layer."""
    list(plain_parts(model, HEADS))
    config = model.config
    groups = config.num_key_value_heads
    queries = config.num_attention_heads // groups
    keep = groups - round(groups * settings.share)
    fit = [n for n in range(1, groups) if config.hidden_size % (n * queries) == 0]
    if keep not in fit:
        allowed = sorted(round(1.0 - n / groups, 4) for n in fit)
        rule = f"keeps {keep} of {groups} groups; shares that the architecture takes are {allowed}"
        raise ParamError("prune-heads.share", settings.share, rule, "take one of them")
    kept = [highest(scores, keep) for scores in look(model, texts, "prune-heads").scores]
    said = f"{keep} of {groups} key-value groups stay in each layer, with {queries} queries each"
    return keep_groups(model, kept), said


def prune_mlp(model: Any, texts: Texts, settings: PruneMlp) -> tuple[Any, str]:
    """Take the least neurons out of each layer's MLP."""
    list(plain_parts(model, MLP))
    width, step = model.config.intermediate_size, settings.multiple_of
    keep = -(-round(width * (1.0 - settings.share)) // step) * step
    if not 1 <= keep < width:
        rule = f"keeps {keep} of {width} neurons, in steps of {step}"
        raise ParamError("prune-mlp.share", settings.share, rule, "take out more, in smaller steps")
    kept = [highest(scores, keep) for scores in look(model, texts, "prune-mlp").scores]
    return keep_neurons(model, kept), f"{keep} of {width} neurons stay in each layer"


def prune_layers(model: Any, texts: Texts, settings: PruneLayers) -> tuple[Any, str]:
    """Take the layers of least influence out."""
    count = layer_count(model)
    if settings.layers >= count:
        rule = f"must be less than the model's {count} layers"
        raise ParamError("prune-layers.layers", settings.layers, rule, "take out fewer")
    gone, found = least_influence(model, texts, settings.layers)
    said = ", ".join(f"{n} ({found[n]:.4f})" for n in gone)
    kept = [n for n in range(count) if n not in gone]
    return keep_layers(model, kept), f"out of {count} layers, by block influence, went {said}"


METHODS: dict[str, tuple[type[Any], Callable[[Any, Texts, Any], tuple[Any, str]]]] = {
    "prune-heads": (PruneHeads, prune_heads),
    "prune-layers": (PruneLayers, prune_layers),
    "prune-mlp": (PruneMlp, prune_mlp),
}
