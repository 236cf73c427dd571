"""A measure in another unit holds its day; harm that is real, however large, does not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fakes.believable_days import DAY, changed, good_day, spec_of
from hypothesis import given
from hypothesis import strategies as st

from upkeep.records import DailyMetrics, Finding
from upkeep.validation import validate
from upkeep.validation_day import Day
from upkeep.validation_units import SCALES, unit_change

GOOD = changed(
    good_day(),
    prompt_chars_mean=300.0,
    utilisation=good_day().utilisation.model_dump()
    | {"network_bytes_per_s": {"mean": 2e6, "high": 9e6}},
)
NEEDED = 5


def times(metrics: DailyMetrics, name: str, factor: float, **quantiles: float) -> dict[str, Any]:
    """A time's quantiles times ``factor``, some of them times another one."""
    found = getattr(metrics, name).model_dump()
    return {name: {q: v * quantiles.get(q, factor) if q != "n" else v for q, v in found.items()}}


def gauge(metrics: DailyMetrics, name: str, factor: float) -> dict[str, Any]:
    """A gauge's mean and high times ``factor``."""
    used = metrics.utilisation.model_dump()
    return {"utilisation": used | {name: {k: v * factor for k, v in used[name].items()}}}


def number(metrics: DailyMetrics, name: str, factor: float) -> dict[str, Any]:
    """A number of the day times ``factor``; counts stay whole."""
    value = getattr(metrics, name)
    return {name: round(value * factor) if isinstance(value, int) else value * factor}


def scaled(metrics: DailyMetrics, name: str, factor: float) -> DailyMetrics:
    """The day with one measure times ``factor``."""
    fields = times if name.endswith("_ms") else number
    gauges = ("gpu_memory", "host_memory", "network_bytes_per_s")
    return changed(metrics, **(gauge if name in gauges else fields)(metrics, name, factor))


def days_of(n: int = 10, noise: float = 0.05, seed: int = 1) -> list[DailyMetrics]:
    """Days whose measures each vary by about ``noise``, log-normal and independent."""
    rng, days = random.Random(seed), []
    for back in range(n, 0, -1):
        day = changed(GOOD, day=DAY - timedelta(back))
        for name in SCALES:
            day = scaled(day, name, math.exp(rng.gauss(0.0, noise)))
        days.append(day)
    return days


HISTORY = days_of()


def found_in(today: DailyMetrics, days: list[DailyMetrics] | None = None) -> dict[str, float]:
    """The measures that are in another unit, with the factor."""
    days = HISTORY if days is None else days
    found = {name: unit_change(name, today, days, NEEDED) for name in SCALES}
    return {name: change.factor for name, change in found.items() if change is not None}


def failed(today: DailyMetrics, days: list[DailyMetrics], **parts: Any) -> dict[str, Finding]:
    """What the suite says of a day."""
    return {f.check: f for f in validate(spec_of(**parts), today, days)[0].failures}


@pytest.mark.parametrize(
    ("name", "factor"),
    [(name, f) for name, scale in SCALES.items() for f in scale.factors if f < 1e9],
    ids=lambda value: f"{value:g}" if isinstance(value, float) else value,
)
def test_every_plain_factor_of_a_measures_unit_is_told(name: str, factor: float) -> None:
    """Both ways, the measure alone, on a day that is somewhat noisy itself."""
    for wanted in (factor, 1.0 / factor):
        if name.startswith("tokens") and wanted < 1.0:
            continue  # tokens are whole: thousandths of them are none
        [(told, seen)] = found_in(scaled(GOOD, name, wanted * 1.05)).items()
        assert told == name
        assert seen == pytest.approx(wanted, rel=0.08)  # 1000 or 1024


@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_a_unit_change_holds_its_day(factor: float) -> None:
    """Latency and time to the first token together: untrusted, in words, with the way out."""
    day = changed(GOOD, **times(GOOD, "latency_ms", factor), **times(GOOD, "ttft_ms", factor))
    result, _ = validate(spec_of(), day, HISTORY)
    assert not result.trusted
    unit = {f.check: f for f in result.failures}["unit"]
    assert unit.severity == "hold"
    said = "1000" if factor > 1.0 else "1/1000"
    assert f"that is a unit's factor of {said}" in unit.words
    assert "latency_ms is" in unit.words
    assert "ttft_ms is" in unit.words
    assert "policy.baseline.since" in unit.words


