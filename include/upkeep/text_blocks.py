"""Texts as blocks of token ids of equal length, what a language model is trained on.

Texts are tokenized by the model's own tokenizer, joined with its end-of-text token between them
and cut into blocks, so that no compute goes into padding.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from upkeep.errors import ParamError
from upkeep.job_params import JobParams
from upkeep.records import Sample

Ids = list[int]

MIN_BLOCKS = 8


class BlockParams(JobParams):
    """How texts are dealt out.

    ``held_out_share`` of the texts of each slice are not trained on: the loop judges itself on
    them. A slice of n tokens gets a share of the training in proportion to
    n ** ``slice_exponent``: 1 leaves slices as they are, 0 makes them equal. New traffic is a
    small slice at first; 0.3 is what XLM-R took for rare languages (arXiv:1911.02116).
    ``original_share`` is the share of all tokens that comes from what the model was first
    trained on, against forgetting; None takes those texts as slices like the others.
    """

    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    block_tokens: Annotated[int, Field(ge=8, le=131_072)] = 256
    held_out_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    slice_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    original_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None


def distinct_samples(training: Sequence[Sample], evaluation: Sequence[Sample]) -> list[Sample]:
    """The samples to train on: each text once, however it is spaced, none of them empty.

    Raises:
        ParamError: a prompt or text of ``evaluation`` is among them.

    """
    judged = {_same(text) for s in evaluation for text in (s.prompt, s.text) if text.strip()}
    distinct: dict[bytes, Sample] = {}
    for sample in training:
        if judged & {_same(sample.prompt), _same(sample.text)}:
            rule = "is a text of the evaluation set"
            raise ParamError("training", sample.id, rule, "leave it out of the training")
        if sample.text.strip():
            distinct.setdefault(_same(sample.text), sample)
    return list(distinct.values())


def encode_slices(tokenizer: Any, samples: Sequence[Sample]) -> dict[str, list[Ids]]:
    """Token ids of the samples' texts by slice, without special tokens.

    A lone surrogate becomes ``?``.
    """
    clean = [sample.text.encode("utf-8", "replace").decode("utf-8") for sample in samples]
    slices: dict[str, list[Ids]] = {sample.slice: [] for sample in samples}
    found = tokenizer.encode_batch(clean, add_special_tokens=False)
    for sample, encoding in zip(samples, found, strict=True):
        slices[sample.slice].append(list(encoding.ids))
    return slices


def cut_blocks(
    slices: Mapping[str, Sequence[Ids]],
    end: int,
    settings: BlockParams,
    times: Mapping[str, float] | None = None,
) -> tuple[Any, Any]:
    """Blocks to train on and blocks held out: tensors [blocks, ``block_tokens``], ``end`` between.

    Texts of each slice are taken so many ``times``, in both alike; None repeats those of small
    slices (:func:`slice_repeats`). No text is in both. The seed gives the order.

    Raises:
        ParamError: fewer than 8 blocks to train on, or none held out.

    """
    rng = random.Random(settings.seed)
    times = times or slice_repeats({k: sum(map(len, v)) for k, v in slices.items()}, settings)
    training: list[Ids] = []
    held_out: list[Ids] = []
    for name in sorted(slices):
        texts = rng.sample(slices[name], len(slices[name]))
        judged = round(len(texts) * settings.held_out_share) or min(1, len(texts) - 1)
        held_out += _taken(texts[:judged], times[name])
        training += _taken(texts[judged:], times[name])
    rng.shuffle(training)
    return _pack(training, end, settings, MIN_BLOCKS), _pack(held_out, end, settings, 1)


def mixture(
    production: Mapping[str, int], original: Mapping[str, int], settings: BlockParams, share: float
) -> dict[str, float]:
    """How often the texts of each slice are taken, from its tokens, to mix in a share of original.

    Production's small slices are repeated as ever; the original ones are all taken equally often:
    share / (1 - share) times production's tokens, divided by their own.
    """
    times: dict[str, float] = {**slice_repeats(production, settings)}
    learnt = sum(times[name] * tokens for name, tokens in production.items())
    often = share / (1.0 - share) * learnt / max(1, sum(original.values()))
    return times | dict.fromkeys(original, often)


def _taken(texts: list[Ids], times: float) -> list[Ids]:
    """The texts so many times: whole rounds, and the first ones of a last round."""
    return texts * int(times) + texts[: round((times - int(times)) * len(texts))]


def slice_repeats(tokens: Mapping[str, int], settings: BlockParams) -> dict[str, int]:
    """How often the texts of each slice are taken, from its number of tokens; at least once."""
    most = max(tokens.values(), default=0)
    power = 1.0 - settings.slice_exponent
    return {name: max(1, round((most / max(1, n)) ** power)) for name, n in tokens.items()}


def _pack(texts: Sequence[Ids], end: int, settings: BlockParams, least: int) -> Any:
    import torch

    ids = [token for text in texts for token in (end, *text)]
    size = settings.block_tokens
    count = len(ids) // size
    if count < least:
        rule = f"must be at least {least * size} {'held out' if least == 1 else 'to train on'}"
        fix = "train on more days, or with smaller blocks"
        raise ParamError("training", f"{len(ids)} tokens", rule, fix)
    return torch.tensor(ids[: count * size]).view(count, size)


def end_id(model: Any) -> int:
    """The id of the model's end of text; the first where it has several, 0 where it has none."""
    found = model.config.eos_token_id
    found = found[0] if isinstance(found, list) else found
    return 0 if found is None else int(found)


def _same(text: str) -> bytes:
    """Texts with the same key are one text: equal up to white space."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).digest()
