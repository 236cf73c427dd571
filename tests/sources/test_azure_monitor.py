"""Azure Monitor: the official client over HTTP to a stand-in on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import azure.identity
import pytest
from fakes.azure_monitor_server import AzureMonitor, minutes, series, serving
from fakes.service_days import DAY, HOURS, asked_for, service_spec

from upkeep.credentials import from_environment
from upkeep.errors import ConfigError, SourceError
from upkeep.records import DailyMetrics, Quantiles
from upkeep.sources import azure_monitor, connect
from upkeep.sources.azure_day import DEPLOYMENTS, REQUESTS

WORKSPACE = "/subscriptions/0000/resourceGroups/talk/providers/Microsoft.MachineLearningServices"
ENDPOINT = f"{WORKSPACE}/workspaces/one/onlineEndpoints/talker"
LATENCY = {"": 150.0, "_P50": 100.0, "_P90": 200.0, "_P95": 300.0, "_P99": 400.0}


def codes(code: str, **others: str) -> dict[str, str]:
    return {"deployment": "blue", "statusCode": code, "statusCodeClass": f"{code[0]}xx"} | others


def endpoint_day() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Write an endpoint's day: 30 good answers an hour by blue and 10 by green, some refused."""
    held = {
        (REQUESTS, "PT1M"): [
            series("PT1M", minutes(30), **codes("200")),
            series("PT1M", minutes(10), **codes("200", deployment="green")),
            series("PT1M", minutes(2, [4]), **codes("429")),
            series("PT1M", minutes(3, [5]), **codes("503")),
        ],
        ("NetworkBytes", "PT1H"): [series("PT1H", [100.0 + h for h in HOURS])],
    }
    for suffix, value in LATENCY.items():
        held["RequestLatency" + suffix, "PT1H"] = [series("PT1H", [value] * 24)]
        held["RequestLatency" + suffix, "P1D"] = [series("P1D", [value * 2])]
    return held


def deployment_day() -> dict[tuple[str, str], list[dict[str, Any]]]:
    held = {}
    for number, name in enumerate(("Cpu", "CpuMemory", "Gpu", "GpuMemory")):
        values: list[float | None] = [10.0 * number + h for h in HOURS]
        held[f"{name}UtilizationPercentage", "PT1H"] = [series("PT1H", values)]
    return held


@pytest.fixture
def azure_server() -> Iterator[AzureMonitor]:
    with serving(AzureMonitor(endpoint_day() | deployment_day())) as server:
        yield server


def source_at(server: AzureMonitor, **parts: Any) -> dict[str, Any]:
    return {
        "kind": "azure_monitor",
        "resource_id": ENDPOINT,
        "endpoint": server.url,
    } | parts


def collected(server: AzureMonitor, *others: dict[str, Any], **parts: Any) -> DailyMetrics:
    spec = service_spec(source_at(server, **parts), *others)
    return azure_monitor.collect(spec.sources, asked_for(spec)).metrics


def test_an_azure_ml_endpoint_gives_its_day(azure_server: AzureMonitor) -> None:
    """Minutes are summed, codes told apart; the day's latencies are Azure's own averages."""
    metrics = collected(azure_server)
    assert metrics.requests == 24 * 40 + 5
    assert (metrics.api_errors, metrics.generation_errors) == (2, 3)
    assert (metrics.hours[4].requests, metrics.hours[4].errors) == (42, 2)
    assert metrics.latency_ms == Quantiles(
        p50=200.0, p90=400.0, p95=600.0, p99=800.0, mean=300.0, n=965
    )
    assert metrics.hours[5].latency_ms is not None
    assert (metrics.hours[5].latency_ms.p50, metrics.hours[5].latency_ms.n) == (100.0, 43)
    assert metrics.utilisation.network_bytes_per_s is not None
    assert metrics.utilisation.network_bytes_per_s.high == 123.0
    assert (metrics.coverage, metrics.flags, metrics.quarantined) == (1.0, (), ())


