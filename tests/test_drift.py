"""A drift needs effect and evidence; ordinary noise, weekends and better days do not alarm."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import pytest
from fakes.sixteen_days import MIXED, Noise, Production, Truth, default_policy, scored, validated

from upkeep.drift import compare
from upkeep.panel import SHARE_POLICY
from upkeep.records import (
    DayFacts,
    DayMeasures,
    Drift,
    DriftResult,
    History,
    Interval,
    MeasureValue,
)
from upkeep.spec import BaselinePolicy, MeasurePolicy, Policy

MONDAY = date(2026, 3, 2)
WOBBLE = (0.00, 0.02, -0.02, 0.01, -0.01)
HIGHER = MeasurePolicy(direction="higher_is_better", tolerance=0.15)
FACT = MeasurePolicy(direction="neither", tolerance=0.5)

Values = Mapping[str, float | tuple[float, int] | None]


def policy_of(**measures: MeasurePolicy) -> Policy:
    """The shipped policy with these measures only, or all of them."""
    policy = default_policy()
    return policy.model_copy(update={"measures": measures or policy.measures})


def day_of(day: date, values: Values, *, trusted: bool = True, version: str = "1") -> DayMeasures:
    """A day with these values; a pair is a value and its number of samples."""
    measures = tuple(
        MeasureValue(name=name, value=found[0], n=found[1])
        if isinstance(found, tuple)
        else MeasureValue(name=name, value=found)
        for name, found in values.items()
    )
    return DayMeasures(day=day, trusted=trusted, champion_version=version, measures=measures)


def facts_of(days: Sequence[DayMeasures]) -> DayFacts:
    """The last day as the day under review, the others as its history."""
    current = days[-1]
    return DayFacts(
        model="m",
        day=current.day,
        revision=1,
        champion_version="1",
        champion_format="safetensors",
        validation=validated(current.day, trusted=current.trusted),
        current=current,
        history=History.of(days[:-1]),
        past_decisions=(),
    )


def series(name: str, values: Sequence[float | None], start: date = MONDAY) -> list[DayMeasures]:
    """One measure over consecutive days."""
    return [day_of(start + timedelta(i), {name: v}) for i, v in enumerate(values)]


def result(name: str, values: Sequence[float | None], policy: Policy | None = None) -> DriftResult:
    """What the last value is against the earlier ones."""
    found = compare(facts_of(series(name, values)), policy or policy_of()).get(name)
    assert found is not None
    return found


def quiet(level: float, days: int = 10) -> list[float]:
    """Days around ``level`` with 2 % of ordinary noise."""
    return [level * (1 + WOBBLE[i % len(WOBBLE)]) for i in range(days)]


# ---------------------------------------------------------------- one measure


def test_a_large_harmful_change_is_drifted_on_its_first_day() -> None:
    """Perplexity up by 80 %: beyond the tolerance and far beyond the noise."""
    found = result("perplexity", [*quiet(5.0), 9.0])
    assert found.state == "drifted"
    assert found.baseline == pytest.approx(5.0)
    assert found.effect == pytest.approx(0.8)
    assert found.interval is not None
    assert 0.15 < found.interval.low < 0.8 < found.interval.high
    assert found.evidence is not None
    assert found.needed is not None
    assert found.evidence > found.needed
    assert "perplexity 9 against 5 (10 days): +80.0%" in found.words


def test_an_ordinary_day_is_stable() -> None:
    """A day within the noise is stable, with its effect and interval reported all the same."""
    found = result("perplexity", [*quiet(5.0), 5.1])
    assert (found.state, found.baseline_days) == ("stable", 10)
    assert found.interval is not None
    assert found.interval.low < 0.0 < found.interval.high


def test_a_change_inside_the_tolerance_never_drifts_however_certain() -> None:
    """Ten days at +12 %, noise 2 %: proven, but nobody would act; never more than watch."""
    values = quiet(5.0)
    states = []
    for _ in range(10):
        values.append(5.6)
        states.append(result("perplexity", values).state)
    assert "drifted" not in states
    assert "watch" in states


def noisy(level: float, days: int = 12) -> list[float]:
    """Days that jump by a factor of up to 1.5 up and down."""
    factors = (1.0, 1.5, 0.67, 1.2, 0.83)
    return [level * factors[i % len(factors)] for i in range(days)]


def test_a_large_change_that_noise_explains_is_watched_only() -> None:
    """A machine whose latency jumps by half every other day: +80 % is no evidence."""
    found = result("latency_p95_ms", [*noisy(200.0), 360.0])
    assert found.state == "watch"
    assert found.effect == pytest.approx(0.8, abs=0.1)


def test_smaller_days_add_up() -> None:
    """On a noisy machine one day of +180 % is watched, the second or third like it drifted."""
    values, states = noisy(200.0), []
    for _ in range(3):
        values.append(560.0)
        states.append(result("latency_p95_ms", values).state)
    assert states[0] == "watch"
    assert states[-1] == "drifted"


def test_evidence_starts_anew_with_another_champion() -> None:
    """What the last champion was suspected of does not count against the next."""
    days = series("latency_p95_ms", [*noisy(200.0), 560.0, 560.0, 560.0])
    before = compare(facts_of(days), policy_of()).results[0]
    healed = days[-1].model_copy(update={"champion_version": "2"})
    after = compare(facts_of([*days[:-1], healed]), policy_of()).results[0]
    assert before.evidence is not None
    assert after.evidence is not None
    assert before.state == "drifted"
    assert after.evidence < before.evidence


def test_an_alarm_that_is_over_is_no_alarm() -> None:
    """After two weeks of bad days one ordinary day is stable at once: today says it is over."""
    assert result("perplexity", [*quiet(5.0), *[9.0] * 14]).state == "drifted"
    assert result("perplexity", [*quiet(5.0), *[9.0] * 14, 5.0]).state == "stable"


def test_a_bad_level_never_becomes_normal() -> None:
    """After 60 days at +80 % the baseline is still the old one, and the day drifted."""
    found = result("perplexity", [*quiet(5.0), *quiet(9.0, 60)])
    assert found.state == "drifted"
    assert found.baseline == pytest.approx(5.0, rel=0.02)


def test_a_better_level_does_not_alarm_and_becomes_normal() -> None:
    """Latency halves (improved); after as many days it is the baseline, and a return drifts."""
    halved = [*quiet(200.0), 90.0]
    assert result("latency_p95_ms", halved).state == "improved"
    settled = [*quiet(200.0), *quiet(90.0, 30)]
    assert result("latency_p95_ms", settled).state == "stable"
    assert result("latency_p95_ms", [*settled, 200.0]).state == "drifted"


def test_the_harmful_direction_is_the_measures_own() -> None:
    """BLEU that falls is drifted, that rises improved; the mirror of perplexity."""
    policy = policy_of(bleu=HIGHER)
    assert result("bleu", [*quiet(30.0), 18.0], policy).state == "drifted"
    assert result("bleu", [*quiet(30.0), 45.0], policy).state == "improved"


@pytest.mark.parametrize("today", [100.0, 900.0, 0.0])
def test_a_fact_may_move_either_way(today: float) -> None:
    """For direction neither a fall, a rise and a fall to zero are all drifted, as facts."""
    assert result("length", [*quiet(300.0), today], policy_of(length=FACT)).state == "drifted"


def test_an_absolute_tolerance_is_in_the_measures_unit() -> None:
    """Errors from 0.2 % to 1.5 % are inside 0.02, to 6 % outside, although both are many times."""
    errors = [0.002 + 0.0002 * (i % 3) for i in range(10)]
    assert result("error_rate", [*errors, 0.015]).state in ("stable", "watch")
    found = result("error_rate", [*errors, 0.06])
    assert (found.state, found.tolerance_kind) == ("drifted", "absolute")
    assert found.effect == pytest.approx(0.0578, abs=1e-6)


def test_identical_days_do_not_promise_silence() -> None:
    """Ten equal days have the prior's noise, not none: 2 % more is stable, not infinite proof."""
    found = result("perplexity", [5.0] * 10 + [5.1])
    assert found.state == "stable"
    assert found.evidence is not None
    assert found.evidence < 2.0


