"""The settings of a job's method, checked strictly before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from upkeep.errors import ParamError


class JobParams(BaseModel):
    """Base of the settings of one kind of job: frozen, strict types, finite, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


P = TypeVar("P", bound=JobParams)


def read_params(cls: type[P], where: str, values: Mapping[str, Any]) -> P:
    """``values`` as ``cls``; ParamError naming ``where``, the key, the value and the rule."""
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        rule, fix = first["msg"], "correct it"
        if first["type"] == "extra_forbidden":
            rule = f"is no parameter of this job; known are {sorted(cls.model_fields)}"
            near = get_close_matches(key, cls.model_fields, 1)
            fix = f"did you mean {near[0]}?" if near else "remove it"
        raise ParamError(f"{where}.{key}", first["input"], rule, fix) from None
