"""What must hold of drift for any history: order, units, rows, constants, bytes, mixes, gaps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from fakes.sixteen_days import default_policy, validated
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.drift import compare
from upkeep.records import DayFacts, DayMeasures, Drift, History, Interval, MeasureValue
from upkeep.spec import MeasurePolicy, Policy

MONDAY = date(2026, 3, 2)
SCORE = MeasurePolicy(direction="higher_is_better", tolerance=0.02, kind="absolute")
TIME = MeasurePolicy(direction="lower_is_better", tolerance=0.25)
POLICY = default_policy().model_copy(
    update={"measures": {"rouge_l": SCORE, "latency_p95_ms": TIME}}
)

Rows = Sequence[Sequence[MeasureValue]]


def facts_of(
    rows: Rows, versions: Sequence[str] | None = None, skip: Sequence[int] = ()
) -> DayFacts:
    """Consecutive days, the last one under review; the days in ``skip`` have no record."""
    days = [
        DayMeasures(
            day=MONDAY + timedelta(n),
            trusted=True,
            champion_version=versions[n] if versions else "1",
            measures=tuple(row),
        )
        for n, row in enumerate(rows)
        if n not in skip
    ]
    return DayFacts(
        model="m",
        day=days[-1].day,
        revision=1,
        champion_version="1",
        champion_format="safetensors",
        validation=validated(days[-1].day),
        current=days[-1],
        history=History.of(days[:-1]),
        past_decisions=(),
    )


def noise(seed: int, days: int, sd: float, rho: float = 0.0) -> list[float]:
    """Day effects with autocorrelation ``rho``."""
    rng, found = np.random.default_rng(seed), [0.0]
    for step in rng.normal(size=days):
        found.append(rho * found[-1] + math.sqrt(1 - rho**2) * sd * float(step))
    return found[1:]


def score(value: float, error: float = 0.0, n: int = 500, name: str = "rouge_l") -> MeasureValue:
    """A value with its interval within the day."""
    span = Interval(low=value - 1.96 * error, high=value + 1.96 * error) if error else None
    return MeasureValue(name=name, value=value, interval=span, n=n)


def days_of(
    seed: int, days: int = 60, drop: float = 0.0, since: int = 60
) -> list[list[MeasureValue]]:
    """Quality and latency of a model whose quality falls by ``drop`` from day ``since`` on."""
    quality, latency = noise(seed, days, 0.01, 0.3), noise(seed + 1, days, 0.05)
    return [
        [
            score(0.5 + quality[n] - (drop if n >= since else 0.0)),
            score(200.0 * math.exp(latency[n]), name="latency_p95_ms"),
        ]
        for n in range(days)
    ]


def states(drift: Drift) -> dict[str, str]:
    """The state of every measure."""
    return {r.measure: r.state for r in drift.results}


# ---------------------------------------------------------------- what changes nothing


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), drop=st.sampled_from([0.0, 0.03, 0.06]))
def test_a_day_compared_again_is_byte_equal_whatever_the_order_of_its_measures(
    seed: int, drop: float
) -> None:
    """Equal facts give equal bytes; so do the same measures in another order."""
    rows = days_of(seed, 40, drop, 38)
    facts, turned = facts_of(rows), facts_of([row[::-1] for row in rows])
    first = compare(facts, POLICY).canonical_bytes()
    assert compare(DayFacts.parse(facts.canonical_bytes()), POLICY).canonical_bytes() == first
    assert compare(turned, POLICY).canonical_bytes() == first


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([1e-3, 0.125, 8.0, 1e3, 3600.0]))
def test_another_unit_changes_nothing(seed: int, factor: float) -> None:
    """Milliseconds or hours, points or shares: the same state, evidence, threshold."""
    rows = days_of(seed, 40, 0.03, 37)
    policy = POLICY.model_copy(
        update={
            "measures": {
                "rouge_l": SCORE.model_copy(update={"tolerance": SCORE.tolerance * factor}),
                "latency_p95_ms": TIME,
            }
        }
    )
    scaled = [[m.model_copy(update={"value": (m.value or 0.0) * factor}) for m in r] for r in rows]
    here, there = compare(facts_of(rows), POLICY), compare(facts_of(scaled), policy)
    for a, b in zip(here.results, there.results, strict=True):
        assert (a.state, a.recent_days) == (b.state, b.recent_days)
        assert a.evidence == pytest.approx(b.evidence, rel=1e-6)
        assert a.needed == pytest.approx(b.needed, rel=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), drop=st.sampled_from([0.0, 0.03]), level=st.floats(0.1, 1e6))
def test_a_constant_measure_more_changes_no_result(seed: int, drop: float, level: float) -> None:
    """A measure that never moves takes nothing of the budget and has no state but stable."""
    rows = days_of(seed, 40, drop, 37)
    more = [[*row, score(level, name="cost_usd_per_1k")] for row in rows]
    policy = POLICY.model_copy(update={"measures": POLICY.measures | {"cost_usd_per_1k": TIME}})
    before, after = compare(facts_of(rows), POLICY), compare(facts_of(more), policy)
    constant = after.get("cost_usd_per_1k")
    assert constant is not None
    assert constant.state == "stable"
    assert tuple(r for r in after.results if r is not constant) == before.results


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), other=st.integers(0, 10_000))
def test_other_models_have_no_part_in_it(seed: int, other: int) -> None:
    """A model's drift is a function of its own facts: what was compared before does not count."""
    facts, unrelated = facts_of(days_of(seed, 40)), facts_of(days_of(other, 40, 0.1, 39))
    alone = compare(facts, POLICY).canonical_bytes()
    compare(unrelated, POLICY)
    assert compare(facts, POLICY).canonical_bytes() == alone


