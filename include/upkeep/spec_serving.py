"""How production serves the model, as far as no metric tells it, and how it is reviewed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from upkeep.spec_part import Part, Url


class Serving(Part):
    """One serving machine. What is not said is not judged, and the review says so.

    ``threads`` are those that one model may use, ``batch`` the most requests that are computed
    together, ``timeout_ms`` when a client gives up. ``lock`` is the requirements file of the
    serving environment, with pinned versions; it may name ``${VAR}``.
    """

    cpus: Annotated[int, Field(ge=1, le=4096)] | None = None
    gpus: Annotated[int, Field(ge=0, le=1024)] | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    batch: Annotated[int, Field(ge=1, le=65_536)] | None = None
    timeout_ms: Annotated[float, Field(gt=0.0, le=86_400_000.0)] | None = None
    lock: Url | None = None


class ReviewJob(Part):
    """How much a review looks at; see ``upkeep.inspections.ReviewParams``."""

    params: dict[str, Any] = Field(default_factory=dict)
