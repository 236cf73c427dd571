"""Which weights of a matrix stay: by magnitude, by magnitude times activation, all or n of m."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from upkeep.errors import ArtifactError
from upkeep.job_params import JobParams

PATTERNS: dict[str, tuple[int, int]] = {"1:4": (1, 4), "2:4": (2, 4), "4:8": (4, 8)}
"""Name -> how many weights of how many in a row stay; 2:4 is what NVIDIA's tensor cores take."""


class Sparsity(JobParams):
    """Share of the weights that become zero, in each matrix; a pattern fixes the share itself."""

    sparsity: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    pattern: Literal["unstructured", "1:4", "2:4", "4:8"] = "unstructured"

    @model_validator(mode="after")
    def _agree(self) -> Sparsity:
        if self.pattern in PATTERNS and self.sparsity not in {None, self.share}:
            raise ValueError(
                f"pattern {self.pattern} means sparsity {self.share}: give one of them"
            )
        return self

    @property
    def share(self) -> float:
        """The share of zeros; a half unless something else was asked for."""
        if self.pattern in PATTERNS:
            keep, of = PATTERNS[self.pattern]
            return 1.0 - keep / of
        return 0.5 if self.sparsity is None else self.sparsity


def keep_largest(scores: Any, settings: Sparsity, name: str) -> Any:
    """Mask [out, in] that keeps the highest scores of each row, or of each m in a row of a row.

    Of an unstructured row of n weights round(n * share) go.

    Raises:
        ArtifactError: the pattern does not divide a row.

    """
    rows, columns = scores.shape
    if settings.pattern not in PATTERNS:
        return _keep(scores, columns - round(columns * settings.share))
    keep, of = PATTERNS[settings.pattern]
    check_divides(columns, settings, name)
    return _keep(scores.reshape(-1, of), keep).reshape(rows, columns)


def check_divides(columns: int, settings: Sparsity, name: str) -> None:
    """Return only if the pattern divides a row of so many weights."""
    of = PATTERNS.get(settings.pattern, (1, 1))[1]
    if columns % of:
        rule = f"rows of {columns} weights are not divided by {of}"
        raise ArtifactError(name, settings.pattern, rule, "prune it unstructured")


def _keep(scores: Any, count: int) -> Any:
    import torch

    best = scores.topk(count, dim=1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best, value=True)
