"""The texts of a retraining as the worker takes them in: redacted, each once, none that is judged.

The cycle has redacted a job's files already; a job that somebody wrote by hand is redacted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from upkeep.errors import ParamError
from upkeep.near_duplicates import DuplicateParams, near_duplicates, overlaps
from upkeep.records import Sample
from upkeep.redaction import redact_samples
from upkeep.text_blocks import (
    BlockParams,
    Ids,
    cut_blocks,
    distinct_samples,
    encode_slices,
    mixture,
)

ORIGINAL = "original"


class TextParams(BlockParams, DuplicateParams):
    """How texts are chosen and dealt out."""


@dataclass(frozen=True)
class Texts:
    """Samples of production and of the original training data, and what was left out, counted."""

    production: list[Sample]
    original: list[Sample]
    counts: dict[str, int] = field(default_factory=dict)

    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        said = ", ".join(f"{name} {n}" for name, n in self.counts.items() if n)
        return (f"left out of the training, or redacted in it: {said}",) if said else ()

    def measurements(self) -> dict[str, float]:
        """How many texts there are, and what was left out."""
        every = len(self.production) + len(self.original)
        counts = {name: float(n) for name, n in self.counts.items()}
        return {"texts": float(every), "texts_original": float(len(self.original)), **counts}


def take_texts(
    production: Sequence[Sample],
    original: Sequence[Sample],
    evaluation: Sequence[Sample],
    settings: TextParams,
) -> Texts:
    """What may be trained on, in the order given, production first.

    Raises:
        ParamError: a prompt or text of ``evaluation`` is among them.

    """
    offered = [*production, *original]
    distinct = distinct_samples(offered, evaluation)
    ours = {id(sample) for sample in original} - {id(sample) for sample in production}
    clean, redacted = redact_samples(distinct)
    judged, _ = redact_samples(evaluation)
    gone, counts = _left_out(clean, judged, settings)
    kept = [n for n in range(len(clean)) if n not in gone]
    return Texts(
        [clean[n] for n in kept if id(distinct[n]) not in ours],
        [clean[n] for n in kept if id(distinct[n]) in ours],
        {
            "duplicates": len(offered) - len(distinct),
            **counts,
            **{f"redacted[{kind}]": n for kind, n in redacted.items()},
        },
    )


def _left_out(
    samples: Sequence[Sample], evaluation: Sequence[Sample], settings: TextParams
) -> tuple[set[int], dict[str, int]]:
    texts = [sample.text for sample in samples]
    judged = [text for s in evaluation for text in dict.fromkeys((s.prompt, s.text)) if text]
    holding = set(overlaps(texts, judged, settings.evaluation_overlap))
    near = near_duplicates(texts, judged, settings.near_duplicate)
    leaked = holding | set(near.judged)
    doubled = set(near.earlier) - leaked
    return leaked | doubled, {"near_evaluation": len(leaked), "near_duplicates": len(doubled)}


def cut_texts(
    tokenizer: Any, texts: Texts, end: int, settings: TextParams
) -> tuple[Any, Any, dict[str, float]]:
    """Blocks to train on, blocks held out, and the mixture as measurements.

    Raises:
        ParamError: too little text, or no original texts to mix in.

    """
    share = settings.original_share
    if share is None:
        slices = encode_slices(tokenizer, [*texts.production, *texts.original])
        return *cut_blocks(slices, end, settings), _tokens(slices)
    if not texts.original:
        rule = "cannot be kept: the store has no texts of the original training"
        raise ParamError("params.original_share", share, rule, "put them in, or leave it out")
    production = encode_slices(tokenizer, texts.production)
    original = {f"{ORIGINAL} {k}": v for k, v in encode_slices(tokenizer, texts.original).items()}
    times = mixture(_lengths(production), _lengths(original), settings, share)
    slices = {**production, **original}
    taken = {name: times[name] * n for name, n in _lengths(slices).items()}
    found = sum(taken[name] for name in original) / max(1.0, sum(taken.values()))
    return *cut_blocks(slices, end, settings, times), _tokens(slices) | {"original_share": found}


def _lengths(slices: Mapping[str, Sequence[Ids]]) -> dict[str, int]:
    return {name: sum(map(len, texts)) for name, texts in slices.items()}


def _tokens(slices: Mapping[str, Sequence[Ids]]) -> dict[str, float]:
    return {f"tokens[{name}]": float(n) for name, n in _lengths(slices).items()}
