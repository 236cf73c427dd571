"""CloudWatch over real HTTP: moto's server keeps what was put, and throttling is played before it.

moto proves requests, signing and the reading of sums and means; it does not page GetMetricData
and computes no percentiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from fakes.cloudwatch_answers import (
    KEYS,
    SOURCE,
    collected,
    connections,
)
from fakes.service_days import START, asked_for, service_spec
from moto.server import ThreadedMotoServer

from upkeep.errors import SourceError
from upkeep.sources import cloudwatch, connect


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def server(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the source at moto, with no credentials of this machine in reach."""
    monkeypatch.setenv(cloudwatch.ENDPOINT, moto)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    return moto


OWN: dict[str, Any] = {
    "kind": "cloudwatch",
    "region": "eu-central-1",
    "namespace": "Talker",
    "dimensions": {"Service": "talker"},
    "connection": "aws_metrics",
    "period_s": 300,
    "metrics": {
        "requests": {"name": "Requests", "unit": "1"},
        "api_errors": {"name": "Refused", "unit": "1"},
        "generation_errors": {"name": "Failed", "unit": "1", "statistic": "SampleCount"},
        "tokens_out": {"name": "Tokens", "unit": "1"},
        "gpu": {"name": "Gpu", "unit": "share", "statistic": "Maximum"},
    },
}


def put(endpoint: str, name: str, points: Sequence[tuple[datetime, float]]) -> None:
    client = boto3.client(
        "cloudwatch",
        region_name="eu-central-1",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["login"],
        aws_secret_access_key=KEYS["password"],
    )
    dimensions = [{"Name": "Service", "Value": "talker"}]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": value}
        for at, value in points
    ]
    for first in range(0, len(data), 500):
        client.put_metric_data(Namespace="Talker", MetricData=data[first : first + 500])


@pytest.fixture(scope="module")
def told(moto: str) -> str:
    """Put a day, and a point on either side of it, into moto."""
    minutes = [START + timedelta(minutes=m) for m in range(-5, 24 * 60 + 5, 5)]
    put(moto, "Requests", [(at, 2.0) for at in minutes for _ in range(2)])
    put(moto, "Refused", [(at, float(at.hour == 3)) for at in minutes])
    put(moto, "Failed", [(at, 1.0) for at in minutes if at.minute == 0])
    put(moto, "Tokens", [(at, 100.0) for at in minutes])
    put(moto, "Gpu", [(at, 0.25 + at.hour / 100) for at in minutes])
    return moto


def test_a17_a_day_that_was_put_comes_back(server: str, told: str) -> None:
    """A17: 288 periods of two puts each; what lies a moment outside the day is not counted."""
    metrics = collected(OWN)
    assert (metrics.requests, metrics.tokens_out) == (288 * 4, 28_800)
    assert (metrics.api_errors, metrics.generation_errors) == (12, 24)
    assert [hour.requests for hour in metrics.hours] == [48] * 24
    assert metrics.utilisation.gpu is not None
    assert metrics.utilisation.gpu.high == pytest.approx(0.48)
    assert metrics.coverage == 1.0
    assert metrics.flags == ()


def test_probe_says_in_one_line_how_many_metrics_there_are(server: str, told: str) -> None:
    """And what is wrong, where something is."""
    spec = service_spec(OWN, SOURCE)
    good, empty = connect(asked_for(spec, connections()))
    assert good == ("sources[0] cloudwatch", True, "eu-central-1 Talker[Service=talker]: 5 metrics")
    assert empty[1:] == (
        True,
        "eu-central-1 AWS/SageMaker[EndpointName=talker,VariantName=AllTraffic]: 0 metrics",
    )


def test_a_role_is_assumed_with_the_connections_keys(server: str, told: str) -> None:
    """The extra of the connection names it; the client then signs as the role."""
    spec = service_spec(OWN)
    role = {"role_arn": "arn:aws:iam::123456789012:role/metrics", "external_id": "upkeep"}
    client = cloudwatch.open_client(spec.sources[0], asked_for(spec, connections(**role)))
    signer = client._request_signer._credentials
    assert signer.access_key.startswith("ASIA")
    assert signer.token


def test_no_credentials_at_all_is_a_source_error(server: str) -> None:
    """Neither a connection nor anything in boto3's chain."""
    spec = service_spec({name: value for name, value in OWN.items() if name != "connection"})
    with pytest.raises(SourceError, match="NoCredentialsError"):
        cloudwatch.collect(spec.sources, asked_for(spec))


def throttled(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Answer the next ``times`` requests with ThrottlingException, before they are sent."""
    left, real = [times], cloudwatch.open_client

    def refuse(request: Any, **_: Any) -> AWSResponse | None:
        left[0] -= 1
        if left[0] < 0:
            return None
        kind = {"content-type": "application/x-amz-json-1.0"}
        response = AWSResponse(request.url, 400, kind, None)
        response._content = b'{"__type": "ThrottlingException"}'
        return response

    def open_client(*given: Any) -> Any:
        client = real(*given)
        client.meta.events.register("before-send.cloudwatch.GetMetricData", refuse)
        return client

    monkeypatch.setattr(cloudwatch, "open_client", open_client)
    return left


def test_a38_throttling_is_waited_out(
    server: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A38: botocore's adaptive mode tries again, and the day is whole."""
    left = throttled(monkeypatch, 2)
    assert collected(OWN).requests == 288 * 4
    assert left[0] == -1


def test_a38_throttling_beyond_the_budget_is_a_source_error(
    server: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A38: after the attempts are used up nothing is taken for the day."""
    monkeypatch.setattr(cloudwatch, "ATTEMPTS", 2)
    left = throttled(monkeypatch, 10**6)
    with pytest.raises(SourceError, match="ThrottlingException") as caught:
        collected(OWN)
    assert left[0] == 10**6 - 2
    assert KEYS["password"] not in str(caught.value)