def test_an_endpoint_and_its_deployment_are_one_day(azure_server: AzureMonitor) -> None:
    """The deployment brings utilisation, and no second count of the same requests."""
    deployment = source_at(
        azure_server, namespace=DEPLOYMENTS, resource_id=f"{ENDPOINT}/deployments/blue"
    )
    metrics = collected(azure_server, deployment)
    assert metrics.requests == 965
    assert metrics.latency_ms is not None
    found = metrics.utilisation
    gauges = (found.cpu, found.host_memory, found.gpu, found.gpu_memory)
    highs = [gauge.high for gauge in gauges if gauge is not None]
    assert highs == pytest.approx([0.23, 0.33, 0.43, 0.53])


def test_requests_are_asked_for_by_minute_and_every_dimension(azure_server: AzureMonitor) -> None:
    """An average over several series at once would be a mean of counts, not their sum."""
    collected(azure_server, filter={"deployment": "it's (blue)"})
    requests, *others = azure_server.seen
    assert requests["path"] == "/subscriptions/0000/metrics:getBatch"
    assert requests["resources"] == [ENDPOINT]
    assert requests["interval"] == "PT1M"
    assert requests["aggregation"] == "Average"
    assert requests["filter"] == (
        "deployment eq 'it''s %2528blue%2529' and statusCode eq '*' and "
        "statusCodeClass eq '*' and modelStatusCode eq '*'"
    )
    assert requests["top"] == "1000"
    assert requests["starttime"].startswith("2026-03-05T00:00:00")
    assert requests["endtime"].startswith("2026-03-06T00:00:00")
    assert requests["authorization"] == "Bearer stand-in"
    assert {q["interval"] for q in others} == {"PT1H", "P1D"}
    assert all(q["filter"] == "deployment eq 'it''s %2528blue%2529'" for q in others)


def test_a38_more_than_ten_series_are_read(azure_server: AzureMonitor) -> None:
    """A38: Azure's own default would cut a filtered answer at 10 without a word."""
    azure_server.series[REQUESTS, "PT1M"] = [
        series("PT1M", minutes(1), **codes("200", deployment=f"number-{n}")) for n in range(12)
    ]
    assert collected(azure_server).requests == 12 * 24


def test_a38_an_answer_that_reaches_the_cut_is_refused(
    azure_server: AzureMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A28, A38: there may be more that was not answered."""
    monkeypatch.setattr(azure_monitor, "MAX_SERIES", 4)
    with pytest.raises(SourceError, match="has 4 series or more: name dimensions in filter"):
        collected(azure_server)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param(429, {"Retry-After": "1"}, id="A38-retry-after"),
        pytest.param(429, {}, id="A38-no-retry-after"),
        pytest.param(503, {"x-ms-retry-after-ms": "20"}, id="A38-503"),
    ],
)
def test_a38_a_refusal_is_waited_out(
    azure_server: AzureMonitor, status: int, headers: dict[str, str]
) -> None:
    """A38: the query is asked again, and the day is whole."""
    azure_server.first = [(status, headers, {"error": {"code": "Throttled", "message": "slow"}})]
    assert collected(azure_server).requests == 965
    assert azure_server.seen[0] == azure_server.seen[1]


def test_a38_refusals_beyond_the_budget_are_a_source_error(
    azure_server: AzureMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A38: never an empty day."""
    monkeypatch.setattr(azure_monitor, "RETRIES", 2)
    azure_server.first = [(429, {"x-ms-retry-after-ms": "10"}, {"error": {}})] * 9
    with pytest.raises(SourceError, match="429 Too Many Requests"):
        collected(azure_server)
    assert len(azure_server.seen) == 3


def test_a38_a_wait_without_end_is_not_waited(azure_server: AzureMonitor) -> None:
    """A38: the SDK would sleep for an hour; Airflow tries again later instead."""
    azure_server.first = [(429, {"Retry-After": "3600"}, {"error": {}})]
    with pytest.raises(SourceError, match="asks to wait 3600 s"):
        collected(azure_server)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, SourceError, "401 Unauthorized"),
        (403, SourceError, "403 Forbidden"),
        (400, ConfigError, "does not accept the query: 'no such dimension"),
        (404, ConfigError, "does not accept the query"),
    ],
)
def test_what_waiting_does_not_mend_is_said_at_once(
    azure_server: AzureMonitor, status: int, error: type[Exception], words: str
) -> None:
    """One request, one line."""
    body = {"error": {"code": "Refused", "message": "no such dimension"}}
    azure_server.first = [(status, {}, body)]
    with pytest.raises(error) as caught:
        collected(azure_server)
    assert words.split("'", maxsplit=1)[0] in str(caught.value)
    assert len(azure_server.seen) == 1


