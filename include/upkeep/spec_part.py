"""What all parts of the configuration share: frozen, strict types, no unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Ratio = Annotated[float, Field(gt=0.0, le=100.0)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Part(BaseModel):
    """Base of all parts of the configuration: frozen, strict types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
