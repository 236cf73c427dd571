"""A decision is recomputed byte for byte from the store alone, or shown to differ."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from fakes.sixteen_days import METHODS, MODEL, Story, default_policy, tell

from upkeep.errors import CorruptRecord, StoreError
from upkeep.replay import decided_days, replay
from upkeep.spec import Policy, Rule
from upkeep.store import Store, open_store, put_record, record_key


def policy_of(_: date) -> Policy:
    """The shipped policy on every day."""
    return default_policy()


def methods_of(_: date) -> Mapping[str, str]:
    """The shipped methods on every day."""
    return METHODS


@pytest.fixture(scope="module")
def story() -> Story:
    """Sixteen decided days."""
    return tell(0)


@pytest.fixture
def store(tmp_path: Path, story: Story) -> Store:
    """A store that holds the facts and decisions of the story, and nothing else."""
    store = open_store(str(tmp_path / "store"))
    for judged in story.days.values():
        day = judged.facts.day
        put_record(store, record_key(MODEL, day, "facts"), judged.facts)
        put_record(store, record_key(MODEL, day, "decision"), judged.decision)
    return store


def test_every_day_is_decided_again_byte_for_byte(store: Store, story: Story) -> None:
    """All sixteen days, in order, identical, with no word changed and nothing written."""
    before = store.list("")
    replayed = replay(store, MODEL, policy_of, methods_of)
    assert [r.day for r in replayed] == [j.facts.day for j in story.days.values()]
    assert all(r.identical and r.stored_action == r.replayed_action for r in replayed)
    assert all(r.reasons == () for r in replayed)
    assert store.list("") == before


def test_another_policy_shows_what_it_would_have_decided(store: Store) -> None:
    """A policy that never retrains: day 13 differs, with the words that come and go."""
    rules = (Rule(cause="traffic_mix", action="investigate"), *default_policy().rules)
    other = default_policy().model_copy(update={"rules": rules})
    replayed = replay(store, MODEL, lambda _: other, methods_of)
    day13 = replayed[12]
    assert (day13.stored_action, day13.replayed_action) == ("retrain", "investigate")
    assert not day13.identical
    healthy = replayed[8]
    assert healthy.stored_action == healthy.replayed_action == "keep"
    assert not healthy.identical, "the policy's hash is part of the decision"


def test_changed_words_are_shown(store: Store) -> None:
    """With another tolerance the words of a reason go and come, marked - and +."""
    measures = dict(default_policy().measures)
    measures["perplexity"] = measures["perplexity"].model_copy(update={"tolerance": 9.0})
    other = default_policy().model_copy(update={"measures": measures})
    day13 = replay(store, MODEL, lambda _: other, methods_of)[12]
    assert day13.replayed_action == "keep"
    assert {words[:2] for words in day13.reasons} == {"- ", "+ "}
    assert any("perplexity" in words for words in day13.reasons)


def test_only_the_named_days_are_replayed(store: Store, story: Story) -> None:
    """``days`` picks the days; each is given its own policy and methods."""
    asked: list[date] = []

    def recorded(day: date) -> Policy:
        asked.append(day)
        return default_policy()

    wanted = [story.days[12].facts.day, story.days[3].facts.day]
    replayed = replay(store, MODEL, recorded, methods_of, wanted)
    assert [r.day for r in replayed] == wanted == asked


def test_a_model_without_days_has_nothing_to_replay(store: Store) -> None:
    """Another model's days are not this one's; an unknown model has none."""
    assert decided_days(store, "another-model") == []
    assert replay(store, "another-model", policy_of, methods_of) == []


@pytest.mark.parametrize("missing", ["facts", "decision"])
def test_a_day_that_lacks_a_record_cannot_be_replayed(
    tmp_path: Path, story: Story, missing: str
) -> None:
    """The error names model, day and what is missing."""
    store, judged = open_store(str(tmp_path / "half")), story.days[3]
    if missing == "facts":
        put_record(store, record_key(MODEL, judged.facts.day, "decision"), judged.decision)
    else:
        put_record(store, record_key(MODEL, judged.facts.day, "facts"), judged.facts)
    with pytest.raises(StoreError, match=f"{MODEL} {judged.facts.day}: no {missing}"):
        replay(store, MODEL, policy_of, methods_of, [judged.facts.day])


def test_a_changed_byte_is_refused(store: Store, story: Story, tmp_path: Path) -> None:
    """A fact that was tampered with is corrupt, not replayed."""
    day = story.days[5].facts.day
    path = tmp_path / "store" / record_key(MODEL, day, "facts")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"docs-assistant"', b'"docs-assistent"', 1))
    with pytest.raises(CorruptRecord):
        replay(store, MODEL, policy_of, methods_of, [day])
