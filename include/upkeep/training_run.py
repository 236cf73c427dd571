"""One process of a retraining: which weights learn, the loop with its checkpoints, the plain model.

A checkpoint is resumed only by the same job with the same settings on as many processes and the
same kind of device: anything else would not come to the same model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from upkeep.checkpoints import Checkpoints
from upkeep.distributed import Alone, Group
from upkeep.fit_course import Fit
from upkeep.fitting import FitParams, OnStep, device_of, fit
from upkeep.lora import LoraParams, add_lora, merge_lora, trained_words
from upkeep.records import canonical_json, sha256_hex
from upkeep.training_texts import TextParams

log = logging.getLogger("upkeep.worker")


class TrainParams(FitParams, TextParams):
    """The loop's settings, and how texts are dealt out.

    ``processes`` None means one for each GPU that the job may use, or one.
    """

    processes: Annotated[int, Field(ge=1, le=64)] | None = None


class LoraTrainParams(TrainParams, LoraParams):
    """The same, with the added matrices."""


METHODS: dict[str, type[TrainParams]] = {"full": TrainParams, "lora": LoraTrainParams}


@dataclass(frozen=True)
class Place:
    """Where a training keeps what is not its model, and how many GPUs it may use.

    ``work`` outlives the process and holds checkpoints of the job that ``fingerprint`` names;
    ``events`` gets TensorBoard's file.
    """

    work: Path | None = None
    fingerprint: str = ""
    events: Path | None = None
    gpus: int = 0


class Trained(NamedTuple):
    """The loop's outcome and what a reviewer should know, in sentences."""

    fitted: Fit
    notes: tuple[str, ...]


def train_model(
    model: Any,
    blocks: Any,
    held_out: Any,
    settings: TrainParams,
    work: Path | None,
    fingerprint: str,
    group: Group | None = None,
) -> tuple[Any, Trained]:
    """The model trained on ``blocks``, plain again; see :func:`upkeep.fitting.fit`.

    ``work`` holds the checkpoints of the job that ``fingerprint`` names; None keeps none.
    """
    group = group or Alone()
    notes = []
    if isinstance(settings, LoraTrainParams):
        model = add_lora(model, settings)
        notes.append(trained_words(model, settings))
    checkpoints = Checkpoints(work, _identity(fingerprint, settings, group)) if work else None
    fitted = fit(
        model,
        blocks,
        held_out,
        settings,
        _log_step(settings) if group.rank == 0 else None,
        checkpoints=checkpoints,
        group=group,
    )
    if isinstance(settings, LoraTrainParams):
        model = merge_lora(model)
    notes += [fitted.words(), *(checkpoints.notes if checkpoints else ())]
    return model, Trained(fitted, tuple(notes))


def _identity(fingerprint: str, settings: TrainParams, group: Group) -> str:
    known = settings.model_dump(mode="json", exclude={"checkpoint_minutes", "checkpoint_steps"})
    device = device_of(settings.device).type
    return sha256_hex(canonical_json([fingerprint, known, group.size, device]))


def _log_step(settings: TrainParams) -> OnStep:
    def report(step: int, loss: float) -> None:
        if step % settings.check_every == 0:
            log.info("step %d of %d: loss %.3f", step, settings.steps, loss)

    return report
