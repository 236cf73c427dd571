"""The retraining job: a champion trained further on production's texts and its old ones.

What the model was first trained on is mixed in by the caller, against forgetting (rehearsal:
Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"). :mod:`upkeep.text_blocks`
deals out the texts, :mod:`upkeep.fitting` is the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upkeep.fitting import FitParams, OnStep, fit, use_threads
from upkeep.job_params import read_params
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample
from upkeep.text_blocks import BlockParams, cut_blocks, distinct_samples, encode_slices, end_id

log = logging.getLogger("upkeep.worker")


class TrainParams(FitParams, BlockParams):
    """The loop's settings, and how texts are dealt out."""


def retrain(
    champion: Path,
    training: Sequence[Sample],
    evaluation: Sequence[Sample],
    params: dict[str, Any],
    out: Path,
) -> dict[str, float]:
    """Train the safetensors model in ``champion`` further on ``training``; write it to ``out``.

    Texts (prompt + reference) count once. The tokenizer stays as it is, so that losses compare.
    ``evaluation`` is not read but to refuse training on it. Returns
    :meth:`upkeep.fitting.Fit.measurements` with the number of texts and of tokens of each slice.

    Raises:
        ParamError: an unknown or disallowed parameter, a prompt of ``evaluation`` among the
            training texts, too little text.
        ArtifactError: ``champion`` cannot be loaded.
        JobFailed: the loss is not finite any more.

    """
    settings = read_params(TrainParams, "params", params)
    samples = distinct_samples(training, evaluation)
    use_threads(settings.threads)
    model, tokenizer = load_model(champion)
    slices = encode_slices(tokenizer, samples)
    blocks, held_out = cut_blocks(slices, end_id(model), settings)
    fitted = fit(model, blocks, held_out, settings, _log_step(settings))
    save_model(model, champion, out)
    return {
        **fitted.measurements(),
        **{f"tokens[{name}]": float(sum(map(len, texts))) for name, texts in slices.items()},
        "texts": float(len(samples)),
    }


def _log_step(settings: TrainParams) -> OnStep:
    def report(step: int, loss: float) -> None:
        if step % settings.check_every == 0:
            log.info("step %d of %d: loss %.3f", step, settings.steps, loss)

    return report
