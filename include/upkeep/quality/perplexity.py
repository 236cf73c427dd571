"""Perplexity of production's texts under the model: lower is better, 1 is certainty.

perplexity = exp(sum of -ln p(token | tokens before) / number of tokens)

over prompt + reference of every sample, so that a sample weighs as much as it has tokens
(Jelinek, Mercer, Bahl & Baker 1977, "Perplexity: a measure of the difficulty of speech
recognition tasks"). What the model itself wrote is left out: a model always finds its own
words likely. Unit: 1 (a number of equally likely choices a token). The interval is the
delta method's with the sample as the unit of noise; see
:func:`upkeep.stats.weighted_ratio_interval`. Perplexities compare only under one tokenizer,
which the signature names.
"""

from __future__ import annotations

from collections.abc import Sequence

from upkeep.errors import ArtifactError
from upkeep.quality import Score, Settings, by_slice, enough, finite
from upkeep.records import Interval, Sample, SliceScore
from upkeep.runtime import Runtime, TextLoss
from upkeep.stats import Estimate, weighted_ratio_interval

NAME = "perplexity"


def measure(runtime: Runtime, samples: Sequence[Sample], settings: Settings) -> Score:
    """Perplexity of ``samples``, in all and a slice.

    Samples of fewer than two tokens say nothing and are not counted. Raises ParamError where
    too few are left, ArtifactError where a loss is not finite.
    """
    losses = runtime.nll([sample.text for sample in samples])
    scored = [(s, loss) for s, loss in zip(samples, losses, strict=True) if loss.tokens > 0]
    enough(NAME, len(scored), settings, "samples of two tokens and more")
    for sample, loss in scored:
        finite(NAME, f"sample {sample.id}", loss.nll_nats)
    kept = [loss for _, loss in scored]
    whole = _estimate("the evaluation set", kept, settings)
    return Score(
        measure=NAME,
        score=whole.value,
        interval=_interval(whole),
        n=whole.n,
        unit="1",
        direction="lower_is_better",
        signature=_signature(runtime),
        slices=tuple(
            _slice(name, [kept[place] for place in places], settings)
            for name, places in by_slice([sample for sample, _ in scored]).items()
        ),
    )


def _slice(name: str, losses: Sequence[TextLoss], settings: Settings) -> SliceScore:
    found = _estimate(f"slice {name}", losses, settings)
    return SliceScore(name=name, score=found.value, interval=_interval(found), n=found.n)


def _estimate(where: str, losses: Sequence[TextLoss], settings: Settings) -> Estimate:
    sums = [loss.nll_nats for loss in losses]
    tokens = [loss.tokens for loss in losses]
    try:
        return weighted_ratio_interval(sums, tokens, settings.confidence)
    except ValueError as error:
        raise ArtifactError(
            f"{NAME} of {where}", None, str(error), "look at the model's weights"
        ) from error


def _interval(found: Estimate) -> Interval | None:
    """An interval without bound is no record: None."""
    if not found.bounded:
        return None
    return Interval(low=found.low, high=found.high, confidence=found.confidence)


def _signature(runtime: Runtime) -> str:
    parts = {
        "text": "prompt+reference",
        "unit": "token",
        "context": str(runtime.context_tokens),
        "tokenizer": runtime.tokenizer_sha256[:12],
        "precision": runtime.precision,
    }
    return "|".join(f"{name}:{value}" for name, value in parts.items())
