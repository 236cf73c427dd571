"""A model's first champion: its files go to the store, to the registry, and into the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from upkeep import promotion
from upkeep.deployment import Deployment
from upkeep.errors import ParamError
from upkeep.model_files import check_model_folder
from upkeep.records import LedgerEntry, Sample
from upkeep.samples import put_samples

Format = Literal["safetensors", "openvino"]


def register_first(
    model: str, folder: Path, file_format: Format, training: Path | None = None
) -> LedgerEntry:
    """Check the files, keep them, and make them version 1 of ``model``; done once.

    Raises:
        ParamError: the model is not in the fleet.
        ArtifactError: the files are unsafe or broken.

    """
    deployment = Deployment.from_env()
    if model not in deployment.fleet.models:
        known = ", ".join(deployment.fleet.models) or "none"
        raise ParamError("MODEL", model, "is not in the fleet", f"known: {known}")
    head = promotion.champion(deployment.store, model)
    if head is not None:
        promotion.reconcile(deployment.store, deployment.tracker(), model)
        return promotion.ledger(deployment.store, model)[0]
    check_model_folder(folder, file_format)
    if training is not None:
        lines = training.read_text(encoding="utf-8").splitlines()
        texts = [Sample.model_validate(json.loads(line)) for line in lines if line]
        put_samples(deployment.store, f"{model}/training/base.jsonl", texts)
    kept = deployment.store.put_folder(f"{model}/versions/first", folder)
    return promotion.register_first(
        deployment.store,
        deployment.tracker(),
        model,
        folder=kept,
        format=file_format,
        cache=deployment.cache,
        key=f"{model}/first",
    )
