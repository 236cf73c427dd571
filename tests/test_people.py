"""People are asked once a day, their answers are read once, and the day keeps what it read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment
from fakes.played_days import day_of, play
from fakes.request_logs import rows_of
from fakes.reviewers import FakeDoor

from upkeep import people, reviews
from upkeep.records import (
    Criterion,
    DayFacts,
    Evaluation,
    FileHash,
    People,
    Rating,
    Sample,
    SampleScores,
    sha256_hex,
)
from upkeep.samples import put_samples, samples_key
from upkeep.spec import ModelSpec, Reviews
from upkeep.store import get_record, open_store, put_record, record_key

MODEL = "docs-assistant"
DAY = date(2026, 3, 20)
CRITERIA: tuple[Criterion, ...] = ("coherence", "relevance")
SPEC = Reviews(samples_per_day=8, criteria=CRITERIA, window_days=7, min_outputs=20)


class Place:
    """As much of a deployment as people need."""

    def __init__(self, folder: Path, door: FakeDoor) -> None:
        self.store, self.door = open_store(str(folder)), door

    def reviewers(self) -> FakeDoor:
        return self.door


@pytest.fixture
def spec() -> ModelSpec:
    """A model that people are asked about."""
    return ModelSpec.model_validate(
        {
            "name": MODEL,
            "sources": [{"kind": "request_log", "path": "/logs"}],
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {"version": "test", "measures": {}, "rules": []},
            "reviews": SPEC.model_dump(),
        }
    )


def observed(place: Place, day: date, signature: str = "x") -> list[str]:
    """A day's samples, with a BLEU for each: the ids of those that are offered."""
    samples = [
        Sample(id=f"{day}-{n}", slice="a", prompt=f"p{n}", completion=f"c{n}") for n in range(12)
    ]
    put_samples(place.store, samples_key(MODEL, day), samples)
    ids = [s.id for s in reviews.offer(place.store, MODEL, day, SPEC)]
    lines = b"".join(
        SampleScores(id=s.id, slice="a", scores={"bleu": float(n)}).canonical_bytes() + b"\n"
        for n, s in enumerate(samples)
    )
    key = f"{MODEL}/{day}/scores.jsonl"
    place.store.put_if_absent(key, lines)
    quality = Evaluation.model_validate(
        {
            "model": MODEL,
            "day": day,
            "model_version": "1",
            "results": [_bleu(day) | {"signature": signature}],
            "scores": FileHash(path=key, size_bytes=len(lines), sha256=sha256_hex(lines)),
        }
    )
    put_record(place.store, record_key(MODEL, day, "quality"), quality)
    put_record(place.store, record_key(MODEL, day, "metrics"), _metrics(day))
    return ids


def _bleu(day: date) -> dict[str, Any]:
    return {
        "model": MODEL,
        "day": day,
        "measure": "bleu",
        "score": 5.0,
        "interval": None,
        "n": 12,
        "unit": "1",
        "direction": "higher_is_better",
        "model_version": "1",
        "evaluation_set_sha256": "0" * 64,
        "signature": "x",
    }


def _metrics(day: date) -> Any:
    from upkeep.records import DailyMetrics

    return DailyMetrics(
        model=MODEL,
        day=day,
        source="made up",
        coverage=1.0,
        rows_read=12,
        rows_quarantined=0,
        requests=12,
        requests_by_version={"1": 12},
    )