def test_a37_a_metric_that_failed_inside_a_good_answer_is_a_source_error(
    azure_server: AzureMonitor,
) -> None:
    """A37: HTTP 200 with an error code beside the values, which the SDK drops."""
    azure_server.code = "Throttled"
    with pytest.raises(SourceError, match="RequestsPerMinute: Throttled; its values are not whole"):
        collected(azure_server)


def test_a37_another_grain_than_asked_for_is_no_answer(azure_server: AzureMonitor) -> None:
    """A37: averages of 5 minutes, summed as of one, would be a fifth of the requests."""
    azure_server.interval = "PT5M"
    with pytest.raises(SourceError, match="answered by 0:05:00, not by the minute"):
        collected(azure_server)


def test_a30_a_metric_that_azure_does_not_know_is_a_setting(azure_server: AzureMonitor) -> None:
    """A30: named in the message."""
    own = {"tokens_out": {"name": "TokensOut", "unit": "1"}}
    with pytest.raises(ConfigError, match="Failed to find metric configuration"):
        collected(azure_server, metrics=own)


def test_an_idle_hour_is_zero_where_the_endpoint_was_alive(azure_server: AzureMonitor) -> None:
    """Azure leaves out the minutes without a value; the network says that it lived."""
    azure_server.series[REQUESTS, "PT1M"] = [series("PT1M", minutes(30, range(22)), **codes("200"))]
    for suffix, value in LATENCY.items():
        part = series("PT1H", [value] * 22)
        azure_server.series["RequestLatency" + suffix, "PT1H"] = [part]
    values = [100.0 + h for h in range(23)]
    azure_server.series["NetworkBytes", "PT1H"] = [series("PT1H", values)]
    metrics = collected(azure_server)
    assert (metrics.requests, metrics.api_errors) == (660, 0)
    assert (metrics.hours[22].requests, metrics.hours[22].covered) == (0, True)
    assert (metrics.hours[23].requests, metrics.hours[23].covered) == (None, False)


def test_latencies_of_several_deployments_are_not_one(azure_server: AzureMonitor) -> None:
    """Quantiles cannot be added up."""
    both = [series("P1D", [200.0], deployment=name) for name in ("blue", "green")]
    azure_server.series["RequestLatency_P95", "P1D"] = both
    metrics = collected(azure_server)
    assert metrics.latency_ms is None
    assert metrics.rejected[0].what == "RequestLatency_P95"


def test_own_metrics_have_own_statistics(azure_server: AzureMonitor) -> None:
    """A total by the hour; an average of so many a minute, summed; a maximum."""
    azure_server.series |= {
        ("Asked", "PT1H"): [series("PT1H", [50.0] * 24)],
        ("TokensPerMinute", "PT1M"): [series("PT1M", [7.0] * 1440)],
    }
    metrics = collected(
        azure_server,
        metrics={
            "requests": {"name": "Asked", "unit": "1"},
            "tokens_out": {"name": "TokensPerMinute", "unit": "1", "statistic": "Average"},
            "gpu": {
                "name": "GpuUtilizationPercentage",
                "unit": "percent",
                "statistic": "Maximum",
            },
        },
    )
    assert (metrics.requests, metrics.tokens_out) == (1200, 10_080)
    assert (metrics.api_errors, metrics.generation_errors) == (2, 3)
    asked = {q["metricnames"]: (q["interval"], q["aggregation"]) for q in azure_server.seen}
    assert asked["Asked"] == ("PT1H", "Total")
    assert asked["TokensPerMinute"] == ("PT1M", "Average")
    assert asked["GpuUtilizationPercentage"] == ("PT1H", "Maximum")


