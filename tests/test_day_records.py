"""A day is read as it was written, or not at all."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from fakes.recorded_days import record_day
from fakes.sixteen_days import MODEL, Story, tell

from upkeep.day_records import read_day
from upkeep.errors import CorruptRecord
from upkeep.records import Override
from upkeep.sealed import seal
from upkeep.store import Store, open_store


@pytest.fixture(scope="module")
def story() -> Story:
    """Sixteen decided days."""
    return tell(seed=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return open_store(str(tmp_path))


def test_everything_of_a_day_is_read(store: Store, story: Story) -> None:
    """The decision, what led to it, and the job with its gate and its promotion."""
    day = record_day(store, story.days[13])
    records = read_day(store, MODEL, day)
    assert records.decision == story.days[13].decision
    assert records.facts == story.days[13].facts
    assert records.champion == "1"
    assert records.opened["owner"] == "airflow:manual__1"
    (job,) = records.jobs
    assert job.gate is not None
    assert job.gate.passed
    assert job.promotion is not None
    assert job.promotion.version == "2"


def test_an_unknown_day_is_empty(store: Store) -> None:
    """No record, no job, no file, no champion."""
    records = read_day(store, MODEL, date(2026, 3, 5))
    assert (records.files, records.jobs, records.champion) == ({}, (), None)


def test_a_record_with_one_other_byte_is_refused(store: Store, story: Story) -> None:
    """MLflow never shows what the store cannot vouch for."""
    judged = story.days[7]
    sealed = seal(judged.decision)
    key = f"{MODEL}/{judged.facts.day}/r1/decision.json"
    store.put_if_absent(key, sealed.replace(b'"keep"', b'"hold"'))
    with pytest.raises(CorruptRecord, match=r"decision\.json"):
        read_day(store, MODEL, judged.facts.day)


def test_the_digest_changes_with_every_record_and_only_then(store: Store, story: Story) -> None:
    """An added order changes it; reading again, or a sample file, does not."""
    day = record_day(store, story.days[7])
    before = read_day(store, MODEL, day).digest()
    store.put_if_absent(f"{MODEL}/{day}/r1/samples.jsonl", b"{}")
    assert read_day(store, MODEL, day).digest() == before
    order = Override(model=MODEL, day=day, action="keep", note="n", by="mara")
    store.put_if_absent(f"{MODEL}/{day}/r1/override.json", seal(order))
    assert read_day(store, MODEL, day).digest() != before
