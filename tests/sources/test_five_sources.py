"""One truth, written to all five kinds of source: each gives the same day.

Counts are equal, by day and by hour. Where a source gives a service's own percentiles, they are
equal too. A percentile of buckets cannot be better than its bucket: with the raw percentile
between two neighbouring samples, it lies no lower than the bucket that holds the lower one, and
no higher than the bucket that holds the higher one. Means are exact everywhere.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import duckdb
import numpy as np
import pytest
from botocore.stub import Stubber
from fakes import azure_monitor_server as azure
from fakes import cloudwatch_answers
from fakes import google_monitoring_server as google
from fakes.one_truth import (
    IDLE_HOUR,
    PROMETHEUS_BOUNDS_MS,
    SCRAPE_S,
    Requests,
    gpu_share,
    in_hour,
    log_rows,
    of_status,
    openmetrics,
    tell,
    times_ms,
)
from fakes.one_truth_services import (
    AZURE_GPU,
    GOOGLE_BOUNDS_MS,
    TOKENS,
    TTFT,
    azure_series,
    cloudwatch_values,
    google_series,
)
from fakes.prometheus_server import Prometheus, installed
from fakes.request_logs import write_day
from fakes.service_days import DAY, HOURS, asked_for
from hypothesis import given
from hypothesis import strategies as st

from upkeep.records import DailyMetrics, Gauge, HourMetrics, Quantiles, Utilisation
from upkeep.sources import cloudwatch, collect
from upkeep.sources.hourly import Buckets
from upkeep.spec import ModelSpec
from upkeep.validation import validate

TRUTH = tell()
PRICE = {
    "since": date(2026, 1, 1),
    "usd_per_hour": 3.6,
    "usd_per_1k_tokens_in": 0.001,
    "usd_per_1k_tokens_out": 0.004,
}
STACK = [
    pytest.mark.stack,
    pytest.mark.skipif(not installed(), reason="prometheus and promtool are not installed"),
]
KINDS = [
    "request_log",
    "request_log-parquet",
    pytest.param("prometheus", marks=STACK),
    "cloudwatch",
    "azure_monitor",
    "google_monitoring",
]
BOUNDS_MS = {
    "prometheus": PROMETHEUS_BOUNDS_MS,
    "google_monitoring": GOOGLE_BOUNDS_MS,
}
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
NO_TEXTS = {"prompt_chars_mean", "requests_by_slice", "requests_by_version"}
NO_MACHINE = {"cpu", "gpu_memory", "host_memory", "network_bytes_per_s"}
NOT_COLLECTED = {
    "request_log": NO_MACHINE | {"gpu"},
    "prometheus": NO_TEXTS | NO_MACHINE,
    "cloudwatch": NO_TEXTS | NO_MACHINE,
    "azure_monitor": NO_TEXTS | NO_MACHINE,
    "google_monitoring": NO_TEXTS | NO_MACHINE,
}

# ---------------------------------------------------------------- the five, each with its truth


def spec_of(*sources: Mapping[str, Any]) -> ModelSpec:
    """Give a model with these sources, priced by the busy hour and by both kinds of tokens."""
    return ModelSpec.model_validate(
        {
            "name": "talker",
            "sources": list(sources),
            "prices": [PRICE],
            "policy": {"version": "test", "measures": {}, "rules": []},
        }
    )


@contextmanager
def log_source(folder: Path, file_format: str = "jsonl") -> Iterator[dict[str, Any]]:
    write_day(folder, DAY, log_rows(TRUTH), file_format=file_format)
    yield {"kind": "request_log", "path": str(folder)}


@contextmanager
def prometheus_source(_: Path) -> Iterator[dict[str, Any]]:
    with Prometheus(openmetrics(TRUTH)) as server:
        yield {
            "kind": "prometheus",
            "url": server.url,
            "queries": ["vllm", "dcgm"],
            "selector": {"job": "chat"},
            "step_s": SCRAPE_S,
        }


@contextmanager
def cloudwatch_source(_: Path) -> Iterator[dict[str, Any]]:
    client = boto3.client(
        "cloudwatch", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    source = cloudwatch_answers.SOURCE | {"metrics": TOKENS | TTFT, "connection": None}
    with pytest.MonkeyPatch.context() as patch, Stubber(client) as stubber:
        patch.setattr(cloudwatch, "open_client", lambda *_: client)
        for page in cloudwatch_answers.answers(source, cloudwatch_values(TRUTH), page_points=7):
            stubber.add_response("get_metric_data", page)
        yield source


@contextmanager
def azure_source(_: Path) -> Iterator[dict[str, Any]]:
    with azure.serving(azure.AzureMonitor(azure_series(TRUTH))) as server:
        yield {
            "kind": "azure_monitor",
            "resource_id": "/subscriptions/0/onlineEndpoints/talker",
            "endpoint": server.url,
            "metrics": TOKENS | TTFT | AZURE_GPU,
        }


@contextmanager
def google_source(_: Path) -> Iterator[dict[str, Any]]:
    with google.serving(google.GoogleMonitoring(google_series(TRUTH), page_size=1)) as server:
        yield {
            "kind": "google_monitoring",
            "project": "project-one",
            "labels": {"endpoint_id": "4711"},
            "endpoint": server.url,
            "metrics": TOKENS | TTFT,
        }


SOURCES: dict[str, Callable[[Path], Any]] = {
    "request_log": log_source,
    "request_log-parquet": lambda folder: log_source(folder, "parquet"),
    "prometheus": prometheus_source,
    "cloudwatch": cloudwatch_source,
    "azure_monitor": azure_source,
    "google_monitoring": google_source,
}
Days = Callable[[str], DailyMetrics]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Each kind's day, read once."""

    @cache
    def read(kind: str) -> DailyMetrics:
        with SOURCES[kind](tmp_path_factory.mktemp(kind)) as source:
            return collect(asked_for(spec_of(source))).metrics

    return read


