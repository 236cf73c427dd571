"""Amazon CloudWatch: GetMetricData by the hour and by the UTC day, read to its last page.

Built in are the names of a SageMaker endpoint (namespace ``AWS/SageMaker``; its instances write
to ``/aws/sagemaker/Endpoints``), given ``EndpointName`` and ``VariantName`` as dimensions:

- ``Invocations`` are the requests. ``Invocation4XXErrors`` are API errors: the request was not
  one that could be served. ``Invocation5XXErrors`` are generation errors: the model failed. Both
  are written with every request, as 0 or 1, so that their absence is a hole, never 0.
- ``ModelLatency`` is the latency: quantiles that CloudWatch computes over the hour and over the
  whole day. ``OverheadLatency`` has no quantiles that could be added to them; where its mean is
  over a tenth of the model's, a flag says so.
- ``CPUUtilizationNormalized``, ``GPUUtilizationNormalized``, ``GPUMemoryUtilizationNormalized``
  and ``MemoryUtilization`` are shares. The names without ``Normalized`` are sums over N cores or
  GPUs (0 to N x 100 %) and N is not in CloudWatch: they are not read as shares, and a flag says
  how to name them in ``metrics`` where N is 1.

``metrics`` adds measures or replaces built-in ones; any other namespace has no built-in names.
A gauge's ``high`` is the highest of its means over ``period_s``.

CloudWatch writes no point where nothing was requested: ``service_metrics`` says when that is 0.
Credentials are the connection's (login: access key id, password: secret access key, extra:
``aws_session_token``, ``role_arn``, ``external_id``) or boto3's own chain.
"""

from __future__ import annotations

import operator
import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from upkeep.errors import ConfigError, SourceError
from upkeep.sources import Asked, Collected
from upkeep.sources.aws_session import session
from upkeep.sources.cloudwatch_day import (
    Query,
    Reading,
    check_statistics,
    metrics_of,
    namespace_of,
    queries_of,
    resource_of,
)
from upkeep.sources.points import Window
from upkeep.sources.service_metrics import ServiceDay, check_units
from upkeep.sources.service_sum import added, each_resource
from upkeep.spec_sources import CloudWatchSource
from upkeep.urls import url_fault

ENDPOINT = "UPKEEP_CLOUDWATCH_ENDPOINT"
ATTEMPTS = 6  # of one request, by botocore: throttling, 5xx and lost connections
TRIES, WAIT_S = 4, 2.0  # of a whole answer that CloudWatch itself calls incomplete
CONNECT_S, READ_S = 10, 60
MAX_MESSAGE = 200
_SETTINGS = re.compile(r"(Validation|InvalidParameter|MissingRequiredParameter|MissingParameter)")


def collect(sources: Sequence[CloudWatchSource], asked: Asked) -> Collected:
    """Read a model's CloudWatch metrics of the UTC day; see :func:`upkeep.sources.collect`."""
    resources = each_resource("cloudwatch", sources, Window.of(asked.day, asked.now()))
    for source, day in resources:
        _read(source, asked, day)
    name = " + ".join(f"cloudwatch:{s.region}:{resource_of(s)}" for s in sources)
    return Collected(added(name, [day for _, day in resources]).metrics(asked.spec, asked.day))


def probe(source: CloudWatchSource, asked: Asked) -> str:
    """How many metrics CloudWatch knows of the resource."""
    client = open_client(source, asked)
    namespaces = dict.fromkeys(namespace_of(source, measure) for measure in metrics_of(source))
    namespaces.setdefault(source.namespace)
    found = [name for namespace in namespaces for name in _known(client, source, namespace)]
    return f"{source.region} {resource_of(source)}: {len(set(found))} metrics"


def _read(source: CloudWatchSource, asked: Asked, day: ServiceDay) -> None:
    metrics, where = metrics_of(source), f"{asked.spec.name}: cloudwatch"
    check_units(where, metrics)
    check_statistics(where, metrics)
    client = open_client(source, asked)
    answer = _answer(client, source, list(dict.fromkeys(queries_of(source, metrics))), day)
    Reading(source, day, answer).read(lambda: _known(client, source, source.namespace))


# ---------------------------------------------------------------- asking


