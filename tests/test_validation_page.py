"""The page of a validation: each expectation with what was seen, nothing from outside alive."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from fakes.believable_days import changed, good_day, spec_of, with_hours

from upkeep.records import Rejected
from upkeep.validation import validate
from upkeep.validation_page import html
from upkeep.validation_suite import FRAMES, suite_of

EVIL = "<script>alert(1)</script>\"'&<img src=http://evil/x>=cmd|\x1b[31m\u202e"


class Shown(HTMLParser):
    """The elements, the attributes and the text of a page; its elements must nest."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def good() -> bytes:
    """The stored result of a day on which all is well."""
    return validate(spec_of(), good_day(), [good_day()])[1]


@pytest.fixture(scope="module")
def bad() -> bytes:
    """That of a day that is held, with evil in every text that comes from outside."""
    day = with_hours(good_day(), 4, errors=31)
    rejected = Rejected(what=EVIL, reason=EVIL).model_dump()
    day = changed(day, coverage=0.5, rejected=[rejected], flags=(EVIL,), source=EVIL)
    return validate(spec_of(), day, [])[1]


def test_the_page_lists_every_expectation_and_every_check(good: bytes) -> None:
    """With its check, whether it is met, the suite's name and its SHA-256."""
    page, suite = html(good), suite_of("prometheus")
    text = Shown(page).text
    assert text[0] == "Validation of talker, 2026-03-05"
    expected = [e for frame in FRAMES for e in suite.expectations[frame]]
    assert sum(line.startswith("expect ") for line in text) == len(expected)
    assert set(suite.checks()) <= set(text)
    assert f"{len(expected)} of {len(expected)} expectations of suite {suite.name}" in " ".join(
        text
    )
    assert suite.sha256 in page.decode()
    assert "no" not in text


def test_the_page_says_limits_conditions_and_what_was_seen(good: bytes, bad: bytes) -> None:
    """A person sees 0.5 against 0.9, without reading JSON."""
    text = "\n".join(Shown(html(bad)).text)
    assert "The data cannot be trusted" in text
    assert "column coverage, max_value 1.0, min_value 0.9" in text
    assert "1 values, 0 unknown, 1 unmet: 0.5" in text
    assert "where no_traffic == 0" in text
    assert "24 values, 0 unknown, 1 unmet: [30.0, 31.0]" in text
    assert "more errors than requests in 04h" in text
    assert "The data can be trusted" in "\n".join(Shown(html(good)).text)


def test_nothing_from_outside_comes_alive(bad: bytes) -> None:
    """A29, B27: no script, no image, no link, no resource of any other place."""
    page = Shown(html(bad))
    allowed = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "span"}
    assert page.tags <= allowed | {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.attributes <= {"lang", "charset", "name", "content", "class"}
    assert any("<script>" in line for line in page.text)
    for resource in (b"url(", b"@import", b"<script", b"<img", b"\x1b", "\u202e".encode()):
        assert resource not in html(bad)


def spoilt(document: bytes, **fields: Any) -> bytes:
    """The document with evil where Great Expectations wrote."""
    found = json.loads(document)
    found["day"]["results"][0] |= fields
    found["suite"] = found["great_expectations_version"] = EVIL
    return json.dumps(found).encode()


def test_an_expectation_that_could_not_be_computed_says_why(good: bytes) -> None:
    """Its exception stands in the table, escaped."""
    page = Shown(html(spoilt(good, exception=EVIL, success=False)))
    assert any(line.startswith("could not be computed: <script>") for line in page.text)
    assert "script" not in page.tags


def test_values_that_are_not_met_are_a_few(good: bytes) -> None:
    """A thousand of them are not the page, and none is longer than a line."""
    seen = {
        "element_count": 1000,
        "unexpected_count": 1000,
        "partial_unexpected_list": ["x" * 999] * 99,
    }
    (line,) = [t for t in Shown(html(spoilt(good, result=seen))).text if "1000 unmet" in t]
    assert line.endswith("…")
    assert len(line) < 800


@pytest.mark.parametrize("document", [b"{}", b"[]", b'{"success": true}'])
def test_a_document_without_results_has_a_page(document: bytes) -> None:
    """It says that nothing is known; it does not stop the day's report."""
    assert "0 of 0 expectations of suite not known" in " ".join(Shown(html(document)).text)


def test_the_same_document_gives_the_same_bytes(good: bytes) -> None:
    """No time and no random name is in it."""
    assert html(good) == html(good)