# ---------------------------------------------------------------- how often, how soon


def alarms(seeds: range, error: float, n: int) -> int:
    """How many of these fault-free models have a drifted quality on one of ten days."""
    found = 0
    for seed in seeds:
        effects, rng = noise(seed, 60, 0.01, 0.3), np.random.default_rng(seed + 7)
        inner = rng.normal(scale=error, size=60)
        rows = [[score(0.5 + e + float(i), error, n)] for e, i in zip(effects, inner, strict=True)]
        judged = (compare(facts_of(rows[:end]), POLICY) for end in range(51, 61))
        found += any(states(drift)["rouge_l"] == "drifted" for drift in judged)
    return found


def test_more_rows_with_the_same_noise_of_days_raise_no_more_alarms() -> None:
    """A thousand times the rows: the error within the day shrinks, the noise of days stays."""
    few, many = alarms(range(40), 0.01, 100), alarms(range(40), 0.0003, 100_000)
    assert many <= 2
    assert few <= 2


@pytest.mark.parametrize(("drop", "within"), [(0.06, 1), (0.03, 4)])
def test_most_drops_are_found_soon(drop: float, within: int) -> None:
    """Six standard deviations of the days on the day itself, three within four days."""
    found = 0
    for seed in range(20):
        rows = days_of(100 + 2 * seed, 60 + within, drop, 60)
        judged = (compare(facts_of(rows[:end]), POLICY) for end in range(61, 61 + within))
        found += any(states(drift)["rouge_l"] == "drifted" for drift in judged)
    assert found >= 16


def test_a_slow_decay_is_found_although_every_step_is_small() -> None:
    """A fifth of a standard deviation a day: nothing on its first day, found within a month."""
    found = []
    for seed in range(6):
        rows = days_of(500 + 2 * seed, 90)
        falling = [
            [score((row[0].value or 0.0) - 0.002 * max(0, n - 59)), row[1]]
            for n, row in enumerate(rows)
        ]
        days = (n for n in range(60, 90) if _drifted(falling[: n + 1]))
        found.append(next(days, 999) - 59)
    assert sorted(found)[1] > 3  # one of six may alarm by chance before
    assert max(found) <= 28


def _drifted(rows: Rows) -> bool:
    return states(compare(facts_of(rows), POLICY))["rouge_l"] == "drifted"


def test_missing_days_are_no_evidence_and_hide_nothing() -> None:
    """A third of the days is missing: quiet stays quiet, a drop is found as before."""
    skip = [n for n in range(59) if n % 3 == 1]
    assert states(compare(facts_of(days_of(3), skip=skip), POLICY))["rouge_l"] == "stable"
    fallen = facts_of(days_of(3, drop=0.08, since=58), skip=skip)
    assert states(compare(fallen, POLICY))["rouge_l"] == "drifted"


# ---------------------------------------------------------------- mixes and champions


