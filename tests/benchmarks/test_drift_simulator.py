"""The simulated fleet is what it says: seeded, noisy as stated, changed by faults only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.drift.faults import FAULTS, HARMLESS, Fault
from benchmarks.drift.rendering import Timeline, days_of, facts_of, measures_on
from benchmarks.drift.simulator import (
    LOWEST_SHARE,
    QUALITY_TOLERANCE_SD,
    Course,
    Model,
    course_of,
    effects,
    model_of,
    policy_of,
)
from benchmarks.drift.worlds import WORLDS, worlds_of

DAYS, DAY = 60, 30
EVERY = [*FAULTS, *HARMLESS]


def fault(name: str) -> Fault:
    return next(f for f in EVERY if f.name == name)


def changed(world: str, name: str, number: int = 0) -> tuple[Model, Course, Course]:
    """A model, its fault-free course and the one with a fault at ``DAY``."""
    model = model_of(WORLDS[world], number, 1)
    course = course_of(model, DAYS)
    return model, course, fault(name).change(model, course, DAY)


def test_equal_seeds_give_equal_days_and_others_do_not() -> None:
    """The same world, number and seed, byte for byte; another of any is another model."""

    def days(world: str, number: int, seed: int) -> list[bytes]:
        model = model_of(WORLDS[world], number, seed)
        return [d.canonical_bytes() for d in days_of(model, course_of(model, 10))]

    assert days("calm", 0, 1) == days("calm", 0, 1)
    others = (days("calm", 1, 1), days("calm", 0, 2), days("quiet", 0, 1))
    assert all(days("calm", 0, 1) != other for other in others)


@pytest.mark.parametrize("df", [None, 4.0])
@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_day_effects_have_unit_variance_and_the_stated_autocorrelation(
    rho: float, df: float | None
) -> None:
    """Over 20,000 days of 4 columns, within what sampling allows."""
    found = effects(np.random.default_rng(1), 20_000, rho, df, columns=4)
    lagged = [np.corrcoef(found[1:, k], found[:-1, k])[0, 1] for k in range(4)]
    assert found.std() == pytest.approx(1.0, abs=0.1)
    assert np.mean(lagged) == pytest.approx(rho, abs=0.03)


def test_heavy_tails_are_heavy() -> None:
    """Beyond four standard deviations lie many more days of Student's t than normal ones."""
    normal, heavy = (effects(np.random.default_rng(2), 50_000, 0.0, df) for df in (None, 4.0))
    assert (abs(heavy) > 4).mean() > 20 * (abs(normal) > 4).mean()


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_gives_days_that_records_accept(name: str) -> None:
    """Shares add up to 1, slices are scored, and the policy watches what is measured."""
    for number in range(4):
        model = model_of(WORLDS[name], number, 1)
        course = course_of(model, DAYS)
        days = days_of(model, course)
        assert course.shares.sum(axis=1) == pytest.approx(1.0)
        assert course.shares.min() > LOWEST_SHARE / 100
        assert len(days) == course.present.sum()
        measured = {m.name for m in days[0].measures}
        watched = set(policy_of(model).measures)
        assert {*model.qualities, "latency_p95_ms", "requests"} <= watched & measured
        assert any(m.startswith(f"{model.qualities[0]}[") for m in measured)


def test_gaps_are_missing_days_and_untrusted_ones() -> None:
    """The gappy world loses 5 to 15 % of its days, the others next to none."""
    lost = []
    for name in ("gappy", "calm"):
        courses = [course_of(model_of(WORLDS[name], n, 1), 200) for n in range(10)]
        lost.append(1.0 - np.mean([c.present.mean() for c in courses]))
    assert lost[0] == pytest.approx(0.10, abs=0.03)
    assert lost[1] < 0.02


@pytest.mark.parametrize("planted", EVERY, ids=lambda f: f.name)
def test_nothing_changes_before_the_planted_day(planted: Fault) -> None:
    """Days before are byte-equal, the planted day is not."""
    model, course, after = changed("calm", planted.name)
    assert days_of(model, course, range(DAY)) == days_of(model, after, range(DAY))
    week = range(DAY, DAY + 7)
    assert any(measures_on(model, course, t) != measures_on(model, after, t) for t in week)


