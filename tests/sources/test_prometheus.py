"""What Prometheus answers, good or bad, becomes the day that BAD-INPUTS names."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tests.fakes.prometheus_api import Planted, PrometheusApi
from upkeep.credentials import Secret
from upkeep.errors import ConfigError
from upkeep.records import DailyMetrics
from upkeep.sources import Asked, collect
from upkeep.spec import ModelSpec

DAY = date(2026, 3, 5)
START = int(datetime(2026, 3, 5, tzinfo=UTC).timestamp())
STEP = 300
GRID = range(START, START + 86_400 + 1, STEP)
REQUESTS = "vllm:request_success_total"
LATENCY = "vllm:e2e_request_latency_seconds"
OWN = {"job": "chat"}


@pytest.fixture
def api() -> Iterator[PrometheusApi]:
    """The stand-in, with nothing planted."""
    with PrometheusApi() as server:
        yield server


def read(
    api: PrometheusApi,
    *more: dict[str, Any],
    day: date = DAY,
    now: datetime = datetime(2026, 3, 9, tzinfo=UTC),
    **source: Any,
) -> DailyMetrics:
    """Collect a day of it; ``more`` are further sources of the model."""
    usual = {"kind": "prometheus", "url": api.url, "queries": ["vllm"], "step_s": STEP}
    usual["selector"] = OWN
    spec = ModelSpec.model_validate(
        {
            "name": "talker",
            "sources": [usual | source, *(usual | one for one in more)],
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {"version": "test", "measures": {}, "rules": []},
        }
    )
    asked = Asked(spec, day, lambda *_: None, lambda _: Secret(), lambda: now)
    return collect(asked).metrics


def rising(by: int = 1, first: int = 0) -> list[tuple[Any, Any]]:
    """A counter that gains ``by`` a step, all day."""
    return [(at, first + n * by) for n, at in enumerate(GRID)]


def plant_requests(api: PrometheusApi, points: Any = None, **labels: str) -> Planted:
    """The counter of requests."""
    labels = OWN | {"finished_reason": "stop", "pod": "a"} | labels
    return api.plant(REQUESTS, rising() if points is None else points, **labels)


def plant_histogram(api: PrometheusApi, les: Any = ("0.5", "1", "+Inf"), **labels: str) -> None:
    """Of each step one sample in each bucket, 2 s in all."""
    for number, le in enumerate(les, start=1):
        api.plant(f"{LATENCY}_bucket", rising(number), **OWN, le=le, **labels)
    api.plant(f"{LATENCY}_sum", rising(2), **OWN, **labels)


# ------------------------------------------------------------------ counters


def test_a_counter_is_read_by_the_hour(api: PrometheusApi) -> None:
    """Twelve steps an hour, each of the 24 covered; errors are 0 where their family is there."""
    plant_requests(api)
    metrics = read(api)
    assert (metrics.requests, metrics.generation_errors, metrics.coverage) == (288, 0, 1.0)
    assert [hour.requests for hour in metrics.hours] == [12] * 24
    assert (metrics.api_errors, metrics.tokens_out, metrics.latency_ms) == (None, None, None)
    assert metrics.rows_read == 289
    assert metrics.source == f"prometheus:{api.url}"


def test_pods_add_up_and_some_of_their_ends_are_errors(api: PrometheusApi) -> None:
    """Aborted and failed requests are requests; what the HTTP server refused is one too."""
    plant_requests(api)
    plant_requests(api, rising(2), pod="b")
    plant_requests(api, rising(3), finished_reason="abort")
    plant_requests(api, rising(4), finished_reason="error")
    http = OWN | {"handler": "/v1/completions", "method": "POST"}
    api.plant("http_requests_total", rising(9), **http, status="2xx")
    api.plant("http_requests_total", rising(5), **http, status="5xx")
    api.plant("http_requests_total", rising(7), **http | {"handler": "/health"}, status="5xx")
    metrics = read(api)
    assert metrics.requests == 288 * (1 + 2 + 3 + 4 + 5)
    assert metrics.generation_errors == 288 * 7
    assert metrics.api_errors == 288 * 5
    assert metrics.error_rate == pytest.approx(12 / 15)


def test_a_selector_that_catches_two_models_is_said(api: PrometheusApi) -> None:
    """They are added up, as replicas are; only a person knows whether that is meant."""
    plant_requests(api, model_name="one", pod="a")
    assert not [flag for flag in read(api).flags if "added up" in flag]
    plant_requests(api, model_name="other", pod="b")
    metrics = read(api)
    assert metrics.requests == 576
    words = "requests: added up over 2 values of model_name ('one', 'other'); if they are other"
    assert any(flag.startswith(words) for flag in metrics.flags)


def _reset(values: list[int]) -> list[tuple[Any, Any]]:
    return list(zip(GRID, values, strict=True))


BEFORE, AFTER = list(range(144)), list(range(1, 146))
COUNTERS: list[Any] = [
    pytest.param(_reset(BEFORE + AFTER), 288, "restarted", None, id="A9-restart"),
    pytest.param(
        _reset(list(range(100, 244)) + [5] + [5 + n for n in range(1, 145)]),
        143 + 5 + 144,
        "undercounted",
        None,
        id="A10-two-restarts-in-one-step",
    ),
    pytest.param(
        _reset([5] * 50 + [0] * 50 + [1] * 50 + [0] * 139), 1, "restarted 2", None, id="A9-rare"
    ),
    pytest.param(
        _reset([1000 - n for n in range(289)]), None, None, "not a counter", id="A11-falls"
    ),
    pytest.param(rising() + rising(), 288, None, None, id="A13-twice"),
    pytest.param(random.Random(3).sample(rising(), 289), 288, None, None, id="A16-out-of-order"),
    pytest.param([(at * 1000, v) for at, v in rising()], None, None, "timestamp unit", id="A19-ms"),
    pytest.param(
        [(at / 1e9, v) for at, v in rising()], None, None, "timestamp unit", id="A19-1970"
    ),
]


@pytest.mark.parametrize(("points", "requests", "flag", "rejected"), COUNTERS)
def test_counters(
    api: PrometheusApi,
    points: list[tuple[Any, Any]],
    requests: int | None,
    flag: str | None,
    rejected: str | None,
) -> None:
    """Restarts are followed, what is no counter is refused as a whole."""
    plant_requests(api, points)
    metrics = read(api)
    assert metrics.requests == requests
    assert not flag or any(flag in one for one in metrics.flags)
    assert [r.what for r in metrics.rejected if r.what == "requests"] == ["requests"] * bool(
        rejected
    )
    assert not rejected or rejected in metrics.rejected[0].reason


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("NaN", id="A1-NaN"),
        pytest.param("+Inf", id="A2-infinite"),
        pytest.param("-3", id="A4-negative"),
        pytest.param("1_000", id="A40-underscore"),
        pytest.param("١٢", id="A40-digits"),
        pytest.param("1,234", id="A40-comma"),
        pytest.param(None, id="A40-null"),
    ],
)
def test_a_bad_value_is_set_aside_and_counted(api: PrometheusApi, bad: Any) -> None:
    """The others still say what the counter gained."""
    points = rising()
    points[50] = (points[50][0], bad)
    plant_requests(api, points)
    metrics = read(api)
    assert metrics.requests == 288
    assert {q.rows for q in metrics.quarantined if REQUESTS.replace(":", "_") in q.what} == {1}


def test_A18_points_from_the_future_are_set_aside(api: PrometheusApi) -> None:  # noqa: N802
    """Nothing after now is asked for; what a server with a clock ahead says of it is no value."""
    plant_requests(api)
    noon = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
    metrics = read(api, now=noon)
    assert (metrics.requests, metrics.coverage, metrics.quarantined) == (144, 0.5, ())
    api.skew_s = 4 * STEP
    metrics = read(api, now=noon)
    assert metrics.quarantined[0].reason == "lies in the future"
    assert any("the clock of its writer is ahead" in flag for flag in metrics.flags)
    assert metrics.requests == 144


@pytest.mark.parametrize("first", [0, 5_000])
def test_A17_an_edge_belongs_to_one_day(api: PrometheusApi, first: int) -> None:  # noqa: N802
    """Both days together gain what the counter gained; what it stood at is nobody's."""
    both = [(at, first + n) for n, at in enumerate(range(START, START + 2 * 86_400 + 1, STEP))]
    plant_requests(api, both)
    days = [read(api, day=DAY + timedelta(days=n)).requests for n in (0, 1)]
    assert days == [288, 288]


