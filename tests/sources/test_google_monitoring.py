"""Google Cloud Monitoring: the official client over gRPC to a stand-in on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from fakes.google_monitoring_server import GoogleMonitoring, exponential, serving, time_series
from fakes.service_days import DAY, HOURS, START, asked_for, service_spec
from google.cloud import monitoring_v3

from upkeep.credentials import from_environment
from upkeep.errors import ConfigError, SourceError
from upkeep.records import DailyMetrics
from upkeep.sources import connect, google_day, google_monitoring
from upkeep.sources.google_day import CPU_SUM, NETWORK, RESPONSES, VERTEX

LATENCIES = f"{VERTEX}/prediction_latencies"
DUTY = f"{VERTEX}/accelerator/duty_cycle"


def vertex_day() -> dict[str, list[Any]]:
    """Write an endpoint's day: 8 good answers, a 400 and a 503 an hour, of two deployed models."""
    good = [
        time_series([4] * 24, response_code="200", deployed_model_id=model) for model in ("1", "2")
    ]
    return {
        RESPONSES: [
            *good,
            time_series([1] * 24, response_code="400"),
            time_series([1] * 12, hours=range(12), response_code="503"),
        ],
        LATENCIES: [
            time_series([exponential([0, 2, 2], 2000.0)] * 24, unit="us", deployed_model_id=model)
            for model in ("1", "2")
        ],
        DUTY: [time_series([0.5 + h / 100 for h in HOURS], replica_id="a")],
        CPU_SUM: [time_series([2.0 + h / 100 for h in HOURS], replica_id="a")],
        NETWORK[0]: [time_series([3600 * (1 + h % 2) for h in HOURS])],
        NETWORK[1]: [time_series([7200] * 24), time_series([3600] * 24)],
    }


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleMonitoring]:
    monkeypatch.setattr(google_monitoring, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(google_monitoring, "LONGEST_WAIT_S", 0.02)
    with serving(GoogleMonitoring(vertex_day())) as server:
        yield server


def source_at(google: GoogleMonitoring, **parts: Any) -> dict[str, Any]:
    return {
        "kind": "google_monitoring",
        "project": "project-one",
        "labels": {"endpoint_id": "4711"},
        "endpoint": google.url,
    } | parts


def collected(google: GoogleMonitoring, **parts: Any) -> DailyMetrics:
    spec = service_spec(source_at(google, **parts))
    return google_monitoring.collect(spec.sources, asked_for(spec)).metrics


def test_a_vertex_endpoint_gives_its_day(google: GoogleMonitoring) -> None:
    """Answers by code, histograms of two models added up, the accelerator, the network."""
    metrics = collected(google)
    assert (metrics.requests, metrics.api_errors, metrics.generation_errors) == (228, 24, 12)
    assert (metrics.hours[3].errors, metrics.hours[20].errors) == (2, 1)
    assert metrics.coverage == 1.0
    found = metrics.latency_ms
    assert found is not None
    assert (found.n, found.mean) == (24 * 8, pytest.approx(2.0))
    assert (found.p50, found.p99) == (pytest.approx(2.0), pytest.approx(3.96))
    assert metrics.hours[5].latency_ms is not None
    assert metrics.hours[5].latency_ms.n == 8
    assert metrics.utilisation.gpu is not None
    assert metrics.utilisation.gpu.high == pytest.approx(0.73)
    assert metrics.utilisation.network_bytes_per_s is not None
    assert metrics.utilisation.network_bytes_per_s.mean == pytest.approx(4.5)
    assert metrics.utilisation.cpu is None
    (words,) = metrics.flags
    assert words.startswith("cpu: not collected")


def test_the_request_names_the_metric_the_endpoint_and_the_day(google: GoogleMonitoring) -> None:
    """One metric a request, aligned to hours; counts as deltas, gauges as means."""
    odd = 'an "odd" \\ name'
    collected(google, labels={"endpoint_id": "4711", "metric.deployed_model_id": odd})
    request = google.seen[0]
    assert request.name == "projects/project-one"
    assert request.filter == (
        f'metric.type = "{RESPONSES}" AND resource.labels.endpoint_id = "4711" AND '
        r'metric.labels.deployed_model_id = "an \"odd\" \\ name"'
    )
    assert request.interval.start_time == START
    assert (request.interval.end_time - START).total_seconds() == 86_400
    assert request.aggregation.alignment_period.total_seconds() == 3600
    aligners = {r.filter.split('"')[1]: r.aggregation.per_series_aligner.name for r in google.seen}
    assert aligners[LATENCIES] == "ALIGN_DELTA"
    assert aligners[DUTY] == "ALIGN_MEAN"


def test_a38_both_pages_are_read(google: GoogleMonitoring) -> None:
    """A38: four series of answers in pages of two."""
    whole = collected(google)
    google.page_size, google.seen = 2, []
    assert collected(google) == whole
    assert [r.page_token for r in google.seen if RESPONSES in r.filter] == ["", "2"]


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a38_a_refusal_is_waited_out(google: GoogleMonitoring, code: grpc.StatusCode) -> None:
    """A38: before the first page, and twice between two pages."""
    google.page_size, google.failures = 2, [code, grpc.StatusCode.OK, code, code]
    assert collected(google).requests == 228


def test_a38_refusals_beyond_the_budget_are_a_source_error(
    google: GoogleMonitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A38: never an empty day."""
    monkeypatch.setattr(google_monitoring, "BUDGET_S", 0.1)
    google.failures = [grpc.StatusCode.RESOURCE_EXHAUSTED] * 1000
    with pytest.raises(SourceError, match=r"ResourceExhausted .tried for at most 0.1 s"):
        collected(google)
    assert len(google.seen) > 1


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, SourceError, "PermissionDenied"),
        (grpc.StatusCode.UNAUTHENTICATED, SourceError, "Unauthenticated"),
        (grpc.StatusCode.INVALID_ARGUMENT, ConfigError, "does not accept the query"),
    ],
)
def test_what_waiting_does_not_mend_is_said_at_once(
    google: GoogleMonitoring, code: grpc.StatusCode, error: type[Exception], words: str
) -> None:
    """One request, one line."""
    google.failures = [code]
    with pytest.raises(error, match=words):
        collected(google)
    assert len(google.seen) == 1


def test_a37_an_answer_that_is_not_whole_is_a_source_error(google: GoogleMonitoring) -> None:
    """A37: Google says so beside the series that it did find."""
    google.not_whole = True
    with pytest.raises(SourceError, match=r"not whole .1 errors"):
        collected(google)


def test_an_idle_hour_is_zero_where_the_machine_was_alive(google: GoogleMonitoring) -> None:
    """Vertex has no point without requests; the machine's cores say that it lived."""
    google.series[RESPONSES] = [time_series([4] * 22, hours=range(22), response_code="200")]
    google.series[LATENCIES] = []
    google.series[DUTY] = []
    google.series[CPU_SUM] = [time_series([2.0] * 23, hours=range(23))]
    google.series[NETWORK[0]] = google.series[NETWORK[1]] = []
    metrics = collected(google)
    assert (metrics.requests, metrics.generation_errors, metrics.api_errors) == (88, 0, 0)
    assert (metrics.hours[22].requests, metrics.hours[22].covered) == (0, True)
    assert (metrics.hours[23].requests, metrics.hours[23].covered) == (None, False)


def test_a30_a_metric_that_google_does_not_know_is_no_zero(google: GoogleMonitoring) -> None:
    """A30: machines alive all day, and a request count of another name."""
    del google.series[RESPONSES]
    google.series[LATENCIES] = []
    metrics = collected(google)
    assert (metrics.requests, metrics.coverage) == (None, 0.0)
    assert f"series {RESPONSES} not found" in metrics.flags


def test_a28_too_many_series_are_refused(
    google: GoogleMonitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A28: the reason says how many, and what to do."""
    monkeypatch.setattr(google_day, "MAX_SERIES", 3)
    (rejected,) = collected(google).rejected
    assert rejected.reason == "4 series, at most 3 are read: name labels"


def test_codes_that_are_no_http_codes_are_requests_and_flagged(google: GoogleMonitoring) -> None:
    """Which of them are errors is not guessed."""
    google.series[RESPONSES] = [time_series([4] * 24, response_code="UNKNOWN")]
    metrics = collected(google)
    assert (metrics.requests, metrics.api_errors) == (96, 0)
    assert f"{RESPONSES}: code 'UNKNOWN' is not counted as an error" in metrics.flags


def test_series_of_the_wrong_kind_or_unit_are_rejected(google: GoogleMonitoring) -> None:
    """A6: a stated unit that is not the configured one; and numbers where histograms are due."""
    google.series[LATENCIES] = [
        time_series([exponential([1], 1.0)] * 24, unit="ms"),
        time_series([1] * 24),
    ]
    metrics = collected(google)
    assert metrics.latency_ms is None
    reasons = [r.reason for r in metrics.rejected]
    assert reasons[0] == "is in ms, not us; set unit: ms"
    assert "not distributions" in reasons[1]


def test_a32_a_histogram_that_does_not_add_up_is_set_aside(google: GoogleMonitoring) -> None:
    """A32: that hour's; the others are used."""
    hours = [exponential([0, 2, 2], 2000.0)] * 23 + [exponential([0, 2, 2], 2000.0, count=9)]
    google.series[LATENCIES] = [time_series(hours)]
    metrics = collected(google)
    assert metrics.latency_ms is not None
    assert metrics.latency_ms.n == 92
    assert metrics.hours[23].latency_ms is None
    assert [q.reason for q in metrics.quarantined] == [
        "has buckets that do not add up to its count"
    ]


def test_own_metrics_replace_the_built_in_ones(google: GoogleMonitoring) -> None:
    """A counter of one's own; the share of a machine with one core; its errors are built in."""
    google.series["custom.googleapis.com/talker/asked"] = [time_series([20] * 24)]
    google.series["custom.googleapis.com/talker/tokens"] = [time_series([900] * 24)]
    google.series[CPU_SUM] = [time_series([0.5 + h / 100 for h in HOURS])]
    metrics = collected(
        google,
        metrics={
            "requests": {"name": "custom.googleapis.com/talker/asked", "unit": "1"},
            "tokens_out": {"name": "custom.googleapis.com/talker/tokens", "unit": "1"},
            "cpu": {"name": CPU_SUM, "unit": "share"},
        },
    )
    assert (metrics.requests, metrics.tokens_out, metrics.api_errors) == (480, 21_600, 24)
    assert metrics.utilisation.cpu is not None
    assert metrics.utilisation.cpu.mean == pytest.approx(0.615)
    assert metrics.flags == ()


def test_probe_says_in_one_line_what_is_there(google: GoogleMonitoring) -> None:
    """And what is wrong."""
    spec = service_spec(source_at(google))
    (good,) = connect(asked_for(spec))
    words = f"project-one[endpoint_id=4711]: 4 series of {RESPONSES} on {DAY}"
    assert good == ("sources[0] google_monitoring", True, words)
    google.failures = [grpc.StatusCode.PERMISSION_DENIED]
    (bad,) = connect(asked_for(spec))
    assert not bad[1]
    assert "PermissionDenied" in bad[2]


# ---------------------------------------------------------------- where, and as whom


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://monitoring.example.org", "plain http to another machine"),
        ("http://169.254.169.254", "link-local"),
        ("https://else.where", "not an allowed host"),
    ],
)
def test_the_endpoint_is_an_allowed_one(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An insecure channel goes to this machine only."""
    monkeypatch.setenv("UPKEEP_ALLOWED_HOSTS", ".example.org")
    with pytest.raises(ConfigError, match=words):
        collected(GoogleMonitoring(url=url))


def test_a_connection_without_a_key_is_refused_and_not_shown(google: GoogleMonitoring) -> None:
    """What is in it never shows."""
    spec = service_spec(source_at(google, connection="gcp", endpoint=None))
    text = json.dumps({"extra": {"keyfile_dict": {"private_key": "not-a-real-secret"}}})
    known = from_environment({"AIRFLOW_CONN_GCP": text})
    with pytest.raises(ConfigError, match="keyfile_dict") as caught:
        google_monitoring.collect(spec.sources, asked_for(spec, known))
    assert "not-a-real" not in str(caught.value)


def test_no_credentials_at_all_is_a_source_error(
    google: GoogleMonitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a connection nor Google's own."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    with pytest.raises(SourceError, match="DefaultCredentialsError; name a connection"):
        collected(google, endpoint=None)


def test_https_is_the_client_library_s_own_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address of the API keeps TLS and credentials."""
    monkeypatch.setenv("UPKEEP_ALLOWED_HOSTS", "monitoring.example.org")
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        monitoring_v3.MetricServiceClient, "__init__", lambda self, **kw: given.update(kw)
    )
    spec = service_spec(source_at(GoogleMonitoring(url="https://monitoring.example.org:8443")))
    google_monitoring.open_client(spec.sources[0], asked_for(spec))
    assert given["client_options"] == {"api_endpoint": "monitoring.example.org:8443"}
