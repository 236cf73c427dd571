"""One cause for all drifts of a day, with the others that were considered ranked behind it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from fakes.sixteen_days import MIXED, MODEL, Judged, Production, Truth, failed_check, validated

from upkeep.diagnosis import diagnose, is_learning
from upkeep.records import CauseEvidence, Diagnosis, Drift, DriftResult
from upkeep.spec import MeasurePolicy

PLAIN = Truth()
MIX_OF_TWO = Truth(shares=MIXED, slice_perplexity={"browser": 1.0, "editor": 1.0})


def after(days: int, today: Truth, before: Truth = PLAIN, seed: int = 5) -> Judged:
    """The verdict on a day that follows ``days`` like ``before``."""
    production = Production(seed)
    for _ in range(days):
        production.live(before)
    return production.live(today)


def causes(diagnosis: Diagnosis) -> list[str]:
    """The ranked causes' names."""
    return [c.cause for c in diagnosis.ranked]


@pytest.mark.parametrize(
    ("today", "cause"),
    [
        (PLAIN, "none"),
        (Truth(requests=4.0), "traffic_volume"),
        (Truth(requests=4.0, latency=3.0), "traffic_volume"),
        (Truth(latency=3.0), "infrastructure"),
        (Truth(error_rate=0.2), "upstream_errors"),
        (Truth(error_rate=0.2, latency=3.0), "upstream_errors"),
        (Truth(price=2.0), "price"),
        (Truth(price=2.0, latency=3.0), "infrastructure"),
        (Truth(price=1.2), "price"),
        (Truth(perplexity=2.0, slice_perplexity={"browser": 2.0}), "model_quality"),
        (Truth(perplexity=2.0, price=2.0, slice_perplexity={"browser": 2.0}), "model_quality"),
        (Truth(perplexity=2.0, prompt_chars=3.0, slice_perplexity={}), "traffic_mix"),
        (
            Truth(perplexity=1.8, shares=MIXED, slice_perplexity={"browser": 1.0, "editor": 3.2}),
            "traffic_mix",
        ),
        (
            Truth(perplexity=2.2, shares=MIXED, slice_perplexity={"browser": 2.0, "editor": 2.4}),
            "model_quality",
        ),
        (Truth(requests=0.0), "no_traffic"),
        (Truth(trusted=False, coverage=0.5, perplexity=3.0), "data_breakage"),
    ],
)
def test_the_cause_that_explains_the_day(today: Truth, cause: str) -> None:
    """After ten healthy days each kind of day has its own cause."""
    assert after(12, today).diagnosis.cause == cause


@pytest.mark.parametrize("days", range(5))
def test_a_young_model_is_learning(days: int) -> None:
    """Under five known days even a doubled perplexity is learning, and says how many are known."""
    found = after(days, Truth(perplexity=2.0)).diagnosis
    assert found.cause == "learning"
    assert f"{days} of 5 days" in found.ranked[0].words


def test_a_broken_young_day_is_broken_first() -> None:
    """Untrusted data is named before everything else, with its coverage and findings."""
    found = after(0, Truth(trusted=False, coverage=0.5, requests=0.0)).diagnosis
    assert causes(found) == ["data_breakage"]
    assert "50% of the day is covered" in found.ranked[0].words
    assert "00.jsonl" in found.ranked[0].words


def test_either_word_of_distrust_is_enough() -> None:
    """A validation that failed is data breakage even where the measures say trusted."""
    judged = after(12, PLAIN)
    result = validated(judged.facts.day, trusted=False, findings=(failed_check("hold"),))
    facts = judged.facts.model_copy(update={"validation": result})
    assert diagnose(facts, judged.drift).cause == "data_breakage"


def test_a_mix_that_is_served_well_is_no_cause() -> None:
    """Shares that moved with quality inside its tolerance: none, and the facts are told."""
    found = after(12, MIX_OF_TWO).diagnosis
    assert found.cause == "none"
    assert "share[editor]" in found.ranked[0].words


def test_the_mix_is_shown_in_numbers() -> None:
    """The words of traffic_mix name the slices, their shares and what known slices explain."""
    today = Truth(perplexity=1.8, shares=MIXED, slice_perplexity={"browser": 1.0, "editor": 3.2})
    words = after(12, today).diagnosis.ranked[0].words
    assert "slice editor went from 0% to 50%" in words
    assert "of the change of perplexity is within the known slices" in words
    assert "perplexity" in words


