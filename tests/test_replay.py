"""A decision is recomputed byte for byte from the store alone, or shown to differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.replayed_store import as_cycle, copied, put_day, put_story, question, spec, tamper, told
from fakes.sixteen_days import MODEL, Judged, Story, default_policy, judge

from upkeep.records import DayFacts, PastDecision
from upkeep.replay import decided_days, inputs_sha256, program_sha256, replay
from upkeep.replay_day import Reader, decide_again, read_day
from upkeep.replay_hashed import HashedFacts
from upkeep.spec import Policy, Rule
from upkeep.store import Store, open_store, record_key


@pytest.fixture(scope="module")
def story() -> Story:
    """Sixteen decided days."""
    return told()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, story: Story) -> Store:
    """A store that holds the story; nobody changes it."""
    store = open_store(str(tmp_path_factory.mktemp("written")))
    put_story(store, story)
    return store


@pytest.fixture
def store(tmp_path: Path, written: Store) -> Store:
    """A store that holds the story."""
    return copied(written, tmp_path)


def never_retrains() -> Policy:
    """The shipped policy, which only looks where the traffic's mix made quality fall."""
    rules = (Rule(cause="traffic_mix", action="investigate"), *default_policy().rules)
    return default_policy().model_copy(update={"rules": rules})


def test_every_day_is_decided_again_byte_for_byte(store: Store, story: Story) -> None:
    """All sixteen days, in order, identical, with no word changed and nothing written."""
    before = store.list("")
    answer = replay(store, question())
    assert [d.day for d in answer.days] == [j.facts.day for j in story.days.values()]
    assert all(d.identical and d.stored == d.replayed for d in answer.days)
    assert not any(d.flips or d.changed for d in answer.days)
    assert (answer.stored, answer.other) == (None, None)
    assert store.list("") == before


def test_a_replay_gives_the_same_bytes_again(store: Store) -> None:
    """Of the recorded policy, and of another one."""
    for asked in (question(), question(never_retrains())):
        first, second = (replay(store, asked).canonical_bytes() for _ in range(2))
        assert first == second


def test_another_policy_shows_what_it_would_have_decided(store: Store) -> None:
    """A policy that never retrains: day 13 flips, with the reasons before and after."""
    answer = replay(store, question(never_retrains()))
    day13, healthy = answer.days[12], answer.days[8]
    assert (day13.stored, day13.replayed, day13.carried) == ("retrain", *["investigate"] * 2)
    assert day13.flips
    assert day13.before.startswith("rule 7: traffic_mix -> retrain: The cause is traffic_mix")
    assert day13.after.startswith("rule 1: traffic_mix -> investigate: The cause is traffic_mix")
    assert {words[:2] for words in day13.changed} <= {"- ", "+ "}
    assert (healthy.stored, healthy.replayed) == ("keep", "keep")
    assert "decision" in healthy.differs, "the policy's hash is part of the decision"
    assert not healthy.flips


def test_changed_words_are_shown(store: Store) -> None:
    """With another tolerance the words of a reason go and come, marked - and +."""
    measures = dict(default_policy().measures)
    measures["perplexity"] = measures["perplexity"].model_copy(update={"tolerance": 9.0})
    other = default_policy().model_copy(update={"measures": measures})
    day13 = replay(store, question(other)).days[12]
    assert day13.replayed == "keep"
    assert {words[:2] for words in day13.changed} == {"- ", "+ "}
    assert any("perplexity" in words for words in day13.changed)


def test_only_the_days_within_the_bounds_are_replayed(store: Store, story: Story) -> None:
    """Both bounds are included; none does not bound."""
    days = [j.facts.day for j in story.days.values()]
    answer = replay(store, question(first=days[3], last=days[5]))
    assert [d.day for d in answer.days] == days[3:6]
    assert [d.day for d in replay(store, question(first=days[14])).days] == days[14:]


def test_a_model_without_days_has_nothing_to_replay(store: Store) -> None:
    """Another model's days are not this one's; an unknown model has none."""
    assert decided_days(store.list("another-model/")) == []
    assert replay(store, question(model="another-model")).days == ()


@pytest.mark.parametrize("step", ["open", "facts", "drift", "diagnosis", "decision"])
def test_a_changed_byte_is_named_and_stops_no_other_day(
    store: Store, story: Story, step: str
) -> None:
    """A record that was tampered with is a problem of its day, with its key in words."""
    day = story.days[5].facts.day
    tamper(store, record_key(MODEL, day, step), b"docs-assistant", b"docs-assistent")
    answer = replay(store, question())
    bad = [d for d in answer.days if not d.identical]
    assert [d.day for d in bad] == [day]
    assert record_key(MODEL, day, step) in bad[0].problem
    assert len(answer.days) == 16


