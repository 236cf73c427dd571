"""CloudWatch's numbers by botocore's Stubber: percentiles, pages, incomplete answers, settings.

moto neither pages GetMetricData nor computes percentiles nor fails: these answers are written by
hand (see ``fakes.cloudwatch_answers``). ``test_cloudwatch_http`` has a real server.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from fakes.cloudwatch_answers import (
    DIMENSIONS,
    SOURCE,
    answers,
    collected,
    each_hour,
    sagemaker_day,
)
from fakes.service_days import HOURS, START

from upkeep.errors import ConfigError, SourceError
from upkeep.records import Quantiles
from upkeep.sources import cloudwatch
from upkeep.sources.points import DAY_S, HOUR_S

PETSHOP = Path(__file__).parents[2].parent / "shared/data/petshop-low-traffic/noissue/metrics.csv"

Says = Callable[..., Stubber]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Iterator[Says]:
    """Make the source's client answer these pages of GetMetricData, in this order, and no more."""
    client = boto3.client(
        "cloudwatch",
        region_name="eu-central-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    monkeypatch.setattr(cloudwatch, "open_client", lambda *_: client)
    monkeypatch.setattr(cloudwatch, "WAIT_S", 0.0)
    with Stubber(client) as stubber:

        def script(pages: Sequence[dict[str, Any]]) -> Stubber:
            for page in pages:
                stubber.add_response("get_metric_data", page)
            return stubber

        yield script


# ---------------------------------------------------------------- built-in names, percentiles


def test_a_sagemaker_endpoint_gives_its_day(says: Says) -> None:
    """Counts, errors apart, CloudWatch's own quantiles in ms, utilisation as shares."""
    says(answers(SOURCE, sagemaker_day()))
    metrics = collected()
    assert (metrics.requests, metrics.api_errors, metrics.generation_errors) == (240, 1, 2)
    assert metrics.latency_ms is not None
    assert metrics.latency_ms == Quantiles(
        p50=200.0, p90=400.0, p95=500.0, p99=900.0, mean=250.0, n=240
    )
    assert metrics.hours[7].latency_ms is not None
    assert metrics.hours[7].latency_ms.n == 10
    assert (metrics.hours[7].errors, metrics.hours[9].errors) == (1, 0)
    assert metrics.utilisation.host_memory is not None
    assert metrics.utilisation.host_memory.high == pytest.approx(0.63)
    assert metrics.utilisation.gpu is None
    assert metrics.ttft_ms is None
    assert metrics.coverage == 1.0
    assert metrics.flags == ()


def test_the_query_names_the_day_the_metrics_and_the_dimensions(says: Says) -> None:
    """Instances are asked for in their own namespace; quantiles over the hour and the day."""
    stubber = says([])
    seen: list[dict[str, Any]] = []
    stubber.client.meta.events.register(
        "provide-client-params.cloudwatch.GetMetricData",
        lambda params, **_: seen.append(params),
    )
    says(answers(SOURCE, sagemaker_day()))
    collected()
    (params,) = seen
    assert (params["StartTime"], params["EndTime"]) == (START, START + timedelta(days=1))
    asked = {
        (m["Metric"]["Namespace"], m["Metric"]["MetricName"], m["Stat"], m["Period"])
        for m in (query["MetricStat"] for query in params["MetricDataQueries"])
    }
    assert ("AWS/SageMaker", "Invocations", "Sum", 3600) in asked
    assert ("AWS/SageMaker", "ModelLatency", "p99", 86400) in asked
    assert ("/aws/sagemaker/Endpoints", "GPUUtilizationNormalized", "Average", 3600) in asked
    wanted = [{"Name": name, "Value": value} for name, value in sorted(DIMENSIONS.items())]
    assert all(
        q["MetricStat"]["Metric"]["Dimensions"] == wanted for q in params["MetricDataQueries"]
    )


def test_a_sum_over_cores_is_no_share(says: Says) -> None:
    """CPUUtilization of N cores goes to N x 100 %: not collected, and a flag says what to set."""
    says(answers(SOURCE, sagemaker_day(CPUUtilization__Average=each_hour(80.0))))
    metrics = collected()
    assert metrics.utilisation.cpu is None
    (words,) = metrics.flags
    assert "CPUUtilization is a sum over devices" in words
    assert "{cpu: {name: CPUUtilization, unit: percent}}" in words


def test_the_normalised_share_is_read_where_there_is_one(says: Says) -> None:
    """Then the sum beside it is nobody's business."""
    says(
        answers(
            SOURCE,
            sagemaker_day(
                GPUUtilization__Average=each_hour(240.0),
                GPUUtilizationNormalized__Average=each_hour(lambda h: 60.0 + h % 2),
            ),
        )
    )
    metrics = collected()
    assert metrics.utilisation.gpu is not None
    assert metrics.utilisation.gpu.mean == pytest.approx(0.605)
    assert metrics.flags == ()


def test_a34_a_sum_that_is_named_as_a_share_is_rejected_over_100(says: Says) -> None:
    """A34: two GPUs, set as one."""
    source = SOURCE | {"metrics": {"gpu": {"name": "GPUUtilization", "unit": "percent"}}}
    says(answers(source, sagemaker_day(GPUUtilization__Average=each_hour(140.0))))
    metrics = collected(source)
    assert metrics.utilisation.gpu is None
    assert metrics.rejected[0].reason == "GPUUtilization Average: 140 > 100; over 100 %"


def test_overhead_that_counts_is_flagged(says: Says) -> None:
    """Its quantiles cannot be added to the model's."""
    said = sagemaker_day()
    said["OverheadLatency", "Average", DAY_S] = [(START, 5e4)]
    says(answers(SOURCE, said))
    assert collected().flags == ("OverheadLatency adds 50.0 ms on average to the latency",)


def test_a31_quantiles_that_do_not_rise_are_never_used(says: Says) -> None:
    """A31."""
    said = sagemaker_day()
    said["ModelLatency", "p99", DAY_S] = [(START, 3e5)]
    says(answers(SOURCE, said))
    metrics = collected()
    assert metrics.latency_ms is None
    assert [q.reason for q in metrics.quarantined] == ["quantiles not monotone"]


def test_an_idle_hour_is_zero_where_the_instance_was_alive(says: Says) -> None:
    """CloudWatch has no point without requests; the instance's memory says that it lived."""
    said = sagemaker_day()
    for key in said:
        if key[2] == HOUR_S and key[0] != "MemoryUtilization":
            said[key] = said[key][:5] + said[key][7:]
    said["MemoryUtilization", "Average", HOUR_S] = each_hour(lambda h: 40.0 + h, range(6))
    says(answers(SOURCE, said))
    metrics = collected()
    assert (metrics.hours[5].requests, metrics.hours[5].covered) == (0, True)
    assert (metrics.hours[6].requests, metrics.hours[6].covered) == (None, False)
    assert metrics.coverage == 23 / 24


def test_a_missing_error_count_is_a_hole(says: Says) -> None:
    """SageMaker writes 0 with every request that went well."""
    said = sagemaker_day(Invocation5XXErrors__Sum=each_hour(0.0, range(20)))
    says(answers(SOURCE, said))
    metrics = collected()
    assert metrics.coverage == 20 / 24
    assert metrics.hours[22].errors is None


@pytest.mark.parametrize(
    ("known", "requests", "words"),
    [
        pytest.param(["Invocations", "ModelLatency"], 0, (), id="A21-no-traffic"),
        pytest.param(
            ["InvocationsTotal"],
            None,
            ("series Invocations not found; nearest: InvocationsTotal",),
            id="A30-renamed",
        ),
        pytest.param([], None, ("series Invocations not found",), id="A30-unknown"),
    ],
)
def test_a_day_without_a_request_point(
    says: Says, known: list[str], requests: int | None, words: tuple[str, ...]
) -> None:
    """0 only if CloudWatch knows the metric with exactly these dimensions."""
    memory = {("MemoryUtilization", "Average", HOUR_S): each_hour(lambda h: 40.0 + h)}
    stubber = says(answers(SOURCE, memory))
    own = [{"Name": name, "Value": value} for name, value in DIMENSIONS.items()]
    more = [*own, {"Name": "ContainerName", "Value": "one"}]
    listed = [{"MetricName": name, "Dimensions": own} for name in known]
    listed.append({"MetricName": "Invocations", "Dimensions": more})
    stubber.add_response("list_metrics", {"Metrics": listed})
    metrics = collected()
    assert (metrics.requests, metrics.flags) == (requests, words)
    assert metrics.coverage == (0.0 if requests is None else 1.0)


# ---------------------------------------------------------------- pages, incomplete answers


def test_a38_every_page_is_read(says: Says) -> None:
    """A38: four pages of up to 7 points of each series are one day; page 1 alone is not."""
    pages = answers(SOURCE, sagemaker_day(), page_points=7)
    assert len(pages) == 4
    stubber = says(pages)
    whole = collected()
    stubber.assert_no_pending_responses()
    says(answers(SOURCE, sagemaker_day()))
    assert whole == collected()


def test_a38_an_answer_that_ends_as_partial_is_asked_for_again(says: Says) -> None:
    """A38: InternalError, then PartialData without a token, then the whole day."""
    day = sagemaker_day()
    says(answers(SOURCE, day, StatusCode="InternalError"))
    says(answers(SOURCE, day, StatusCode="PartialData"))
    stubber = says(answers(SOURCE, day))
    assert collected().requests == 240
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_a38_an_answer_that_stays_incomplete_is_no_day(says: Says, status: str) -> None:
    """A38: a source error, which Airflow tries again later; never what was there of the day."""
    for _ in range(cloudwatch.TRIES):
        says(answers(SOURCE, sagemaker_day(), StatusCode=status))
    with pytest.raises(SourceError, match=f"series are still {status} after 4 tries"):
        collected()


def test_a38_a_series_without_an_answer_is_no_empty_series(says: Says) -> None:
    """A38: a query that no page mentions."""
    pages = answers(SOURCE, sagemaker_day())
    del pages[0]["MetricDataResults"][0]
    says(pages * cloudwatch.TRIES)
    with pytest.raises(SourceError, match=r"1 of .* series are still missing"):
        collected()


def test_a37_what_cloudwatch_says_beside_its_data_is_flagged(says: Says) -> None:
    """A37: messages of the answer and of a series, each once."""
    note = {"Code": "MaxMetricsExceeded", "Value": "only the first 500 were read"}
    pages = answers(SOURCE, sagemaker_day())
    pages[0]["Messages"] = [note]
    pages[0]["MetricDataResults"][0]["Messages"] = [note]
    says(pages)
    words = "CloudWatch says: MaxMetricsExceeded: only the first 500 were read"
    assert collected().flags == (words,)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("measure", "metric", "says"),
    [
        ("latency_ms", {"name": "L", "unit": "ms", "statistic": "p95"}, "leave it out"),
        ("gpu", {"name": "G", "unit": "percent", "statistic": "Sum"}, "Average, Maximum or p95"),
        ("requests", {"name": "R", "unit": "1", "statistic": "Average"}, "Sum or SampleCount"),
        ("requests", {"name": "R", "unit": "ms"}, "not counted in this unit"),
    ],
)
def test_a_metric_that_cannot_be_asked_for_is_refused(
    measure: str, metric: dict[str, str], says: str
) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match=says):
        collected(SOURCE | {"metrics": {measure: metric}})


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://169.254.169.254", "http://else.where"])
def test_the_stand_ins_address_is_an_allowed_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment cannot send signed requests anywhere."""
    monkeypatch.setenv(cloudwatch.ENDPOINT, url)
    monkeypatch.delenv("UPKEEP_ALLOWED_HOSTS", raising=False)
    with pytest.raises(ConfigError, match=cloudwatch.ENDPOINT):
        collected()


def test_a_query_that_aws_does_not_accept_is_a_setting(says: Says) -> None:
    """Trying again would not mend it."""
    says([]).add_client_error("get_metric_data", "InvalidParameterValue", "with signed headers")
    with pytest.raises(ConfigError, match="does not accept the query") as caught:
        collected()
    assert "signed headers" not in str(caught.value)


# ---------------------------------------------------------------- public data


def petshop(service: str) -> tuple[dict[str, Any], list[float], list[list[float]]]:
    """Put one service's 2023-08-22 into CloudWatch's shape.

    The rows are of 5 minutes. Requests are asked for by 5 minutes and are the rows; quantiles
    are asked for by the hour and the day, for which the row that begins there stands in.
    Gives the series, the requests of the rows, and the six numbers of each full hour's row.
    """
    start = datetime(2023, 8, 22, tzinfo=UTC)
    with PETSHOP.open(newline="") as file:
        rows = list(csv.reader(file))
    column = {
        (metric, statistic): number
        for number, (name, metric, statistic) in enumerate(zip(*rows[:3], strict=True))
        if name == service
    }
    stamped = [(datetime.fromtimestamp(float(row[0]), UTC), row) for row in rows[4:]]
    day = [(at, row) for at, row in stamped if start <= at < start + timedelta(days=1)]
    requests = [(at, float(row[column["requests", "Sum"]])) for at, row in day]
    said: dict[tuple[str, str, int], Any] = {("requests", "Sum", 300): requests}
    full = [(at, row) for at, row in day if at.minute == 0]
    names = ("p50", "p90", "p95", "p99", "Average")
    for name in names:
        points = [
            (at, float(row[column["latency", name]]))
            for at, row in full
            if row[column["latency", name]]
        ]
        said["latency", name, HOUR_S] = points
        said["latency", name, DAY_S] = points[:1]
    sums = [(at, float(row[column["requests", "Sum"]])) for at, row in full]
    said["latency", "SampleCount", HOUR_S] = sums
    said["latency", "SampleCount", DAY_S] = sums[:1]
    expected = [[float(row[column["latency", n]] or "nan") for n in names] for _, row in full]
    return said, [value for _, value in requests], expected


PETSHOP_SOURCE: dict[str, Any] = {
    "kind": "cloudwatch",
    "region": "us-west-2",
    "namespace": "PetShop",
    "dimensions": {"Service": "PetSite"},
    "period_s": 300,
    "metrics": {
        "requests": {"name": "requests", "unit": "1"},
        "latency_ms": {"name": "latency", "unit": "s"},
    },
}


@pytest.mark.skipif(not PETSHOP.exists(), reason="../shared/data/petshop-low-traffic is not here")
@pytest.mark.parametrize("service", ["PetSite", "PetSearch_AWS::ECS::Fargate"])
def test_public_petshop_data_comes_out_as_it_went_in(says: Says, service: str) -> None:
    """The sums of 288 rows, and the quantiles in ms, through pages of 100 points."""
    said, requests, expected = petshop(service)
    assert len(requests) == 288
    says(answers(PETSHOP_SOURCE, said, page_points=100))
    metrics = collected(PETSHOP_SOURCE, date(2023, 8, 22))
    assert metrics.requests == sum(requests) > 0
    by_hour = [sum(requests[12 * hour : 12 * hour + 12]) for hour in HOURS]
    assert [hour.requests for hour in metrics.hours] == by_hour
    for hour, row in zip(metrics.hours, expected, strict=True):
        assert hour.latency_ms is not None
        got = hour.latency_ms
        assert [got.p50, got.p90, got.p95, got.p99, got.mean] == pytest.approx(
            [1000 * value for value in row]
        )
    assert (metrics.coverage, metrics.flags, metrics.quarantined) == (1.0, (), ())


@pytest.mark.skipif(not PETSHOP.exists(), reason="../shared/data/petshop-low-traffic is not here")
def test_public_petshop_data_with_empty_cells_has_no_latency_and_is_no_gap(says: Says) -> None:
    """A service called once a day: 287 request points of 0, and latency cells that are empty."""
    said, requests, _ = petshop("execute-api.us-west-2.amazonaws.com_remote")
    says(answers(PETSHOP_SOURCE, said))
    metrics = collected(PETSHOP_SOURCE, date(2023, 8, 22))
    assert metrics.requests == sum(requests) == 1
    assert metrics.latency_ms is None
    assert metrics.coverage == 1.0