def test_a_new_pod_counts_from_zero_where_the_family_was_watched(api: PrometheusApi) -> None:
    """Its first value was gained since it began; the flag names it."""
    plant_requests(api)
    plant_requests(api, [(at, n + 7) for n, at in enumerate(GRID)][100:], pod="new")
    metrics = read(api)
    assert metrics.requests == 288 + 288 + 7
    assert any("began within the day" in flag and 'pod="new"' in flag for flag in metrics.flags)


def test_a_pod_that_was_unseen_at_midnight_goes_on_from_where_it_was(api: PrometheusApi) -> None:
    """Nothing of the weeks before is counted again."""
    plant_requests(api)
    late = [(START - 3600, 1_000_000), *((at, 1_000_000 + n) for n, at in enumerate(GRID, 1))]
    del late[1:4]
    plant_requests(api, late, pod="late")
    assert read(api).requests == 288 + 289


def test_the_first_value_of_what_nobody_watched_is_not_counted(api: PrometheusApi) -> None:
    """It may be of any day; the sum is a lower bound, and a flag says so."""
    plant_requests(api, [(at, 1_000_000 + n) for n, at in enumerate(GRID)][144:])
    metrics = read(api)
    assert (metrics.requests, metrics.coverage) == (144, 0.5)
    assert any("stood at 1.00014e+06 when first seen" in flag for flag in metrics.flags)


