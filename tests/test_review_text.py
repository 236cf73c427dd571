"""A production text as reviewers see it: every character of it, and nothing that it could do."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from upkeep.records import Criterion
from upkeep.review_text import NBSP, SCALE, inert, inert_within

PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "hardbreak", "softbreak"}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = st.text(alphabet="ab1.w #*_-+=`~<>[]()!\\|:/&$@\n\t{}^;\"'%", max_size=80)


def _parsed(text: str) -> tuple[set[str], str]:
    """The kinds of tokens of a Markdown text, and what a reader sees of it."""
    tokens = MARKDOWN.parse(text)
    children = [child for token in tokens for child in token.children or []]
    seen = "".join("\n" if child.type.endswith("break") else child.content for child in children)
    return {token.type for token in [*tokens, *children]}, seen


def _visible(text: str) -> str:
    """The lines without what Markdown drops: blanks at their ends, empty lines at both ends."""
    return "\n".join(line.strip(f" \t{NBSP}") for line in text.split("\n")).strip()


@given(MARKS)
def test_nothing_of_a_text_is_markup(text: str) -> None:
    """No image, link, heading, list, table, code or HTML; the reader sees what was written."""
    kinds, seen = _parsed(inert(text))
    assert kinds <= PLAIN | {"text_special"}
    assert _visible(seen) == _visible(text)


@pytest.mark.parametrize(
    "text",
    [
        "![x](http://127.0.0.1:9/x.png)",
        "![x][r]\n\n[r]: http://127.0.0.1:9/x.png",
        "<img src=http://127.0.0.1:9/x.png>",
        "https://a.b and www.a.b and a@b.c",
        "a\n===",
        "    indented\n\tcode",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "1. one\n2) two",
    ],
)
def test_what_pages_would_act_upon_is_text(text: str) -> None:
    """The forms that a browser would fetch, and those that would hide how a text was written."""
    made = inert(text)
    kinds, seen = _parsed(made)
    assert kinds <= PLAIN | {"text_special"}
    assert _visible(seen) == _visible(text)
    assert "://" not in made.replace("\\://", "")
    assert "www." not in made


def test_what_cannot_be_shown_is_replaced() -> None:
    """Control characters and lone surrogates, which a database or a page would choke on."""
    assert inert("a\x00b\x1bc\ud800") == "a\ufffdb\ufffdc?"


@given(st.text(max_size=300), st.integers(40, 120))
def test_a_cut_text_says_so_and_fits(text: str, limit: int) -> None:
    """Never longer than the column; a text that fits is whole."""
    made = inert_within(text, limit, "(cut)")
    assert len(made) <= limit
    assert made == inert(text) if len(inert(text)) <= limit else made.endswith("… (cut)")


def test_every_criterion_says_what_one_and_five_mean() -> None:
    """For both doors."""
    assert set(SCALE) == set(get_args(Criterion))
    assert all("1:" in text and "5:" in text for text in SCALE.values())
