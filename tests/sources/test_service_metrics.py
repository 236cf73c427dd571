"""What cloud services have in common: when an hour is known, when it is 0, what is set aside."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import pytest
from fakes.service_days import (
    HOURS,
    QUANTILES,
    START,
    day_of,
    hourly,
    metrics_of,
    said,
)
from hypothesis import given
from hypothesis import strategies as st

from upkeep.errors import ConfigError
from upkeep.records import Quantiles
from upkeep.sources.service_metrics import (
    NOT_MONOTONE,
    STATISTICS,
    TOO_MANY_ERRORS,
    check_units,
)
from upkeep.spec_sources import MetricName

SERVICES = ("cloudwatch", "azure_monitor", "google_monitoring")
SDKS = ("boto3", "botocore", "azure.core", "azure.identity", "google.cloud", "grpc")
TRAFFIC = [h for h in HOURS if h not in (3, 4)]


def test_counts_add_up_by_the_hour_and_make_the_day() -> None:
    """Each hour's points are summed; the day is their sum; every hour is covered."""
    day = day_of()
    day.counts("requests", "Requests", [(START.timestamp() + 300 * n, 2.0) for n in range(288)])
    day.settle()
    metrics = metrics_of(day)
    assert metrics.requests == 576
    assert [hour.requests for hour in metrics.hours] == [24] * 24
    assert metrics.coverage == 1.0


def test_an_hour_without_requests_is_zero_where_the_machine_was_alive() -> None:
    """Utilisation without a request count is an idle hour: covered, with 0 of everything asked."""
    day = day_of()
    day.counts("requests", "Requests", hourly(10.0, TRAFFIC))
    day.counts("api_errors", "Errors", hourly(1.0, TRAFFIC))
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h), "percent")
    day.settle()
    metrics = metrics_of(day)
    assert (metrics.requests, metrics.api_errors, metrics.coverage) == (220, 22, 1.0)
    assert metrics.hours[3].covered
    assert metrics.hours[3].requests == 0
    assert metrics.generation_errors is None


def test_a22_an_hour_without_any_point_is_not_covered_and_not_zero() -> None:
    """A22, A23: nothing in an hour says nothing about it."""
    day = day_of()
    day.counts("requests", "Requests", hourly(10.0, range(12)))
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h, range(12)), "percent")
    day.settle()
    metrics = metrics_of(day)
    assert metrics.coverage == 0.5
    assert metrics.hours[12].requests is None


@pytest.mark.parametrize(
    ("known", "requests", "coverage"),
    [
        pytest.param(True, 0, 1.0, id="A21-no-traffic"),
        pytest.param(False, None, 0.0, id="A30-renamed"),
    ],
)
def test_a_day_of_utilisation_alone(*, known: bool, requests: int | None, coverage: float) -> None:
    """No traffic if the service knows the request count; else its name is wrong: unknown."""
    day = day_of()
    day.counts("requests", "Requests", [])
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h), "percent")
    day.settle(known=known)
    metrics = metrics_of(day)
    assert (metrics.requests, metrics.coverage) == (requests, coverage)


def test_traffic_without_a_request_count_is_not_zero_requests() -> None:
    """Latencies of an hour contradict 0 requests: the hour is not covered, and a flag says so."""
    day = day_of()
    day.counts("requests", "Requests", hourly(10.0, TRAFFIC))
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h), "percent")
    day.quantiles("latency_ms", "Latency", said(QUANTILES, HOURS), said(QUANTILES), "ms")
    day.settle()
    metrics = metrics_of(day)
    assert metrics.hours[3].requests is None
    assert not metrics.hours[3].covered
    assert "hour 03: traffic, yet no request count" in metrics.flags


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("requests", math.nan, id="A1-nan"),
        pytest.param("requests", -1.0, id="A4-negative"),
        pytest.param("latency", math.nan, id="A1-latency"),
        pytest.param("latency", 450.0, id="A31-not-monotone"),
    ],
)
def test_what_was_set_aside_is_no_sign_of_idleness(name: str, value: float) -> None:
    """A broken point in an hour of utilisation does not make it an hour of 0 requests."""
    day = day_of()
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h), "percent")
    if name == "requests":
        day.counts("requests", "Requests", [*hourly(10.0, range(1, 24)), *hourly(value, [0])])
    else:
        day.counts("requests", "Requests", hourly(10.0, range(1, 24)))
        day.quantiles("latency_ms", "Latency", said(QUANTILES | {"p50": value}), {}, "ms")
    day.settle()
    metrics = metrics_of(day)
    assert metrics.hours[0].requests is None
    assert not metrics.hours[0].covered
    assert metrics.hours[1].covered


