"""What a retraining was given to learn from, and what was kept from it."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from upkeep.records.base import Count, ModelName, Record


class TrainingSelection(Record):
    """How the texts of a retraining were chosen, counted.

    ``counts`` are samples, ``redacted`` what was taken out of the texts of the job by kind.
    """

    model: ModelName
    day: date
    counts: dict[str, Count] = Field(default_factory=dict)
    redacted: dict[str, Count] = Field(default_factory=dict)
    words: tuple[str, ...] = ()

    def measurements(self) -> dict[str, float]:
        """The counts as a candidate's record holds them."""
        found = {f"selected[{name}]": float(n) for name, n in self.counts.items()}
        return found | {f"redacted[{name}]": float(n) for name, n in self.redacted.items()}

    def notes(self) -> tuple[str, ...]:
        """The same in words, where there is anything to say."""
        counts = ", ".join(f"{name} {n}" for name, n in self.counts.items())
        redacted = ", ".join(f"{kind} {n}" for kind, n in self.redacted.items())
        said = [f"chosen by the cycle: {counts}"] if counts else []
        return (*said, *([f"redacted in the job's texts: {redacted}"] if redacted else []),
                *self.words)  # fmt: skip
