"""Runs found by their key: whoever makes one twice ends with one.

A run carries the tag ``upkeep.key``. It is searched before it is made, and once more after: two
made at once both see both, keep the same one and delete the other.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from upkeep import faults
from upkeep.errors import TrackingError
from upkeep.records import sha256_hex
from upkeep.tracking_client import Mlflow, Refused

KEY = "upkeep.key"
MAX_PARAM_CHARS = 500  # MLflow before 3.0 refuses more, and a column shows less
MAX_TAG_CHARS = 5000
_KEY = re.compile(r"[A-Za-z0-9._:/@-]{1,250}")

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class RunView:
    """How one run shall look. Times are milliseconds since 1970, UTC; ``files`` are artifacts.

    ``step`` and ``at_ms`` are those of every metric: logged once more, a point is the same point,
    and MLflow's database keeps it once. ``curves`` are points of a step and a value by metric.
    """

    key: str
    name: str
    start_ms: int
    end_ms: int
    status: RunStatus = "FINISHED"
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    at_ms: int = 0
    series: bool = False
    curves: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def checked_key(key: str) -> str:
    """``key`` itself; TrackingError if it could not stand in a search."""
    if not _KEY.fullmatch(key):
        raise TrackingError(f"key {key!r}: 1 to 250 characters of A-Z a-z 0-9 . _ : / @ -")
    return key


def cut(text: str, limit: int) -> str:
    """The text, its end replaced by an ellipsis where it is too long for MLflow."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def find_run(mlflow: Mlflow, experiment_id: str, key: str) -> Any | None:
    """The run that has this key, or None. Where there are several, one stays; see the module."""
    found = mlflow.call(
        "search_runs", [experiment_id], filter_string=f"tags.`{KEY}` = '{checked_key(key)}'"
    )
    runs = sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
    for other in runs[1:]:
        _supersede(mlflow, other.info.run_id, runs[0].info.run_id)
    return runs[0] if runs else None


def _supersede(mlflow: Mlflow, run_id: str, by: str) -> None:
    """Delete the second of two runs; whoever else does so at this moment may be first."""
    for last in (False, True):  # MLflow refuses the later of two inserts of one tag, once
        try:
            mlflow.call("set_tag", run_id, "upkeep.superseded_by", by)
            mlflow.call("set_terminated", run_id, status="KILLED")
            mlflow.call("delete_run", run_id)
        except Refused:
            if is_deleted(mlflow, run_id):
                return
            if last:
                raise
        else:
            return


def is_deleted(mlflow: Mlflow, run_id: str) -> bool:
    """Whether a run was deleted, by a person or as the second of two."""
    return bool(mlflow.call("get_run", run_id).info.lifecycle_stage == "deleted")


def ensure_run(mlflow: Mlflow, experiment_id: str, view: RunView, parent: str | None = None) -> Any:
    """Find the run of ``view.key``, or make it. The key is set in the call that makes the run."""
    found = find_run(mlflow, experiment_id, view.key)
    if found is not None:
        return found
    tags = {KEY: view.key, **({"mlflow.parentRunId": parent} if parent else {})}
    mlflow.call(
        "create_run", experiment_id, start_time=view.start_ms, tags=tags, run_name=view.name
    )
    faults.point("tracking.run.created")
    found = find_run(mlflow, experiment_id, view.key)
    if found is None:
        raise TrackingError(f"MLflow at {mlflow.uri}: run {view.key} was made and is not found")
    return found


def write_run(
    mlflow: Mlflow,
    run: Any,
    view: RunView,
    sent: Mapping[str, str] = MappingProxyType({}),
    parent: str | None = None,
) -> dict[str, str]:
    """Make ``run`` look like ``view``: only what differs is written.

    ``sent`` are the hashes of the files that this run is known to have; those that it has now
    are returned. A param that is there already stays: MLflow's params are written once.
    """
    more_tags = {"mlflow.parentRunId": parent} if parent else {}
    try:
        _write_data(mlflow, run, view, more_tags)
    except Refused:
        # Of two who write the same params at once, the database refuses one's whole batch.
        again = mlflow.call("get_run", run.info.run_id)
        if again.data.params == run.data.params:
            raise
        _write_data(mlflow, again, view, more_tags)
    faults.point("tracking.run.batch")
    hashes = {name: sha256_hex(data) for name, data in view.files.items()}
    changed = {name: view.files[name] for name in hashes if sent.get(name) != hashes[name]}
    _send_files(mlflow, run.info.run_id, changed)
    faults.point("tracking.run.files")
    if view.status != "RUNNING" and (run.info.status, run.info.end_time) != (
        view.status,
        view.end_ms,
    ):
        mlflow.call("set_terminated", run.info.run_id, status=view.status, end_time=view.end_ms)
    return hashes


def _write_data(mlflow: Mlflow, run: Any, view: RunView, more_tags: Mapping[str, str]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    data = run.data
    metrics = [
        Metric(name, value, view.at_ms, view.step)
        for name, value in view.metrics.items()
        if view.series or name not in data.metrics
    ] + [
        Metric(name, value, view.at_ms, step)
        for name, points in view.curves.items()
        for step, value in points
        if name not in data.metrics
    ]
    params = [
        Param(name, cut(value, MAX_PARAM_CHARS))
        for name, value in view.params.items()
        if name not in data.params
    ]
    wanted = {name: cut(value, MAX_TAG_CHARS) for name, value in {**view.tags, **more_tags}.items()}
    tags = [RunTag(n, value) for n, value in wanted.items() if data.tags.get(n) != value]
    if metrics or params or tags:
        mlflow.call("log_batch", run.info.run_id, metrics=metrics, params=params, tags=tags)


def _send_files(mlflow: Mlflow, run_id: str, files: Mapping[str, bytes]) -> None:
    if not files:
        return
    with tempfile.TemporaryDirectory(prefix="upkeep-") as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with mlflow.transfer(sum(map(len, files.values()))):
            mlflow.call("log_artifacts", run_id, folder)