def test_probe_says_in_one_line_what_is_there(azure_server: AzureMonitor) -> None:
    """And what is wrong."""
    azure_server.series[REQUESTS, "PT1H"] = [series("PT1H", [1.0] * 7)]
    spec = service_spec(source_at(azure_server))
    (good,) = connect(asked_for(spec))
    words = f"onlineEndpoints/talker: RequestsPerMinute has 7 hours on {DAY}"
    assert good == ("sources[0] azure_monitor", True, words)
    azure_server.first = [(403, {}, {"error": {"code": "Forbidden", "message": "no"}})]
    (bad,) = connect(asked_for(spec))
    assert not bad[1]
    assert "403 Forbidden" in bad[2]


# ---------------------------------------------------------------- where, and as whom


@pytest.mark.parametrize(
    ("measure", "metric", "says"),
    [
        ("latency_ms", {"name": "L", "unit": "ms", "statistic": "Average"}, "leave it out"),
        ("gpu", {"name": "G", "unit": "percent", "statistic": "Sum"}, "Average, Maximum, Minimum"),
        ("requests", {"name": "R", "unit": "1", "statistic": "Sum"}, "Total, Count, Average"),
        ("requests", {"name": "R", "unit": "ms"}, "not counted in this unit"),
    ],
)
def test_a_metric_that_cannot_be_asked_for_is_refused(
    azure_server: AzureMonitor, measure: str, metric: dict[str, str], says: str
) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match=says):
        collected(azure_server, metrics={measure: metric})
    assert azure_server.seen == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://eastus.metrics.monitor.azure.com", "plain http to another machine"),
        ("http://169.254.169.254", "link-local"),
        ("https://else.where", "not an allowed host"),
    ],
)
def test_the_endpoint_is_an_allowed_one(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token goes to Azure over https only."""
    monkeypatch.setenv("UPKEEP_ALLOWED_HOSTS", ".azure.com")
    with pytest.raises(ConfigError, match=words):
        collected(AzureMonitor(url=url))


def test_a_connection_is_a_client_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tenant, client id and secret go to Azure's own credential class, and nowhere else."""
    given: list[tuple[str, ...]] = []
    real = azure.identity.ClientSecretCredential
    monkeypatch.setattr(
        azure.identity,
        "ClientSecretCredential",
        lambda *parts: given.append(parts) or real(*parts),
    )
    monkeypatch.setenv("UPKEEP_ALLOWED_HOSTS", ".azure.com")
    tenant = "00000000-0000-0000-0000-000000000000"
    whole = {"login": "client", "password": "not-a-real-secret", "extra": {"tenantId": tenant}}
    server = AzureMonitor(url="https://eastus.metrics.monitor.azure.com")
    spec = service_spec(source_at(server, connection="azure"))
    known = from_environment({"AIRFLOW_CONN_AZURE": json.dumps(whole)})
    azure_monitor.open_client(spec.sources[0], asked_for(spec, known)).close()
    assert given == [(tenant, "client", "not-a-real-secret")]


@pytest.mark.parametrize("lost", ["login", "password", "extra"])
def test_a_connection_that_is_not_complete_is_refused_and_not_shown(
    lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in it never shows."""
    monkeypatch.setenv("UPKEEP_ALLOWED_HOSTS", ".azure.com")
    whole = {"login": "client", "password": "not-a-real-secret", "extra": {"tenantId": "t"}}
    known = from_environment({"AIRFLOW_CONN_AZURE": json.dumps(whole | {lost: None})})
    server = AzureMonitor(url="https://eastus.metrics.monitor.azure.com")
    spec = service_spec(source_at(server, connection="azure"))
    with pytest.raises(ConfigError, match="extra tenantId") as caught:
        azure_monitor.open_client(spec.sources[0], asked_for(spec, known))
    assert "not-a-real" not in str(caught.value)
