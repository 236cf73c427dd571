"""What people are asked about, and what they answered, as the store has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from upkeep import reviews
from upkeep.errors import CorruptRecord, ParamError, TrackingError
from upkeep.judgement_answers import Admitted, admit
from upkeep.pictures import image_name
from upkeep.records import Criterion, Excluded, Rating, Sample
from upkeep.samples import put_samples, samples_key
from upkeep.spec import Reviews
from upkeep.store import Store, open_store

MODEL, DAY = "docs-assistant", date(2026, 3, 5)
AT = datetime(2026, 3, 6, 9, tzinfo=UTC)
SPEC = Reviews(samples_per_day=3, criteria=("coherence", "relevance"))


WINDOW = [DAY - timedelta(days=n) for n in range(6, -1, -1)]


class FakeDoor:
    """MLflow's side: fixed answers, or none because it is down. Proves nothing about MLflow."""

    def __init__(self, *ratings: Rating, down: bool = False) -> None:
        """Remember what is asked."""
        self.ratings, self.down, self.asked = ratings, down, []

    asked: list[Any]

    def answers(
        self, model: str, days: tuple[date, date], criteria: Sequence[Criterion]
    ) -> tuple[list[Rating], list[Excluded]]:
        """The fixed answers."""
        self.asked.append((model, days, tuple(criteria)))
        if self.down:
            raise TrackingError("MLflow at http://x failed")
        return list(self.ratings), [Excluded(what="m", n=2, reason="odd")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return open_store(str(tmp_path))


def _samples(n: int, completion: str = "text") -> list[Sample]:
    return [Sample(id=f"s{i}", slice="a", prompt="p", completion=completion) for i in range(n)]


def _offered(store: Store, day: date = DAY, n: int = 8, completion: str = "text") -> list[str]:
    put_samples(store, samples_key(MODEL, day), _samples(n, completion))
    return [sample.id for sample in reviews.offer(store, MODEL, day, SPEC)]


def _rating(sample_id: str, value: int = 4, **more: Any) -> Rating:
    base = {"criterion": "coherence", "rater": "jo", "at": AT, "door": "mlflow", "day": DAY}
    return Rating.model_validate(base | {"sample_id": sample_id, "value": value} | more)


def _rated(store: Store, run: str, *ratings: Rating) -> tuple[Rating, ...]:
    found = reviews.offered(store, MODEL, DAY)
    assert found is not None
    return reviews.rate(store, found, ratings[0].sample_id, run, ratings).ratings


def _let_in(found: reviews.Collected) -> Admitted:
    """What counts of it, as the day's judgement sees it."""
    return admit(DAY, SPEC, found.ratings, found.offered)


def test_the_same_outputs_are_chosen_every_time(store: Store) -> None:
    """Whatever order they come in; never one that is empty."""
    samples = [*_samples(20), Sample(id="empty", slice="a", prompt="p")]
    chosen = reviews.choose(samples, 5)
    assert chosen == reviews.choose(samples[::-1], 5)
    assert len(chosen) == 5
    assert "empty" not in {s.id for s in reviews.choose(samples, 30)}


def test_what_was_offered_once_stays(store: Store) -> None:
    """Another number in the model's file changes tomorrow, not what people see today."""
    first = _offered(store)
    more = Reviews(samples_per_day=7, criteria=("realism",))
    assert [s.id for s in reviews.offer(store, MODEL, DAY, more)] == first
    found = reviews.offered(store, MODEL, DAY)
    assert found is not None
    assert (list(found.sample_ids), found.criteria) == (first, ("coherence", "relevance"))


def test_a_day_without_outputs_offers_none(store: Store) -> None:
    """It is recorded all the same: nothing is asked about that day later."""
    assert reviews.offer(store, MODEL, DAY, SPEC) == []
    found = reviews.offered(store, MODEL, DAY)
    assert found is not None
    assert found.sample_ids == ()


def test_answers_of_both_doors_come_together(store: Store) -> None:
    """Of the window's days alone; MLflow is asked once, about all of them."""
    a, b, c = _offered(store)
    _offered(store, DAY - timedelta(days=3))
    _rated(store, "run-1", _rating(a, 2, door="airflow", rater="ann"))
    door = FakeDoor(_rating(b))
    found = reviews.collect_answers(store, door, MODEL, WINDOW)
    assert {(r.sample_id, r.value, r.door) for r in found.ratings} == {
        (a, 2, "airflow"), (b, 4, "mlflow"),
    }  # fmt: skip
    assert found.excluded == [Excluded(what="m", n=2, reason="odd")]
    assert found.flags == []
    window = (DAY - timedelta(days=6), DAY)
    assert door.asked == [(MODEL, window, ("coherence", "relevance"))]
    both = (DAY, DAY - timedelta(days=3))
    assert found.offered == {(day, name) for day in both for name in (a, b, c)}
    later = [day + timedelta(days=7) for day in WINDOW]
    assert reviews.collect_answers(store, FakeDoor(), MODEL, later) == ([], frozenset(), [], [])


def test_mlflow_being_down_loses_nothing(store: Store) -> None:
    """What the store has counts, and the flag says what is missing."""
    a, *_ = _offered(store)
    _rated(store, "run-1", _rating(a, door="airflow"))
    found = reviews.collect_answers(store, FakeDoor(down=True), MODEL, WINDOW)
    assert [r.sample_id for r in found.ratings] == [a]
    [flag] = found.flags
    assert "could not be read" in flag
    assert "http://x" in flag


def test_raters_without_a_name_are_nobody_and_that_is_said(store: Store) -> None:
    """MLflow without authentication signs everything "default"."""
    a, b, _ = _offered(store)
    door = FakeDoor(_rating(a, rater="default"), _rating(b, rater="default"))
    found = reviews.collect_answers(store, door, MODEL, WINDOW)
    assert len(found.ratings) == 2
    assert _let_in(found).kept == ()
    [flag] = found.flags
    assert "2 ratings" in flag
    assert "do not count" in flag
    assert "basic-auth" in flag


def test_a_form_s_answers_are_recorded_once(store: Store) -> None:
    """A retry of the same run adopts them; another run of the same person replaces the value."""
    a, *_ = _offered(store)
    first = _rated(store, "run-1", _rating(a, 2, door="airflow"))
    assert _rated(store, "run-1", _rating(a, 5, door="airflow")) == first
    later = _rating(a, 1, door="airflow", at=AT + timedelta(hours=1))
    _rated(store, "run-2", later)
    found = reviews.collect_answers(store, FakeDoor(), MODEL, WINDOW)
    assert _let_in(found).kept == (later,)
    assert [(e.what, e.n) for e in _let_in(found).excluded] == [("earlier answers", 1)]


def test_the_later_answer_counts_whatever_its_door(store: Store) -> None:
    """A person who answered twice is one rater with one answer."""
    a, *_ = _offered(store)
    _rated(store, "run-1", _rating(a, 2, door="airflow", at=AT + timedelta(minutes=1)))
    found = reviews.collect_answers(store, FakeDoor(_rating(a, 5)), MODEL, WINDOW)
    assert [(r.value, r.door) for r in _let_in(found).kept] == [(2, "airflow")]


def test_an_answer_about_something_else_does_not_count(store: Store) -> None:
    """An output that was not offered, or one of another day under the same id."""
    a, *_ = _offered(store)
    door = FakeDoor(_rating("other"), _rating(a, day=DAY - timedelta(days=1)))
    seen = _let_in(reviews.collect_answers(store, door, MODEL, WINDOW))
    assert seen.kept == ()
    assert [(e.what, e.n) for e in seen.excluded] == [("answers about unknown outputs", 2)]


def test_a_broken_record_is_no_missing_answer(store: Store) -> None:
    """An unknown is never a pass: it stops, and names the record."""
    a, *_ = _offered(store)
    _rated(store, "run-1", _rating(a, door="airflow"))
    [key] = store.list(f"{MODEL}/{DAY}/r1/ratings")
    data, etag = store.get_versioned(key) or (b"", "")
    store.replace(key, data.replace(b'"value":4', b'"value":5'), etag)
    with pytest.raises(CorruptRecord):
        reviews.collect_answers(store, FakeDoor(), MODEL, WINDOW)


def test_the_form_asks_about_offered_texts_only(store: Store) -> None:
    """No day that offered nothing, no image, no other output."""
    with pytest.raises(ParamError, match="no output of docs-assistant was offered"):
        reviews.to_rate(store, MODEL, DAY, 2)
    chosen = _offered(store)
    assert list(reviews.to_rate(store, MODEL, DAY, 2).sample_ids) == chosen[:2]
    assert reviews.question(store, MODEL, DAY, chosen[0]).completion == "text"
    with pytest.raises(ParamError, match="offered"):
        reviews.question(store, MODEL, DAY, "s-other")
    before = DAY - timedelta(days=1)
    _offered(store, before, completion=image_name(b"png"))
    with pytest.raises(ParamError, match="queue 'upkeep docs-assistant'"):
        reviews.to_rate(store, MODEL, before, 2)
