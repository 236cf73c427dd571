"""The day's page on quality: what was measured, what failed, what people say, all escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest
from fakes.recorded_days import record_day
from fakes.sixteen_days import MODEL, tell

from upkeep import report_quality
from upkeep.day_records import DayRecords, read_day
from upkeep.pictures import image_name, images_key, pack
from upkeep.records import (
    Agreement,
    CriterionResult,
    Evaluation,
    Excluded,
    FailureMode,
    Interval,
    People,
    Unmeasured,
    Vote,
)
from upkeep.report_page import html
from upkeep.store import open_store

EVIL = "<script>alert(1)</script>"
PNG = b"\x89PNG\r\n\x1a\n made up"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DayRecords:
    """A recorded day whose outputs were images, with failures, ratings and a lost vote."""
    store = open_store(str(tmp_path_factory.mktemp("store")))
    decided = tell(seed=3).days[7]
    when = record_day(store, decided)
    images = {image_name(PNG + bytes([n])): PNG + bytes([n]) for n in range(50)}
    store.put_if_absent(images_key(MODEL, when), pack(images))
    found = read_day(store, MODEL, when)
    assert found.quality is not None
    mode = FailureMode(name="blurred", words=EVIL, n=7, share=0.07, sample_ids=("a", EVIL))
    missing = Unmeasured(measure="fid", words=f"n < min_n {EVIL}")
    quality = found.quality.model_copy(update={"failure_modes": (mode,), "unmeasured": (missing,)})
    return replace(found, quality=quality, people=people(when))


def people(when: date) -> People:
    """What people said."""
    span = Interval(low=-0.1, high=0.06)
    criterion = CriterionResult(
        criterion="relevance",
        score=2.5,
        interval=Interval(low=2.1, high=2.9),
        outputs=40,
        ratings=95,
        raters=3,
        alpha=0.61,
        weight=1.0,
        words=EVIL,
    )
    agreement = Agreement(
        measure="bleu",
        criterion="relevance",
        level="sample",
        statistic="spearman",
        value=-0.02,
        interval=span,
        n=40,
    )
    return People(
        model=MODEL,
        day=when,
        first_day=when,
        ratings=95,
        excluded=(Excluded(what=EVIL, n=1_000_000, reason="over the cap"),),
        criteria=(criterion,),
        agreements=(agreement, agreement.model_copy(update={"statistic": "kendall", "n": 41})),
        votes=(Vote(measure="bleu", counts=False, words=f"shown not to agree {EVIL}"),),
        flags=(EVIL,),
    )


Section = Callable[[DayRecords], Iterator[str]]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (report_quality.quality, ("Perplexity", "Asked for, not measured", "FID", "n &lt; min_n")),
        (report_quality.failures, ("blurred", "7.0%", "a, ")),
        (
            report_quality.people,
            (
                *("95 ratings", "relevance", "2.50 (2.10 to 2.90)", "0.610", "1,000,000"),
                *("-0.0200 (-0.100 to 0.0600)", "<b>no</b>", "shown not to agree"),
            ),
        ),
    ],
)
def test_a_section_has_its_numbers_and_no_markup_from_outside(
    day: DayRecords, section: Section, words: tuple[str, ...]
) -> None:
    """Each is a table with a title."""
    made = "".join(section(day))
    assert [w for w in words if w not in made] == []
    assert "<script" not in made


def test_silence_is_one_sentence(day: DayRecords) -> None:
    """Nobody answered: no table of zeros, and what is missing is said."""
    assert day.people is not None
    silent = day.people.model_copy(update={"ratings": 0, "excluded": (), "flags": ("MLflow down",)})
    made = "".join(report_quality.people(replace(day, people=silent)))
    assert f"Nobody has rated an output since {silent.first_day}." in made
    assert "<table" not in made
    assert "MLflow down" in made


def test_agreement_is_shown_by_rank_and_output(day: DayRecords) -> None:
    """Of the six numbers for each measure and criterion, one."""
    made = "".join(report_quality.people(day))
    assert made.count("<td>relevance</td>") == 2
    assert "41" not in made


def test_the_grid_shows_forty_images_and_needs_no_other_file(day: DayRecords) -> None:
    """Data URLs, the first by their hash."""
    made = "".join(report_quality.outputs(day))
    assert made.count("<img") == 40
    assert made.count('src="data:image/png;base64,') == 40


def test_what_is_not_there_takes_no_room(day: DayRecords) -> None:
    """A model of texts that nobody rates."""
    bare = replace(day, quality=None, people=None, images=())
    sections = (report_quality.quality, report_quality.outputs, report_quality.failures)
    for section in (*sections, report_quality.people):
        assert list(section(bare)) == []


def test_the_page_holds_all_of_it(day: DayRecords) -> None:
    """In one file without a script."""
    page = html(day).decode()
    for title in ("Outputs of the day", "Quality", "Failure modes", "Votes"):
        assert f"<h2>{title}</h2>" in page
    assert "<script" not in page


def test_an_evaluation_written_before_there_were_failure_modes_is_read() -> None:
    """Fields that were added have a default."""
    old = Evaluation(model=MODEL, day=date(2026, 3, 5), model_version="1", results=())
    assert (old.failure_modes, old.unmeasured, old.scores) == ((), (), None)
