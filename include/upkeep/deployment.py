"""Where this installation keeps things: read once from the environment, handed to the steps.

========================  ==================================================================
``UPKEEP_STORE``          the store of records: a folder, or ``s3://bucket/prefix``
``UPKEEP_FLEET``          the folder of the models' YAML files
``UPKEEP_JOBS``           the folder where the local engine keeps its jobs
``UPKEEP_CACHE``          the folder for model files fetched from the store
``MLFLOW_TRACKING_URI``   MLflow's server
========================  ==================================================================
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from upkeep.config import Fleet, load_fleet
from upkeep.credentials import Credentials, from_environment
from upkeep.engines import Engine, JobHandle, Site, engine_for
from upkeep.errors import EngineError, JobFailed, ParamError, StoreError
from upkeep.records import JobSpec, JobStatus, Record
from upkeep.report import present
from upkeep.spec import Jobs
from upkeep.store import Store, get_record, open_store
from upkeep.tracking import Tracker
from upkeep.tracking_reviews import Reviews

R = TypeVar("R", bound=Record)
POLL_FIRST_S, POLL_MOST_S = 0.1, 2.0
GRACE_S = 60.0
MAX_ATTEMPTS = 3
LOG_TAIL_CHARS = 2_000


def _needed(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise ParamError(name, value, "is not set", "see docs of upkeep.deployment")
    return value


@dataclass(frozen=True)
class Deployment:
    """The places of one installation."""

    store: Store
    fleet: Fleet
    jobs: Path
    cache: Path
    tracking_uri: str
    credentials: Credentials = field(default_factory=from_environment)

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] = os.environ, credentials: Credentials | None = None
    ) -> Deployment:
        """Read the environment; ParamError names what is not set.

        ``credentials`` gives connections by name; None reads ``AIRFLOW_CONN_..`` variables.
        """
        return cls(
            store=open_store(_needed(environ, "UPKEEP_STORE")),
            fleet=load_fleet(Path(_needed(environ, "UPKEEP_FLEET")), environ, strict=False),
            jobs=Path(_needed(environ, "UPKEEP_JOBS")),
            cache=Path(_needed(environ, "UPKEEP_CACHE")),
            tracking_uri=_needed(environ, "MLFLOW_TRACKING_URI"),
            credentials=credentials or from_environment(environ),
        )

    def tracker(self) -> Tracker:
        """The client of MLflow."""
        return Tracker(self.tracking_uri, present)

    def reviewers(self) -> Reviews:
        """The review queues of MLflow."""
        return Reviews(self.tracking_uri)

    def engine(self, jobs: Jobs) -> Engine:
        """The compute engine that a model's ``jobs`` name."""
        return engine_for(jobs, Site(self.jobs, self.store, self.credentials))

    def result(self, job: JobSpec, jobs: Jobs, cls: type[R]) -> R:
        """What a job left in the store, after running it if it has left nothing yet.

        Raises:
            StoreError: it succeeded and left nothing.
            JobFailed, EngineError: as :meth:`run`.

        """
        key = f"{job.output_prefix}/result.json"
        made = get_record(self.store, key, cls)
        if made is None:
            self.run(job, jobs)
            made = get_record(self.store, key, cls)
        if made is None:
            raise StoreError(f"{job.key}: succeeded, yet {key} is not in the store")
        return made

    def run(self, job: JobSpec, jobs: Jobs) -> None:
        """Submit a job, or adopt the one that has its key, and wait until it has succeeded.

        A job that failed in an earlier try is started once more under the same key.

        Raises:
            JobFailed: it failed again; the end of its log is in the message.
            EngineError: it did not end within its time-out, or its state cannot be known.

        """
        engine = self.engine(jobs)
        earlier = engine.find(job.key)
        failed = earlier is not None and engine.status(earlier) in ("failed", "cancelled")
        again = earlier.attempt + 1 if earlier is not None and failed else 1
        if again > MAX_ATTEMPTS:
            words = f"{job.key}: failed {MAX_ATTEMPTS} times; a human must look"
            raise JobFailed(words, final=True)
        handle = engine.submit(job, again)
        status = _wait(engine, handle, job)
        if status != "succeeded":
            tail = engine.logs(handle).text[-LOG_TAIL_CHARS:]
            words = f"{job.key}: {status}; the end of its log:\n{tail}"
            raise JobFailed(words, final=again == MAX_ATTEMPTS)


def _wait(engine: Engine, handle: JobHandle, job: JobSpec) -> JobStatus:
    deadline = time.monotonic() + job.resources.timeout_s + GRACE_S
    pause = POLL_FIRST_S
    while (status := engine.status(handle)) in ("queued", "running", "unknown"):
        if time.monotonic() > deadline:
            raise EngineError(f"{job.key}: still {status} after its time-out; a human must look")
        time.sleep(pause)
        pause = min(POLL_MOST_S, pause * 1.3)
    return status
