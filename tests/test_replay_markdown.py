"""The comment of a pull request: what flips, why, and within what GitHub takes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from upkeep.replay_fleet import summary_of
from upkeep.replay_markdown import MAX_CHARS, markdown
from upkeep.replay_page import answer, flip_rows, headline, number
from upkeep.replay_records import Arm, ModelReplay, ReplayedDay, ReplayQuestion

ZEROS = "0" * 64
POLICY = {"version": "x", "measures": {}, "rules": []}


def replayed(model: str = "docs", flips: int = 2, days: int = 4, words: str = "why") -> ModelReplay:
    """A model whose first days flip."""
    made = tuple(
        ReplayedDay(
            day=date(2026, 3, 5) + timedelta(n),
            differs=("decision",),
            stored="retrain" if n < flips else "keep",
            replayed="investigate" if n < flips else "keep",
            carried="keep",
            before=f"rule 7: {words}" if n < flips else "",
            after=f"rule 1: {words} {n}" if n < flips else "",
        )
        for n in range(days)
    )
    nothing = (0.0,) * days
    stored = Arm(
        jobs=tuple(int(n < flips) for n in range(days)),
        gpu_hours=nothing,
        job_usd=nothing,
        harmed=(False,) * days,
        tries=(0,) * days,
        serving_usd=(None,) * days,
    )
    return ModelReplay(
        question=ReplayQuestion(model=model, policy=POLICY),
        inputs_sha256=ZEROS,
        program_sha256=ZEROS,
        days=made,
        stored=stored,
        other=stored.model_copy(update={"jobs": (0,) * days}),
        assumptions=("a job is taken to be promoted",),
    )


def page(*replays: ModelReplay) -> str:
    """The comment."""
    return markdown(summary_of(replays), replays)


def test_totals_stand_on_top_and_flips_below() -> None:
    """One line of the answer, one table of totals, one closed table a model."""
    lines = page(replayed()).splitlines()
    assert lines[0] == "### What another policy would have decided"
    assert "1 model, 2026-03-05 to 2026-03-08, 4 model-days: 2 decisions flipped" in lines[2]
    assert any(line.startswith("| jobs | 2 | 0 | -2 | ") for line in lines)
    assert any(line.startswith("| cost of serving, USD") and "not known" in line for line in lines)
    assert "<details><summary>docs: 2 days</summary>" in lines
    assert "| 2026-03-05 | retrain | investigate | keep | rule 7: why → rule 1: why 0 |" in lines
    assert sum(line.startswith("| 2026-") for line in lines) == 2
    assert "- a job is taken to be promoted" in lines


def test_the_order_of_the_models_changes_nothing() -> None:
    """Nor does asking again."""
    one, two = replayed("one"), replayed("two", flips=1)
    assert page(one, two) == page(two, one) == page(one, two)


@pytest.mark.parametrize(("models", "flips"), [(3, 400), (120, 60), (1, 3000)])
def test_a_comment_never_grows_over_what_github_takes(models: int, flips: int) -> None:
    """What is cut is counted, and what is shown is whole."""
    replays = [replayed(f"m{n:03}", flips, flips, "long words " * 20) for n in range(models)]
    text = page(*replays)
    assert len(text) <= MAX_CHARS
    shown = sum(line.startswith("| 2") for line in text.splitlines())
    assert 0 < shown < models * flips
    assert f"{models * flips - shown:,} days more: not shown" in text
    assert text.count("<details>") == text.count("</details>")


def test_words_of_the_store_do_nothing_in_the_comment() -> None:
    """No markup, no table cell, nobody mentioned, no issue linked."""
    evil = "a|b ![x](http://c) <script> @octocat #1 `code`\n\n# head"
    text = page(replayed(words=evil))
    (row,) = [line for line in text.splitlines() if line.startswith("| 2026-03-05")]
    assert "@octocat" not in text
    assert "#1" not in text
    assert "<script>" not in text
    assert "![x]" not in text
    assert row.replace(r"\|", "").count("|") == 6


def test_the_recorded_policy_shows_what_is_not_byte_for_byte() -> None:
    """No totals, no assumptions: the days that differ and the records that could not be read."""
    made = replayed(flips=1, days=3)
    bad = made.days[2].model_copy(
        update={"problem": "docs/x/facts.json: was changed", "differs": ()}
    )
    recorded = made.model_copy(
        update={
            "question": ReplayQuestion(model="docs"),
            "days": (made.days[0], made.days[1].model_copy(update={"differs": ()}), bad),
            "stored": None,
            "other": None,
            "assumptions": (),
        }
    )
    text = page(recorded)
    assert text.startswith("### The decisions again")
    assert "1 of 3 are byte for byte what was decided, 1 could not be replayed" in text
    assert "- not replayed: docs/x/facts.json: was changed" in text
    assert "| jobs" not in text
    assert text.count("| 2026-03-0") == 1


def test_programs_get_every_day_and_every_number() -> None:
    """Days, estimates, assumptions and problems."""
    made = replayed()
    told = answer(summary_of([made]), [made])
    assert [d["replayed"] for d in told["days"]] == ["investigate"] * 2 + ["keep"] * 2
    assert {e["quantity"]: e["change"] for e in told["estimates"]}["jobs"] == -2.0
    assert told["assumptions"] == {"docs": ["a job is taken to be promoted"]}
    assert told["problems"] == []
    assert [row["carried on"] for row in flip_rows([made])] == ["keep"] * 2


def test_a_fleet_without_models_says_so() -> None:
    """Nothing to show is no error."""
    assert headline(summary_of([]), []).startswith("0 models, no day")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "not known"), (0.0, "0"), (-2.0, "-2"), (1234.5, "1,234"), (0.01234567, "0.01235")],
)
def test_numbers_are_short_and_what_is_not_known_says_so(value: float | None, text: str) -> None:
    """Four digits; whole from a thousand."""
    assert number(value) == text
    assert number(2.0, sign=True) == "+2"