# ---------------------------------------------------------------- each against the truth


@pytest.mark.parametrize("kind", KINDS)
def test_counts_of_the_day_and_of_each_hour_are_those_of_the_truth(days: Days, kind: str) -> None:
    """The hour without traffic is covered and has 0 of everything; nothing was set aside."""
    day = days(kind)
    assert (day.coverage, day.quarantined, day.rejected) == (1.0, (), ())
    assert (day.requests, day.generation_errors, day.api_errors) == (
        len(TRUTH),
        of_status(TRUTH, "generation_error"),
        of_status(TRUTH, "api_error"),
    )
    assert (day.tokens_in, day.tokens_out) == tokens(TRUTH)
    for hour in HOURS:
        part, found = in_hour(TRUTH, hour), day.hours[hour]
        assert (found.hour, found.covered, found.requests) == (hour, True, len(part))
        assert found.errors == len(part) - of_status(part, "ok")
        assert (found.tokens_in, found.tokens_out) == tokens(part)
    assert day.hours[IDLE_HOUR].requests == 0


def tokens(requests: Requests) -> tuple[int, int]:
    """Tokens in and out."""
    return sum(r.tokens_in for r in requests), sum(r.tokens_out for r in requests)


@pytest.mark.parametrize("name", ["latency_ms", "ttft_ms"])
@pytest.mark.parametrize("kind", KINDS)
def test_times_of_the_day_and_of_each_hour_are_those_of_the_truth(
    days: Days, kind: str, name: str
) -> None:
    """Percentiles by the rule above, the mean exactly, and how many were measured."""
    day, kind = days(kind), kind.partition("-")[0]
    check(getattr(day, name), TRUTH, kind, name)
    for hour in HOURS:
        check(getattr(day.hours[hour], name), in_hour(TRUTH, hour), kind, name)


def check(found: Quantiles | None, requests: Requests, kind: str, name: str) -> None:
    """Compare with what this kind of source measures of these requests."""
    values = times_ms(requests, name, kind=kind)
    if not values:
        assert found is None
        return
    assert found is not None
    counted = requests if kind == "azure_monitor" else values  # it says no number of times
    assert found.n == len(counted)
    assert found.mean == pytest.approx(math.fsum(values) / len(values), rel=1e-9)
    for q, share in SHARES.items():
        low, high = bucket_of(values, share, BOUNDS_MS.get(kind))
        assert low * (1 - 1e-9) <= getattr(found, q) <= high * (1 + 1e-9)