def test_A21_a_counter_that_stands_still_is_no_traffic(api: PrometheusApi) -> None:  # noqa: N802
    """A day of 0 requests, whole; nothing like a day without data (A20)."""
    plant_requests(api, [(at, 77) for at in GRID])
    metrics = read(api)
    assert (metrics.requests, metrics.coverage) == (0, 1.0)


@pytest.mark.parametrize(
    ("missing", "coverage"),
    [
        pytest.param(range(144, 289), 0.5, id="A22-half-a-day"),
        pytest.param(range(24, 36), 23 / 24, id="A23-one-hour"),
        pytest.param(range(24, 25), 1.0, id="one-scrape"),
    ],
)
def test_coverage(api: PrometheusApi, missing: range, coverage: float) -> None:
    """An hour is covered if 90 % of its times have a value."""
    plant_requests(api, [p for n, p in enumerate(rising()) if n not in missing])
    assert read(api).coverage == pytest.approx(coverage)


# ------------------------------------------------------------------ names, labels, replicas


def test_a_colon_that_became_an_underscore_is_found(api: PrometheusApi) -> None:
    """And a metric that is stored under both names is counted once."""
    plant_requests(api)
    api.series[0].labels = {**api.series[0].labels, "__name__": REQUESTS.replace(":", "_")}
    assert read(api).requests == 288
    plant_requests(api)
    assert read(api).requests == 288


def test_A14_two_values_at_one_time_are_both_set_aside(api: PrometheusApi) -> None:  # noqa: N802
    """Two Prometheus that no label of the model's file tells apart."""
    plant_requests(api, prometheus_replica="a")
    plant_requests(api, rising(first=3), prometheus_replica="b")
    metrics = read(api)
    assert metrics.requests is None
    assert any("HA pair without dedup label" in flag for flag in metrics.flags)
    assert {(q.what.split("{")[0], q.rows) for q in metrics.quarantined} == {
        (REQUESTS.replace(":", "_"), 2 * 289)
    }