@pytest.mark.parametrize("missing", ["open", "facts", "drift", "diagnosis"])
def test_a_day_that_lacks_a_record_cannot_be_replayed(
    store: Store, story: Story, missing: str
) -> None:
    """The problem names model, day and what is missing."""
    day = story.days[3].facts.day
    (Path(store.root) / record_key(MODEL, day, missing)).unlink()
    problem = replay(store, question()).days[2].problem
    assert f"{MODEL} {day}: no {missing}" in problem


@pytest.mark.parametrize("step", ["drift", "diagnosis", "decision"])
def test_a_record_that_another_program_wrote_is_not_identical(
    tmp_path: Path, story: Story, step: str
) -> None:
    """A sound record that says something else: the step that differs is named."""
    judged = story.days[9]
    changed = {
        "drift": judged.drift.model_copy(update={"results": judged.drift.results[1:]}),
        "diagnosis": judged.diagnosis.model_copy(update={"cause": "unknown"}),
        "decision": judged.decision.model_copy(update={"action": "retrain"}),
    }[step]
    store = open_store(str(tmp_path / "other"))
    put_day(store, type(judged)(**{**vars(judged), step: changed}))
    (day,) = replay(store, question()).days
    assert day.differs == (step,)
    assert day.flips == (step == "decision")


def test_a_day_that_is_known_by_its_hash_is_decided_as_any_other(
    store: Store, story: Story
) -> None:
    """The facts' hash is the store's; nobody computes it again, and it is the same."""
    judged = story.days[13]
    read = read_day(Reader(store), MODEL, judged.facts.day)
    assert isinstance(read.facts, HashedFacts)
    assert read.facts.digest() == judged.facts.digest() == DayFacts(**dict(read.facts)).digest()
    assert decide_again(read, read.spec.policy).decision == judged.decision


def test_facts_with_a_field_of_a_later_version_keep_the_hash_of_their_bytes(
    store: Store, story: Story
) -> None:
    """What was hashed is what lies there, whatever fields the class has gained since."""
    judged = story.days[9]
    facts = HashedFacts.model_construct(**dict(judged.facts)).under("a" * 64)
    assert judge(facts).decision.inputs[0].sha256 == "a" * 64


def test_each_day_is_decided_by_the_policy_of_its_own_snapshot(
    tmp_path: Path, story: Story
) -> None:
    """Snapshots that are the same but for the day are parsed once, and no others."""
    store = open_store(str(tmp_path / "changed"))
    changed = default_policy().model_copy(update={"cooldown_days": 9})
    later = spec().model_copy(update={"policy": changed})
    for number in (5, 6, 7):
        put_day(store, story.days[number], of=later if number == 6 else None)
    reader = Reader(store)
    read = [read_day(reader, MODEL, story.days[n].facts.day) for n in (5, 6, 7)]
    assert [r.spec.policy.cooldown_days for r in read] == [3, 9, 3]
    assert [r.spec.policy.digest() for r in read[:2]] == [
        read[2].spec.policy.digest(),
        changed.digest(),
    ]
    assert read[0].spec is read[2].spec


def test_drift_does_not_read_the_past_decisions(story: Story) -> None:
    """What is carried on is decided with the drift of the facts as they were: it is the same."""
    for judged in story.days.values():
        past = tuple(
            PastDecision(day=p.day, action="retrain", outcome="refused")
            for p in judged.facts.past_decisions
        )
        other = judged.facts.model_copy(
            update={"past_decisions": past, "champion_format": "openvino"}
        )
        assert as_cycle(Judged(**{**vars(judged), "facts": other})).drift == judged.drift


def test_the_inputs_are_known_without_deciding(store: Store, story: Story) -> None:
    """One hash, of whole and of tampered days; it changes with any record that is read."""
    keys = store.list(f"{MODEL}/")
    before = inputs_sha256(store, question(), keys)
    assert replay(store, question()).inputs_sha256 == before
    tamper(store, record_key(MODEL, story.days[5].facts.day, "facts"), b"keep", b"hold")
    after = inputs_sha256(store, question(), keys)
    assert after != before
    assert replay(store, question()).inputs_sha256 == after


def test_a_tampered_job_is_named_and_nothing_is_estimated_from_it(
    store: Store, story: Story
) -> None:
    """The model's replay is refused as a whole: its jobs are in every estimate."""
    day = story.days[13].facts.day
    key = record_key(MODEL, day, "retrain/gate")
    tamper(store, key, b"docs-assistant", b"docs-assistent")
    answer = replay(store, question(never_retrains()))
    assert key in answer.problem
    assert answer.days == ()
    assert answer.inputs_sha256 == inputs_sha256(store, question(), store.list(f"{MODEL}/"))


def test_the_program_is_known_by_its_source() -> None:
    """The same one has the same hash."""
    assert program_sha256() == program_sha256()
    assert len(program_sha256()) == 64
