"""The retraining job of the worker: what it reads of its inputs, and where its checkpoints lie.

Checkpoints lie under the cache (``UPKEEP_CACHE``), by the job's key: an engine starts a job again
in another folder, the cache is the one place on the machine that stays. Where it is not set, or
where the machine is another, the job starts from the beginning and comes to the same model. They
are no records (the store's are written once), and go when the candidate's files are kept.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal, cast

from upkeep.errors import ParamError
from upkeep.job_inputs import Inputs, checked
from upkeep.networks import is_generator
from upkeep.records import TrainingSelection, sha256_hex
from upkeep.training_run import Place

METHODS = ("full", "lora")
EVENTS = "tensorboard"


def check_method(method: str) -> Literal["full", "lora"]:
    """``method`` itself; ParamError where there is no such one."""
    if method not in METHODS:
        raise ParamError("retrain.method", method, f"must be one of {list(METHODS)}", "correct")
    return cast("Literal['full', 'lora']", method)


def learn(inputs: Inputs, champion: Path, out: Path) -> tuple[dict[str, float], tuple[str, ...]]:
    """Train the champion further into ``out``, its events beside it; measurements and notes.

    Raises:
        InputError, JobFailed: as :func:`upkeep.training.retrain`.

    """
    if is_generator(champion):
        return _learn_images(inputs, champion, out)
    from upkeep import training

    job = inputs.job
    held_out = inputs.samples("evaluation")
    seen = {sample.prompt for sample in held_out}
    offered = inputs.samples("training")
    texts = [sample for sample in offered if sample.prompt not in seen]
    old = inputs.samples("original") if "original" in job.data else []
    original = [sample for sample in old if sample.prompt not in seen]
    dropped = len(offered) + len(old) - len(texts) - len(original)
    found, notes = training.retrain(
        champion,
        texts,
        held_out,
        job.params,
        out,
        original=original,
        method=check_method(job.method),
        place=Place(
            checkpoint_folder(inputs),
            sha256_hex(job.canonical_bytes()),
            out.parent / EVENTS,
            job.resources.gpus,
        ),
    )
    chosen = _selection(inputs)
    measured = dict(found)
    for name, count in chosen.measurements().items():
        measured[name] = measured.get(name, 0.0) + count
    return measured, (
        f"trained on {len(texts) + len(original)} samples, held out {len(held_out)}",
        f"{dropped} training samples dropped: their prompt is held out",
        *chosen.notes(),
        *notes,
    )


def _learn_images(
    inputs: Inputs, champion: Path, out: Path
) -> tuple[dict[str, float], tuple[str, ...]]:
    from upkeep import image_training

    job = inputs.job
    if job.method != "full":
        raise ParamError("retrain.method", job.method, "is of decoders", "take full for images")
    return image_training.retrain(
        champion,
        inputs.pictures(),
        job.params,
        out,
        checkpoint_folder(inputs),
        sha256_hex(job.canonical_bytes()),
        out.parent / EVENTS,
    )


def checkpoint_folder(inputs: Inputs) -> Path:
    """Where the job's checkpoints lie between two tries."""
    return inputs.cache / "checkpoints" / sha256_hex(inputs.job.key.encode())[:32]


def forget(inputs: Inputs) -> None:
    """Let the checkpoints go: what they were for is kept."""
    shutil.rmtree(checkpoint_folder(inputs), ignore_errors=True)


def _selection(inputs: Inputs) -> TrainingSelection:
    """How the cycle chose the texts; nothing where it did not say."""
    job = inputs.job
    known = job.data.get("selection")
    if known is None:
        return TrainingSelection(model=job.model, day=job.day)
    return TrainingSelection.parse(checked(known, inputs.store.get(known.path)))
