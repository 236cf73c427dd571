"""The five inspections of a review: each gets the same material and gives findings.

An inspection that cannot look at something says so (:class:`~upkeep.records.Uninspected`): what
was not looked at is unknown, and an unknown is never praise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Protocol, get_args

from pydantic import Field

from upkeep.job_params import JobParams
from upkeep.records import (
    JobSpec,
    ReviewArea,
    ReviewFacts,
    ReviewFinding,
    Sample,
    Severity,
    Uninspected,
)
from upkeep.runtime import Runtime

INSPECTIONS: dict[ReviewArea, str] = {
    area: f"upkeep.inspections.{area}" for area in get_args(ReviewArea)
}
"""Area -> the module that looks at it, imported when used."""

Found = ReviewFinding | Uninspected
NETWORK = "network"
"""The job's tool: safetensors of the champion, or of what it was made from."""


class ReviewParams(JobParams):
    """How much is looked at: ``texts`` of at most ``tokens`` tokens, ``generations`` measured."""

    texts: Annotated[int, Field(ge=8, le=10_000)] = 64
    tokens: Annotated[int, Field(ge=16, le=131_072)] = 512
    generations: Annotated[int, Field(ge=12, le=100_000)] = 30
    new_tokens: Annotated[int, Field(ge=2, le=100_000)] = 16
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None


@dataclass(frozen=True)
class Material:
    """What a review may look at.

    ``read`` gives the samples of a role (none where the job has none), ``network`` the
    safetensors folder and the version of its network (None where there is none), ``load`` the
    champion as it serves, ``lock`` the text of the serving lock (None: none was named).
    """

    job: JobSpec
    facts: ReviewFacts
    params: ReviewParams
    read: Callable[[str], Sequence[Sample]]
    network: Callable[[], tuple[Path, str] | None]
    load: Callable[[], Runtime]
    lock: str | None = None

    @cached_property
    def evaluation(self) -> Sequence[Sample]:
        """Production's held-out texts."""
        return self.read("evaluation")

    @cached_property
    def training(self) -> Sequence[Sample]:
        """What the model was last trained on: production's texts and its original ones."""
        return [*self.read("training"), *self.read("original")]

    @cached_property
    def served(self) -> Sequence[Sample]:
        """What production asks for now."""
        return self.read("served")

    @cached_property
    def runtime(self) -> Runtime:
        """The champion, loaded once."""
        return self.load()


class Inspection(Protocol):
    """What each module of this folder has."""

    def review(self, material: Material) -> Sequence[Found]:
        """What there is to say about one area; at least one thing."""


def inspection(area: ReviewArea) -> Inspection:
    """The inspection of an area, imported now."""
    found: Any = import_module(INSPECTIONS[area])
    return found  # type: ignore[no-any-return]


def finder(area: ReviewArea) -> Callable[..., ReviewFinding]:
    """``find(rule, severity, what, evidence, gain, action=.., no_action_because=..)``."""

    def find(
        rule: str,
        severity: Severity,
        what: str,
        evidence: dict[str, float | str],
        gain: str,
        *,
        action: str | None = None,
        because: str | None = None,
    ) -> ReviewFinding:
        return ReviewFinding(
            area=area,
            rule=rule,
            severity=severity,
            what=what,
            evidence=evidence,
            expected_gain=gain,
            action=action,
            no_action_because=because,
        )

    return find
