"""Production's training texts as blocks: most to calibrate and heal on, some to judge on.

What is held out is chosen by the hash of a sample's id, so that a method's own yardstick is the
same in every run and is never what the method was fitted to. The evaluation set is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from upkeep.errors import ParamError
from upkeep.job_params import JobParams
from upkeep.records import Sample
from upkeep.samples import choose_samples
from upkeep.text_blocks import distinct_samples, end_id

BATCH_BLOCKS = 8


class TextParams(JobParams):
    """How texts are cut: blocks of ``block_tokens``, or of the model's context if that is less.

    ``calibration_blocks`` of them, evenly spread, are what statistics of activations are from.
    """

    block_tokens: Annotated[int, Field(ge=8, le=131_072)] = 128
    calibration_blocks: Annotated[int, Field(ge=1, le=100_000)] = 64
    held_out_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1


@dataclass(frozen=True)
class Texts:
    """Token ids [blocks, block_tokens]: to work on, to judge on, and the few to calibrate on."""

    blocks: Any
    held_out: Any
    calibration: Any
    work: tuple[Sample, ...]
    """The samples of ``blocks``."""


def texts_of(
    model: Any, tokenizer: Any, samples: Sequence[Sample], settings: TextParams
) -> Texts | None:
    """The texts of ``samples``, each once; None where there is none.

    Raises:
        ParamError: too few of them for a block to work on and one to judge on.

    """
    distinct = distinct_samples(samples, [])
    if not distinct:
        return None
    judged = choose_samples(distinct, max(1, round(len(distinct) * settings.held_out_share)))
    ids = {sample.id for sample in judged}
    work = [s for s in sorted(distinct, key=lambda s: s.id) if s.id not in ids]
    blocks = pack_texts(model, encode(tokenizer, [s.text for s in work]), settings)
    held_out = pack_texts(model, encode(tokenizer, [s.text for s in judged]), settings)
    return Texts(blocks, held_out, _spread(blocks, settings.calibration_blocks), tuple(work))


def need_texts(found: Texts | None, method: str) -> Texts:
    """The texts; ParamError for a method that cannot do without."""
    if found is None:
        rule = f"{method} is calibrated on production's texts, and there is none"
        raise ParamError("training", 0, rule, "give the job training texts, or take another method")
    return found


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without special tokens; a lone surrogate becomes ``?``."""
    clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    return [list(e.ids) for e in tokenizer.encode_batch(clean, add_special_tokens=False)]


def pack_texts(model: Any, texts: Sequence[Sequence[int]], settings: TextParams) -> Any:
    """Texts in a row, the model's end of text before each, cut into blocks.

    Raises:
        ParamError: they do not fill one block.

    """
    import torch

    size = min(settings.block_tokens, model.config.max_position_embeddings)
    end = end_id(model)
    ids = [token for text in texts for token in (end, *text)]
    count = len(ids) // size
    if count == 0:
        rule = f"must fill a block of {size}"
        raise ParamError("training", f"{len(ids)} tokens", rule, "give more texts, smaller blocks")
    return torch.tensor(ids[: count * size]).view(count, size)


def loss_nats(model: Any, blocks: Any) -> float:
    """Mean next-token loss in nats a token over ``blocks``."""
    import torch

    model.eval()
    total = 0.0
    with torch.inference_mode():
        for part in blocks.split(BATCH_BLOCKS):
            total += float(model(input_ids=part, labels=part, use_cache=False).loss) * len(part)
    return total / len(blocks)


def _spread(blocks: Any, most: int) -> Any:
    count = min(most, len(blocks))
    return blocks[[place * len(blocks) // count for place in range(count)]]
