"""Several resources of one kind are one day, of which nothing is known that one does not know."""

from __future__ import annotations

import math

import pytest
from fakes.service_days import HOURS, QUANTILES, day_of, hourly, metrics_of, said

from upkeep.sources.hourly import Buckets


def test_resources_add_up_and_their_quantiles_do_not() -> None:
    """Counts are summed, gauges pooled; an hour needs both; quantiles of two are dropped."""
    one, two = day_of(prefix="source 1: "), day_of(prefix="source 2: ")
    for day, hours in ((one, HOURS), (two, range(1, 24))):
        day.counts("requests", "Requests", hourly(10.0, hours))
        day.quantiles("latency_ms", "Latency", said(QUANTILES), said(QUANTILES), "ms")
    one.gauges("cpu", "Cpu", hourly(lambda h: 10.0 + h % 2), "percent")
    two.gauges("cpu", "Cpu", hourly(lambda h: 30.0 + h % 2), "percent")
    one.settle(known=False)
    two.settle(known=False)
    metrics = metrics_of(one, two)
    assert metrics.requests == 470
    assert metrics.coverage == 23 / 24
    assert metrics.latency_ms is None
    assert metrics.utilisation.cpu is not None
    assert metrics.utilisation.cpu.mean == pytest.approx(0.205)
    assert any("cannot be added up" in words for words in metrics.flags)


@pytest.mark.parametrize("lost", ["api_errors", "latency_ms"])
def test_what_one_resource_does_not_know_is_not_known_of_the_sum(lost: str) -> None:
    """The errors or latencies of one are not those of both."""
    one, two = day_of(), day_of()
    one.counts("requests", "Requests", hourly(10.0))
    one.counts("api_errors", "Errors", hourly(1.0))
    one.quantiles("latency_ms", "Latency", said(QUANTILES, HOURS), said(QUANTILES), "ms")
    two.counts("requests", "Requests", hourly(10.0))
    if lost != "api_errors":
        two.counts("api_errors", "Errors", hourly(1.0))
    one.settle()
    two.settle()
    metrics = metrics_of(one, two)
    assert getattr(metrics, lost) is None
    assert getattr(metrics.hours[5], lost, None) is None
    assert metrics.api_errors == (None if lost == "api_errors" else 48)
    assert f"{lost}: 1 of 2 resources do not say it; not collected" in metrics.flags


def test_a_resource_without_traffic_takes_nothing_from_the_others() -> None:
    """An idle variant beside the one that serves: its quantiles are those of all requests."""
    one, idle = day_of(), day_of()
    one.counts("requests", "Requests", hourly(10.0))
    one.quantiles("latency_ms", "Latency", said(QUANTILES, HOURS), said(QUANTILES), "ms")
    idle.counts("requests", "Requests", [])
    idle.gauges("cpu", "Cpu", hourly(lambda h: 1.0 + h), "percent")
    one.settle()
    idle.settle()
    metrics = metrics_of(one, idle)
    assert (metrics.requests, metrics.coverage) == (240, 1.0)
    assert metrics.latency_ms is not None
    assert metrics.hours[5].latency_ms is not None


def test_a_resource_that_counts_no_requests_does_not_take_part_in_coverage() -> None:
    """A deployment that gives utilisation alone, beside an endpoint that counts."""
    endpoint, deployment = day_of(), day_of()
    endpoint.counts("requests", "Requests", hourly(10.0))
    deployment.gauges("gpu", "Gpu", hourly(lambda h: 10.0 + h, range(12)), "percent")
    endpoint.settle()
    deployment.settle()
    metrics = metrics_of(endpoint, deployment)
    assert (metrics.requests, metrics.coverage) == (240, 1.0)
    assert metrics_of(deployment).coverage == 0.5


def test_histograms_of_two_resources_are_one() -> None:
    """Equal bounds add up, within an hour and over resources."""
    part = Buckets((10.0, 20.0, math.inf), (1.0, 2.0, 0.0), 40.0)
    one, two = day_of(), day_of()
    one.histogram("latency_ms", 0, part)
    one.histogram("latency_ms", 0, part)
    two.histogram("latency_ms", 0, part)
    metrics = metrics_of(one, two)
    assert metrics.latency_ms is not None
    assert (metrics.latency_ms.n, metrics.latency_ms.mean) == (9, pytest.approx(120 / 9))
