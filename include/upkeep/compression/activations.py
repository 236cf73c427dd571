"""What the matrices of a decoder see: statistics of their inputs on calibration texts.

The blocks are walked from the first to the last, each on the outputs of those before it, so that
a method may change a block before the next one is looked at (Frantar & Alistarh 2023,
"SparseGPT", arXiv:2301.00774) and only one block's statistics are held at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from upkeep.compression.decoder_parts import blocks_of, linears_of
from upkeep.compression.texts import BATCH_BLOCKS

Visit = Callable[[int, Any, dict[str, Any], float], None]


def walk_blocks(model: Any, ids: Any, visit: Visit, only: str | None = None) -> int:
    """Call ``visit(number, block, grams, influence)`` for each block; gives the number of tokens.

    ``grams`` holds for each linear of the block X^T X [in, in], in 64 bits, over all tokens of
    ``ids`` [blocks, tokens]. ``influence`` is the block's 1 - mean cosine of a token's vector
    before and after it (Men et al. 2024, "ShortGPT", arXiv:2403.03853). What ``visit`` changes in
    the block is seen by the next ones. ``only`` names the one linear that statistics are needed of.
    """
    import torch

    model.eval()
    blocks = blocks_of(model)
    with torch.inference_mode():
        hidden, settings = _entries(model, blocks, ids)
        for number, block in enumerate(blocks):
            linears = {k: v for k, v in linears_of(block).items() if only in {None, k}}
            grams, influence = _look(block, linears, hidden, settings[number])
            visit(number, block, grams, influence)
            hidden = _run(block, hidden, settings[number])
    return int(ids.numel())


def _entries(model: Any, blocks: Any, ids: Any) -> tuple[list[Any], list[list[dict[str, Any]]]]:
    """The first block's inputs for each batch, and the other arguments of each block's calls."""
    hidden: list[Any] = []
    settings: list[list[dict[str, Any]]] = [[] for _ in blocks]

    def note(number: int) -> Callable[..., None]:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            settings[number].append(kwargs)
            if number == 0:
                hidden.append(args[0])

        return hook

    handles = [
        block.register_forward_pre_hook(note(number), with_kwargs=True)
        for number, block in enumerate(blocks)
    ]
    try:
        for part in ids.split(BATCH_BLOCKS):
            model(input_ids=part, use_cache=False, logits_to_keep=1)
    finally:
        for handle in handles:
            handle.remove()
    return hidden, settings


def _look(
    block: Any, linears: dict[str, Any], hidden: list[Any], settings: list[dict[str, Any]]
) -> tuple[dict[str, Any], float]:
    import torch

    grams: dict[str, Any] = {}

    def gram(name: str) -> Callable[..., None]:
        def hook(_: Any, args: tuple[Any, ...]) -> None:
            rows = args[0].reshape(-1, args[0].shape[-1]).double()
            seen = rows.T @ rows
            grams[name] = grams[name] + seen if name in grams else seen

        return hook

    handles = [linear.register_forward_pre_hook(gram(name)) for name, linear in linears.items()]
    try:
        after = _run(block, hidden, settings)
    finally:
        for handle in handles:
            handle.remove()
    cosines = [
        torch.nn.functional.cosine_similarity(x, y, dim=-1).double().reshape(-1)
        for x, y in zip(hidden, after, strict=True)
    ]
    return grams, float(1.0 - torch.cat(cosines).mean())


def _run(block: Any, hidden: list[Any], settings: list[dict[str, Any]]) -> list[Any]:
    found = (block(x, **kwargs) for x, kwargs in zip(hidden, settings, strict=True))
    return [out[0] if isinstance(out, tuple) else out for out in found]
