"""The retraining job: a champion trained further on production's texts and its old ones.

What the model was first trained on is mixed in, against forgetting (rehearsal: Robins 1995,
"Catastrophic forgetting, rehearsal and pseudorehearsal"). :mod:`upkeep.training_texts` says what
is learnt, :mod:`upkeep.text_blocks` deals it out, :mod:`upkeep.fitting` is the loop. The rules
are in ``docs/training.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from upkeep.fitting import device_of, use_threads
from upkeep.job_params import read_params
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample
from upkeep.text_blocks import end_id
from upkeep.training_events import write_events
from upkeep.training_processes import Together, train_together
from upkeep.training_run import METHODS, Place, TrainParams, train_model
from upkeep.training_texts import cut_texts, take_texts

Method = Literal["full", "lora"]

__all__ = ["Method", "TrainParams", "retrain"]


def retrain(
    champion: Path,
    training: Sequence[Sample],
    evaluation: Sequence[Sample],
    params: dict[str, Any],
    out: Path,
    *,
    original: Sequence[Sample] = (),
    method: Method = "full",
    place: Place | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Train the safetensors model in ``champion`` further on ``training``; write it to ``out``.

    Texts (prompt + reference) count once. The tokenizer stays as it is, so that losses compare.
    ``original`` is what the model was first trained on; ``evaluation`` is read only to keep it
    out of the training. Returns measurements (:meth:`upkeep.fit_course.Fit.measurements`, the
    number of texts, of tokens of each slice, and of what was left out) and notes.

    Raises:
        ParamError: an unknown or disallowed parameter, a prompt of ``evaluation`` among the
            training texts, too little text.
        ArtifactError: ``champion`` cannot be loaded.
        JobFailed: the loss is not finite any more, or memory is short.

    """
    settings = read_params(METHODS[method], "params", params)
    place = place or Place()
    texts = take_texts(training, original, evaluation, settings)
    use_threads(settings.threads)
    model, tokenizer = load_model(champion)
    blocks, held_out, mixed = cut_texts(tokenizer, texts, end_id(model), settings)
    processes = settings.processes or _devices(place.gpus, settings)
    if processes > 1:
        del model  # each process loads its own
        job = Together(champion, method, settings, out, place.work, place.fingerprint, processes)
        trained = train_together(job, blocks, held_out)
    else:
        model, trained = train_model(
            model, blocks, held_out, settings, place.work, place.fingerprint
        )
        save_model(model, champion, out)
    if place.events is not None:
        write_events(trained.fitted.curve, place.events)
    measured = {**trained.fitted.measurements(), **mixed, **texts.measurements()}
    return measured, (*trained.notes, *texts.notes())


def _devices(gpus: int, settings: TrainParams) -> int:
    """One process a GPU that the job may use and that is there; else one."""
    import torch

    if gpus < 2 or device_of(settings.device).type == "cpu":  # noqa: PLR2004 - one needs no group
        return 1
    return min(gpus, int(torch.cuda.device_count()))
