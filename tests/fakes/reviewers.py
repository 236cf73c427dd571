"""A review queue in memory: answers that were given beforehand, and what was offered.

What it does not prove: that MLflow keeps either; tests/test_tracking_reviews.py does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from upkeep.errors import TrackingError
from upkeep.records import Criterion, Excluded, Rating, Sample


class FakeDoor:
    """Answers that were given beforehand; remembers what was offered."""

    def __init__(self, ratings: Sequence[Rating] = (), *, down: bool = False) -> None:
        self.ratings, self.down = list(ratings), down
        self.asked: list[tuple[date, int]] = []

    def offer(
        self,
        model: str,
        day: date,
        samples: Sequence[Sample],
        criteria: Sequence[Criterion],
        pictures: Mapping[str, bytes],
    ) -> int:
        assert model
        assert criteria
        assert all(sample.completion in pictures for sample in samples) or not pictures
        if self.down:
            raise TrackingError("MLflow is down")
        self.asked.append((day, len(samples)))
        return len(samples)

    def answers(
        self, model: str, days: tuple[date, date], criteria: Sequence[Criterion]
    ) -> tuple[list[Rating], list[Excluded]]:
        assert model
        assert criteria
        if self.down:
            raise TrackingError("MLflow is down")
        return [r for r in self.ratings if days[0] <= r.day <= days[1]], []