def test_one_wild_day_does_not_hide_the_next_drift() -> None:
    """A day of x4 traffic joins the baseline of a fact and changes neither centre nor noise."""
    policy = policy_of(length=FACT)
    assert result("length", [*quiet(300.0), 1200.0, *quiet(300.0, 5), 900.0], policy).state == (
        "drifted"
    )


def test_a_wide_interval_within_the_day_weakens_the_evidence() -> None:
    """The same +40 %, measured on a handful of samples, is watched instead of drifted."""

    def judged(width: float) -> DriftResult:
        days = series("perplexity", quiet(5.0))
        current = DayMeasures(
            day=MONDAY + timedelta(10),
            trusted=True,
            champion_version="1",
            measures=(scored("perplexity", 7.0, width),),
        )
        return compare(facts_of([*days, current]), policy_of()).results[0]

    assert judged(0.02).state == "drifted"
    assert judged(0.60).state == "watch"


def test_an_interval_below_zero_is_still_understood() -> None:
    """A relative measure whose interval reaches below zero is judged, not refused."""
    days = series("perplexity", quiet(5.0))
    wild = MeasureValue(name="perplexity", value=5.0, interval=Interval(low=-1.0, high=11.0))
    today = day_of(MONDAY + timedelta(10), {}).model_copy(update={"measures": (wild,)})
    assert compare(facts_of([*days, today]), policy_of()).results[0].state == "stable"


