"""The built-in query sets, each on the series that its servers export."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.fakes.prometheus_api import PrometheusApi
from upkeep.records import DailyMetrics
from upkeep.sources import Asked, collect
from upkeep.sources.prometheus_promql import selector
from upkeep.sources.prometheus_queries import SETS, Count, expression, plan
from upkeep.spec import ModelSpec
from upkeep.spec_sources import PrometheusSource

DAY = date(2026, 3, 5)
START = int(datetime(2026, 3, 5, tzinfo=UTC).timestamp())
GRID = range(START, START + 86_401, 3600)


@pytest.fixture
def api() -> Iterator[PrometheusApi]:
    """The stand-in, with nothing planted."""
    with PrometheusApi() as server:
        yield server


def source(**fields: Any) -> PrometheusSource:
    """A source of the model's file."""
    return PrometheusSource.model_validate(
        {"kind": "prometheus", "url": "http://127.0.0.1:9"} | fields
    )


def read(api: PrometheusApi, **fields: Any) -> DailyMetrics:
    """The day, scraped once an hour."""
    spec = ModelSpec.model_validate(
        {
            "name": "talker",
            "sources": [{"kind": "prometheus", "url": api.url, "step_s": 3600} | fields],
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {"version": "test", "measures": {}, "rules": []},
        }
    )
    now = datetime(2026, 3, 9, tzinfo=UTC)
    return collect(Asked(spec, DAY, lambda *_: None, now=lambda: now)).metrics


def plant(api: PrometheusApi, name: str, by: float, **labels: str) -> None:
    """A counter that gains ``by`` an hour."""
    api.plant(name, [(at, n * by) for n, at in enumerate(GRID)], **labels)


def test_tgi(api: PrometheusApi) -> None:
    """Every request is counted when it comes; what was refused is told from what broke."""
    plant(api, "tgi_request_count", 10)
    plant(api, "tgi_request_success", 6, method="single")
    for error, by in (("validation", 1), ("overloaded", 1), ("generation", 1), ("dropped", 1)):
        plant(api, "tgi_request_failure", by, err=error)
    plant(api, "tgi_request_generated_tokens_sum", 500)
    plant(api, "tgi_request_input_length_sum", 900)
    for le, by in (("0.1", 3), ("+Inf", 6)):
        plant(api, "tgi_request_duration_bucket", by, le=le)
    plant(api, "tgi_request_duration_sum", 2)
    found = read(api, queries=["tgi"])
    assert (found.requests, found.generation_errors, found.api_errors) == (240, 48, 48)
    assert (found.tokens_in, found.tokens_out) == (24 * 900, 24 * 500)
    assert found.latency_ms is not None
    assert found.latency_ms.p50 == pytest.approx(100.0)
    assert found.ttft_ms is None


def test_tgi_that_never_failed_has_no_errors(api: PrometheusApi) -> None:
    """It exports the counter of failures at the first one; that there is none yet, is known."""
    plant(api, "tgi_request_count", 10)
    plant(api, "tgi_request_success", 10, method="single")
    assert read(api, queries=["tgi"]).error_rate == 0.0


def test_triton(api: PrometheusApi) -> None:
    """Its requests are those that ended; its latency is a sum, of which no quantile is made."""
    own = {"model": "m", "version": "1"}
    plant(api, "nv_inference_request_success", 7, **own)
    plant(api, "nv_inference_request_failure", 2, **own, reason="BACKEND")
    plant(api, "nv_inference_request_failure", 1, **own, reason="REJECTED")
    plant(api, "nv_inference_request_duration_us", 5_000, **own)
    for le, by in (("100", 5), ("+Inf", 5)):
        plant(api, "nv_inference_first_response_histogram_ms_bucket", by, **own, le=le)
    plant(api, "nv_inference_first_response_histogram_ms_sum", 250, **own)
    found = read(api, queries=["triton"])
    assert (found.requests, found.generation_errors, found.api_errors) == (240, 48, 24)
    assert found.latency_ms is None
    assert found.ttft_ms is not None
    assert (found.ttft_ms.mean, found.ttft_ms.p50) == (50.0, 50.0)


def test_the_models_own_names_come_first_then_the_sets_in_order() -> None:
    """Each measure is said by one query."""
    own = {"requests": {"name": "my:requests", "unit": "1"}}
    queries = plan(source(queries=["vllm", "dcgm", "node"], metrics=own))
    measures = [query.measure for query in queries]
    assert len(measures) == len(set(measures))
    by_name = {query.measure: query for query in queries}
    assert by_name["requests"].names == ("my:requests",)
    assert "cache" in by_name["gpu_memory"].names[0]
    other = {query.measure: query for query in plan(source(queries=["dcgm", "vllm"]))}
    assert "DCGM_FI_DEV_FB_USED" in other["gpu_memory"].names


def test_every_set_has_each_measure_once() -> None:
    """And counts the requests first, if it counts any."""
    for queries in SETS.values():
        measures = [query.measure for query in queries]
        assert len(measures) == len(set(measures))
        assert not any(isinstance(q, Count) for q in queries) or measures[0] == "requests"


def test_a_counter_of_bytes_is_a_rate() -> None:
    """Over five minutes, or four steps."""
    (level,) = plan(source(metrics={"network_bytes_per_s": {"name": "sent", "unit": "bytes"}}))
    own = selector(source(selector={"job": 'a"b', "team.name": "x"}))
    assert own == 'job="a\\"b", "team.name"="x"'
    promql = expression(level, own, 600)  # type: ignore[arg-type]
    assert promql == f'rate({{__name__=~"sent", {own}}}[2400s])'