def open_client(source: CloudWatchSource, asked: Asked) -> Any:
    """A CloudWatch client with the source's credentials and a bounded number of attempts.

    Raises:
        ConfigError: the connection is not there, or the stand-in's address is not allowed.
        SourceError: the role cannot be assumed.

    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
    )
    endpoint = os.environ.get(ENDPOINT) or None
    fault = url_fault(endpoint) if endpoint else None
    if fault:
        raise ConfigError(ENDPOINT, endpoint, *fault)
    secret = asked.credentials(source.connection) if source.connection else None
    try:
        return session(secret, source.region, config).client(
            "cloudwatch", endpoint_url=endpoint, config=config
        )
    except (BotoCoreError, ClientError) as error:
        raise _failure(source, error) from error


def _answer(
    client: Any, source: CloudWatchSource, queries: Sequence[Query], day: ServiceDay
) -> dict[Query, list[tuple[float, Any]]]:
    """The points of every query, of all pages; tried again while CloudWatch calls it incomplete.

    Raises:
        SourceError: it stays incomplete.

    """
    unfinished: dict[str, str] = {}
    for attempt in range(TRIES):
        if attempt:  # not all models of a fleet at once
            time.sleep(random.uniform(0.5, 1.5) * WAIT_S * 2**attempt)
        found, unfinished, words = _pages(client, source, queries, day.window)
        if not unfinished:
            for said in words:
                day.into.flag(f"{day.prefix}CloudWatch says: {said}")
            return {query: found[f"q{number}"] for number, query in enumerate(queries)}
    statuses = ", ".join(sorted(set(unfinished.values())))
    raise SourceError(
        f"CloudWatch {source.region}: {len(unfinished)} of {len(queries)} series are still "
        f"{statuses} after {TRIES} tries; try again later"
    )


def _pages(
    client: Any, source: CloudWatchSource, queries: Sequence[Query], window: Window
) -> tuple[dict[str, list[tuple[float, Any]]], dict[str, str], list[str]]:
    """Points by query id, the status of those that are not complete, and what CloudWatch says."""
    from botocore.exceptions import BotoCoreError, ClientError

    found: dict[str, list[tuple[float, Any]]] = {f"q{n}": [] for n in range(len(queries))}
    status = dict.fromkeys(found, "missing")
    words: list[str] = []
    try:
        for page in client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[_asked_for(source, n, query) for n, query in enumerate(queries)],
            StartTime=datetime.fromtimestamp(window.start_s, UTC),
            EndTime=datetime.fromtimestamp(window.end_s, UTC),
            ScanBy="TimestampAscending",
        ):
            words += [_said(message) for message in page.get("Messages", ())]
            for result in page["MetricDataResults"]:
                times = (at.timestamp() for at in result["Timestamps"])
                found[result["Id"]] += zip(times, result["Values"], strict=True)
                status[result["Id"]] = result["StatusCode"]
                words += [_said(message) for message in result.get("Messages", ())]
    except (BotoCoreError, ClientError) as error:
        raise _failure(source, error) from error
    return found, {name: s for name, s in status.items() if s != "Complete"}, words


def _asked_for(source: CloudWatchSource, number: int, query: Query) -> dict[str, Any]:
    return {
        "Id": f"q{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": query.namespace,
                "MetricName": query.name,
                "Dimensions": _dimensions(source),
            },
            "Period": query.period_s,
            "Stat": query.statistic,
        },
    }


def _dimensions(source: CloudWatchSource) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted(source.dimensions.items())]


def _said(message: Mapping[str, Any]) -> str:
    return f"{message.get('Code')}: {message.get('Value')}"[:MAX_MESSAGE]


def _known(client: Any, source: CloudWatchSource, namespace: str) -> list[str]:
    """The names of all metrics of the resource that had a point in the last two weeks."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        own = _dimensions(source)
        pages = client.get_paginator("list_metrics").paginate(Namespace=namespace, Dimensions=own)
        found = [metric for page in pages for metric in page["Metrics"]]
    except (BotoCoreError, ClientError) as error:
        raise _failure(source, error) from error
    order = operator.itemgetter("Name")  # a metric of more dimensions is another metric
    return sorted({m["MetricName"] for m in found if sorted(m["Dimensions"], key=order) == own})


def _failure(source: CloudWatchSource, error: Exception) -> ConfigError | SourceError:
    """What went wrong, by its code alone: AWS repeats signed headers in some of its messages."""
    response = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code") or type(error).__name__)
    where = f"CloudWatch {source.region} {resource_of(source)}"
    if _SETTINGS.match(code):
        return ConfigError(where, code, "CloudWatch does not accept the query", "mend the source")
    return SourceError(
        f"{where}: {code} (at most {ATTEMPTS} attempts each); see the AWS region, "
        "the credentials and the right to cloudwatch:GetMetricData"
    )
