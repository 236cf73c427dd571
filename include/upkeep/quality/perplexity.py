"""How well the model predicts production's texts: perplexity, and bits per byte.

perplexity    = exp(sum of -ln p(token | tokens before) / number of tokens)
bits_per_byte = sum of -ln p(token | tokens before) / ln 2 / UTF-8 bytes of the text

over prompt + reference of every sample, so that a sample weighs as much as it is long. What the
model itself wrote is left out: a model always finds its own words likely. Lower is better.

Perplexity (Jelinek, Mercer, Bahl & Baker 1977, "Perplexity: a measure of the difficulty of
speech recognition tasks") has the unit 1, a number of equally likely choices a token; texts are
cut at the model's context. Perplexities compare only under one tokenizer, which the signature
names. Bits per byte (Gao et al. 2020, "The Pile", section 3.1) compare across tokenizers. The
runtime tells how many tokens it scored and not which bytes they are, therefore:

- only texts that are shorter than the context count, whole; ``n`` says how many did;
- the first token is predicted from nothing and not scored. Its bytes are taken to be the mean
  of the text's tokens and left out, unless the tokenizer puts a token of its own in front.

Both intervals are the delta method's with the sample as the unit of noise
(:func:`upkeep.stats.weighted_ratio_interval`, :func:`upkeep.stats.paired_change_interval`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from upkeep.errors import ArtifactError
from upkeep.measures import better
from upkeep.quality import Material, Score, Settings, by_slice, enough, finite
from upkeep.quality.intervals import bounded_interval
from upkeep.records import Sample, SliceScore
from upkeep.runtime import Runtime
from upkeep.stats import Estimate, paired_change_interval, weighted_ratio_interval

if TYPE_CHECKING:
    from upkeep.measures import MeasureName


class Loss(NamedTuple):
    """What one sample adds to the numerator and to the denominator."""

    sample: Sample
    loss: float
    size: float


Ratio = Callable[[Sequence[float], Sequence[float], float], Estimate]


def measure(material: Material, name: str) -> Score:
    """``perplexity`` or ``bits_per_byte`` of the samples, in all and a slice.

    Samples of fewer than two tokens say nothing and are not counted. ``per_sample`` has the
    mean nats a token, or the bits a byte, of each sample. Raises ParamError where too few are
    left, ArtifactError where a loss is not finite.
    """
    runtime, settings = material.runtime, material.settings
    by_byte = name == "bits_per_byte"
    kept = (_bits if by_byte else _nats)(runtime, material.samples)
    limit = f" and under the context of {runtime.context_tokens}" if by_byte else ""
    enough(name, len(kept), settings, f"samples of two tokens and more{limit}")
    for each in kept:
        finite(name, f"sample {each.sample.id}", each.loss)
    ratio = _plain_ratio if by_byte else weighted_ratio_interval
    whole = _slice(name, "the evaluation set", kept, ratio, settings)
    return Score(
        measure=name,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="bits per byte" if by_byte else "1",
        direction=better(cast("MeasureName", name)),
        signature=_signature(runtime, by_byte=by_byte),
        slices=tuple(
            _slice(name, part, [kept[place] for place in places], ratio, settings)
            for part, places in by_slice([each.sample for each in kept], settings).items()
        ),
        per_sample={each.sample.id: each.loss / each.size for each in kept},
        tokens=None if by_byte else int(sum(each.size for each in kept)),
    )


def _nats(runtime: Runtime, samples: Sequence[Sample]) -> list[Loss]:
    """Nats and tokens of the samples that have two tokens or more."""
    losses = runtime.nll([sample.text for sample in samples])
    return [
        Loss(sample, loss.nll_nats, loss.tokens)
        for sample, loss in zip(samples, losses, strict=True)
        if loss.tokens > 0
    ]


def _bits(runtime: Runtime, samples: Sequence[Sample]) -> list[Loss]:
    """Bits and bytes of the samples that have two tokens or more and fit the context."""
    # One letter is one token: that it is scored says that another token stands before it.
    begun = runtime.nll(["a"])[0].tokens > 0
    found = []
    for sample, nats, tokens in _nats(runtime, samples):
        # As many tokens as the context holds may be all of the text or the start of it.
        if tokens + 1 < runtime.context_tokens:
            size = len(sample.text.encode("utf-8", "replace"))
            scored = size if begun else size * tokens / (tokens + 1)
            found.append(Loss(sample, nats / math.log(2.0), scored))
    return found


def _plain_ratio(tops: Sequence[float], bottoms: Sequence[float], confidence: float) -> Estimate:
    """Sum of ``tops`` / sum of ``bottoms`` with the ratio estimator's interval."""
    found = paired_change_interval(bottoms, tops, confidence)
    return found._replace(value=found.value + 1.0, low=found.low + 1.0, high=found.high + 1.0)


def _slice(
    name: str, where: str, kept: Sequence[Loss], ratio: Ratio, settings: Settings
) -> SliceScore:
    try:
        found = ratio([e.loss for e in kept], [e.size for e in kept], settings.confidence)
    except ValueError as error:
        raise ArtifactError(
            f"{name} of {where}", None, str(error), "look at the model's weights"
        ) from error
    return SliceScore(name=where, score=found.value, interval=bounded_interval(found), n=found.n)


def _signature(runtime: Runtime, *, by_byte: bool) -> str:
    parts = {
        "text": "prompt+reference" + (", whole" if by_byte else ""),
        "unit": "byte" if by_byte else "token",
        "context": str(runtime.context_tokens),
    }
    if not by_byte:
        parts["tokenizer"] = runtime.tokenizer_sha256[:12]
    parts["precision"] = runtime.precision
    return "|".join(f"{name}:{value}" for name, value in parts.items())
