"""The retraining of image models: a GAN or a VAE, from its champion, on real images.

Images to learn from are the real ones that are not held out (:mod:`upkeep.image_sets`); their
classes are those that the feature extractor's classifier sees (Lucic et al. 2019, "High-fidelity
image generation with fewer labels"). A fifth of them, by hash, decides when to stop. What people or
benchmarks judge by is never trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from upkeep.checkpoints import Checkpoints
from upkeep.errors import ParamError
from upkeep.fitting import Fit, FitParams, fit, use_threads
from upkeep.image_objectives import Objective, alone_task, both_task, pair_of
from upkeep.image_sets import by_class, from_png, is_held_out
from upkeep.job_params import read_params
from upkeep.network_layers import GeneratorConfig
from upkeep.networks import half_of, load_network, save_network
from upkeep.pictures import Pictures
from upkeep.quality.features import Extractor
from upkeep.records import sha256_hex
from upkeep.training_events import write_events

STOPPING_TENTHS = 2
FEWEST = 4
"""Images that decide when to stop, at least: KID of fewer is noise."""


class ImageTrainParams(FitParams):
    """``objective`` is what the model was trained by; ``partner_steps`` its partner learns alone.

    ``width`` channels a layer of the partner; about ``averaged_steps`` steps are averaged in what
    is kept.
    """

    objective: Objective
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 300
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = 5e-4
    weight_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1e3
    batch_blocks: Annotated[int, Field(ge=2, le=4096)] = 64
    partner_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    partner_lr: Annotated[float, Field(gt=0.0, le=1.0)] = 1.5e-3
    width: Annotated[int, Field(ge=1, le=4096)] = 32
    averaged_steps: Annotated[int, Field(ge=1, le=100_000)] = 60


class Sets(NamedTuple):
    """Rows [examples, classes + pixels]: to learn from, and to stop by."""

    training: Any
    stopping: Any


def retrain(
    champion: Path,
    pictures: Pictures | None,
    params: Mapping[str, Any],
    out: Path,
    work: Path | None = None,
    fingerprint: str = "",
    events: Path | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Train the generator in ``champion`` further into ``out``; measurements and notes.

    ``work`` holds the checkpoints of the job that ``fingerprint`` names; ``events`` gets
    TensorBoard's file.

    Raises:
        ParamError: a setting is not allowed, or there are no real images or too few.
        ArtifactError: an image is broken or of another size.
        JobFailed: the training diverged.

    """
    import torch

    settings = read_params(ImageTrainParams, "params", params)
    if pictures is None or pictures.features is None or not pictures.references:
        rule = "needs real images and what extracts features"
        raise ParamError("retrain", None, rule, "set quality.references and quality.features")
    network, config = load_network(champion)
    extractor = Extractor(pictures.features[0])
    sets = sets_of(pictures.references, config, extractor, settings.batch_blocks)
    use_threads(settings.threads)
    torch.manual_seed(settings.seed)
    pair = pair_of(network, config, settings.objective, settings.width)
    alone = _learn_alone(pair, config, sets, settings)
    checkpoints = Checkpoints(work, fingerprint) if work else None
    task = both_task(settings.objective, config, extractor, settings.averaged_steps)
    fitted = fit(pair, *sets, settings, task=task, checkpoints=checkpoints)
    fresh, _ = load_network(champion)
    fresh.load_state_dict(pair["kept"].state_dict())
    save_network(fresh, config, out, half=half_of(champion))
    if events is not None:
        write_events(fitted.curve, events)
    counts = f"{len(sets.training)} real images, {len(sets.stopping)} to stop by"
    return _measured(fitted, sets), (
        f"{settings.objective}: {counts}, none of them judges a candidate",
        "their classes are what the extractor's classifier sees",
        f"its partner, made anew, learnt alone for {alone.steps} steps",
        f"held-out loss is KID: {fitted.words()}",
        *(checkpoints.notes if checkpoints else ()),
    )


def sets_of(
    references: Mapping[str, bytes], config: GeneratorConfig, extractor: Extractor, batch: int
) -> Sets:
    """The real images that are not held out, as rows; a fifth of them to stop by.

    Raises:
        ParamError: there are too few.
        ArtifactError: one is broken or of another size.

    """
    import torch

    names = sorted(name for name in references if not is_held_out(name))
    stops = [int(sha256_hex(f"stop/{n}".encode())[:8], 16) % 10 < STOPPING_TENTHS for n in names]
    if sum(stops) < FEWEST or len(names) - sum(stops) < 2:  # noqa: PLR2004 - batch norm needs two
        rule = f"are too few to learn from and to stop by: {FEWEST} and 2 at least"
        raise ParamError("references", f"{len(names)} not held out", rule, "give more")
    wanted = {name: references[name] for name in names}
    _, labels = by_class(extractor, wanted, len(config.classes))
    told = np.eye(len(config.classes), dtype=np.float32)[labels]
    pixels = [from_png(name, png, config.image).ravel() for name, png in wanted.items()]
    rows = torch.from_numpy(np.concatenate([told, np.stack(pixels)], axis=1))
    stopping = rows[torch.tensor(stops)]
    # A last batch of one image has no KID.
    size = min(batch, len(stopping))
    return Sets(rows[~torch.tensor(stops)], stopping[: len(stopping) // size * size])


def _learn_alone(pair: Any, config: GeneratorConfig, sets: Sets, settings: ImageTrainParams) -> Fit:
    """Let the partner learn against the champion, which stays as it is, statistics included."""
    change = {"steps": settings.partner_steps, "lr": settings.partner_lr, "minutes": None}
    once = {"check_every": settings.partner_steps}
    frozen = pair["generator"]
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    done = fit(
        pair,
        *sets,
        settings.model_copy(update=change | once),
        task=alone_task(settings.objective, config),
    )
    frozen.load_state_dict(before)
    return done


def _measured(fitted: Fit, sets: Sets) -> dict[str, float]:
    found = fitted.measurements()
    del found["tokens"]
    return found | {
        "kid_before": fitted.curve[0].held_out,
        "kid_after": fitted.kept.held_out,
        "training_images": float(len(sets.training)),
    }
