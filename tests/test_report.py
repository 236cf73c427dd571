"""The note and the page: reasons with numbers, everything from outside escaped, same bytes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from fakes.recorded_days import record_day, record_story
from fakes.sixteen_days import MODEL, Story, tell
from hypothesis import given
from hypothesis import strategies as st

from upkeep.day_records import DayRecords, read_day
from upkeep.records import Override, Reason
from upkeep.report import MAX_NOTE_CHARS, note, plain, present
from upkeep.report_chart import Point, Series, svg
from upkeep.report_page import html, series_of
from upkeep.report_words import by_urgency, number, state_of
from upkeep.store import open_store

EVIL = "<script>alert(1)</script>\"'&[x](javascript:1) | `=cmd`\x1b[31m\n# http://evil"
VOID = {"meta", "line", "rect", "circle", "polyline"}


class Page(HTMLParser):
    """Which elements a page has, whether they nest, and what text it shows."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.shown = ""
        self._open: list[str] = []
        self.feed(content.decode())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It must be the one that is open."""
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        self.shown += data


@pytest.fixture(scope="module")
def story() -> Story:
    """Sixteen decided days."""
    return tell(seed=3)


@pytest.fixture(scope="module")
def days(story: Story, tmp_path_factory: pytest.TempPathFactory) -> dict[int, DayRecords]:
    """The records of every day."""
    store = open_store(str(tmp_path_factory.mktemp("store")))
    read = [read_day(store, MODEL, day) for day in record_story(store, story)]
    return dict(enumerate(read, start=1))


def evil(records: DayRecords) -> DayRecords:
    """The same day, with everything from outside turned against the reader."""
    assert records.decision is not None
    assert records.metrics is not None
    assert records.drift is not None
    reason = Reason(fact=EVIL, value=EVIL, rule=EVIL, threshold=EVIL, words=EVIL)
    results = [r.model_copy(update={"words": EVIL}) for r in records.drift.results]
    results[0] = results[0].model_copy(update={"measure": f"share[{EVIL}]"})
    aside = ({"what": EVIL, "reason": EVIL, "rows": 1},)
    return replace(
        records,
        decision=records.decision.model_copy(update={"reasons": (reason,)}),
        drift=records.drift.model_copy(update={"results": tuple(results)}),
        metrics=type(records.metrics).model_validate(
            {**records.metrics.model_dump(), "quarantined": aside}
        ),
        override=Override(model=MODEL, day=records.day, action="keep", note=EVIL, by=EVIL),
    )


def test_the_note_of_a_retrained_day_says_why_with_numbers(days: dict[int, DayRecords]) -> None:
    """Action and cause first, then what drifted by how much, what came of it, and the reasons."""
    written = note(days[13])
    assert written.startswith("### retrain: traffic mix")
    assert "Perplexity 9.40 against 5.26 (+99.0%, tolerated 15%)" in written
    assert "**retrain (full): promoted as version 2.** All 2 checks passed." in written
    assert "- The cause is traffic_mix" in written
    assert "champion version 1" in written


def test_the_note_of_a_day_on_hold_names_what_is_wrong(days: dict[int, DayRecords]) -> None:
    """The covered share and the failed check, in words."""
    written = note(days[12])
    assert written.startswith("### hold: data breakage")
    assert "**not trusted**, 50% of the day covered" in written
    assert "12 of 24 hours could be read: 00.jsonl and 11 more are cut off" in written


def test_the_note_of_a_refused_job_says_which_check_failed(tmp_path: Path, story: Story) -> None:
    """In the day's note and in the job's own."""
    store = open_store(str(tmp_path))
    day = record_day(store, story.days[13], promoted=False)
    page = present(read_day(store, MODEL, day))
    assert "Not passed: perplexity may be 5 % worse" in page.note
    assert "**failed**" in page.job_notes["retrain"]


def test_an_order_of_a_person_stands_above_the_policy(days: dict[int, DayRecords]) -> None:
    """Who ordered what, and why, at the top of the note and of the page."""
    order = Override(model=MODEL, day=days[7].day, action="compress", note="costs", by="mara")
    records = replace(days[7], override=order)
    assert "**mara ordered compress**: costs" in note(records)
    assert "mara ordered compress: costs" in Page(html(records)).shown


def test_the_note_fits_into_a_tag_whatever_the_records_say(days: dict[int, DayRecords]) -> None:
    """Long reasons cost whole paragraphs, never half a table."""
    decision = days[13].decision
    assert decision is not None
    long = Reason(fact="f", value="v", rule="r", threshold="t", words="w" * 4000)
    many = replace(days[13], decision=decision.model_copy(update={"reasons": (long,) * 30}))
    assert len(note(many)) <= MAX_NOTE_CHARS
    assert note(many).startswith("### retrain")


def test_the_page_shows_decision_series_drift_gate_and_findings(
    days: dict[int, DayRecords],
) -> None:
    """A reviewer finds each part, and the page nests properly."""
    page = Page(html(days[13]))
    for words in ("retrain", "cause: traffic mix", "Perplexity", "Causes considered", "promoted"):
        assert words in page.shown
    assert page.tags.count("svg") == len(list(series_of(days[13]))) >= 5


def test_the_page_needs_nothing_else(days: dict[int, DayRecords]) -> None:
    """No script, no picture, font or style from anywhere."""
    page = Page(html(days[13]))
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not {"src", "href", "onload", "onclick"} & set(page.attributes)
    assert re.findall(rb"https?://(?!www\.w3\.org/2000/svg)", html(days[13])) == []


def test_every_day_has_a_page_and_the_same_bytes_again(days: dict[int, DayRecords]) -> None:
    """Equal records, equal notes, pages and plots."""
    for records in days.values():
        again = present(records)
        assert present(records) == again
        Page(again.files["report.html"])


def test_nothing_from_outside_becomes_markup_on_the_page(days: dict[int, DayRecords]) -> None:
    """Names of slices and files, reasons and orders are shown as text (A29, B27)."""
    good, bad = Page(html(days[13])), Page(html(evil(days[13])))
    assert set(bad.tags) == set(good.tags)
    assert set(bad.attributes) == set(good.attributes)
    assert "<script>alert(1)</script>" in bad.shown


def test_nothing_from_outside_becomes_markup_in_the_note(days: dict[int, DayRecords]) -> None:
    """No HTML, no link, no table cell, no heading, no escape sequence."""
    written = note(evil(days[13]))
    assert "<script" not in written
    assert not re.search(r"(?<!\\)\]\(", written)
    assert "http://evil" not in written
    assert "\x1b" not in written
    rows = [line for line in written.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}


@given(st.text(max_size=3000))
def test_plain_text_is_one_short_line_without_markup(text: str) -> None:
    """Whatever comes in."""
    made = plain(text)
    assert "\n" not in made
    assert not re.search(r"[<>\x00-\x1f]", made)
    assert not re.search(r"(?<!\\)[`\[\]|]", made.replace("\\\\", ""))
    assert len(made) < 400 * 12


def test_a_day_that_has_hardly_begun_has_a_page(days: dict[int, DayRecords]) -> None:
    """Nothing but the snapshot: no decision, no chart, no crash."""
    bare = replace(
        days[1],
        **dict.fromkeys(
            ("metrics", "validation", "quality", "facts", "drift", "diagnosis", "decision")
        ),
        jobs=(),
        gx_document=None,
    )
    page = present(bare)
    assert page.note.startswith("### not decided yet")
    assert "no decision yet" in Page(page.files["report.html"]).shown
    assert list(page.files) == ["report.html"]


def test_what_drifted_stands_first(days: dict[int, DayRecords]) -> None:
    """Drifted before unknown before stable; slices after the whole."""
    drift = days[13].drift
    assert drift is not None
    assert [r.measure for r in by_urgency(drift.results)][:2] == ["perplexity", "share[browser]"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "not known"),
        (0.0, "0"),
        (976.0, "976"),
        (12345.678, "12,346"),
        (9.404, "9.40"),
        (0.02238, "0.0224"),
        (1.2e-7, "1.2e-07"),
        (-41.26, "-41.3"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: float | None, words: str) -> None:
    """Three figures, thousands separated, and no zero for what is not known."""
    assert number(value) == words


@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40),
    st.booleans(),
)
def test_every_series_becomes_a_picture_with_all_points_inside(
    values: list[float],
    drifted: bool,  # noqa: FBT001  (hypothesis gives it)
) -> None:
    """Well-formed, one dot a day, and nothing outside of the frame."""
    first = date(2026, 3, 1)
    points = [
        Point(first + timedelta(days=n), value, value - 1, value + 1, trusted=n % 3 > 0)
        for n, value in enumerate(values)
    ]
    drawn = svg(Series('a "title" <b>', points, values[0], (values[0], values[0] + 1), drifted))
    root = ET.fromstring(drawn)  # noqa: S314  (our own bytes)
    dots = root.findall("{*}circle")
    assert len(dots) == len(values)
    for dot in dots:
        assert 0 <= float(dot.get("cx", "nan")) <= 360
        assert 0 <= float(dot.get("cy", "nan")) <= 168


def test_no_points_is_no_picture() -> None:
    """An empty series draws nothing."""
    assert svg(Series("t", [])) == ""


def test_a_fact_that_changed_is_no_alarm(days: dict[int, DayRecords]) -> None:
    """Day 11: four times the requests are told as a change, without alarm, in page and note."""
    day = days[11]
    assert day.drift is not None
    requests = day.drift.get("requests")
    assert requests is not None
    assert (requests.state, state_of(requests)) == ("drifted", "changed")
    assert '<span class="s-changed">changed</span>' in html(day).decode()
    assert "**drifted**" not in note(day)
