"""A fall of quality under prompts that changed: the topic inside a slice, or the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.signs import drift_of, facts_of, result
from fakes.sixteen_days import Judged, Production, Truth, tell

from upkeep.diagnosis import diagnose
from upkeep.records import Diagnosis, DriftResult, Interval

USUAL = Truth(prompt_mmd=0.0)
NO_SLICES = Truth(shares={}, slice_perplexity={}, prompt_mmd=0.0)
FALLEN = result("perplexity", 5.0, 9.0, "drifted")
IN_THE_SLICE = result("perplexity[a]", 5.0, 9.0, "drifted")
SHARE = result("share[a]", 1.0, 1.0, "stable")


def after_twenty_days(usual: Truth, today: Truth) -> Judged:
    """The day that follows on twenty usual ones, judged by the shipped policy."""
    production = Production(7)
    for _ in range(20):
        production.live(usual)
    return production.live(today)


def unlike(value: float = 0.05, sds: float = 10.0, half: float = 0.01) -> DriftResult:
    """Prompts further from the reference than on the baseline's days, where that is 0.0002."""
    found = result("prompt_mmd", 0.0002, value, "watch", sds)
    effect = value - 0.0002
    return found.model_copy(update={"interval": Interval(low=effect - half, high=effect + half)})


def diagnosed(*results: DriftResult) -> Diagnosis:
    """The causes behind these results."""
    return diagnose(facts_of({r.measure: r.current for r in results}), drift_of(*results))


@pytest.mark.parametrize("usual", [USUAL, NO_SLICES], ids=["in-a-known-slice", "without-slices"])
def test_another_topic_is_named_and_not_the_model(usual: Truth) -> None:
    """No share moved and no length did: the prompts themselves say that they are other ones."""
    slices = dict.fromkeys(usual.slice_perplexity, 1.8)
    today = replace(usual, perplexity=1.8, slice_perplexity=slices, prompt_mmd=0.05)
    found = after_twenty_days(usual, today)
    assert found.diagnosis.cause == "traffic_mix"
    words = found.diagnosis.ranked[0].words
    assert "prompts are unlike the baseline's (squared MMD 0.0" in words
    assert [c.cause for c in found.diagnosis.ranked] == ["traffic_mix", "model_quality"]
    assert found.decision.action == "retrain"


@pytest.mark.parametrize("usual", [USUAL, NO_SLICES], ids=["in-a-known-slice", "without-slices"])
def test_the_same_questions_answered_worse_are_the_models(usual: Truth) -> None:
    """The prompts are as before, and that is known."""
    slices = dict.fromkeys(usual.slice_perplexity, 1.8)
    today = replace(usual, perplexity=1.8, slice_perplexity=slices)
    found = after_twenty_days(usual, today)
    assert [c.cause for c in found.diagnosis.ranked] == ["model_quality"]


def test_other_prompts_alone_are_a_fact_and_no_harm() -> None:
    """Nothing got worse: nothing is done, and the page says what changed."""
    found = after_twenty_days(USUAL, replace(USUAL, prompt_mmd=0.05))
    assert (found.diagnosis.cause, found.decision.action) == ("none", "keep")
    (said,) = (r for r in found.drift.results if r.measure == "prompt_mmd")
    assert (said.direction, said.state) == ("neither", "drifted")


@pytest.mark.parametrize(
    "prompts",
    [
        pytest.param(unlike(0.004), id="inside-the-tolerance"),
        pytest.param(unlike(sds=2.0), id="within-the-noise-of-days"),
        pytest.param(unlike(half=0.06), id="so-few-prompts-that-it-may-be-chance"),
    ],
)
def test_what_may_be_chance_excuses_no_model(prompts: DriftResult) -> None:
    """Beyond the tolerance, the days' noise and the day's own error, or it is no evidence."""
    assert diagnosed(FALLEN, prompts).cause == "model_quality"
    assert diagnosed(FALLEN, unlike()).cause == "traffic_mix"


def test_where_a_share_moved_the_slices_still_tell() -> None:
    """A moved share explains unlike prompts: what the known slices show is the model's own."""
    moved = result("share[b]", 0.1, 0.5)
    known = (FALLEN, IN_THE_SLICE, SHARE, moved)
    assert diagnosed(*known, unlike()).cause == diagnosed(*known).cause == "model_quality"
    assert diagnosed(FALLEN, IN_THE_SLICE, SHARE, unlike()).cause == "traffic_mix"


@pytest.mark.parametrize("seed", range(5))
def test_the_sixteen_days_are_decided_as_without_the_measure(seed: int) -> None:
    """The first five days are the reference: on day 13 the prompts are evidence more, no less."""
    plain, measured = tell(seed), tell(seed, prompts=True)
    for number in range(1, 17):
        assert measured.action(number) == plain.action(number), number
        assert measured.cause(number) == plain.cause(number), number
    words = measured.days[13].diagnosis.ranked[0].words
    assert measured.cause(13) == "traffic_mix"
    assert "slice editor went from 0% to 50%; prompts are unlike" in words
