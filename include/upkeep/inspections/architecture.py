"""Architecture: where the parameters and the arithmetic are, and which blocks do next to nothing.

A block is redundant where leaving it out costs nothing that can be measured: production's
perplexity without it is, with 95 % confidence, at most ``TOLERATED`` higher. Only blocks of low
influence (:mod:`upkeep.block_influence`) are tried. FLOPs are counted by torch's own counter over
one text, two a multiplication and addition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from upkeep.block_influence import BlockInfluence, block_influence, blocks_of, skipped
from upkeep.errors import ArtifactError
from upkeep.inspections import Found, Material, finder
from upkeep.pretrained import load_model
from upkeep.records import ReviewFinding, Uninspected
from upkeep.stats import Estimate, paired_ratio_interval

LOW_INFLUENCE = 0.1
"""Above, a block turns every hidden state by more than 25 degrees: nobody drops that unhealed."""

TOLERATED = 0.01
"""Of the perplexity: a difference that no reader notices and that the gate lets pass."""

MOST_TRIED = 8
PARTS = ("embedding", "attention", "mlp", "head", "other")

_find = finder("architecture")


class _Text(NamedTuple):
    """Texts as rows of token ids [2 or more], and the model's loss on each, in nats."""

    rows: tuple[tuple[int, ...], ...]
    nats: tuple[float, ...]
    tokens: tuple[float, ...]


class _Part(NamedTuple):
    """A share of the model: parameters, and FLOPs a token."""

    parameters: int
    flops: float


def review(material: Material) -> Sequence[Found]:
    """Parts, and blocks that do next to nothing, on production's held-out texts."""
    network = material.network()
    if network is None:
        words = "the champion has no safetensors form, nor has any version that it was made from"
        return [Uninspected(area="architecture", what="network", words=words)]
    folder, version = network
    model, tokenizer = load_model(folder)
    model.eval()
    rows = _rows(material, tokenizer, model.config)
    if not rows:
        words = "production's held-out texts have no two tokens"
        return [Uninspected(area="architecture", what="blocks", words=words)]
    parts = _parts(model, rows[0])
    found: list[Found] = [_inventory(parts, version)]
    try:
        blocks = block_influence(model, rows)
    except ArtifactError as error:
        return [*found, Uninspected(area="architecture", what="blocks", words=str(error))]
    return [*found, *_blocks(model, _Text(rows, *_losses(model, rows)), blocks, parts)]


def _rows(material: Material, tokenizer: Any, config: Any) -> tuple[tuple[int, ...], ...]:
    """The first texts by id, each of at most ``tokens`` tokens and of the model's context."""
    most = min(material.params.tokens, int(config.max_position_embeddings))
    samples = sorted(material.evaluation, key=lambda s: s.id)[: material.params.texts]
    texts = [sample.text.encode("utf-8", "replace").decode() for sample in samples]
    rows = (tuple(e.ids[:most]) for e in tokenizer.encode_batch(texts, add_special_tokens=False))
    return tuple(row for row in rows if len(row) > 1)


# ---------------------------------------------------------------- parts


def _parts(model: Any, row: Sequence[int]) -> dict[str, _Part]:
    """Parameters (each once, where it is shared) and FLOPs a token of each part."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # The counter knows no CPU kernel of fused attention; written out it is two products.
    written_out, counter = sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False)
    with written_out, torch.inference_mode(), counter:
        model(input_ids=torch.tensor([list(row)]), use_cache=False)
    counts = counter.get_flop_counts()
    total = sum(counts["Global"].values())
    root = type(model).__name__
    owners = _owners(model)
    parameters = dict.fromkeys(PARTS, 0)
    flops = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        parameters[_part_of(name, owners)] += parameter.numel()
    for name, part in owners.items():
        flops[part] += sum(counts.get(f"{root}.{name}", {}).values())
    flops["other"] = total - sum(flops[part] for part in PARTS if part != "other")
    return {part: _Part(parameters[part], flops[part] / len(row)) for part in PARTS}


def _owners(model: Any) -> dict[str, str]:
    """The modules whose parts are known, by their path; none of them lies in another."""
    names = {module: name for name, module in model.named_modules()}
    owners = {names[model.get_input_embeddings()]: "embedding"}
    head = model.get_output_embeddings()
    if head is not None:
        owners[names[head]] = "head"
    for block in blocks_of(model):
        for name, child in block.named_children():
            part = _kind(name)
            if part is not None:
                owners[names[child]] = part
    return owners


def _kind(name: str) -> str | None:
    """The part that a block's child is, by the names that decoders give it; None for norms."""
    plain = name.lower()
    if "norm" in plain or plain.startswith("ln"):
        return None
    if "attn" in plain or "attention" in plain:
        return "attention"
    known = ("mlp", "ffn", "feed_forward", "moe", "experts", "fc")
    return "mlp" if any(word in plain for word in known) else None


def _part_of(parameter: str, owners: dict[str, str]) -> str:
    found = (part for name, part in owners.items() if parameter.startswith(f"{name}."))
    return next(found, "other")


