"""The run's note."""

from __future__ import annotations

import pytest

from upkeep_airflow.notes import MAX_NOTE_CHARS, compose, headline, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[click](http://evil)", r"\[click\]\(http://evil\)"),
        ("<img src=x>", r"\<img src=x\>"),
        ("**bold**", r"\*\*bold\*\*"),
        ("two\nlines", "two lines"),
        ("perplexity 12.0", "perplexity 12.0"),
    ],
)
def test_text_from_outside_does_nothing_in_markdown(text: str, shown: str) -> None:
    """A slice's name from a log is shown, never a link, a tag or a heading."""
    assert plain(text) == shown


def test_what_a_person_wrote_stays_first() -> None:
    """What the run says follows, each line once, however often the run is cleared."""
    once = compose("my note", ["a: keep"])
    assert once == "my note\n\na: keep"
    assert compose(once, ["a: keep"]) == once


def test_the_first_line_tells_the_most() -> None:
    """A closed note shows one line: the day with what is not `keep`, before what is, and links."""
    said = ["**2026-03-05**", "a: **keep** (none): x", "[a in MLflow](u)", "b: **retrain** (y): z"]
    assert headline(said) == [
        "**2026-03-05** b: **retrain** (y): z",
        "a: **keep** (none): x",
        "[a in MLflow](u)",
    ]


@pytest.mark.parametrize("said", [[], ["**2026-03-05**"], ["attached to x", "more"]])
def test_a_note_without_decisions_stays_as_it_is(said: list[str]) -> None:
    """Nothing is invented."""
    assert headline(said) == said


def test_a_long_note_is_cut_to_what_airflow_holds() -> None:
    """PostgreSQL refuses a longer one, and with it the run's end."""
    assert len(compose(None, ["x" * 5000])) == MAX_NOTE_CHARS