def bucket_of(
    values: Sequence[float], share: float, bounds: Sequence[float] | None
) -> tuple[float, float]:
    """Give the lowest and highest percentile that buckets may say; without any, the raw one."""
    if bounds is None:
        return (float(np.quantile(values, share)),) * 2
    ends = (0.0, *bounds, math.inf)
    lower, upper = (float(np.quantile(values, share, method=m)) for m in ("lower", "higher"))
    return ends[bisect_left(ends, lower) - 1], ends[bisect_left(ends, upper)]


@pytest.mark.parametrize("kind", KINDS)
def test_busy_time_and_cost_are_those_of_the_truth(days: Days, kind: str) -> None:
    """The work of requests that failed is paid for too; an hour without any cost nothing."""
    day = days(kind)
    parts = [(day, TRUTH), *((day.hours[hour], in_hour(TRUTH, hour)) for hour in HOURS)]
    for found, requests in parts:
        busy_s = sum(times_ms(requests, "latency_ms")) / 1000
        brought, written = tokens(requests)
        cost = 3.6 * busy_s / 3600 + 0.001 * brought / 1000 + 0.004 * written / 1000
        assert found.busy_s == pytest.approx(busy_s, rel=1e-9)
        assert found.cost_usd == pytest.approx(cost, rel=1e-9)
    assert day.cost_usd_per_1k == pytest.approx(1000 * day.cost_usd / of_status(TRUTH, "ok"))


@pytest.mark.parametrize("kind", KINDS)
def test_throughput_is_tokens_over_the_time_that_the_source_measures(days: Days, kind: str) -> None:
    """A log's time is that of the requests that ended well, an engine's that of all it served."""
    day, kind = days(kind), kind.partition("-")[0]
    time_s = sum(times_ms(TRUTH, "latency_ms", kind=kind)) / 1000
    assert day.tokens_out_per_s == pytest.approx(tokens(TRUTH)[1] / time_s, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS[2:])
def test_the_gpu_is_that_of_the_truth(days: Days, kind: str) -> None:
    """Percent or shares, sampled or averaged: a share of each hour, and of the day."""
    day, shares = days(kind), [gpu_share(hour) for hour in HOURS]
    assert gauge(day) == pytest.approx((sum(shares) / 24, max(shares)))
    for hour in HOURS:
        assert gauge(day.hours[hour]) == pytest.approx((shares[hour], shares[hour]))


def gauge(found: DailyMetrics | HourMetrics) -> tuple[float, float]:
    """Mean and highest of the GPU."""
    gpu = found.utilisation.gpu
    assert isinstance(gpu, Gauge)
    return gpu.mean, gpu.high


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_source_cannot_carry_is_not_collected_and_never_0(days: Days, kind: str) -> None:
    """Exactly these are unknown; the mappings by name are empty."""
    day = days(kind)
    said = {name: getattr(day, name) for name in DailyMetrics.model_fields}
    said |= {name: getattr(day.utilisation, name) for name in Utilisation.model_fields}
    unknown = {name for name, value in said.items() if value is None or value == {}}
    assert unknown == NOT_COLLECTED[kind.partition("-")[0]]


# ---------------------------------------------------------------- against each other


@pytest.mark.stack
@pytest.mark.skipif(not installed(), reason="prometheus and promtool are not installed")
def test_five_kinds_of_source_give_one_day(days: Days) -> None:
    """Counts, money and hours are the same; times are within the log's own bucket.

    They measure not quite the same requests (a log those that ended well), hence the width of
    the bucket that holds the log's percentile, to both sides of it.
    """
    log, *others = (days(kind) for kind in SOURCES)
    assert len(others) == 5
    for other in others:
        assert counts_of(other) == counts_of(log)
        assert [counts_of(hour) for hour in other.hours] == [counts_of(hour) for hour in log.hours]
        assert (other.busy_s, other.cost_usd, other.cost_usd_per_1k) == pytest.approx(
            (log.busy_s, log.cost_usd, log.cost_usd_per_1k), rel=1e-9
        )
        for name in ("latency_ms", "ttft_ms"):
            for q in SHARES:
                said, theirs = getattr(getattr(log, name), q), getattr(getattr(other, name), q)
                above = bisect_left(PROMETHEUS_BOUNDS_MS, said)
                width_ms = PROMETHEUS_BOUNDS_MS[above] - (0.0, *PROMETHEUS_BOUNDS_MS)[above]
                assert abs(theirs - said) <= width_ms


