"""A day's cost is known only if every quantity that is paid for is known."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.request_logs import log_spec
from upkeep.costs import cost_usd, priced
from upkeep.records import DailyMetrics, HourMetrics
from upkeep.spec import Price

SINCE = date(2026, 1, 1)
DAY = date(2026, 3, 5)


def price(**rates: float) -> Price:
    return Price(since=SINCE, **rates)


def day_of(day: date = DAY, **fields: Any) -> DailyMetrics:
    known: dict[str, Any] = {"requests": 1000, "generation_errors": 0, "api_errors": 0}
    return DailyMetrics(
        model="talker",
        day=day,
        source="fake",
        coverage=1.0,
        rows_read=0,
        rows_quarantined=0,
        **(known | fields),
    )


@pytest.mark.parametrize(
    ("rates", "quantities", "usd"),
    [
        ({"usd_per_hour": 2.0}, (1800.0, None, None), 1.0),
        ({"usd_per_hour": 2.0}, (0.0, 5, 5), 0.0),
        ({"usd_per_hour": 2.0}, (None, 5, 5), None),
        ({"usd_per_1k_tokens_in": 0.5}, (None, 4000, None), 2.0),
        ({"usd_per_1k_tokens_out": 1.5}, (None, None, 2000), 3.0),
        ({"usd_per_1k_tokens_in": 0.5, "usd_per_1k_tokens_out": 1.5}, (None, 4000, 2000), 5.0),
        ({"usd_per_1k_tokens_in": 0.5, "usd_per_1k_tokens_out": 1.5}, (9.0, 4000, None), None),
        ({"usd_per_hour": 2.0, "usd_per_1k_tokens_in": 0.5}, (1800.0, 4000, None), 3.0),
        ({"usd_per_hour": 2.0, "usd_per_1k_tokens_in": 0.5}, (None, 4000, None), None),
        ({"usd_per_1k_tokens_in": 0.0}, (None, 4000, None), 0.0),
        ({"usd_per_1k_tokens_in": 0.0}, (None, None, None), None),
        ({}, (1800.0, 4000, 2000), None),
        ({"usd_per_hour": 2.0, "machines": 3}, (None, None, None), 144.0),
        ({"usd_per_hour": 2.0, "machines": 1}, (999_999.0, None, None), 48.0),
    ],
)
def test_each_rate_needs_its_quantity(
    rates: dict[str, float], quantities: tuple[Any, Any, Any], usd: float | None
) -> None:
    """By the busy hour, by kind of token, or both; an unknown quantity is an unknown cost."""
    found = cost_usd(price(**rates), 24, *quantities)
    assert found == (None if usd is None else pytest.approx(usd))


rate = st.none() | st.floats(0.001, 100)
quantity = st.none() | st.integers(0, 10**9)


@given(st.tuples(rate, rate, rate), st.tuples(quantity, quantity, quantity))
def test_a_cost_is_never_known_by_leaving_something_out(
    rates: tuple[Any, Any, Any], quantities: tuple[Any, Any, Any]
) -> None:
    """It is known if and only if something is paid for and all that is paid for is known."""
    names = ("usd_per_hour", "usd_per_1k_tokens_in", "usd_per_1k_tokens_out")
    paid = [q for r, q in zip(rates, quantities, strict=True) if r is not None]
    known = bool(paid) and None not in paid
    found = cost_usd(price(**dict(zip(names, rates, strict=True))), 24, *quantities)
    assert (found is not None) is known
    assert found is None or found >= 0


def test_the_price_of_a_day_is_the_last_that_had_begun() -> None:
    """A price holds from its day on, in whatever order they stand; before the first is none."""
    prices = [
        {"since": date(2026, 3, 5), "usd_per_hour": 4.0},
        {"since": date(2026, 1, 1), "usd_per_hour": 1.0},
    ]
    spec = log_spec("unused", prices=prices)
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 3, 4), date(2026, 3, 5)]
    found = [priced(spec, day_of(day, busy_s=3600.0)) for day in days]
    assert [m.cost_usd for m in found] == [None, 1.0, 1.0, 4.0]
    assert [m.price_usd_per_hour for m in found] == [None, 1.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("fields", "usd_per_1k"),
    [
        pytest.param({}, 1.0, id="all-well"),
        pytest.param({"generation_errors": 300, "api_errors": 200}, 2.0, id="half-of-them-failed"),
        pytest.param({"generation_errors": 1000}, None, id="none-ended-well"),
        pytest.param({"requests": 0}, None, id="A21-no-traffic"),
        pytest.param({"api_errors": None}, None, id="errors-unknown"),
        pytest.param({"requests": None}, None, id="A20-requests-unknown"),
        pytest.param({"busy_s": None}, None, id="busy-time-unknown"),
        pytest.param({"api_errors": 1001}, None, id="A36-more-errors-than-requests"),
    ],
)
def test_cost_is_told_per_1000_generations_that_ended_well(
    fields: dict[str, Any], usd_per_1k: float | None
) -> None:
    """Over nothing it is unknown: neither infinite nor 0."""
    found = priced(log_spec("unused"), day_of(**({"busy_s": 3600.0} | fields)))
    assert found.cost_usd_per_1k == usd_per_1k


def test_hours_are_priced_as_the_day_is() -> None:
    """The hours that know what is paid for cost something, the others are unknown."""
    hours = (
        HourMetrics(hour=0, covered=True, busy_s=1800.0),
        HourMetrics(hour=1, covered=True, busy_s=0.0),
        HourMetrics(hour=2, covered=False),
    )
    found = priced(log_spec("unused"), day_of(busy_s=1800.0, hours=hours))
    assert [h.cost_usd for h in found.hours] == [0.5, 0.0, None]
    assert found.cost_usd == 0.5


def test_machines_are_paid_by_the_clock_each_hour() -> None:
    """A server that answers several requests at once costs the same, busy or not."""
    spec = log_spec("logs", prices=[{"since": SINCE, "usd_per_hour": 2.0, "machines": 2}])
    hours = tuple(HourMetrics(hour=n, covered=True, busy_s=9_000.0) for n in range(24))
    day = priced(spec, day_of(busy_s=216_000.0, hours=hours))
    assert day.cost_usd == 96.0
    assert [hour.cost_usd for hour in day.hours] == [4.0] * 24
    assert day.flags == ()


def test_more_busy_hours_than_a_day_has_are_flagged() -> None:
    """Ten requests at once for a whole day are not ten machines: the flag says what to do."""
    spec = log_spec("logs", prices=[{"since": SINCE, "usd_per_hour": 2.0}])
    [flag] = priced(spec, day_of(busy_s=864_000.0)).flags
    assert flag.startswith("240.0 busy hours in a day of 24")
    assert "machines:" in flag
    assert priced(spec, day_of(busy_s=86_400.0)).flags == ()
