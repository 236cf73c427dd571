"""CloudWatch's answers as pages of GetMetricData, in the shape of the service's model.

They are written by hand: botocore's Stubber checks their shape, and nothing proves that
CloudWatch would give these numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from fakes.service_days import DAY, HOURS, START, asked_for, service_spec

from upkeep.credentials import from_environment
from upkeep.records import DailyMetrics
from upkeep.sources import cloudwatch
from upkeep.sources.cloudwatch_day import metrics_of, queries_of
from upkeep.sources.points import DAY_S, HOUR_S
from upkeep.spec_sources import CloudWatchSource

DIMENSIONS = {"EndpointName": "talker", "VariantName": "AllTraffic"}
SOURCE: dict[str, Any] = {
    "kind": "cloudwatch",
    "region": "eu-central-1",
    "dimensions": DIMENSIONS,
    "connection": "aws_metrics",
}
KEYS = {"login": "AKIDEXAMPLE", "password": "not-a-real-secret"}
Values = Mapping[tuple[str, str, int], Sequence[tuple[datetime, float]]]


def connections(**extra: str) -> Any:
    """Give credentials that know the source's connection."""
    text = json.dumps(KEYS | {"extra": extra})
    return from_environment({"AIRFLOW_CONN_AWS_METRICS": text})


def collected(source: dict[str, Any] = SOURCE, day: date = DAY) -> DailyMetrics:
    """Collect the source's day."""
    spec = service_spec(source)
    return cloudwatch.collect(spec.sources, asked_for(spec, connections(), day)).metrics


def each_hour(value: Any, hours: Any = HOURS, start: datetime = START) -> list[Any]:
    """Give a point for each hour; ``value`` may be a function of the hour."""
    return [(start + timedelta(hours=h), value(h) if callable(value) else value) for h in hours]


def sagemaker_day(**other: Sequence[tuple[datetime, float]]) -> dict[tuple[str, str, int], Any]:
    """Write an endpoint's day: 10 requests an hour, ModelLatency in microseconds."""
    said: dict[tuple[str, str, int], Any] = {
        ("Invocations", "Sum", HOUR_S): each_hour(10.0),
        ("Invocation4XXErrors", "Sum", HOUR_S): each_hour(lambda h: float(h == 2)),
        ("Invocation5XXErrors", "Sum", HOUR_S): each_hour(lambda h: float(h in (7, 8))),
        ("MemoryUtilization", "Average", HOUR_S): each_hour(lambda h: 40.0 + h),
    }
    statistics = (
        *(("p50", 2e5), ("p90", 4e5), ("p95", 5e5), ("p99", 9e5)),
        *(("Average", 2.5e5), ("SampleCount", 10.0)),
    )
    for name, value in statistics:
        whole = 240.0 if name == "SampleCount" else value
        said["ModelLatency", name, HOUR_S] = each_hour(value)
        said["ModelLatency", name, DAY_S] = [(START, whole)]
    for name, points in other.items():
        metric, statistic = name.split("__")
        said[metric, statistic, HOUR_S] = points
    return said


def answers(
    source: dict[str, Any], said: Values, *, page_points: int = 10**6, **result: Any
) -> list[dict[str, Any]]:
    """Give GetMetricData's pages: each series' next ``page_points`` points, and a token."""
    spec = CloudWatchSource.model_validate(source)
    queries = list(dict.fromkeys(queries_of(spec, metrics_of(spec))))
    found = [list(said.get((q.name, q.statistic, q.period_s), ())) for q in queries]
    count = max(1, -(-max(map(len, found)) // page_points))
    pages = []
    for page in range(count):
        cut = [points[page * page_points : (page + 1) * page_points] for points in found]
        last = page == count - 1
        results = [
            {
                "Id": f"q{number}",
                "Timestamps": [at for at, _ in points],
                "Values": [value for _, value in points],
                "StatusCode": "Complete" if last else "PartialData",
            }
            | result
            for number, points in enumerate(cut)
        ]
        token = {} if last else {"NextToken": f"page-{page + 2}"}
        pages.append({"MetricDataResults": results} | token)
    return pages