def counts_of(found: DailyMetrics | HourMetrics) -> tuple[int | None, ...]:
    """What must be equal to the last request."""
    names = ("requests", "generation_errors", "api_errors", "errors", "tokens_in", "tokens_out")
    return tuple(getattr(found, name) for name in names if hasattr(found, name))


# ---------------------------------------------------------------- two views of one model

OTHERS = [pytest.param("prometheus", marks=STACK), "google_monitoring", "azure_monitor"]


def viewed(folder: Path, kind: str, rows: Sequence[dict[str, Any]]) -> tuple[ModelSpec, Any]:
    """Collect a model that names a log with these rows and one other source."""
    write_day(folder / "log", DAY, rows)
    with SOURCES[kind](folder) as source:
        spec = spec_of({"kind": "request_log", "path": str(folder / "log")}, source)
        return spec, collect(asked_for(spec)).metrics


@pytest.mark.parametrize("kind", OTHERS)
def test_a_log_and_another_source_are_one_day_without_a_disagreement(
    tmp_path: Path, kind: str
) -> None:
    """The log says what it knows, the other one adds the GPU."""
    spec, day = viewed(tmp_path, kind, log_rows(TRUTH))
    assert day.disagreements == ()
    assert (day.requests, day.coverage, gauge(day)[1]) == (len(TRUTH), 1.0, gpu_share(23))
    check(day.latency_ms, TRUTH, "request_log", "latency_ms")
    (finding,) = [f for f in validate(spec, day, ())[0].findings if "disagree" in f.observed]
    assert (finding.passed, finding.words) == (True, "the sources agree")


@pytest.mark.parametrize("kind", OTHERS)
def test_rows_that_a_log_lost_are_a_finding(tmp_path: Path, kind: str) -> None:
    """10 % of the rows are gone: the words name both sources and both numbers."""
    rows = [row for number, row in enumerate(log_rows(TRUTH)) if number % 10]
    spec, day = viewed(tmp_path, kind, rows)
    (found,) = [d for d in day.disagreements if d.measure == "requests"]
    assert (found.value, found.other_value) == (len(rows), len(TRUTH))
    assert (found.source[:11], found.other_source[: len(kind)]) == ("request_log", kind)
    verdict, _ = validate(spec, day, ())
    (finding,) = [f for f in verdict.findings if "disagree" in f.observed]
    assert (finding.passed, finding.severity, verdict.trusted) == (False, "investigate", True)
    assert f"requests: {found.source} says {len(rows)}" in finding.words
    assert f"{found.other_source} {len(TRUTH)}" in finding.words


# ---------------------------------------------------------------- buckets and raw logs


@given(st.lists(st.floats(0.5, 6_400), min_size=1, max_size=200))
def test_percentiles_of_buckets_and_of_a_raw_log_agree_within_the_bucket(
    samples: list[float],
) -> None:
    """The log's are DuckDB's ``quantile_cont``, on the same side of the same rule."""
    counts = [0.0] * (len(PROMETHEUS_BOUNDS_MS) + 1)
    for sample in samples:
        counts[bisect_left(PROMETHEUS_BOUNDS_MS, sample)] += 1
    part = Buckets((*PROMETHEUS_BOUNDS_MS, math.inf), tuple(counts), math.fsum(samples))
    query = "SELECT quantile_cont(v, ?::DOUBLE[]) FROM (SELECT unnest(?::DOUBLE[]) AS v)"
    ((raw,),) = duckdb.execute(query, [[*SHARES.values()], samples]).fetchall()
    for share, said in zip(SHARES.values(), raw, strict=True):
        low, high = bucket_of(samples, share, PROMETHEUS_BOUNDS_MS)
        assert low <= part.quantile(share) <= high
        assert low <= said <= high