def test_a_known_slice_that_got_worse_itself_is_the_models_doing() -> None:
    """Same shares, one slice twice as bad: model quality, and the mix is not even considered."""
    today = replace(MIX_OF_TWO, slice_perplexity={"browser": 1.0, "editor": 2.0})
    found = after(12, today, before=MIX_OF_TWO).diagnosis
    assert causes(found) == ["model_quality"]


def test_both_readings_of_a_fall_are_ranked() -> None:
    """Mix moved and the known slice fell: model quality first, the mix behind it."""
    today = Truth(perplexity=2.2, shares=MIXED, slice_perplexity={"browser": 2.0, "editor": 2.4})
    assert causes(after(12, today).diagnosis)[:2] == ["model_quality", "traffic_mix"]


def test_a_rare_new_slice_can_explain_a_fall() -> None:
    """Ten per cent of unreadable prompts: no share drifts, yet the new slice is the mix."""
    today = Truth(
        perplexity=1.5,
        shares={"browser": 0.9, "editor": 0.1},
        slice_perplexity={"browser": 1.0, "editor": 50.0},
    )
    found = after(12, today).diagnosis
    assert found.cause == "traffic_mix"
    assert "slice editor went from 0% to 10%" in found.ranked[0].words


def test_the_split_of_a_cost_adds_up() -> None:
    """Price x efficiency x volume in the words multiply to the whole change."""
    found = after(12, Truth(price=2.5, requests=1.3)).diagnosis
    assert found.cause == "price"
    factors = [float(x) for x in re.findall(r"x(\d+\.\d+)", found.ranked[0].words)]
    assert len(factors) == 4
    assert factors[0] == pytest.approx(math.prod(factors[1:]), rel=0.02)
    assert factors[1] == pytest.approx(2.5)


def test_a_price_that_rose_for_good_hides_no_new_harm() -> None:
    """With the price drifted for days, slowness is still infrastructure and errors upstream."""
    dear = Truth(price=2.0)
    production = Production(5)
    for _ in range(12):
        production.live(PLAIN)
    for _ in range(3):
        production.live(dear)
    assert production.live(replace(dear, latency=4.0)).diagnosis.cause == "infrastructure"
    assert production.live(replace(dear, error_rate=0.3)).diagnosis.cause == "upstream_errors"


def test_scores_say_how_much_of_the_harm_a_cause_explains() -> None:
    """Errors (4), slowness (2) and money (1): who harms users more stands first."""
    found = diagnosed(
        drift_result("error_rate"), drift_result("latency_p95_ms"), drift_result("cost_usd_per_1k")
    )
    scores = {c.cause: c.score for c in found.ranked}
    assert scores == {
        "upstream_errors": pytest.approx(4 / 7),
        "infrastructure": pytest.approx(3 / 7),
    }


# ---------------------------------------------------------------- drifts made by hand


def drift_result(name: str, state: str = "drifted", effect: float = 1.0) -> DriftResult:
    """A result of a relative measure, baseline 10."""
    return DriftResult.model_validate(
        {
            "measure": name,
            "baseline": 10.0,
            "current": 10.0 * (1 + effect),
            "effect": effect,
            "interval": None,
            "tolerance": 0.5,
            "tolerance_kind": "relative",
            "direction": "lower_is_better",
            "evidence": 9.0,
            "baseline_days": 10,
            "state": state,
            "words": f"{name} moved",
        }
    )


def diagnosed(*results: DriftResult) -> Diagnosis:
    """The cause behind these results on an ordinary day."""
    facts = after(0, PLAIN).facts
    return diagnose(facts, Drift(model=MODEL, day=date(2026, 3, 5), results=results))


def test_what_nothing_explains_is_unknown() -> None:
    """Dearer without a price, slowness or longer prompts: unknown, never price."""
    found = diagnosed(drift_result("cost_usd_per_1k"), drift_result("requests", "stable", 0.0))
    assert causes(found) == ["unknown"]
    assert "cost_usd_per_1k moved" in found.ranked[0].words


def test_a_small_price_rise_does_not_explain_a_large_cost() -> None:
    """The price explains a third of the change only: not price."""
    found = diagnosed(
        drift_result("cost_usd_per_1k", effect=3.0), drift_result("price_usd_per_hour", effect=0.3)
    )
    assert found.cause == "unknown"


