"""Google's distributions as histograms, and what is no histogram."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fakes.google_monitoring_server import exponential, time_series
from google.cloud import monitoring_v3

from upkeep.sources.google_points import (
    as_buckets,
    check_time_unit,
    distributions,
    gauge_unit,
    latency_series,
    numbers,
)
from upkeep.sources.hourly import Buckets
from upkeep.sources.points import RejectedSeries


def distribution(fields: dict[str, Any]) -> Any:
    ((_, found),) = distributions(time_series([fields], hours=[0]))
    return found


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        (
            {"exponential_buckets": {"num_finite_buckets": 2, "growth_factor": 3, "scale": 1e3}},
            (1.0, 3.0, 9.0, math.inf),
        ),
        (
            {"linear_buckets": {"num_finite_buckets": 2, "width": 1e3, "offset": 0}},
            (1.0, 2.0, math.inf),
        ),
        ({"explicit_buckets": {"bounds": [500.0, 1e3, 5e3]}}, (0.5, 1.0, 5.0, math.inf)),
    ],
    ids=["exponential", "linear-from-0", "explicit"],
)
def test_each_kind_of_bounds_gives_a_histogram_in_ms(
    options: dict[str, Any], bounds: tuple[float, ...]
) -> None:
    """Trailing zeros may be left out; a lower bound of 0 is where the first bucket begins."""
    fields = {"count": 3, "mean": 1500.0, "bucket_options": options, "bucket_counts": [0, 1, 2]}
    found = as_buckets(distribution(fields), "us")
    assert isinstance(found, Buckets)
    assert found.bounds == pytest.approx(bounds)
    assert (found.n, found.total) == (3, pytest.approx(4.5))
    assert len(found.counts) == len(bounds)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"bucket_options": {}}, "has no buckets", id="A32-no-bounds"),
        pytest.param({"count": 9}, "do not add up", id="A32-count-differs"),
        pytest.param({"bucket_counts": [1] * 6, "count": 6}, "fit no buckets", id="A32-too-many"),
        pytest.param({"bucket_counts": [-1, 4], "count": 3}, "fit no buckets", id="A4-negative"),
        pytest.param({"mean": math.nan}, "no mean", id="A1-nan"),
        pytest.param({"mean": math.inf}, "no mean", id="A2-inf"),
        pytest.param({"mean": -1.0}, "negative samples", id="A3-negative"),
        pytest.param(
            {"bucket_options": {"explicit_buckets": {"bounds": [2.0, 1.0]}}},
            "do not rise",
            id="A32-falling",
        ),
        pytest.param(
            {"bucket_options": {"explicit_buckets": {"bounds": [-2.0, 1.0]}}},
            "negative samples",
            id="A3-below-0",
        ),
    ],
)
def test_a_distribution_that_cannot_be_is_no_histogram(fields: dict[str, Any], reason: str) -> None:
    """It gives the reason in words."""
    found = as_buckets(distribution(exponential([1, 1, 1], 1500.0) | fields), "us")
    assert isinstance(found, str)
    assert reason in found


@pytest.mark.parametrize(
    ("types", "kept", "words"),
    [
        (["overhead", "model"], "model", "model is read, overhead is not"),
        (["overhead", "model", "total"], "total", "total is read, model, overhead is not"),
        (["", ""], "", ""),
        (["new"], "new", ""),
    ],
)
def test_one_type_of_latency_is_read(types: list[str], kept: str, words: str) -> None:
    """Two types of one request would count it twice."""
    series = [time_series([], hours=[], **({"latency_type": t} if t else {})) for t in types]
    found, said = latency_series(series)
    assert {s.metric.labels.get("latency_type", "") for s in found} == {kept}
    assert said == words


def test_values_of_another_kind_reject_the_series() -> None:
    """A distribution is no number, a number no distribution, a string neither."""
    with pytest.raises(RejectedSeries, match="distribution_value, not numbers"):
        list(numbers(time_series([exponential([1], 1.0)], hours=[0])))
    for value in (1, "1"):
        with pytest.raises(RejectedSeries, match="not distributions"):
            list(distributions(time_series([value], hours=[0])))


def test_a6_a_unit_that_google_states_is_believed() -> None:
    """A6: milliseconds read as microseconds would be a thousandfold."""
    check_time_unit(monitoring_v3.TimeSeries(unit="us"), "us")
    check_time_unit(monitoring_v3.TimeSeries(), "us")
    with pytest.raises(RejectedSeries, match="is in ms, not us; set unit: ms"):
        check_time_unit(monitoring_v3.TimeSeries(unit="ms"), "us")
    assert gauge_unit(monitoring_v3.TimeSeries(unit="%"), "share") == "percent"
    assert gauge_unit(monitoring_v3.TimeSeries(unit="10^2.%"), "share") == "share"