def test_A15_of_a_pair_the_one_with_most_points_is_read(api: PrometheusApi) -> None:  # noqa: N802
    """Not the sum, and not a bit of each."""
    plant_requests(api, rising()[:200], prometheus_replica="a")
    plant_requests(api, rising(first=3), prometheus_replica="b")
    for name, points in (("a", rising()[:200]), ("b", rising(first=3))):
        plant_requests(api, points, pod="b", prometheus_replica=name)
    metrics = read(api, replica_label="prometheus_replica")
    assert (metrics.requests, metrics.flags[0][:10]) == (2 * 288, "api_errors")


def test_A30_a_missing_series_is_named_with_its_nearest(api: PrometheusApi) -> None:  # noqa: N802
    """The decisive one is set aside, so that the day's hold says why; others are flags."""
    api.plant("vllm:requests_success_total", rising(), **OWN)
    metrics = read(api)
    assert (metrics.requests, metrics.coverage) == (None, 0.0)
    said = [f"{q.what} {q.reason}" for q in metrics.quarantined]
    assert said == [f"series {REQUESTS} not found; nearest: 'vllm:requests_success_total'"]
    assert any(flag.startswith("latency_ms: series vllm:e2e") for flag in metrics.flags)


def test_A29_labels_are_escaped_and_cut(api: PrometheusApi) -> None:  # noqa: N802
    """In what we send and in what we record; nothing is ever a path."""
    nasty = '"} or vector(1) #\n\x1b[31m../../etc <script>' + "x" * 1_000_000
    plant_requests(api, [(at, 1000 - n) for n, at in enumerate(GRID)], pod=nasty)
    metrics = read(api)
    assert "not a counter" in metrics.rejected[0].reason
    plant_requests(api, [*rising(), (START, "NaN")], pod=nasty)
    recorded = read(api).model_dump_json()
    assert len(recorded) < 60_000
    assert "\x1b" not in "".join(q.what for q in read(api).quarantined)


def test_the_selector_is_escaped(api: PrometheusApi) -> None:
    """A quote or a backslash in a label's value stays inside it."""
    nasty = 'a"} or vector(1) # \\ \n'
    plant_requests(api, job=nasty)
    plant_requests(api, job="another")
    assert read(api, selector={"job": nasty}).requests == 288
    sent = [params["query"] for path, params, _ in api.asked if path == "query_range"]
    assert all(json.dumps(nasty) in query for query in sent)


def test_A28_too_many_series_are_refused_before_they_are_read(  # noqa: N802
    api: PrometheusApi,
) -> None:
    """The label with the most distinct values is named; no series was asked for."""
    for number in range(30):
        plant_requests(api, [(START, "1")], user=str(number), pod=str(number % 3))
    metrics = read(api, max_series=20)
    reasons = {r.what: r.reason for r in metrics.rejected}
    assert reasons["requests"] == "30 series, max_series is 20; label 'user' has 30 values"
    assert metrics.requests is None
    asked = [params["query"] for path, params, _ in api.asked if path == "query_range"]
    assert all(query.startswith("count(") for query in asked if "request_success" in query)


