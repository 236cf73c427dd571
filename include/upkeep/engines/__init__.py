"""Where jobs run: one file an engine, each with the same five calls.

A job has a key, and an engine never runs two jobs of one key at once: ``submit`` adopts the one
that exists. ``status`` says ``unknown`` where the engine cannot tell; unknown is not failed, and
nothing is started again on it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Protocol, cast

from pydantic import Field

from upkeep.errors import ParamError
from upkeep.records import JobSpec, JobStatus, Record

__all__ = ["ENGINES", "Engine", "JobHandle", "engine_for"]

ENGINES = {"local": "upkeep.engines.local:LocalEngine"}


class JobHandle(Record):
    """One attempt of one job at an engine; ``place`` is the engine's own name for it."""

    engine: str
    key: str
    attempt: Annotated[int, Field(ge=1)]
    place: str


class Engine(Protocol):
    """A compute engine. Errors are EngineError."""

    def find(self, key: str) -> JobHandle | None:
        """The latest attempt of the job of that key that was really started, or None."""

    def submit(self, spec: JobSpec, attempt: int = 1) -> JobHandle:
        """Start the job, or adopt the latest attempt of its key.

        A job that failed stays failed until ``attempt`` asks for one more than the latest; even
        then a job that succeeded, lives or cannot be known is adopted, never started again.
        """

    def status(self, handle: JobHandle) -> JobStatus:
        """How it stands; ``unknown`` where the engine cannot tell."""

    def logs(self, handle: JobHandle, since: int = 0) -> str:
        """What the job printed from byte ``since`` on, and why it ended if it did not say."""

    def cancel(self, handle: JobHandle) -> None:
        """End this job, and nothing else; a job that is over is left as it is."""


def engine_for(name: str, *, root: Path) -> Engine:
    """The engine of that name; ``root`` is the folder where it may keep its notes."""
    if name not in ENGINES:
        raise ParamError("jobs.engine", name, "is not an engine", f"one of {', '.join(ENGINES)}")
    module, _, cls = ENGINES[name].partition(":")
    return cast("Engine", getattr(import_module(module), cls)(root))