def _inventory(parts: dict[str, _Part], version: str) -> ReviewFinding:
    parameters = sum(part.parameters for part in parts.values())
    flops = sum(part.flops for part in parts.values())
    shares = ", ".join(
        f"{name} {part.parameters / parameters:.0%} of the parameters and "
        f"{part.flops / flops:.0%} of the FLOPs"
        for name, part in parts.items()
        if part.parameters or part.flops
    )
    return _find(
        "parts",
        "note",
        f"version {version} has {parameters:,} parameters and needs {flops:,.0f} FLOPs a token: "
        f"{shares}",
        {
            "parameters": float(parameters),
            "flops_per_token": flops,
            **{f"parameters_{name}": float(part.parameters) for name, part in parts.items()},
            **{f"flops_per_token_{name}": part.flops for name, part in parts.items()},
        },
        "none by itself: it says which part a compression can gain most on",
        because="it is an inventory",
    )


# ---------------------------------------------------------------- blocks


def _blocks(
    model: Any, text: _Text, blocks: Sequence[BlockInfluence], parts: dict[str, _Part]
) -> list[Found]:
    low = sorted((b for b in blocks if b.influence < LOW_INFLUENCE), key=lambda b: b.influence)
    tried = {block: _without(model, text, [block.place]) for block in low[:MOST_TRIED]}
    redundant = sorted(b.place for b, cost in tried.items() if cost.high <= TOLERATED)
    together = _without(model, text, redundant) if redundant else None
    found: list[Found] = [
        _redundant(model, block, tried[block], redundant, together, parts)
        if together is not None and block.place in redundant
        else _needed(block, tried[block])
        for block in sorted(tried)
    ]
    return found or [_all_work(blocks)]


def _redundant(
    model: Any,
    block: BlockInfluence,
    cost: Estimate,
    all_of_them: Sequence[int],
    together: Estimate,
    parts: dict[str, _Part],
) -> ReviewFinding:
    parameters = sum(p.numel() for p in blocks_of(model)[block.place].parameters())
    share = parameters / sum(part.parameters for part in parts.values())
    in_blocks = sum(parts[name].flops for name in ("attention", "mlp"))
    flops = in_blocks / len(blocks_of(model)) / sum(part.flops for part in parts.values())
    at_once = (
        f"blocks {', '.join(map(str, all_of_them))} together cost {together.value:+.2%}"
        if len(all_of_them) > 1
        else "it is the only one"
    )
    return _find(
        "redundant-block",
        "advice",
        f"block {block.place} changes next to nothing: influence {block.influence:.4f}, CKA of "
        f"its input and output {block.cka:.4f}; without it the perplexity of production's texts "
        f"is {cost.value:+.2%} ({cost.low:+.2%} to {cost.high:+.2%}); {at_once}",
        {
            **_evidence(block, cost),
            "perplexity_change_all_redundant": together.value,
            "parameters": float(parameters),
            "parameters_share": share,
            "flops_share": flops,
        },
        f"{share:.1%} fewer parameters and {flops:.1%} fewer FLOPs a token",
        action=f"compress by dropping block {block.place} with a short healing; the gate judges it",
    )


def _needed(block: BlockInfluence, cost: Estimate) -> ReviewFinding:
    return _find(
        "low-influence-block",
        "note",
        f"block {block.place} turns the hidden states little (influence {block.influence:.4f}, "
        f"CKA {block.cka:.4f}), yet without it the perplexity is {cost.value:+.2%} "
        f"({cost.low:+.2%} to {cost.high:+.2%})",
        _evidence(block, cost),
        "none that is free: dropping it needs a healing fine-tune",
        because=f"leaving it out may cost more than {TOLERATED:.0%} of the perplexity",
    )


def _all_work(blocks: Sequence[BlockInfluence]) -> ReviewFinding:
    least = min(blocks, key=lambda b: b.influence)
    return _find(
        "no-redundant-block",
        "note",
        f"every block works: the least influence is {least.influence:.3f}, of block {least.place}",
        {
            **{f"influence[{b.place}]": b.influence for b in blocks},
            **{f"cka[{b.place}]": b.cka for b in blocks},
        },
        "none",
        because=f"no block's influence is under {LOW_INFLUENCE:g}",
    )


def _evidence(block: BlockInfluence, cost: Estimate) -> dict[str, float | str]:
    bounds = {"perplexity_change_low": cost.low, "perplexity_change_high": cost.high}
    return {
        "block": float(block.place),
        "influence": block.influence,
        "cka": block.cka,
        "perplexity_change": cost.value,
        **(bounds if cost.bounded else {}),
    }


def _without(model: Any, text: _Text, indices: Iterable[int]) -> Estimate:
    """The relative change of the perplexity where these blocks hand on what they get."""
    with skipped(model, indices):
        after, _ = _losses(model, text.rows)
    return paired_ratio_interval(text.nats, after, text.tokens)


def _losses(
    model: Any, rows: Sequence[Sequence[int]]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The negative log-likelihood of each row in nats, and its number of predicted tokens."""
    import torch

    nats = []
    with torch.inference_mode():
        for row in rows:
            ids = torch.tensor([list(row)])
            nats.append(float(model(input_ids=ids, labels=ids, use_cache=False).loss))
    tokens = tuple(float(len(row) - 1) for row in rows)
    return tuple(n * t for n, t in zip(nats, tokens, strict=True)), tokens