# ---------------------------------------------------------------- unknown is never stable


def test_a_young_model_is_unknown_and_says_how_young() -> None:
    """Three of five days known: unknown, in words, with today's value."""
    found = result("perplexity", [5.0, 5.1, 4.9, 9.0])
    assert (found.state, found.baseline_days, found.current) == ("unknown", 3, 9.0)
    assert found.words == "perplexity: baseline is being learnt: 3 of 5 days"


def test_a_value_that_goes_missing_is_unknown() -> None:
    """Earlier days have it and today has not: unknown, never stable, in words."""
    found = result("perplexity", [*quiet(5.0), None])
    assert (found.state, found.current, found.effect) == ("unknown", None, None)
    assert found.words == "perplexity: earlier days have it, today it is missing"


def test_an_untrusted_day_is_unknown_throughout() -> None:
    """Whatever an untrusted day's numbers say, no measure of it is judged."""
    days = series("perplexity", quiet(5.0))
    today = day_of(MONDAY + timedelta(10), {"perplexity": 5.0}, trusted=False)
    found = compare(facts_of([*days, today]), policy_of())
    assert [r.state for r in found.results] == ["unknown"]
    assert found.results[0].words == "perplexity: the day's data cannot be trusted"


def test_untrusted_days_do_not_join_the_baseline() -> None:
    """Ten untrusted days at half the level change nothing."""
    good = series("perplexity", quiet(5.0))
    bad = [
        day_of(MONDAY + timedelta(10 + i), {"perplexity": 2.5}, trusted=False) for i in range(10)
    ]
    today = day_of(MONDAY + timedelta(20), {"perplexity": 5.0})
    found = compare(facts_of([*good, *bad, today]), policy_of()).results[0]
    assert (found.state, found.baseline_days) == ("stable", 10)


def test_a_measure_that_nobody_collects_is_left_out() -> None:
    """Neither history nor today has a time to first token: no result for it."""
    found = compare(facts_of(series("perplexity", quiet(5.0))), policy_of())
    assert [r.measure for r in found.results] == ["perplexity"]


def test_a_measure_that_the_policy_does_not_name_is_not_judged() -> None:
    """ROUGE is computed but not watched: no result."""
    assert compare(facts_of(series("rouge_l", quiet(0.5))), policy_of()).results == ()


def test_a_baseline_of_zeros_has_no_ratio() -> None:
    """A relative measure that was always 0 is being learnt, whatever it is today."""
    found = result("ttft_p95_ms", [*[0.0] * 10, 50.0])
    assert (found.state, found.baseline_days) == ("unknown", 0)


def test_days_after_the_day_under_review_are_not_read() -> None:
    """A backfilled day is judged by what was before it."""
    later = series("perplexity", quiet(2.5, 20), start=MONDAY + timedelta(30))
    today = day_of(MONDAY + timedelta(10), {"perplexity": 5.0})
    facts = facts_of([*series("perplexity", quiet(5.0)), *later, today])
    assert compare(facts, policy_of()).results[0].state == "stable"