@pytest.mark.parametrize("planted", HARMLESS, ids=lambda f: f.name)
def test_a_harmless_change_leaves_the_quality_of_each_topic_as_it_is(planted: Fault) -> None:
    """By topic nothing moves; the mix does where the name says so."""
    _, course, after = changed("calm", planted.name)
    assert (course.quality == after.quality).all()
    assert np.array_equal(course.shares, after.shares) == (
        planted.name in ("volume x4, 3 days", "price x1.5")
    )


def test_a_harder_mix_lowers_the_whole_and_no_topic() -> None:
    """What a detector that sees only the whole takes for a loss of quality."""
    lost = []
    for number in range(20):
        model, course, after = changed("calm", "harder mix of topics", number)
        before, now = ((c.shares[DAY:] @ model.topics).mean() for c in (course, after))
        lost.append(before - now)
    assert min(lost) > 0.0
    assert np.median(lost) > 0.3


@pytest.mark.parametrize(("name", "size"), [("-0.60", 0.6), ("-0.30", 0.3), ("-0.15", 0.15)])
@pytest.mark.parametrize("quality", ["rouge_l", "perplexity"])
def test_a_drop_has_its_size_in_within_day_standard_deviations(
    name: str, size: float, quality: str
) -> None:
    """Both measures fall by it, and its tolerance is under it."""
    numbers = (n for n in range(20) if quality in model_of(WORLDS["calm"], n, 1).qualities)
    model, course, after = changed("calm", f"quality {name} SD", next(numbers))
    before, now = (measures_on(model, c, DAY).value(quality) for c in (course, after))
    assert before is not None
    assert now is not None
    fall = {
        "rouge_l": (before - now) / model.rouge_sd,
        "perplexity": math.log(now / before) / model.nll_sd,
    }
    assert fall[quality] == pytest.approx(size)
    tolerance = policy_of(model).measures[quality].tolerance
    unit = model.rouge_sd if quality == "rouge_l" else model.nll_sd
    relative = math.log1p(tolerance) if quality == "perplexity" else tolerance
    assert relative / unit == pytest.approx(QUALITY_TOLERANCE_SD)


def test_a_drop_of_one_topic_is_in_one_topic() -> None:
    """The others keep their quality."""
    _, course, after = changed("calm", "quality -0.60 SD in one topic")
    moved = (course.quality[DAY:] != after.quality[DAY:]).any(axis=0)
    assert moved.sum() == 1


def test_intervals_hold_what_they_say() -> None:
    """About 95 % of the slices' intervals contain the topic's true score of the day."""
    model = model_of(WORLDS["calm"], next(n for n in range(20) if _rouge(n)), 1)
    course, inside = course_of(model, 150), []
    for t in range(150):
        for k, mean in enumerate(model.topics + course.quality[t]):
            found = measures_on(model, course, t).measure(f"rouge_l[t{k:02d}]")
            if found is not None and found.interval is not None:
                truth = model.rouge_mean + model.rouge_sd * mean
                inside.append(found.interval.low <= truth <= found.interval.high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def _rouge(number: int) -> bool:
    return model_of(WORLDS["calm"], number, 1).qualities == ("rouge_l",)


def test_a_timeline_gives_the_facts_that_the_days_give() -> None:
    """Cut columns and columns built anew are the same bytes, gaps included."""
    model = model_of(WORLDS["gappy"], 1, 1)
    days = days_of(model, course_of(model, DAYS))
    timeline = Timeline(days, 28)
    for place in (1, 20, len(days) - 1):
        t = (days[place].day - days[0].day).days + _first(model)
        window = [d for d in days[: place + 1] if (days[place].day - d.day).days <= 28]
        assert timeline.facts(t).canonical_bytes() == facts_of(window).canonical_bytes()


def _first(model: Model) -> int:
    return int(np.argmax(course_of(model, DAYS).present))


def test_a_world_that_does_not_exist_is_refused() -> None:
    """With those that do."""
    with pytest.raises(ValueError, match=r"worlds: mars; allowed are all, calm"):
        worlds_of("calm,mars")