def test_a_rejected_series_leaves_no_hour_idle() -> None:
    """Nobody knows what it would have said."""
    day = day_of()
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h), "percent")
    day.counts("requests", "Requests", [(START.timestamp() * 1000, 1.0)])
    day.settle()
    metrics = metrics_of(day)
    assert (metrics.requests, metrics.coverage) == (None, 0.0)


def test_the_quantiles_of_the_day_are_no_traffic_of_its_first_hour() -> None:
    """They stand at the day's start, and the first hour may yet be idle."""
    day = day_of()
    day.counts("requests", "Requests", hourly(10.0, range(1, 24)))
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h), "percent")
    day.quantiles("latency_ms", "Latency", said(QUANTILES, range(1, 24)), said(QUANTILES), "ms")
    day.settle()
    assert metrics_of(day).hours[0].requests == 0


@pytest.mark.parametrize(
    ("strict", "coverage", "words"),
    [(True, 22 / 24, "those hours are not covered"), (False, 1.0, "the sum is a lower bound")],
)
def test_an_error_count_that_is_missing_in_hours_of_traffic_is_a_hole(
    *, strict: bool, coverage: float, words: str
) -> None:
    """Its absence is never 0 errors."""
    day = day_of()
    day.counts("requests", "Requests", hourly(10.0))
    day.counts("api_errors", "Errors", hourly(1.0, TRAFFIC))
    day.settle(strict=strict)
    metrics = metrics_of(day)
    assert metrics.coverage == coverage
    assert metrics.flags == (f"api_errors: no point in 2 hours of traffic; {words}",)


def test_a36_an_hour_with_more_errors_than_requests_is_set_aside() -> None:
    """A36: none of its counts is used."""
    day = day_of()
    day.counts("requests", "Requests", hourly(10.0))
    day.counts("api_errors", "Api", hourly(lambda h: 6.0 if h == 5 else 0.0))
    day.counts("generation_errors", "Generation", hourly(lambda h: 5.0 if h == 5 else 1.0))
    day.settle()
    metrics = metrics_of(day)
    assert (metrics.requests, metrics.generation_errors, metrics.api_errors) == (230, 23, 0)
    assert not metrics.hours[5].covered
    (aside,) = metrics.quarantined
    assert (aside.what, aside.reason) == ("hour 05", f"{TOO_MANY_ERRORS} (11 > 10)")
    assert metrics.rows_quarantined == 3


@pytest.mark.parametrize(
    ("point", "rows", "reason"),
    [
        pytest.param((START.timestamp(), math.nan), 1, "is NaN or infinite", id="A1-nan"),
        pytest.param((START.timestamp(), math.inf), 1, "is NaN or infinite", id="A2-inf"),
        pytest.param((START.timestamp(), -1.0), 1, "is negative", id="A3-negative"),
        pytest.param((START.timestamp() + 1e6, 1.0), 1, "lies in the future", id="A18-future"),
        pytest.param((START.timestamp(), "1_000"), 1, "is not a number", id="A40-string"),
    ],
)
def test_points_that_cannot_be_true_are_set_aside(
    point: tuple[float, Any], rows: int, reason: str
) -> None:
    """A1 to A4, A18, A40: they are counted, and their hour has no number."""
    day = day_of()
    day.counts("requests", "Requests", [point, *hourly(1.0, range(1, 24))])
    day.settle()
    metrics = metrics_of(day)
    assert (metrics.requests, metrics.rows_quarantined) == (23, rows)
    assert metrics.quarantined[0].reason == reason
    assert not metrics.hours[0].covered


@given(data=st.data())
def test_a13_a16_order_and_repetition_of_points_change_nothing(data: st.DataObject) -> None:
    """A13, A16: shuffled and delivered twice, they give the same day."""
    points = hourly(lambda h: 10.0 + h)
    again = data.draw(st.permutations([*points, *data.draw(st.lists(st.sampled_from(points)))]))
    days = []
    for raw in (points, again):
        day = day_of()
        day.counts("requests", "Requests", raw)
        day.settle()
        days.append(metrics_of(day))
    assert days[0] == days[1]