# ---------------------------------------------------------------- the week


def week(weeks: int, weekend: float = 0.5) -> list[float]:
    """Requests from Monday on, fewer at weekends, with 2 % noise."""
    return [
        1000 * (weekend if i % 7 >= 5 else 1.0) * (1 + WOBBLE[i % len(WOBBLE)])
        for i in range(7 * weeks)
    ]


def test_weekends_are_compared_with_weekends() -> None:
    """A fifth of the traffic every Saturday is ordinary; the same on a Wednesday is a drift."""
    known = week(3, weekend=0.2)
    assert result("requests", [*known, *week(1, 0.2)[:5], 200.0]).state == "stable"
    assert result("requests", [*known, *week(1, 0.2)[:2], 200.0]).state == "drifted"


def test_the_first_weekend_is_watched_at_most() -> None:
    """Monday to Friday known, then a Saturday of a tenth: no drift yet, in words."""
    found = result("requests", [*week(1)[:5], 100.0])
    assert found.state == "watch"
    assert "too few days of this weekday class" in found.words


def test_four_times_the_weekend_traffic_is_found_on_a_weekend() -> None:
    """Twice a weekday's volume on a Sunday is four times a Sunday's."""
    found = result("requests", [*week(2), *week(1)[:6], 2000.0])
    assert found.state == "drifted"
    assert found.effect == pytest.approx(3.0, abs=0.1)


# ---------------------------------------------------------------- slices


def sliced_days(days: int, values: Callable[[int], Values]) -> Drift:
    """Compare the last of ``days`` consecutive days."""
    return compare(
        facts_of([day_of(MONDAY + timedelta(i), values(i)) for i in range(days)]), policy_of()
    )


def test_a_slice_is_judged_by_its_parents_tolerance() -> None:
    """One slice gets worse while the whole does not show it: the slice is drifted."""
    found = sliced_days(
        11,
        lambda i: {
            "perplexity": 5.06 if i == 10 else 5.0,
            "perplexity[a]": (5.0, 9900),
            "perplexity[b]": (9.0 if i == 10 else 5.0, 100),
        },
    )
    assert {r.measure: r.state for r in found.results} == {
        "perplexity": "stable",
        "perplexity[a]": "stable",
        "perplexity[b]": "drifted",
    }
    bad = found.get("perplexity[b]")
    assert bad is not None
    assert (bad.slice, bad.tolerance) == ("b", 0.15)


def test_a_new_slice_is_unknown_and_its_share_a_fact() -> None:
    """A slice of half the traffic appears: its score is unknown, its share drifted from 0."""
    found = sliced_days(
        11,
        lambda i: (
            {"share[a]": 1.0, "perplexity[a]": 5.0}
            if i < 10
            else {"share[a]": 0.5, "share[b]": 0.5, "perplexity[a]": 5.0, "perplexity[b]": 30.0}
        ),
    )
    new, share = found.get("perplexity[b]"), found.get("share[b]")
    assert new is not None
    assert share is not None
    assert new.state == "unknown"
    assert new.words == "perplexity[b]: new slice, baseline is being learnt: 0 of 5 days"
    assert (share.state, share.baseline, share.direction) == ("drifted", 0.0, "neither")
    assert share.tolerance == SHARE_POLICY.tolerance == 0.2


def test_a_slice_that_vanishes_has_a_share_of_zero() -> None:
    """No request of a slice means a share of exactly 0, not a missing value."""
    found = sliced_days(
        11, lambda i: {"share[a]": 0.5, "share[b]": 0.5} if i < 10 else {"share[a]": 1.0}
    )
    gone = found.get("share[b]")
    assert gone is not None
    assert (gone.state, gone.current) == ("drifted", 0.0)


def test_shares_that_were_not_counted_are_missing() -> None:
    """A day without any share says nothing about slices: unknown."""
    found = sliced_days(11, lambda i: {"share[a]": 1.0} if i < 10 else {"requests": 9.0})
    gone = found.get("share[a]")
    assert gone is not None
    assert gone.state == "unknown"