def test_A28_series_that_come_and_go_are_counted_while_reading(  # noqa: N802
    api: PrometheusApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no full hour were there too many, over the day there were."""
    monkeypatch.setattr("upkeep.sources.prometheus_series.Asking._count", lambda *_: 1)
    for number in range(30):
        plant_requests(api, [(START + number * STEP, "1")], pod=str(number))
    metrics = read(api, max_series=20)
    assert "label 'pod' has" in {r.what: r.reason for r in metrics.rejected}["requests"]


def test_what_a_measure_has_to_say_is_bounded(api: PrometheusApi) -> None:
    """A hundred bad pods are five names and a number."""
    for number in range(100):
        plant_requests(api, [*rising(), (START, "NaN")], pod=str(number))
    metrics = read(api, queries=[], metrics={"requests": {"name": REQUESTS, "unit": "1"}})
    assert [q.rows for q in metrics.quarantined] == [1, 1, 1, 1, 1, 95]
    assert metrics.rows_quarantined == 100


# ------------------------------------------------------------------ histograms


def test_a_classic_histogram_in_seconds_is_buckets_in_ms(api: PrometheusApi) -> None:
    """Two pods; a third of the samples in each bucket."""
    plant_requests(api)
    plant_histogram(api, pod="a")
    plant_histogram(api, pod="b")
    latency = read(api).latency_ms
    assert latency is not None
    assert (latency.n, latency.mean) == (288 * 3 * 2, pytest.approx(2000 / 3))
    assert (latency.p50, latency.p99) == (pytest.approx(750.0), 1000.0)


@pytest.mark.parametrize(
    ("les", "reason"),
    [
        pytest.param(("0.5", "1"), 'no le="+Inf" bucket', id="A32-no-Inf"),
        pytest.param(("+Inf", "1", "0.5"), "not cumulative", id="A32-not-cumulative"),
        pytest.param(("0.5", "soon", "+Inf"), "is no bound", id="A32-no-bound"),
    ],
)
def test_a_histogram_that_cannot_be_one_is_refused(
    api: PrometheusApi, les: tuple[str, ...], reason: str
) -> None:
    """As a whole: its quantiles would be wrong."""
    plant_requests(api)
    plant_histogram(api, les)
    metrics = read(api)
    assert metrics.latency_ms is None
    assert reason in {r.what: r.reason for r in metrics.rejected}["latency_ms"]


def test_A32_buckets_that_stand_in_the_wrong_order_are_refused(  # noqa: N802
    api: PrometheusApi,
) -> None:
    """Also where what they gain would pass: what one stands at is over what holds it too."""
    plant_requests(api)
    plant_histogram(api)
    api.series[1].points = [(at, str(v)) for at, v in rising(first=10_000)]
    said = "the buckets are not cumulative: 0 at le=1 after 10000 at le=0.5"
    assert said in read(api).rejected[0].reason


def test_A32_a_histogram_without_its_sum_is_refused(api: PrometheusApi) -> None:  # noqa: N802
    """It has no mean, and the mean is not guessed."""
    plant_requests(api)
    plant_histogram(api)
    del api.series[-1]
    assert "has no _sum" in read(api).rejected[0].reason


def test_A9_all_buckets_restart_together(api: PrometheusApi) -> None:  # noqa: N802
    """Also the one that is fuller right after the restart than before it."""
    plant_requests(api)
    plant_histogram(api)
    for series in api.series[1:]:
        name, le = series.labels["__name__"], series.labels.get("le")
        values = [0, {"0.5": 1, "1": 5, "+Inf": 10}.get(le or "", 9)]
        values += [{"0.5": 3, "1": 3, "+Inf": 3}.get(le or "", 2 if name.endswith("_sum") else 3)]
        values += [values[-1]] * (289 - len(values))
        series.points = [(at, str(v)) for at, v in zip(GRID, values, strict=True)]
    metrics = read(api)
    assert metrics.latency_ms is not None
    assert metrics.latency_ms.n == 10 + 3
    assert metrics.latency_ms.mean == pytest.approx(1000 * 11 / 13)
    assert metrics.latency_ms.p50 == pytest.approx(500 + 500 * 2.5 / 4)


def native(cells: dict[tuple[float, float], int]) -> dict[str, Any]:
    """A native histogram as the API writes it; every sample lies in the middle of its cell."""
    return {
        "count": str(sum(cells.values())),
        "sum": str(sum((low + high) / 2 * n for (low, high), n in cells.items())),
        "buckets": [[0, str(low), str(high), str(n)] for (low, high), n in sorted(cells.items())],
    }


def test_native_histograms_of_several_resolutions_are_one(api: PrometheusApi) -> None:
    """The pods fill other cells, one of them halves its resolution; no sample is lost."""
    plant_requests(api)
    labels = OWN | {"__name__": LATENCY}
    fine = [(at, native({(1, 1.5): n, (1.5, 2): n})) for n, at in enumerate(GRID)]
    coarse = [(at, native({(1, 2): 2 * n, (4, 8): n})) for n, at in enumerate(GRID)]
    api.series += [
        Planted({**labels, "pod": "a"}, histograms=fine),
        Planted({**labels, "pod": "b"}, histograms=coarse),
    ]
    latency = read(api).latency_ms
    assert latency is not None
    assert latency.n == 288 * 5
    assert latency.p50 == pytest.approx(1000 + 1000 * 2.5 / 4)
    assert latency.p99 == pytest.approx(4000 + 4000 * 0.95)
    assert latency.mean == pytest.approx(1000 * (1.25 + 1.75 + 3 + 6) / 5)


def test_A33_of_native_and_classic_one_is_read(api: PrometheusApi) -> None:  # noqa: N802
    """The classic one; a flag says that there are two."""
    plant_requests(api)
    plant_histogram(api)
    points = [(at, native({(1, 2): 9 * n})) for n, at in enumerate(GRID)]
    api.series.append(Planted(OWN | {"__name__": LATENCY}, histograms=points))
    metrics = read(api)
    assert metrics.latency_ms is not None
    assert metrics.latency_ms.n == 288 * 3
    assert any("native and classic histogram" in flag for flag in metrics.flags)


@pytest.mark.parametrize("histogram", [{}, {"buckets": [[1]]}, {"count": "x", "sum": "1"}])
def test_a_native_histogram_that_cannot_be_read_is_refused(
    api: PrometheusApi, histogram: dict[str, Any]
) -> None:
    """With what is wrong about it."""
    plant_requests(api)
    points = [(at, histogram) for at in GRID]
    api.series.append(Planted(OWN | {"__name__": LATENCY}, histograms=points))
    assert "native histogram that cannot be read" in read(api).rejected[0].reason


# ------------------------------------------------------------------ gauges


def gauge(values: Callable[[int], Any], name: str = "DCGM_FI_DEV_GPU_UTIL") -> Planted:
    """A gauge of the day's times."""
    points = [(at, str(values(n))) for n, at in enumerate(GRID)]
    return Planted(OWN | {"__name__": name}, points)


def test_percent_becomes_shares(api: PrometheusApi) -> None:
    """Mean and highest over all GPUs; the day's end is the next day's."""
    api.series += [gauge(lambda n: n % 2 * 50), gauge(lambda n: 100 if n == 288 else n % 2 * 30)]
    api.series[1].labels = {**api.series[1].labels, "gpu": "1"}
    metrics = read(api, queries=["dcgm"])
    assert metrics.utilisation.gpu is not None
    assert metrics.utilisation.gpu.mean == pytest.approx(0.2)
    assert metrics.utilisation.gpu.high == pytest.approx(0.5)
    assert metrics.requests is None
    assert metrics.coverage == 1.0


@pytest.mark.parametrize(
    ("value", "unit", "reason"),
    [
        pytest.param(140, "percent", "140 > 100; over 100 %", id="A34-140-percent"),
        pytest.param(40, "share", "40 > 1; is it percent? set unit: percent", id="A5-percent"),
    ],
)
def test_a_utilisation_over_one_is_refused(
    api: PrometheusApi, value: int, unit: str, reason: str
) -> None:
    """With what to write instead."""
    api.series.append(gauge(lambda n: value + n / 1000))
    wanted = {"gpu": {"name": "DCGM_FI_DEV_GPU_UTIL", "unit": unit}}
    metrics = read(api, queries=[], metrics=wanted)
    assert metrics.utilisation.gpu is None
    assert reason.split(";")[1] in metrics.rejected[0].reason


def test_A12_a_frozen_gauge_is_flagged(api: PrometheusApi) -> None:  # noqa: N802
    """It stays in the day: no decision is made from it."""
    api.series.append(gauge(lambda _: 37))
    metrics = read(api, queries=["dcgm"])
    assert any("is stale: one value all day long" in flag for flag in metrics.flags)
    assert metrics.utilisation.gpu is not None


# ------------------------------------------------------------------ sources, settings


def test_a_measure_that_one_of_two_sources_lacks_is_not_collected(api: PrometheusApi) -> None:
    """Parts of the same traffic add up; a part of a sum is no sum."""
    plant_requests(api)
    plant_requests(api, rising(2), job="other")
    api.plant("vllm:generation_tokens_total", rising(9), **OWN)
    metrics = read(api, {"selector": {"job": "other"}})
    assert (metrics.requests, metrics.tokens_out) == (288 * 3, None)
    assert "tokens_out: not in every source that should have it; not collected" in metrics.flags
    assert read(api, {"selector": {"job": "third"}}).requests is None


def test_a_source_of_machines_takes_no_part_in_the_count(api: PrometheusApi) -> None:
    """Coverage is that of the requests."""
    plant_requests(api)
    api.series.append(gauge(lambda n: n % 7))
    metrics = read(api, {"queries": ["dcgm"]})
    assert (metrics.requests, metrics.coverage) == (288, 1.0)
    assert metrics.utilisation.gpu is not None


@pytest.mark.parametrize(
    ("metrics", "rule"),
    [
        ({"latency_ms": {"name": "x", "unit": "percent"}}, "latency_ms is in s or ms or us"),
        ({"requests": {"name": "x", "unit": "MiB"}}, "requests is in 1"),
        ({"gpu": {"name": "x", "unit": "share", "statistic": "p95"}}, "has no statistics"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    api: PrometheusApi, metrics: dict[str, Any], rule: str
) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match=rule):
        read(api, metrics=metrics)
    assert not api.asked


@pytest.mark.parametrize("step_s", [7, 60, 61, 300, 3599])
def test_a_step_that_does_not_divide_the_hour_is_made_smaller(
    api: PrometheusApi, step_s: int
) -> None:
    """Every time of the grid is asked for once; the day's two edges are among them."""
    plant_requests(api)
    read(api, step_s=step_s)
    spans = [
        (float(p["start"]), float(p["end"]), int(p["step"]))
        for path, p, _ in api.asked
        if path == "query_range" and p["query"].startswith("{") and "success" in p["query"]
    ]
    step = spans[0][2]
    assert 3600 % step == 0
    assert step <= step_s
    once = spans[: len(spans) // 2]  # requests, then generation errors
    times = [at for start, end, _ in once for at in range(int(start), int(end) + 1, step)]
    assert times == list(range(START, START + 86_401, step))


def test_answers_stay_small(api: PrometheusApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more series, the shorter the spans that are asked for."""
    monkeypatch.setattr("upkeep.sources.prometheus_series.POINTS_A_REQUEST", 100)
    for pod in range(10):
        plant_requests(api, pod=str(pod))
    assert read(api).requests == 2880
    steps = count()
    for _, params, _ in api.asked:
        if params.get("query", "").startswith("{") and "success" in params["query"]:
            assert float(params["end"]) - float(params["start"]) <= 9 * STEP
            next(steps)
    assert next(steps) == 2 * 29


def test_A11_events_are_whole_numbers(api: PrometheusApi) -> None:  # noqa: N802
    """A share sold as a counter of requests stands still all day: found by its fractions."""
    plant_requests(api, [(at, 2.5) for at, _ in rising()])
    metrics = read(api)
    assert metrics.requests is None
    assert "2.5 is no whole number" in metrics.rejected[0].reason
