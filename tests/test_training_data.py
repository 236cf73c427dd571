"""Which production texts are learnt: people's ratings, slices, and how many of each."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from upkeep.judgement_answers import Admitted
from upkeep.records import Criterion, Rating, Sample
from upkeep.spec import RetrainJob
from upkeep.training_data import Chosen, choose_training, ratings_of

DAY = date(2026, 3, 5)
BAD, GOOD, MIDDLE = (DAY, "bad"), (DAY, "good"), (DAY, "middle")
RATINGS = {BAD: 1.5, GOOD: 4.5, MIDDLE: 3.0}


def sample(name: str, *, reference: str = "", slice_: str = "docs") -> Sample:
    return Sample(id=name, slice=slice_, prompt=f"{name}?", completion=f" {name}!",
                  reference=reference)  # fmt: skip


def choose(samples: list[Sample], drifted: tuple[str, ...] = (), **job: Any) -> Chosen:
    return choose_training([(DAY, s) for s in samples], RATINGS, RetrainJob(**job), drifted)


def test_a_badly_rated_output_without_a_known_answer_is_left_out() -> None:
    """Nothing that people called bad is a target."""
    chosen = choose([sample("bad"), sample("middle"), sample("unrated")])
    assert [s.id for s in chosen.samples] == ["middle", "unrated"]
    assert chosen.counts == {"production": 3, "rated_bad_left_out": 1}


def test_the_right_answer_of_a_badly_rated_output_is_learnt() -> None:
    """People looked at the completion; the reference is what should have stood there."""
    chosen = choose([sample("bad", reference=" right")])
    assert [s.text for s in chosen.samples] == ["bad? right"]
    assert chosen.counts["rated_bad_reference_learnt"] == 1


def test_a_well_rated_completion_becomes_the_target_where_no_answer_is_known() -> None:
    """Others' completions are not learnt: the model would learn itself."""
    chosen = choose([sample("good"), sample("middle"), sample("unrated")])
    assert [s.text for s in chosen.samples] == ["good? good!", "middle?", "unrated?"]
    assert chosen.counts["completions_learnt"] == 1


def test_a_known_answer_stays_the_target_of_a_well_rated_output() -> None:
    """Production wrote it on purpose."""
    assert choose([sample("good", reference=" right")]).samples[0].text == "good? right"


def test_well_rated_outputs_come_first_where_not_all_have_room() -> None:
    """The rest by their hashes; the order that was given stays."""
    samples = [sample(f"u{n}") for n in range(9)] + [sample("good"), sample("x", slice_="code")]
    chosen = choose(samples, max_per_slice=3)
    names = [s.id for s in chosen.samples]
    assert len(names) == 4
    assert names[-2:] == ["good", "x"]
    assert names == [s.id for s in choose(samples, max_per_slice=3).samples]
    assert chosen.counts["over_max_per_slice"] == 7


@pytest.mark.parametrize(
    ("drifted", "kept", "words"),
    [
        (("code",), ["b"], "of production only the drifted slices are learnt: code"),
        ((), ["a", "b"], "no slice drifted: production texts of all slices are learnt"),
    ],
)
def test_only_drifted_slices_are_learnt_where_that_is_asked(
    drifted: tuple[str, ...], kept: list[str], words: str
) -> None:
    """And all where none is named: a model is not trained on nothing."""
    samples = [sample("a"), sample("b", slice_="code")]
    chosen = choose(samples, drifted, slices="drifted")
    assert [s.id for s in chosen.samples] == kept
    assert chosen.words == (words,)


def test_without_ratings_and_settings_everything_is_learnt_as_it_is() -> None:
    """The same objects in the same order."""
    samples = [sample(f"s{n}", reference="r") for n in range(5)]
    assert choose(samples, ("docs",)).samples == samples


def test_an_outputs_rating_is_the_mean_of_its_criteria_with_enough_raters() -> None:
    """Coherence 1 and 3 of two people, relevance 5 of two, diversity of one: (2 + 5) / 2."""

    def rating(criterion: Criterion, rater: str, value: int, name: str = "a") -> Rating:
        at = datetime(2026, 3, 6, tzinfo=UTC)
        return Rating(sample_id=name, day=DAY, criterion=criterion, value=value, rater=rater,
                      at=at, door="mlflow")  # fmt: skip

    given = (
        rating("coherence", "x", 1),
        rating("coherence", "y", 3),
        rating("relevance", "x", 5),
        rating("relevance", "y", 5),
        rating("diversity", "x", 1),
        rating("coherence", "x", 1, "b"),
    )
    assert ratings_of(Admitted(given, (), ()), min_raters=2) == {(DAY, "a"): 3.5}