# ---------------------------------------------------------------- how often it is wrong


def needed(policy: Policy, **measures: Sequence[float]) -> dict[str, float | None]:
    """The evidence that each of these measures needs, each with a value a day."""
    days = len(next(iter(measures.values())))
    rows = [{name: values[i] for name, values in measures.items()} for i in range(days)]
    found = compare(
        facts_of([day_of(MONDAY + timedelta(i), row) for i, row in enumerate(rows)]), policy
    )
    return {r.measure: r.needed for r in found.results}


def rough(level: float, days: int = 40) -> list[float]:
    """Days whose noise is about as large as the tolerance: they have a share of the budget."""
    random_ = random.Random(int(level))
    return [level * math.exp(random_.gauss(0.0, 0.15)) for _ in range(days)]


def test_the_promise_of_false_alarms_is_shared_by_all_measures() -> None:
    """More noisy measures or rarer alarms need more evidence; a constant one takes no share."""
    one = needed(policy_of(a=HIGHER), a=rough(5.0))["a"]
    two = needed(policy_of(a=HIGHER, b=HIGHER), a=rough(5.0), b=rough(7.0))["a"]
    constant = needed(policy_of(a=HIGHER, b=HIGHER), a=rough(5.0), b=[1.0] * 40)["a"]
    rare = policy_of(a=HIGHER).model_copy(update={"pages_per_model_month": 0.01})
    rarer = needed(rare, a=rough(5.0))["a"]
    assert one is not None
    assert two is not None
    assert rarer is not None
    assert constant == one < two
    assert one < rarer


def alarm_days(noise: Noise, seeds: int, days: int) -> tuple[int, int]:
    """Fault-free days on which a harmful measure drifted, and how many days were judged."""
    alarms = judged = 0
    for seed in range(seeds):
        production = Production(seed, noise)
        for number in range(days):
            results = production.live(Truth()).drift.results
            if number >= 5:
                harmful = [r for r in results if r.direction != "neither"]
                assert not any(r.state == "unknown" for r in harmful)
                alarms += any(r.state == "drifted" for r in harmful)
                judged += 1
    return alarms, judged


def test_fault_free_days_do_not_alarm() -> None:
    """100 fault-free days of five models with a weekly pattern: no measure ever drifts."""
    assert alarm_days(Noise(), seeds=5, days=25) == (0, 100)


def test_a_noisy_machine_does_not_alarm_more_often_than_promised() -> None:
    """Latency +-45 % from day to day, 100 days: at most the one alarm that the policy allows."""
    alarms, judged = alarm_days(Noise(latency=0.45), seeds=5, days=25)
    assert judged == 100
    assert alarms <= 1


def test_mixed_traffic_that_is_served_well_is_a_fact_only() -> None:
    """A slice of half the traffic with unchanged quality: nothing harmful drifts."""
    production = Production(3)
    for _ in range(12):
        production.live(Truth())
    judged = production.live(Truth(shares=MIXED, slice_perplexity={"browser": 1.0, "editor": 1.0}))
    drifted = [r for r in judged.drift.results if r.state == "drifted"]
    assert {r.measure for r in drifted} == {"share[browser]", "share[editor]"}


def test_comparing_twice_gives_the_same_bytes() -> None:
    """A pure function: equal facts and policy give equal bytes."""
    facts = facts_of(series("perplexity", [*quiet(5.0), 9.0]))
    first, second = (compare(facts, policy_of()).canonical_bytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("value", [1e-300, 1e300, 0.0])
def test_absurd_values_are_judged_without_an_exception(value: float) -> None:
    """The largest and smallest numbers give a finite, harmful or harmless, never a crash."""
    found = result("perplexity", [*quiet(5.0), value])
    assert found.effect is not None
    assert math.isfinite(found.effect)
    assert found.state == ("drifted" if value > 1 else "improved")


def test_a_policy_that_wants_more_days_waits_for_them() -> None:
    """min_days is the policy's: with 11 wanted, 10 days are too few."""
    policy = policy_of().model_copy(update={"baseline": BaselinePolicy(min_days=11)})
    assert result("perplexity", [*quiet(5.0), 9.0], policy).state == "unknown"
