"""Records in, runs out: only numbers that are numbers, and words for every outcome."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.recorded_days import gate, metrics_of, quality_of, record_day
from fakes.sixteen_days import MODEL, Story, tell
from hypothesis import given
from hypothesis import strategies as st

from upkeep.day_records import DayRecords, read_day
from upkeep.projection import (
    HEADLINE,
    day_view,
    finite,
    gate_table,
    headline,
    job_view,
    loss_curves,
    outcome_of,
    timeline_view,
)
from upkeep.records import DailyMetrics
from upkeep.report import present
from upkeep.sealed import seal
from upkeep.store import open_store


@pytest.fixture(scope="module")
def story() -> Story:
    """Sixteen decided days."""
    return tell(seed=3)


@pytest.fixture
def retrained(tmp_path: Path, story: Story) -> DayRecords:
    """The records of the day that was retrained."""
    store = open_store(str(tmp_path))
    return read_day(store, MODEL, record_day(store, story.days[13]))


@given(st.dictionaries(st.text(), st.none() | st.floats() | st.integers() | st.text()))
def test_nothing_but_finite_numbers_is_ever_sent(numbers: dict[str, object]) -> None:
    """NaN, both infinities, None and texts are left out, whatever else there is."""
    sent = finite(numbers)
    assert all(math.isfinite(value) for value in sent.values())
    kept = {n for n, v in numbers.items() if isinstance(v, int | float) and math.isfinite(v)}
    assert set(sent) == kept


def test_a_nan_that_got_past_the_records_is_not_sent(retrained: DayRecords, story: Story) -> None:
    """Even a record made without validation gives no NaN."""
    good = metrics_of(story.days[7].facts.current)
    broken = DailyMetrics.model_construct(
        **{**dict(good), "cost_usd_per_1k": math.nan, "tokens_out_per_s": math.inf}
    )
    sent = headline(replace(retrained, metrics=broken, quality=None))
    assert "requests" in sent
    assert not {"cost_usd_per_1k", "tokens_out_per_s", "perplexity"} & set(sent)


def test_headline_names_are_stable(retrained: DayRecords, story: Story) -> None:
    """A whole day has every headline number and its quality beside the baseline."""
    today = story.days[7].facts.current
    day = replace(retrained, metrics=metrics_of(today), quality=quality_of(today))
    assert set(headline(day)) == {
        *HEADLINE,
        *("perplexity", "perplexity_low", "perplexity_high", "perplexity_baseline"),
        *("bleu", "rouge_l"),
    }
    assert headline(replace(retrained, metrics=None, quality=None, drift=None)) == {}


def test_a_day_without_a_decision_is_running(retrained: DayRecords) -> None:
    """What is not decided does not look finished, and has no action param."""
    page = present(retrained)
    assert day_view(retrained, page).status == "FINISHED"
    view = day_view(replace(retrained, decision=None), page)
    assert (view.status, view.tags["upkeep.action"]) == ("RUNNING", "undecided")
    assert "action" not in view.params


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ((), "promoted as version 2"),
        (("promotion",), "passed the gate"),
        (("promotion", "gate"), "waits for the gate"),
        (("promotion", "gate", "candidate"), "running"),
    ],
)
def test_every_state_of_a_job_has_words(
    retrained: DayRecords, gone: tuple[str, ...], words: str
) -> None:
    """From running to promoted."""
    job = replace(retrained.jobs[0], **dict.fromkeys(gone))
    assert outcome_of(job) == words


def test_a_refused_job_says_by_whom(tmp_path: Path, story: Story) -> None:
    """The gate's no and a person's no are different words and the same tag."""
    store = open_store(str(tmp_path))
    records = read_day(store, MODEL, record_day(store, story.days[13], promoted=False))
    view = job_view(records, records.jobs[0], "")
    assert view.tags["upkeep.outcome"] == "refused by the gate"
    assert view.tags["upkeep.gate"] == "refused"
    assert "upkeep.version" not in view.tags


def test_the_gate_table_has_a_row_a_check(story: Story) -> None:
    """In the form that MLflow shows as a table, JSON without NaN."""
    table = json.loads(gate_table(gate("retrain", story.days[13].facts.day, "1", passed=True)))
    assert table["columns"][:2] == ["check", "passed"]
    assert [len(row) for row in table["data"]] == [len(table["columns"])] * 2


def test_a_days_step_is_its_number_on_the_timeline(retrained: DayRecords) -> None:
    """The first day is step 1, a day before it step 0."""
    from datetime import timedelta

    assert timeline_view(retrained, retrained.day).step == 1
    assert timeline_view(retrained, retrained.day - timedelta(days=12)).step == 13
    assert timeline_view(retrained, retrained.day + timedelta(days=1)).step == 0


def test_texts_of_users_are_not_among_the_files(retrained: DayRecords) -> None:
    """Records, GE's document and its page, plots and the report: nothing else leaves the store."""
    names = day_view(retrained, present(retrained)).files
    tops = {name.split("/")[0] for name in names}
    validation = {"great-expectations.json", "great-expectations.html"}
    assert tops == {"records", "plots", "report.html", *validation}
    assert not any("samples" in name for name in names)


def test_a_training_shows_its_losses_as_curves(retrained: DayRecords) -> None:
    """Points over steps, and none of them as a number of its own."""
    points = {f"loss_train[{step}]": 5.0 - step / 1000 for step in range(50, 1050, 50)}
    made = retrained.jobs[0].candidate
    assert made is not None
    measured = {**points, "loss_held_out[0]": 6.0, "loss_held_out_after": 4.0, "steps": 1000.0}
    job = replace(retrained.jobs[0], candidate=made.model_copy(update={"measurements": measured}))
    view = job_view(retrained, job, "")
    assert view.curves["loss_train"][:2] == ((50, 4.95), (100, 4.9))
    assert [step for step, _ in view.curves["loss_train"]] == list(range(50, 1050, 50))
    assert view.curves["loss_held_out"] == ((0, 6.0),)
    assert {name for name in view.metrics if name.startswith("loss")} == {"loss_held_out_after"}


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    """MLflow takes a thousand numbers at a time."""
    [curve] = loss_curves({f"loss_train[{n}]": float(n) for n in range(1, 10_001)}).values()
    assert len(curve) == 200
    assert curve[-1] == (10_000, 10_000.0)


def test_event_files_that_were_changed_are_not_shown(tmp_path: Path, story: Story) -> None:
    """The record has their hashes."""
    store = open_store(str(tmp_path / "store"))
    day = record_day(store, story.days[13])
    (tmp_path / "events").mkdir()
    for name in ("one", "two"):
        (tmp_path / "events" / name).write_bytes(name.encode())
    key = f"{MODEL}/{day}/r1/retrain/candidate.json"
    records = read_day(store, MODEL, day)
    made = records.jobs[0].candidate
    assert made is not None
    events = store.put_folder(f"{MODEL}/{day}/r1/jobs/retrain/tensorboard", tmp_path / "events")
    path = tmp_path / "store" / key
    path.unlink()
    store.put_if_absent(key, seal(made.model_copy(update={"events": events})))
    changed = tmp_path / "store" / events.prefix / "two"
    changed.unlink()
    changed.write_bytes(b"2")
    view = job_view(records, read_day(store, MODEL, day).jobs[0], "")
    assert {k: v for k, v in view.files.items() if k.startswith("tensorboard/")} == {
        "tensorboard/one": b"one"
    }
