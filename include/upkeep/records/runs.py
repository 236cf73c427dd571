"""What a day was opened with, and what its runs were told."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from upkeep.records.base import Action, ModelName, Record, Sha256


class RunParams(Record):
    """The effective parameters of one run of a day; ``owner`` names the run."""

    model: ModelName
    day: date
    owner: str
    params: dict[str, Any]


class Override(Record):
    """A person's order for a day that stands over the policy's decision."""

    model: ModelName
    day: date
    action: Action
    note: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    by: str


class DayOpen(Record):
    """The snapshot a day runs on: its specification and its parameters.

    ``spec`` is the model's specification as JSON, ``params`` the effective parameters of the
    run that opened the day; a configuration that changes later changes nothing here.
    """

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=1)]
    spec: dict[str, Any]
    spec_sha256: Sha256
    params: dict[str, Any]
    owner: str