def answers(day: date, ids: Sequence[str], way: int) -> list[Rating]:
    """Two raters who agree: the n-th output is good (way 1) or bad (way -1) as its number says."""
    at = datetime.combine(day + timedelta(1), datetime.min.time(), UTC)
    return [
        Rating(
            sample_id=name,
            day=day,
            criterion=criterion,
            value=3 + way * ((int(name.rpartition("-")[2]) * 5) // 12 - 2),
            rater=rater,
            at=at,
            door="mlflow",
        )
        for name in ids
        for criterion in CRITERIA
        for rater in ("ann", "bob")
    ]


@pytest.mark.parametrize(("way", "counts"), [(1, True), (-1, False)])
def test_answers_of_the_days_before_reach_the_day_and_judge_its_measures(
    tmp_path: Path, spec: ModelSpec, *, way: int, counts: bool
) -> None:
    """Scores that go with people keep their vote, scores that go against them lose it."""
    door = FakeDoor()
    place = Place(tmp_path, door)
    for back in range(6):
        day = DAY - timedelta(back)
        door.ratings += answers(day, observed(place, day), way)
    found = people.listen(place, spec, DAY)  # type: ignore[arg-type]
    assert found is not None
    assert (found.ratings, found.first_day) == (6 * 8 * 4, DAY - timedelta(6))
    assert {c.criterion: c.outputs for c in found.criteria} == dict.fromkeys(CRITERIA, 48)
    vote = found.vote("bleu")
    assert vote is not None
    assert vote.counts is counts


def test_what_was_read_stays_whatever_is_answered_later(tmp_path: Path, spec: ModelSpec) -> None:
    """A decision can be replayed: late answers reach a later day."""
    door = FakeDoor()
    place = Place(tmp_path, door)
    ids = observed(place, DAY)
    first = people.listen(place, spec, DAY)  # type: ignore[arg-type]
    door.ratings += answers(DAY, ids, 1)
    assert people.listen(place, spec, DAY) == first  # type: ignore[arg-type]
    later = people.listen(place, spec, DAY + timedelta(1))  # type: ignore[arg-type]
    assert first is not None
    assert later is not None
    assert (first.ratings, later.ratings) == (0, 32)


def test_mlflow_being_down_loses_nothing(tmp_path: Path, spec: ModelSpec) -> None:
    """No vote is taken from anybody, a flag says what is missing, the questions wait."""
    place = Place(tmp_path, FakeDoor(down=True))
    observed(place, DAY)
    found = people.listen(place, spec, DAY)  # type: ignore[arg-type]
    assert found is not None
    assert "could not be read: MLflow is down" in found.flags[0]
    assert all(vote.counts for vote in found.votes)
    people.ask(place, spec, DAY)  # type: ignore[arg-type]
    place.door.down = False
    people.ask(place, spec, DAY)  # type: ignore[arg-type]
    assert place.door.asked == [(DAY, 8)]


def test_scores_that_are_not_those_that_were_recorded_judge_nobody(
    tmp_path: Path, spec: ModelSpec
) -> None:
    """A changed file is no evidence."""
    door = FakeDoor()
    place = Place(tmp_path, door)
    for back in range(6):
        day = DAY - timedelta(back)
        door.ratings += answers(day, observed(place, day), -1)
        (tmp_path / MODEL / day.isoformat() / "scores.jsonl").write_bytes(b"{}\n")
    found = people.listen(place, spec, DAY)  # type: ignore[arg-type]
    assert found is not None
    assert all(vote.counts for vote in found.votes)


def test_scores_that_were_measured_another_way_are_not_pooled(
    tmp_path: Path, spec: ModelSpec
) -> None:
    """Five days under another tokenizer go against people; only the newest day's scores compare."""
    door = FakeDoor()
    place = Place(tmp_path, door)
    for back in range(6):
        day = DAY - timedelta(back)
        ids = observed(place, day, signature="tokenizer:new" if back == 0 else "tokenizer:old")
        door.ratings += answers(day, ids, -1)
    found = people.listen(place, spec, DAY)  # type: ignore[arg-type]
    assert found is not None
    vote = found.vote("bleu")
    assert vote is not None
    assert vote.counts
    assert "8 of 20" in vote.words


def test_a_model_that_nobody_is_asked_about_has_no_people(tmp_path: Path, spec: ModelSpec) -> None:
    """No record, no call."""
    place = Place(tmp_path, FakeDoor(down=True))
    silent = spec.model_copy(update={"reviews": None})
    assert people.listen(place, silent, DAY) is None  # type: ignore[arg-type]
    people.ask(place, silent, DAY)  # type: ignore[arg-type]
    assert place.store.list("") == []


def test_the_cycle_asks_and_listens(deployment: FakeDeployment) -> None:
    """Outputs are offered when the day is reported; what people say is there before the facts."""
    for number in (1, 2):
        play(deployment, day_of(number), rows_of(day_of(number)))
    assert deployment.fake_door.asked == [(day_of(1), 5), (day_of(2), 5)]
    facts = get_record(deployment.store, record_key(MODEL, day_of(2), "facts"), DayFacts)
    found = get_record(deployment.store, record_key(MODEL, day_of(2), "people"), People)
    assert facts is not None
    assert found is not None
    assert facts.people == found
