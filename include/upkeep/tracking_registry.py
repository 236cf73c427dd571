"""Versions and aliases in MLflow's registry; no version is made of files not looked at."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from upkeep import faults
from upkeep.errors import TrackingError
from upkeep.projection import DAY_MS, day_start_ms, source
from upkeep.records import Folder
from upkeep.store_files import verify_files
from upkeep.tracking_client import BUDGET_S, Mlflow, Refused
from upkeep.tracking_experiment import ensure_experiment
from upkeep.tracking_runs import KEY, RunView, checked_key, cut, ensure_run, write_run

FILES = "model"
MAX_VERSION_TAG_CHARS = 5000
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


class Registry:
    """The registered models of one MLflow server."""

    def __init__(self, uri: str, budget_s: float = BUDGET_S) -> None:
        """Nothing is imported or asked before the first call."""
        self.uri, self.budget_s = uri, budget_s

    def _mlflow(self) -> Mlflow:
        return Mlflow(self.uri, self.budget_s)

    def register(
        self, model: str, path: Path, folder: Folder, tags: Mapping[str, str], key: str
    ) -> str:
        """Make a version of the files in ``path``, or find the one that has ``key``; its number.

        The files go up as artifacts of the run that has ``key``, are read back and compared with
        the recorded hashes; only then is the version made.

        Raises:
            ArtifactError: the files here, or what arrived there, are not those of ``folder``.
            TrackingError: MLflow cannot be reached or refused; no version was made.

        """
        mlflow = self._mlflow()
        known = _version_of(mlflow, model, key)
        if known is not None:
            return known
        verify_files(path, folder.files)
        view = _register_view(model, key)
        run = ensure_run(mlflow, ensure_experiment(mlflow, model), view)
        self._upload(mlflow, run.info.run_id, path, folder)
        _ensure_model(mlflow, model)
        mlflow.call(
            "create_model_version",
            model,
            f"{run.info.artifact_uri}/{FILES}",
            run_id=run.info.run_id,
            tags=_version_tags(tags, folder, key),
            await_creation_for=0,
        )
        faults.point("tracking.version.created")
        made = _version_of(mlflow, model, key)
        if made is None:
            raise TrackingError(f"MLflow at {self.uri}: the new version of {model} is not found")
        write_run(mlflow, run, replace(view, tags={**view.tags, "upkeep.version": made}))
        return made

    def _upload(self, mlflow: Mlflow, run_id: str, path: Path, folder: Folder) -> None:
        with mlflow.transfer(2 * folder.size_bytes):
            mlflow.call("log_artifacts", run_id, str(path), FILES)
            faults.point("tracking.version.uploaded")
            with tempfile.TemporaryDirectory(prefix="upkeep-") as place:
                arrived = mlflow.call("download_artifacts", run_id, FILES, place)
                verify_files(Path(arrived), folder.files)

    def get_alias(self, model: str, alias: str) -> str | None:
        """The version that an alias names; None if there is no such alias or model."""
        try:
            found = self._mlflow().call("get_model_version_by_alias", model, alias)
        except Refused as refused:
            if refused.code in ABSENT:
                return None
            raise
        return str(found.version)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias, by one call, and look that it is there.

        Raises:
            TrackingError: it cannot be moved, or somebody else moved it at the same time.

        """
        self._mlflow().call("set_registered_model_alias", model, alias, version)
        faults.point("tracking.alias.set")
        seen = self.get_alias(model, alias)
        if seen != version:
            raise TrackingError(
                f"MLflow at {self.uri}: alias {alias} of {model} was set to {version} and is {seen}"
            )

    def version_tags(self, model: str, version: str) -> dict[str, str] | None:
        """The tags of a version; None if there is no such version."""
        try:
            found = self._mlflow().call("get_model_version", model, version)
        except Refused as refused:
            if refused.code in ABSENT:
                return None
            raise
        return dict(found.tags)


def _version_of(mlflow: Mlflow, model: str, key: str) -> str | None:
    """The lowest version with this key; a higher one is of a retried call, and is deleted."""
    where = f"name = '{checked_key(model)}' and tags.`{KEY}` = '{checked_key(key)}'"
    found: list[Any] = mlflow.call("search_model_versions", where)
    numbers = sorted(int(version.version) for version in found)
    for number in numbers[1:]:
        try:
            mlflow.call("delete_model_version", model, str(number))
        except Refused as refused:
            if refused.code not in ABSENT:
                raise
    return str(numbers[0]) if numbers else None


def _ensure_model(mlflow: Mlflow, model: str) -> None:
    try:
        mlflow.call("create_registered_model", model, tags={"upkeep.model": model})
    except Refused as refused:
        if refused.code != "RESOURCE_ALREADY_EXISTS":
            raise


def _register_view(model: str, key: str) -> RunView:
    """A run for the files; where it is a day's job, the day's projection fills in the rest."""
    parts = key.split("/")
    name, start = " ".join(parts[1:]) or key, _start_ms(parts[1]) if len(parts) > 1 else None
    if start is not None:
        end = start + DAY_MS
        return RunView(key=key, name=name, start_ms=start, end_ms=end, tags={"upkeep.model": model})
    now = int(time.time() * 1000)
    tags = {"upkeep.model": model, "upkeep.kind": "register", **source("register")}
    return RunView(key=key, name=name, start_ms=now, end_ms=now, tags=tags)


def _start_ms(text: str) -> int | None:
    try:
        return day_start_ms(date.fromisoformat(text))
    except ValueError:
        return None


def _version_tags(tags: Mapping[str, str], folder: Folder, key: str) -> dict[str, str]:
    own = {KEY: key, "upkeep.files_sha256": folder.files_sha256}
    return {name: cut(str(value), MAX_VERSION_TAG_CHARS) for name, value in {**tags, **own}.items()}
