"""Several models decided again: in processes, in any order, once, and left in the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.replayed_store import copied, question, renamed_days, tamper, told
from fakes.sixteen_days import default_policy

from upkeep import replay_fleet
from upkeep.errors import StoreError
from upkeep.listing import models_of
from upkeep.records import Record
from upkeep.replay_fleet import (
    kept_answers,
    kept_summary,
    kept_survey,
    key_of,
    replay_all,
    summary_key,
    summary_of,
)
from upkeep.replay_records import ModelReplay, ReplayQuestion
from upkeep.spec import Policy, Rule
from upkeep.store import Store, open_store, record_key

MODELS = ("one", "two", "three")
DAYS = (11, 12, 13)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three models with three days each; nobody changes it."""
    store = open_store(str(tmp_path_factory.mktemp("written")))
    for model in MODELS:
        renamed_days(store, {number: told().days[number] for number in DAYS}, model)
    return store


@pytest.fixture
def store(tmp_path: Path, written: Store) -> Store:
    """A store of its own."""
    return copied(written, tmp_path)


def other() -> Policy:
    """A policy that only looks where the shipped one retrains."""
    rules = (Rule(cause="traffic_mix", action="investigate"), *default_policy().rules)
    return default_policy().model_copy(update={"rules": rules})


def test_processes_and_orders_give_the_same_bytes(store: Store) -> None:
    """Two processes or none, this order or that: every answer and the sum are the same."""
    asked = [question(other(), model) for model in MODELS]
    here = replay_all(store, asked, 1)
    there = replay_all(store, asked[::-1], 2)
    assert [a.canonical_bytes() for a in here] == [a.canonical_bytes() for a in there]
    assert [a.question.model for a in here] == sorted(MODELS)
    assert summary_of(here[::-1]).canonical_bytes() == summary_of(there).canonical_bytes()


def test_every_answer_is_told_as_it_comes(store: Store) -> None:
    """A progress bar moves once a model."""
    seen: list[str] = []
    replay_all(
        store, [question(model=m) for m in MODELS], 1, lambda a: seen.append(a.question.model)
    )
    assert sorted(seen) == sorted(MODELS)


def test_a_tampered_day_stops_no_other_model(store: Store) -> None:
    """It is counted as a problem, and the fleet's replay has failed."""
    day = told().days[11].facts.day
    tamper(store, record_key("two", day, "facts"), b'"two"', b'"tow"')
    fleet = summary_of(replay_all(store, [question(model=m) for m in MODELS], 1))
    assert [(m.model, m.problems, m.identical) for m in fleet.models] == [
        ("one", 0, 3),
        ("three", 0, 3),
        ("two", 1, 2),
    ]
    assert fleet.failed
    assert not fleet.flipped


def test_a_sound_fleet_has_not_failed_and_another_policy_flips(store: Store) -> None:
    """One flip a model, carried on or not; under another policy other bytes are no failure."""
    recorded = summary_of(replay_all(store, [question(model=m) for m in MODELS], 1))
    assert (recorded.failed, recorded.flipped, recorded.policy_sha256) == (False, False, None)
    tried = summary_of(replay_all(store, [question(other(), m) for m in MODELS], 1))
    assert (tried.failed, tried.flipped) == (False, True)
    assert [m.flips for m in tried.models] == [1, 1, 1]
    assert tried.policy_sha256 is not None


def kept(store: Store, *asked: ReplayQuestion) -> list[ModelReplay]:
    """The answers of these models, as the DAG leaves them in the store."""
    return kept_answers(store, [kept_survey(store, question) for question in asked])


def test_the_same_question_is_answered_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second asker adopts the records; no day is decided again, nothing else is written."""
    before = set(store.list(""))
    key = kept_survey(store, question(other(), "one"))
    assert set(store.list("")) - before == {key}
    (first,) = kept_answers(store, [key])
    assert set(store.list("")) - before == {key, key_of(first)}

    def never(*_: object) -> Record:
        raise AssertionError("decided again")

    monkeypatch.setattr(replay_fleet, "survey", never)
    assert kept(store, question(other(), "one")) == [first]
    assert set(store.list("")) - before == {key, key_of(first)}


def test_changed_inputs_or_another_program_are_another_question(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is adopted only where it would be the same."""
    first = kept_survey(store, question(model="one"))
    tamper(store, record_key("one", told().days[11].facts.day, "facts"), b'"one"', b'"eno"')
    second = kept_survey(store, question(model="one"))
    assert (first != second, len(store.list("replays/"))) == (True, 2)
    monkeypatch.setattr(replay_fleet, "program_sha256", lambda: "f" * 64)
    assert kept_survey(store, question(model="one")) not in (first, second)


def test_who_shares_the_budget_is_part_of_the_answers_identity(store: Store) -> None:
    """A model that is carried on with others may get less than alone."""
    (alone,) = kept(store, question(other(), "one"))
    with_two, _ = kept(store, question(other(), "one"), question(other(), "two"))
    assert key_of(alone) != key_of(with_two)
    recorded = [kept(store, question(model="one"), *more)[0] for more in ((), (question(),))]
    assert key_of(recorded[0]) == key_of(recorded[1])


def test_the_sum_lies_beside_the_answers_and_is_no_model(store: Store) -> None:
    """Put once, whatever the order; the listing does not take ``replays`` for a model."""
    answers = kept(store, *(question(model=model) for model in MODELS))
    made = kept_summary(store, answers)
    assert kept_summary(store, answers[::-1]) == made
    assert summary_key(made) in store.list("replays/")
    assert len(store.list("replays/")) == 2 * len(MODELS) + 1
    assert models_of(store) == sorted(MODELS)
    assert {a.name for a in made.replays} <= set(store.list("replays/"))


def test_a_survey_that_is_gone_is_named(store: Store) -> None:
    """Nothing is summed up without it."""
    with pytest.raises(StoreError, match="replays/gone"):
        kept_answers(store, ["replays/gone.json"])