def test_less_traffic_does_not_excuse_slowness() -> None:
    """Requests fell and latency rose: infrastructure."""
    found = diagnosed(drift_result("latency_p95_ms"), drift_result("requests", "drifted", -0.8))
    assert found.cause == "infrastructure"


def test_slowness_under_doubtful_load_is_still_load() -> None:
    """Requests beyond their tolerance but not proven (watch) explain slowness all the same."""
    found = diagnosed(drift_result("latency_p95_ms"), drift_result("requests", "watch", 3.0))
    assert found.cause == "traffic_volume"


def test_longer_prompts_explain_slowness_up_to_their_square() -> None:
    """Twice as long and up to four times as slow: each request asks for more work."""
    longer = drift_result("prompt_chars_mean")
    found = diagnosed(drift_result("ttft_p95_ms", effect=2.9), longer)
    assert found.cause == "workload"
    assert "ttft_p95_ms moved" in found.ranked[0].words


def test_more_slowness_than_longer_prompts_explain_is_the_machines() -> None:
    """Twice as long and five times as slow; the words mention that prompts changed too."""
    longer = drift_result("prompt_chars_mean")
    found = diagnosed(drift_result("latency_p95_ms", effect=4.0), longer)
    assert found.cause == "infrastructure"
    assert "prompts changed their length too" in found.ranked[0].words


def test_shorter_prompts_excuse_nothing() -> None:
    """Prompts got shorter and requests slower: infrastructure."""
    shorter = drift_result("prompt_chars_mean", effect=-0.6)
    assert diagnosed(drift_result("latency_p95_ms"), shorter).cause == "infrastructure"


def test_dearer_by_longer_prompts_alone_is_workload() -> None:
    """The cost follows the time a request takes."""
    found = diagnosed(drift_result("cost_usd_per_1k"), drift_result("prompt_chars_mean"))
    assert found.cause == "workload"


def test_a_price_counts_beside_longer_prompts() -> None:
    """Cost x3: the price doubled and longer prompts do the rest; the price is what is new."""
    found = diagnosed(
        drift_result("cost_usd_per_1k", effect=5.0),
        drift_result("price_usd_per_hour"),
        drift_result("prompt_chars_mean"),
        drift_result("ttft_p95_ms", effect=1.5),
    )
    assert [e.cause for e in found.ranked] == ["price", "workload"]


def test_quality_on_a_slice_alone_is_the_models_doing() -> None:
    """A slice fell while the whole is inside its tolerance: model quality, said so."""
    part = drift_result("perplexity[a]").model_copy(update={"slice": "a"})
    found = diagnosed(part, drift_result("perplexity", "stable", 0.0))
    assert found.cause == "model_quality"


def test_no_results_are_no_clean_bill() -> None:
    """Nothing collected at all is learning, not none."""
    assert diagnosed().cause == "learning"


@pytest.mark.parametrize(
    ("change", "learning"),
    [
        ({"state": "unknown"}, True),
        ({"state": "unknown", "current": None}, False),
        ({"state": "stable"}, False),
    ],
)
def test_learning_has_a_value_and_missing_has_none(
    change: dict[str, object], *, learning: bool
) -> None:
    """Only an unknown with today's value is learning."""
    assert is_learning(drift_result("perplexity").model_copy(update=change)) is learning


def test_the_first_of_the_ranked_is_the_cause() -> None:
    """Whatever the day: ``ranked`` starts with ``cause``, and every cause has words."""
    truths: list[Callable[[], Truth]] = [
        lambda: PLAIN,
        lambda: Truth(price=2.0, latency=3.0, error_rate=0.3, perplexity=2.0, requests=4.0),
    ]
    for truth in truths:
        found = after(12, truth()).diagnosis
        first: CauseEvidence = found.ranked[0]
        assert first.cause == found.cause
        assert all(c.words for c in found.ranked)


def test_watched_rouge_is_quality() -> None:
    """A measure that is not operational is quality, once the policy watches it."""
    rule = MeasurePolicy(direction="higher_is_better", tolerance=0.15)
    fallen = drift_result("rouge_l", effect=-0.5).model_copy(update={"direction": rule.direction})
    assert diagnosed(fallen).cause == "model_quality"