HARM: list[Any] = [
    pytest.param(lambda d: scaled(d, "latency_ms", 5.0), id="five-times-as-slow"),
    pytest.param(lambda d: scaled(d, "latency_ms", 10.0), id="ten-times-as-slow"),
    pytest.param(lambda d: scaled(d, "latency_ms", 45.0), id="45-times-as-slow"),
    pytest.param(lambda d: scaled(d, "latency_ms", 150.0), id="150-times-as-slow"),
    pytest.param(
        lambda d: changed(d, **times(d, "latency_ms", 60.0, p50=20.0)),
        id="a-tail-of-60-and-a-median-of-20",
    ),
    pytest.param(
        lambda d: changed(d, **times(d, "latency_ms", 1000.0, p50=100.0, p90=100.0)),
        id="timeouts-in-the-tail",
    ),
    pytest.param(lambda d: scaled(d, "cost_usd_per_1k", 2.0), id="twice-as-dear"),
    pytest.param(lambda d: scaled(d, "price_usd_per_hour", 2.0), id="a-doubled-price"),
    pytest.param(lambda d: changed(d, requests=4 * 720), id="four-times-the-traffic"),
    pytest.param(lambda d: changed(d, requests=60 * 720), id="sixty-times-the-traffic"),
    pytest.param(
        lambda d: changed(scaled(d, "cost_usd_per_1k", 100.0), requests=7),
        id="idle-machines-make-few-requests-dear",
    ),
    pytest.param(lambda d: changed(d, generation_errors=720), id="an-outage"),
    pytest.param(lambda d: changed(d, latency_ms=None, ttft_ms=None), id="nothing-collected"),
    pytest.param(lambda d: scaled(d, "latency_ms", 0.0), id="zero"),
]


@pytest.mark.parametrize("harm", HARM)
def test_harm_is_not_held(harm: Callable[[DailyMetrics], DailyMetrics]) -> None:
    """It is to be acted upon."""
    assert found_in(harm(GOOD)) == {}


@given(st.floats(0.02, 50.0))
def test_no_slowdown_up_to_fifty_times_is_a_unit(factor: float) -> None:
    """Nor a speed-up: 60 with its narrow band is the smallest factor there is."""
    assert found_in(scaled(GOOD, "latency_ms", factor)) == {}


def test_the_band_is_as_wide_as_the_models_days() -> None:
    """A model of restless days has more room around a thousand, and next to none around 60."""
    calm, restless = days_of(20, noise=0.02), days_of(20, noise=0.2)
    off = scaled(GOOD, "latency_ms", 1700.0)
    assert found_in(off, calm) == {}
    assert found_in(off, restless) == {"latency_ms": 1000.0}
    assert found_in(scaled(GOOD, "latency_ms", 60.0 * 1.3), restless) == {}


def test_another_shape_is_no_unit() -> None:
    """Every quantile near a thousand, each in another way: a unit scales them alike."""
    restless = days_of(20, noise=0.3)
    alike = changed(GOOD, **times(GOOD, "latency_ms", 1.7e3))
    bent = changed(GOOD, **times(GOOD, "latency_ms", 1e3, p50=0.6e3, p90=1e3, p95=1.7e3, p99=1.7e3))
    assert found_in(alike, restless) == {"latency_ms": 1000.0}
    assert found_in(bent, restless) == {}


def test_a_young_model_is_looked_into_and_not_held() -> None:
    """A6: with fewer sound days than a baseline needs the level is not known well enough."""
    day = scaled(GOOD, "latency_ms", 1e3)
    few = HISTORY[: NEEDED - 1]
    assert "unit" not in (said := failed(day, few))
    assert said["unit_suspect"].severity == "investigate"
    assert "unit" in failed(day, HISTORY[:NEEDED])


def test_days_that_do_not_look_sound_say_nothing_of_the_unit() -> None:
    """Half a day in the new unit does not make it the usual one."""
    wild = [changed(scaled(d, "latency_ms", 1e3), coverage=0.5) for d in days_of(30, seed=2)]
    assert set(Day(spec_of(), scaled(GOOD, "latency_ms", 1e3), [*wild, *HISTORY]).unit_changes) == {
        "latency_ms"
    }


def test_a_new_baseline_ends_the_holding() -> None:
    """Whoever means the new unit says so: earlier days are no longer compared with."""
    day = scaled(GOOD, "latency_ms", 1e3)
    policy = {"version": "t", "measures": {}, "rules": [], "baseline": {"since": DAY}}
    assert "unit" in failed(day, HISTORY)
    assert "unit" not in failed(day, HISTORY, policy=policy)


def test_some_broken_days_in_the_history_change_nothing() -> None:
    """The level is the median: three days in the wrong unit are not the usual one."""
    broken = [scaled(day, "latency_ms", 1e3) for day in HISTORY[:3]]
    assert found_in(GOOD, [*broken, *HISTORY[3:]]) == {}
    assert found_in(scaled(GOOD, "latency_ms", 1e3), [*broken, *HISTORY[3:]]) == {
        "latency_ms": 1000.0
    }