def sliced(
    n: int, easy: float, drop: float = 0.0, seed: int = 5, new: float | None = None
) -> list[MeasureValue]:
    """A day of two topics, of which ``easy`` is the share of the easy one."""
    effect = noise(seed, 70, 0.01)[n]
    topics = {"easy": (easy, 0.6 + effect - drop), "hard": (1.0 - easy, 0.3 + effect - drop)}
    if new is not None:
        topics = {k: (share / 2, value) for k, (share, value) in topics.items()}
        topics["new"] = (0.5, new)
    whole = sum(share * value for share, value in topics.values())
    found = [score(whole, 0.002, 1000)]
    for name, (share, value) in topics.items():
        found.append(score(value, 0.003, round(1000 * share), f"rouge_l[{name}]"))
        found.append(MeasureValue(name=f"share[{name}]", value=share, n=1000))
    return found


def mixed_days(last: list[list[MeasureValue]]) -> Drift:
    """Forty ordinary days, then these."""
    rows = [sliced(n, 0.7 + 0.05 * math.sin(n)) for n in range(40)]
    return compare(facts_of([*rows, *last]), POLICY)


def test_a_harder_mix_alone_is_no_loss_of_quality() -> None:
    """The whole falls by 0.12, six tolerances; within the topics nothing changed."""
    found = mixed_days([sliced(n, 0.3) for n in range(40, 44)])
    whole = found.get("rouge_l")
    assert whole is not None
    assert whole.state == "stable"
    assert whole.mix_effect == pytest.approx(-0.12, abs=0.02)
    assert "within its slices, whose mix did -0.1" in whole.words
    assert {r.state for r in found.results if r.direction != "neither"} == {"stable"}
    share = found.get("share[hard]")
    assert share is not None
    assert share.state == "drifted"


def test_a_loss_within_the_topics_is_found_behind_an_easier_mix() -> None:
    """Simpson's paradox: every topic loses 0.06 while the whole rises."""
    found = mixed_days([sliced(n, 0.95, drop=0.06) for n in range(40, 42)])
    whole = found.get("rouge_l")
    assert whole is not None
    assert whole.state == "drifted"
    assert whole.effect == pytest.approx(-0.06, abs=0.02)
    assert whole.mix_effect == pytest.approx(0.07, abs=0.02)


def test_bad_answers_to_a_new_topic_are_a_loss() -> None:
    """Half of the questions are of a topic nobody has asked about, and the answers are bad."""
    found = mixed_days([sliced(40, 0.7, new=0.1)])
    assert states(found)["rouge_l"] == "drifted"
    assert states(found)["rouge_l[new]"] == "unknown"


def champions() -> Iterator[tuple[float, str]]:
    """Thirty days at 0.5, then a champion with 0.6."""
    quality = noise(9, 60, 0.01)
    for n in range(60):
        yield (0.5 if n < 30 else 0.6) + quality[n], "1" if n < 30 else "2"


def test_a_champion_is_held_to_its_own_level() -> None:
    """A better champion is improved on its first day; back at the old level it is drifted."""
    days = list(champions())
    versions = [v for _, v in days]
    rows = [[score(value)] for value, _ in days]
    first = compare(facts_of(rows[:31], versions), POLICY).results[0]
    settled = compare(facts_of(rows, versions), POLICY).results[0]
    fallen = compare(facts_of([*rows[:-1], [score(0.5)]], versions), POLICY).results[0]
    assert (first.state, settled.state, fallen.state) == ("improved", "stable", "drifted")
    assert settled.baseline == pytest.approx(0.6, abs=0.01)


def test_a_worse_champion_does_not_become_its_own_measure_on_the_day() -> None:
    """The first day of a bad release is compared with the champion before it."""
    rows = [[score(0.5 + e)] for e in noise(9, 41, 0.01)]
    rows[-1] = [score(0.4)]
    found = compare(facts_of(rows, ["1"] * 40 + ["2"]), POLICY).results[0]
    assert (found.state, found.recent_days) == ("drifted", 1)


def rough_policy() -> Policy:
    """Twenty noisy measures under one budget."""
    return POLICY.model_copy(update={"measures": {f"m{n:02}": SCORE for n in range(20)}})


def test_all_measures_together_keep_to_the_budget() -> None:
    """Twenty measures, a tolerance of one sd, 300 model-days: 0.1 pages a month is one page."""
    pages = 0
    for model in range(10):
        columns = [noise(1000 * model + n, 90, 0.02) for n in range(20)]
        rows = [
            [score(0.5 + columns[n][day], name=f"m{n:02}") for n in range(20)] for day in range(90)
        ]
        before = False
        for end in range(61, 91):
            found = states(compare(facts_of(rows[:end]), rough_policy())).values()
            now = "drifted" in found
            pages += now and not before
            before = now
    assert pages <= 3  # Poisson with mean 1: more than 3 in one of fifty such tests
