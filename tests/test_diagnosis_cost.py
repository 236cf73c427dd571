"""The change of the day's cost is split into price, volume and efficiency, and sums to it."""

from __future__ import annotations

import math

import pytest
from fakes.signs import drift_of, facts_of, result
from hypothesis import given
from hypothesis import strategies as st

from upkeep.diagnosis import diagnose
from upkeep.diagnosis_cost import log_mean
from upkeep.records import CostSplit, DriftResult

FACTORS = st.floats(0.01, 100.0)
POSITIVE = st.floats(1e-3, 1e6)


def day(
    unit: tuple[float, float] = (2.0, 3.0),
    price: tuple[float, float] | None = (1.0, 1.2),
    requests: tuple[float, float] = (1e4, 2e4),
    errors: tuple[float, float] = (0.0, 0.0),
) -> list[DriftResult]:
    """Baseline and today of the cost's factors."""
    found = [
        result("cost_usd_per_1k", *unit),
        result("requests", *requests),
        result("error_rate", *errors),
    ]
    return found if price is None else [*found, result("price_usd_per_hour", *price)]


def split(results: list[DriftResult]) -> CostSplit:
    """The day's split."""
    found = diagnose(facts_of(), drift_of(*results)).cost
    assert found is not None
    return found


@given(
    POSITIVE, FACTORS, POSITIVE, FACTORS, POSITIVE, FACTORS, st.floats(0, 0.9), st.floats(0, 0.9)
)
def test_the_parts_sum_to_the_change(
    unit: float,
    by_unit: float,
    price: float,
    by_price: float,
    requests: float,
    by_requests: float,
    failed: float,
    fails: float,
) -> None:
    """Whatever the factors: nothing is left over, and each part has its factor's sign."""
    found = split(
        day(
            (unit, unit * by_unit),
            (price, price * by_price),
            (requests, requests * by_requests),
            (failed, fails),
        )
    )
    parts = (found.price_usd, found.volume_usd, found.efficiency_usd)
    total = math.fsum(p for p in parts if p is not None)
    largest = max(found.baseline_usd, found.current_usd)
    assert total == pytest.approx(found.change_usd, abs=1e-9 * largest)
    assert found.change_usd == pytest.approx(found.current_usd - found.baseline_usd)
    assert found.price_usd is not None
    assert found.price_usd * math.log(by_price) >= 0.0


def test_one_factor_alone_has_the_whole_change() -> None:
    """Price up by half, all else the same: 20 USD become 30, by the price."""
    found = split(day((2.0, 3.0), (1.0, 1.5), (1e4, 1e4)))
    assert (found.baseline_usd, found.current_usd) == (pytest.approx(20.0), pytest.approx(30.0))
    assert found.price_usd == pytest.approx(10.0)
    assert found.volume_usd == pytest.approx(0.0, abs=1e-12)
    assert found.efficiency_usd == pytest.approx(0.0, abs=1e-12)
    assert "the day cost 30 USD against 20: +10 USD, of which price +10" in found.words


def test_the_parts_are_lmdis() -> None:
    """By hand: C = 20 -> 60, L = 40 / ln 3; volume x2, price x1.2, efficiency x1.25."""
    found = split(day())
    weight = 40.0 / math.log(3.0)
    assert found.volume_usd == pytest.approx(weight * math.log(2.0))
    assert found.price_usd == pytest.approx(weight * math.log(1.2))
    assert found.efficiency_usd == pytest.approx(weight * math.log(1.25))


def test_the_volume_is_of_requests_that_ended_well() -> None:
    """Half of the requests fail: half the volume, though as many came."""
    found = split(day((2.0, 4.0), (1.0, 1.0), (1e4, 1e4), (0.0, 0.5)))
    assert found.change_usd == pytest.approx(0.0, abs=1e-9)
    assert found.volume_usd == pytest.approx(-20.0 * math.log(2.0))
    assert found.efficiency_usd == pytest.approx(20.0 * math.log(2.0))


def test_what_is_not_known_is_none() -> None:
    """Without a price its part and the efficiency's are not known, and said together."""
    found = split(day(price=None))
    assert (found.price_usd, found.efficiency_usd) == (None, None)
    assert found.volume_usd is not None
    assert "price and efficiency together" in found.words


@pytest.mark.parametrize("missing", ["cost_usd_per_1k", "requests", "error_rate"])
def test_no_split_without_cost_or_volume(missing: str) -> None:
    """No number is made up."""
    results = [r for r in day() if r.measure != missing]
    assert diagnose(facts_of(), drift_of(*results)).cost is None


def test_a_broken_day_has_no_split() -> None:
    """Numbers that cannot be trusted are not split."""
    facts = facts_of()
    untrusted = facts.model_copy(
        update={"current": facts.current.model_copy(update={"trusted": False})}
    )
    found = diagnose(untrusted, drift_of(*day()))
    assert (found.cause, found.cost) == ("data_breakage", None)


@given(POSITIVE, st.floats(0.5, 2.0))
def test_the_logarithmic_mean_lies_between(a: float, ratio: float) -> None:
    """Of two numbers, equal ones included."""
    b = a * ratio
    slack = 1e-9 * max(a, b)
    assert min(a, b) - slack <= log_mean(a, b) <= max(a, b) + slack
    assert log_mean(a, a) == a
