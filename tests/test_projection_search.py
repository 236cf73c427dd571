"""A search in MLflow: a run a trial, the front as a picture, the choice in words; records only."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.recorded_days import record_day
from fakes.searched_days import record_search
from fakes.sixteen_days import MODEL, tell

from upkeep.day_records import DayRecords, read_day
from upkeep.projection import job_view
from upkeep.projection_search import place_of, trial_views
from upkeep.report import FRONT, present
from upkeep.report_front import front_svg
from upkeep.store import Store, open_store

STORY = tell(seed=3)
COMPRESSED = next(d for d in STORY.days.values() if d.decision.action == "compress")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return open_store(str(tmp_path))


@pytest.fixture
def searched(store: Store) -> DayRecords:
    """A day whose compression searched."""
    day = record_day(store, COMPRESSED)
    record_search(store, MODEL, day)
    return read_day(store, MODEL, day)


def test_every_trial_is_a_run_below_the_compression(searched: DayRecords) -> None:
    """With its settings, what was expected beside what was measured, its place and its reason."""
    views = list(trial_views(searched, searched.jobs[0]))
    assert [v.name.split(":")[0] for v in views] == [f"trial {n}" for n in range(4)]
    assert len({v.key for v in views}) == 4
    assert [v.tags["upkeep.place"] for v in views] == ["front", "chosen", "front", "failed"]
    chosen, failed = views[1], views[3]
    assert chosen.params["step1.method"] == "openvino-int4"
    assert chosen.params["step1.bits"] == "8"
    assert chosen.metrics["predicted/speedup"] == 4.0
    assert chosen.metrics["size_share"] == 0.18
    assert chosen.metrics["made/step1_seconds"] == 2.5
    assert (chosen.status, failed.status) == ("FINISHED", "FAILED")
    assert failed.tags["upkeep.reason"].startswith("ValueError")
    assert "<b>" not in failed.tags["mlflow.note.content"]
    assert not {"speedup", "quality_loss"} & set(failed.metrics)


def test_a_finalist_stands_as_it_was_measured_last(searched: DayRecords) -> None:
    """2.8 over twenty rounds, not 2.9 over six."""
    assert list(trial_views(searched, searched.jobs[0]))[1].metrics["speedup"] == 2.8


def test_the_note_says_why_the_chosen_one_was_chosen(searched: DayRecords) -> None:
    """The search's own words, how it ended, what was tried last, the front."""
    note = present(searched).job_notes["compress"]
    assert "It is the smallest, the only one." in note
    assert "the budget of 4 trials is spent" in note
    assert "tried last: pruning+quantization" in note
    assert note.count("| weights u8, f32 |") == 3


def test_the_front_is_a_picture_of_the_compressions_run(searched: DayRecords) -> None:
    """Well-formed, a dot a measured trial, the champion, the limit; the same bytes each time."""
    page = present(searched)
    picture = page.job_files["compress"][FRONT]
    root = ET.fromstring(picture)  # noqa: S314 - made here
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 3
    assert sum(c.get("fill") == c.get("stroke") for c in circles) == 3
    titles = [c[0].text or "" for c in circles]
    assert "trial 1, openvino-int4: chosen" in titles[1]
    view = job_view(searched, searched.jobs[0], "", page.job_files["compress"])
    assert view.files[FRONT] == picture
    assert "records/trials/0003.json" in view.files
    assert present(searched).job_files == page.job_files


def test_without_a_candidate_the_nearest_is_marked(store: Store) -> None:
    """Nothing is chosen, and the picture still shows how near it was."""
    day = record_day(store, COMPRESSED)
    record_search(store, MODEL, day, chosen=None)
    job = read_day(store, MODEL, day).jobs[0]
    assert [place_of(job, t) for t in job.trials] == ["front", "nearest", "front", "failed"]
    assert "trial 1, openvino-int4: nearest" in front_svg(job)


def test_a_search_that_goes_on_shows_what_it_has(searched: DayRecords) -> None:
    """Without a result every trial is just measured."""
    job = replace(searched.jobs[0], search=None)
    assert {place_of(job, t) for t in job.trials} == {"measured", "failed"}
    assert front_svg(job).count("<circle") == 3


def test_a_trial_more_is_another_day_to_show(searched: DayRecords, store: Store) -> None:
    """The marker of what was sent depends on the trials."""
    day = searched.day
    job = searched.jobs[0]
    fewer = replace(job, files={n: d for n, d in job.files.items() if n != "trials/0003.json"})
    assert replace(searched, jobs=(fewer,)).digest() != searched.digest()
    assert read_day(store, MODEL, day).digest() == searched.digest()


def test_a_compression_that_did_not_search_has_neither_trials_nor_picture(store: Store) -> None:
    """As before."""
    records = read_day(store, MODEL, record_day(store, COMPRESSED))
    assert list(trial_views(records, records.jobs[0])) == []
    assert present(records).job_files == {}
