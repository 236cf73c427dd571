"""What a model writes after many prompts, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

BATCH = 16


class Manner(NamedTuple):
    """At most ``new_tokens``, drawn with ``seed`` at ``temperature``; 0 takes the likeliest."""

    new_tokens: int
    temperature: float = 0.0
    seed: int = 0


def write_on(model: Any, prompts: Sequence[Sequence[int]], manner: Manner) -> list[list[int]]:
    """Each prompt's ids and what the model writes after it, up to its end of text.

    Of a prompt that is too long for the context the last tokens are kept. The order is kept.
    """
    import torch

    torch.manual_seed(manner.seed)
    model.eval()
    room = model.config.max_position_embeddings
    new = min(manner.new_tokens, room - 1)
    rows = [list(ids)[-(room - new) :] for ids in prompts]
    # Rows of one length need no padding, which would change rounding and so the text.
    found: dict[int, list[int]] = {}
    for length in sorted({len(row) for row in rows}):
        places = [place for place, row in enumerate(rows) if len(row) == length]
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            written = _write(model, [rows[p] for p in batch], new, manner.temperature)
            found.update(zip(batch, written, strict=True))
    return [found[place] for place in range(len(rows))]


def _write(model: Any, rows: list[list[int]], new: int, temperature: float) -> list[list[int]]:
    import torch

    asked = torch.tensor(rows)
    # Nothing is cut off the distribution: the student is to learn all of it.
    drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    drawn = drawn if temperature > 0.0 else {"do_sample": False}
    with torch.inference_mode():
        written = model.generate(
            asked,
            attention_mask=torch.ones_like(asked),
            max_new_tokens=new,
            **drawn,
            pad_token_id=0,
            eos_token_id=model.config.eos_token_id,
        )
    ends = _ends(model.config.eos_token_id)
    width = asked.shape[1]
    return [
        [*row, *_until(ends, line[width:])]
        for row, line in zip(rows, written.tolist(), strict=True)
    ]


def _until(ends: set[int], ids: Sequence[int]) -> list[int]:
    stop = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return list(ids[:stop])


def _ends(found: Any) -> set[int]:
    if found is None:
        return set()
    return set(found) if isinstance(found, list) else {found}
