"""Shards: one bad model never stops the others."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from upkeep.errors import ParamError, StoreError
from upkeep_airflow.shards import Shard, each, names, shards_of


def _shard(*models: str, refused: str = "") -> Shard:
    return Shard(day="2026-03-05", models=list(models), owner="o", refused=refused)


def test_each_model_is_a_shard_of_its_own_by_default() -> None:
    """Its name is its map index, its failure its own."""
    shards = shards_of("2026-03-05", ["a", "b"], "o", {})
    assert [shard["models"] for shard in shards] == [["a"], ["b"]]


def test_a_file_that_was_refused_is_a_shard_that_shows() -> None:
    """The others go on; the refused one fails with the reason."""
    shards = shards_of("2026-03-05", ["a"], "o", {"b.yaml": "b.yaml:3: no"})
    assert [names(shard) for shard in shards] == ["a", "b.yaml: b.yaml:3: no"]
    with pytest.raises(AirflowFailException, match=r"b\.yaml:3: no"):
        list(each(shards[1], lambda model: model))


def test_a_fleet_of_five_thousand_fits_into_a_mapped_task() -> None:
    """C25: Airflow maps at most 1,024 times; nobody is lost."""
    fleet = [f"m{n}" for n in range(5000)]
    shards = shards_of("2026-03-05", fleet, "o", {})
    assert len(shards) <= 1000
    assert [model for shard in shards for model in shard["models"]] == fleet


def test_models_per_task_is_an_operator_s_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports are paid once a task, so that small days of many models share one."""
    monkeypatch.setenv("UPKEEP_MODELS_PER_TASK", "3")
    shards = shards_of("2026-03-05", list("abcd"), "o", {})
    assert [shard["models"] for shard in shards] == [["a", "b", "c"], ["d"]]


def test_the_models_after_a_bad_one_are_done_before_it_is_raised() -> None:
    """49 of 50 are decided when one raises; the message names the one."""
    done: list[str] = []

    def step(model: str) -> None:
        if model == "b":
            raise StoreError("disk is full")
        done.append(model)

    with pytest.raises(AirflowException, match="1 of 3 models failed: b: disk is full") as raised:
        list(each(_shard("a", "b", "c"), step))
    assert not isinstance(raised.value, AirflowFailException)
    assert done == ["a", "c"]


def test_what_was_done_is_handed_on_before_the_failure() -> None:
    """A consumer that keeps what it gets has it when the failure comes."""
    seen: list[str] = []

    def consume() -> None:
        for model, _ in each(_shard("a", "b", "c"), lambda m: 1 / (m != "b")):
            seen.append(model)

    with pytest.raises(AirflowException):
        consume()
    assert seen == ["a", "c"]


def test_what_a_retry_cannot_help_is_not_tried_again() -> None:
    """Where every failure is a refused input, the task fails for good."""

    def refuse(model: str) -> str:
        raise ParamError("day", model, "no", "give another")

    with pytest.raises(AirflowFailException):
        list(each(_shard("a"), refuse))
