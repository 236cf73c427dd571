"""What a person may ask of a replay, and what is refused before anything is read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from fakes.sixteen_days import DEFAULTS, default_policy

from upkeep.config import parse_policy
from upkeep.errors import ConfigError, ParamError
from upkeep.replay import policy_of
from upkeep.replay_question import budget_from, policy_from, questions
from upkeep.spec_payback import Budget

KNOWN = ("docs", "painter")


def test_no_model_is_every_known_one_in_order() -> None:
    """By name, each once, with the days asked for and the recorded policy."""
    asked = questions((), KNOWN[::-1], policy_from(None), date(2026, 3, 5), None)
    assert [q.model for q in asked] == ["docs", "painter"]
    assert [(q.first, q.last, q.policy) for q in asked] == [(date(2026, 3, 5), None, None)] * 2
    assert [q.model for q in questions(("painter", "painter"), KNOWN, policy_from(None))] == [
        "painter"
    ]


def test_an_unknown_model_is_refused_with_near_names() -> None:
    """Nothing is replayed for it silently."""
    with pytest.raises(ParamError, match="did you mean docs"):
        questions(("dcos",), KNOWN, policy_from(None))


def test_days_in_the_wrong_order_are_refused() -> None:
    """The message says which is first."""
    with pytest.raises(ParamError, match="is before the first day"):
        questions((), KNOWN, policy_from(None), date(2026, 3, 5), date(2026, 3, 4))


def test_a_file_is_the_policy_of_every_model(tmp_path: Path) -> None:
    """The defaults of a fleet, as they ship; and it is the same policy after the question."""
    asked = questions((), KNOWN, policy_from(DEFAULTS))
    assert {policy_of(q) == default_policy() for q in asked} == {True}
    with pytest.raises(ConfigError, match="cannot be read"):
        policy_from(tmp_path / "gone.yaml")


def test_a_folder_is_a_fleet_each_model_with_its_own_policy(tmp_path: Path) -> None:
    """As a pull request changes it: a model's file over defaults.yaml."""
    (tmp_path / "defaults.yaml").write_text(DEFAULTS.read_text())
    (tmp_path / "docs.yaml").write_text("name: docs\npolicy: {cooldown_days: 9}\n")
    found = policy_from(tmp_path)
    docs = found("docs")
    assert docs is not None
    assert docs.cooldown_days == 9
    assert docs.rules == default_policy().rules
    with pytest.raises(ParamError, match=r"has no painter\.yaml"):
        questions((), KNOWN, found)


def test_text_is_a_policy_as_a_file_is() -> None:
    """A whole defaults.yaml, or its policy part alone."""
    assert parse_policy(DEFAULTS.read_text(), "policy") == default_policy()
    alone = DEFAULTS.read_text().partition("policy:\n")[2].partition("\ngate:")[0]
    assert parse_policy(alone, "policy") == default_policy()


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no value"),
        ("- a\n", "is not a mapping"),
        ("version: x\n", "is missing"),
        ("!!python/object/apply:os.system ['true']", "tags are not read"),
        (BOMB, "values with every alias written out"),
        ("policy: {cooldown_days: '3'}\n", "policy:1"),
    ],
)
def test_text_that_is_no_policy_is_refused(text: str, why: str) -> None:
    """Data, read by the strict loader: nothing is made of it, nothing blows up."""
    with pytest.raises(ConfigError, match=why):
        parse_policy(text, "policy")


def test_a_budget_is_a_files_or_that_of_the_policies_folder(tmp_path: Path) -> None:
    """The file stands over the folder; a policy's file alone brings none."""
    file = tmp_path / "mine.yaml"
    file.write_text("jobs_per_day: 2\n")
    (tmp_path / "budget.yaml").write_text("gpu_hours_per_day: 3.5\n")
    assert budget_from(file, tmp_path) == Budget(jobs_per_day=2)
    assert budget_from(None, tmp_path) == Budget(gpu_hours_per_day=3.5)
    assert budget_from(None, file) is budget_from(None, None) is None
    (asked,) = questions(("docs",), KNOWN, policy_from(None), budget=Budget(jobs_per_day=2))
    assert (asked.policy, asked.what_if) == (None, True)
    assert asked.budget == {"jobs_per_day": 2, "gpu_hours_per_day": None}


@pytest.mark.parametrize("text", ["jobs_per_day: -1", "jobs: 3", "- 3", "jobs_per_day: many"])
def test_what_is_no_budget_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    """File and field are named."""
    file = tmp_path / "budget.yaml"
    file.write_text(f"{text}\n")
    with pytest.raises(ConfigError, match=r"budget\.yaml"):
        budget_from(file, None)
