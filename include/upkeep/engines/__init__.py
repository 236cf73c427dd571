"""Where jobs run: one file an engine, each with the same five calls.

A job has a key, and an engine never runs two jobs of one key at once: ``submit`` adopts the one
that exists. ``status`` says ``unknown`` where the engine cannot tell; unknown is not failed, and
nothing is started again on it. ``preempted`` is a job that the cluster took back: it did not fail,
and its next attempt goes on from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol

from pydantic import Field

from upkeep.credentials import Credentials, from_environment
from upkeep.errors import ParamError
from upkeep.records import JobSpec, JobStatus, Record

if TYPE_CHECKING:
    from upkeep.spec import Jobs
    from upkeep.store import Store

__all__ = ["ENGINES", "OVER", "Engine", "JobHandle", "LogPart", "Site", "engine_for"]

ENGINES = {
    "aws_batch": "upkeep.engines.aws_batch",
    "kubernetes": "upkeep.engines.kubernetes",
    "local": "upkeep.engines.local",
    "ray": "upkeep.engines.ray",
    "sagemaker": "upkeep.engines.sagemaker",
    "slurm": "upkeep.engines.slurm",
}
"""Each module has ``open_engine(jobs: Jobs, site: Site) -> Engine``; imported when used."""

OVER: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled", "preempted")


class JobHandle(Record):
    """One attempt of one job at an engine; ``place`` is the engine's own name for it."""

    engine: str
    key: str
    attempt: Annotated[int, Field(ge=1)]
    place: str


class LogPart(NamedTuple):
    """A piece of a job's log: ``text``, and the byte ``end`` from which to ask on."""

    text: str
    end: int


class Engine(Protocol):
    """A compute engine. Errors are EngineError."""

    def find(self, key: str) -> JobHandle | None:
        """The latest attempt of the job of that key that was really started, or None."""

    def submit(self, spec: JobSpec, attempt: int = 1) -> JobHandle:
        """Start the job, or adopt the latest attempt of its key.

        A job that failed, was cancelled or preempted stays so until ``attempt`` asks for one more
        than the latest; even then a job that succeeded, lives or cannot be known is adopted, never
        started again. Another job under the same key is an EngineError.
        """

    def status(self, handle: JobHandle) -> JobStatus:
        """How it stands; ``unknown`` where the engine cannot tell."""

    def logs(self, handle: JobHandle, since: int = 0) -> LogPart:
        """What the job printed from byte ``since`` on, and why it ended if it did not say.

        At most a MiB: where more is there, the last of it, and the text says what was left out.
        """

    def cancel(self, handle: JobHandle) -> None:
        """End this job, and nothing else; a job that is over is left as it is."""


@dataclass(frozen=True)
class Site:
    """What an engine is given of this installation.

    ``root`` is a folder of this machine where it may keep notes; the store is where a job's
    specification, inputs and results lie.
    """

    root: Path
    store: Store
    credentials: Credentials = field(default_factory=from_environment)


def engine_for(jobs: Jobs, site: Site) -> Engine:
    """The engine that ``jobs.engine`` names, with its settings.

    Raises:
        ParamError: there is no such engine, or its settings or credentials do not do.

    """
    if jobs.engine not in ENGINES:
        known = ", ".join(sorted(ENGINES))
        raise ParamError("jobs.engine", jobs.engine, "is not an engine", f"one of {known}")
    opened: Callable[[Jobs, Site], Engine] = import_module(ENGINES[jobs.engine]).open_engine
    return opened(jobs, site)
