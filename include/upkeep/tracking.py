"""The only door to MLflow: a day's projection, and the registry with its aliases.

MLflow is a projection of the store: ``Tracker.project_day`` rebuilds everything that it shows of a
day from the records alone. A marker in the store says what was sent, so that a day that is up to
date costs neither a call nor an import of mlflow.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

from upkeep import faults
from upkeep.day_records import DayRecords, Page, Records, read_day
from upkeep.errors import ParamError
from upkeep.projection import day_view, job_view, timeline_view
from upkeep.projection_search import trial_views
from upkeep.records import canonical_json, sha256_hex
from upkeep.review_page import review_view
from upkeep.tracking_client import BUDGET_S, Mlflow, Refused
from upkeep.tracking_experiment import describe_experiment, ensure_experiment
from upkeep.tracking_registry import Registry
from upkeep.tracking_runs import RunView, ensure_run, is_deleted, write_run

FORM = 1  # raise it when the same records shall look different
Present = Callable[[DayRecords], Page]


class Tracker(Registry):
    """MLflow at ``uri``. ``present`` makes the note and the page of a day from its records."""

    def __init__(self, uri: str, present: Present, budget_s: float = BUDGET_S) -> None:
        """Nothing is imported or asked before the first call."""
        super().__init__(uri, budget_s)
        self._present = present

    def project_day(
        self, store: Records, model: str, day: date, revision: int = 1, *, force: bool = False
    ) -> str:
        """Make MLflow show what the store holds about a day; the id of the day's run.

        ``force`` trusts nothing that was sent before: it heals what was deleted in MLflow.

        Raises:
            ParamError: the store holds nothing about this day.
            TrackingError: MLflow cannot be reached; nothing is lost, call again.

        """
        records = read_day(store, model, day, revision)
        if not records.files:
            raise ParamError("day", day.isoformat(), f"nothing is recorded of {model}", "run it")
        marker = _Marker(store, f"{model}/{day.isoformat()}/r{revision}/projected.json")
        digest = sha256_hex(canonical_json([FORM, self.uri, records.digest()]))
        if marker.digest == digest and not force:
            return marker.run_id
        done = self._project(store, records, {} if force else marker.sent)
        faults.point("tracking.before_marker")
        marker.write({"digest": digest, **done})
        return str(done["run_id"])

    def _project(self, store: Records, records: DayRecords, sent: dict[str, Any]) -> dict[str, Any]:
        page = self._present(records)
        first = _Projection(self._mlflow(), store, records, sent)
        try:
            return first.run(page)
        except Refused:
            if not first.lost_a_race():
                raise
        return _Projection(self._mlflow(), store, records, {}).run(page)


def run_place(store: Records, model: str, day: date, kind: str | None = None) -> RunPlace | None:
    """Where a day, or its job of that kind, was projected to, or None.

    Reads the store and asks no server.
    """
    found = store.get(f"{model}/{day.isoformat()}/r1/projected.json")
    content = json.loads(found) if found else {}
    key = f"{model}/{day.isoformat()}/{kind}"
    job = content.get("sent", {}).get(key, {}).get("run_id") if kind else None
    run_id = job or content.get("run_id")
    return RunPlace(str(content["experiment_id"]), str(run_id)) if run_id else None


class RunPlace(NamedTuple):
    """A run of MLflow."""

    experiment_id: str
    run_id: str

    def url(self, uri: str) -> str:
        """The run's page at the server ``uri``."""
        page = f"experiments/{self.experiment_id}/runs/{self.run_id}"
        # Without the parameter MLflow 3 opens on its page for traces.
        return f"{uri.rstrip('/')}/#/{page}?workflowType=machine_learning"


class _Projection:
    """One day on its way to MLflow; ``sent`` is what is known to be there, by run key."""

    def __init__(
        self, mlflow: Mlflow, store: Records, records: DayRecords, sent: dict[str, Any]
    ) -> None:
        self._mlflow, self._store, self._records, self._sent = mlflow, store, records, sent
        self._done: dict[str, Any] = {}
        self._now: str | None = None

    def run(self, page: Page) -> dict[str, Any]:
        records = self._records
        experiment = ensure_experiment(self._mlflow, records.model)
        day = self._write(experiment, day_view(records, page))
        for job in records.jobs:
            shown = page.job_files.get(job.kind, {})
            view = job_view(records, job, page.job_notes.get(job.kind, ""), shown)
            run = self._write(experiment, view, day)
            for trial in trial_views(records, job):
                self._write(experiment, trial, run)
        if records.review is not None:
            self._write(experiment, review_view(records.review, records.files["review.json"]), day)
        first = first_day(self._store, records.model, records.day)
        timeline = self._write(experiment, timeline_view(records, first))
        is_rated = records.people is not None
        describe_experiment(self._mlflow, experiment, records.model, timeline, is_rated=is_rated)
        return {"run_id": day, "experiment_id": experiment, "sent": self._done}

    def _write(self, experiment: str, view: RunView, parent: str | None = None) -> str:
        run = ensure_run(self._mlflow, experiment, view, parent)
        run_id = self._now = str(run.info.run_id)
        known = self._sent.get(view.key, {})
        sent = known.get("files", {}) if known.get("run_id") == run_id else {}
        files = write_run(self._mlflow, run, view, sent, parent)
        self._done[view.key] = {"run_id": run_id, "files": files}
        return run_id

    def lost_a_race(self) -> bool:
        """Whether the run that was written last is gone: the second of two made at once."""
        return self._now is not None and is_deleted(self._mlflow, self._now)


def first_day(store: Records, model: str, day: date) -> date:
    """The day that is step 1 of the model's timeline: decided once, then for ever.

    The earliest day that the store holds when the timeline begins; a backfill of earlier days
    gives steps below 1, and moves nothing.
    """
    key = f"{model}/timeline.json"
    known = store.get(key)
    if known is None:
        named = {name.split("/")[1] for name in store.list(f"{model}/")}
        days = sorted(d for d in map(_day_or_none, named) if d is not None)
        first = min([day, *days])
        store.put_if_absent(key, canonical_json({"first_day": first.isoformat()}))
        known = store.get(key) or b"{}"
    return date.fromisoformat(json.loads(known)["first_day"])


def _day_or_none(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


class _Marker:
    """What was sent of a day; whoever writes it at the same time may win, nothing is lost."""

    def __init__(self, store: Records, key: str) -> None:
        self._store, self._key = store, key
        found = store.get_versioned(key)
        self._etag = found[1] if found else None
        content = json.loads(found[0]) if found else {}
        self.digest: str = content.get("digest", "")
        self.run_id: str = content.get("run_id", "")
        self.sent: dict[str, Any] = content.get("sent", {})

    def write(self, content: dict[str, Any]) -> None:
        self._store.replace(self._key, canonical_json(content), self._etag)