def test_a14_two_values_at_one_time_are_both_set_aside() -> None:
    """A14: neither is the hour's count, and their hour is not idle."""
    day = day_of()
    day.counts("requests", "Requests", [*hourly(10.0), *hourly(20.0, [5])])
    day.gauges("cpu", "Cpu", hourly(lambda h: 20.0 + h), "percent")
    day.settle()
    metrics = metrics_of(day)
    assert (metrics.hours[5].requests, metrics.hours[5].covered) == (None, False)
    assert (metrics.requests, metrics.rows_quarantined) == (230, 2)
    assert any("HA pair without dedup label" in words for words in metrics.flags)


def test_a19_times_in_another_unit_reject_the_series() -> None:
    """A19: milliseconds where seconds are due."""
    day = day_of()
    day.counts("requests", "Requests", [(START.timestamp() * 1000, 1.0)])
    day.settle()
    metrics = metrics_of(day)
    assert metrics.requests is None
    assert "timestamp unit" in metrics.rejected[0].reason


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        pytest.param("share", 1.7, id="A5-percent-as-share"),
        pytest.param("percent", 140.0, id="A34-over-100"),
    ],
)
def test_utilisation_over_one_rejects_its_series(unit: str, value: float) -> None:
    """A5, A34."""
    day = day_of()
    assert not day.gauges("gpu", "Gpu", hourly(lambda h: value if h == 7 else 0.5), unit)
    metrics = metrics_of(day)
    assert metrics.utilisation.gpu is None
    assert metrics.rejected[0].what == "Gpu"


def test_a12_a_gauge_that_never_moves_is_flagged() -> None:
    """A12."""
    day = day_of()
    assert day.gauges("gpu", "Gpu", hourly(50.0), "percent")
    assert metrics_of(day).flags == ("Gpu: stale, it said one value all day long",)


def test_quantiles_are_in_ms_by_hour_and_of_the_day() -> None:
    """The day's own are used: the hours' cannot be added up."""
    of_day = QUANTILES | {"p99": 900.0, "n": 240.0}
    day = day_of()
    day.counts("requests", "Requests", hourly(10.0))
    day.quantiles("latency_ms", "Latency", said(QUANTILES, HOURS), said(of_day), "s")
    day.settle()
    metrics = metrics_of(day)
    whole = Quantiles(p50=1e5, p90=2e5, p95=3e5, p99=9e5, mean=1.5e5, n=240)
    assert metrics.latency_ms == whole
    assert metrics.hours[9].latency_ms == whole.model_copy(update={"p99": 4e5, "n": 10})
    assert metrics.busy_s == 150.0 * 240


@pytest.mark.parametrize("low", ["p50", "p90", "p95"])
def test_a31_quantiles_that_do_not_rise_are_set_aside(low: str) -> None:
    """A31: of that hour, and of the day, nothing is known."""
    bent = QUANTILES | {low: 450.0}
    day = day_of()
    day.quantiles("latency_ms", "Latency", said(bent), said(bent), "ms")
    metrics = metrics_of(day)
    assert metrics.latency_ms is None
    assert metrics.hours[0].latency_ms is None
    assert [q.reason for q in metrics.quarantined] == [NOT_MONOTONE] * 2
    assert metrics.rows_quarantined == 12


def test_the_hours_quantiles_never_stand_in_for_the_days() -> None:
    """A day that the service did not answer is not collected."""
    day = day_of()
    day.quantiles("latency_ms", "Latency", said(QUANTILES, HOURS), {}, "ms")
    metrics = metrics_of(day)
    assert metrics.latency_ms is None
    assert metrics.flags == ("Latency: the quantiles of the day were not answered",)


@pytest.mark.parametrize("lost", STATISTICS)
def test_a_statistic_that_is_missing_leaves_the_quantiles_unknown(lost: str) -> None:
    """Nothing is filled in."""
    parts = {name: value for name, value in QUANTILES.items() if name != lost}
    day = day_of()
    day.quantiles("latency_ms", "Latency", said(parts), said(parts), "ms")
    assert metrics_of(day).latency_ms is None


def test_a_unit_that_a_measure_cannot_have_is_refused() -> None:
    """The message names the setting, the value and what is allowed."""
    with pytest.raises(
        ConfigError, match=r"talker metrics.latency_ms.unit: 'percent': .*s, ms, us"
    ):
        check_units("talker", {"latency_ms": MetricName(name="Latency", unit="percent")})


def test_a_source_costs_its_sdk_only_when_it_is_asked() -> None:
    """An Airflow task pays seconds for each SDK: importing the sources imports none."""
    modules = ", ".join(f"upkeep.sources.{name}" for name in SERVICES)
    code = f"import sys, {modules}; print(*(m for m in {SDKS} if m in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.strip() == ""
