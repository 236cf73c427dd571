"""A stand-in for Google's Monitoring API on this machine: ListTimeSeries over real gRPC.

It answers with the series it was given for the metric that the filter names, in pages, and
fails when told to. It proves that the official client's requests and our reading of its answers
fit Google's protocol. It does not prove what Google would do with the request: it neither aligns
points nor understands filters beyond ``a.b = "c"`` joined by AND.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from fakes.service_days import HOURS, START
from google.cloud import monitoring_v3

from upkeep.sources.points import HOUR_S

_TERM = re.compile(r'([\w.]+) = ("(?:[^"\\]|\\.)*")')


@dataclass
class GoogleMonitoring:
    """What the stand-in holds, fails with, and has seen."""

    series: dict[str, list[Any]] = field(default_factory=dict)
    page_size: int = 100_000
    failures: list[grpc.StatusCode] = field(
        default_factory=list
    )  # of the next requests; OK is none
    not_whole: bool = False
    seen: list[Any] = field(default_factory=list)
    url: str = ""

    def list_time_series(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer one page."""
        self.seen.append(request)
        code = self.failures.pop(0) if self.failures else grpc.StatusCode.OK
        if code is not grpc.StatusCode.OK:
            context.abort(code, "as told")
        terms = {name: json.loads(text) for name, text in _TERM.findall(request.filter)}
        metric = terms.pop("metric.type")
        if metric not in self.series:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Cannot find metric(s) that match {metric}")
        found = [s for s in self.series[metric] if _labels(s) | terms == _labels(s)]
        first = int(request.page_token or 0)
        rest = first + self.page_size
        response = monitoring_v3.ListTimeSeriesResponse(
            time_series=found[first:rest],
            next_page_token=str(rest) if rest < len(found) else "",
        )
        if self.not_whole:
            response.execution_errors = [{"code": 13, "message": "a shard is away"}]
        return response


def _labels(series: Any) -> dict[str, str]:
    own = {f"metric.labels.{name}": value for name, value in series.metric.labels.items()}
    return own | {f"resource.labels.{n}": v for n, v in series.resource.labels.items()}


@contextmanager
def serving(held: GoogleMonitoring) -> Iterator[GoogleMonitoring]:
    """Serve on a free port of this machine."""
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(
        held.list_time_series,
        request_deserializer=monitoring_v3.ListTimeSeriesRequest.deserialize,
        response_serializer=monitoring_v3.ListTimeSeriesResponse.serialize,
    )
    methods = {"ListTimeSeries": handler}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("google.monitoring.v3.MetricService", methods)]
    )
    held.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield held
    finally:
        server.stop(None).wait()


def time_series(
    values: Sequence[Any], *, hours: Sequence[int] = HOURS, unit: str = "", **labels: str
) -> Any:
    """Give one aligned series: a value for each hour; labels are the metric's.

    A value is an int, a float, or a mapping of a Distribution's fields.
    """
    points = []
    for hour, value in zip(hours, values, strict=True):
        kinds = {int: "int64_value", float: "double_value", bool: "bool_value", str: "string_value"}
        end_s = int(START.timestamp()) + (hour + 1) * HOUR_S
        points.append(
            {
                "interval": {"end_time": {"seconds": end_s}},
                "value": {kinds.get(type(value), "distribution_value"): value},
            }
        )
    return monitoring_v3.TimeSeries(
        metric={"labels": labels},
        resource={"labels": {"endpoint_id": "4711"}},
        unit=unit,
        points=list(reversed(points)),  # Google gives the newest point first
    )


def exponential(counts: Sequence[int], mean: float, **fields: Any) -> dict[str, Any]:
    """Give a distribution over buckets that end at 1000, 2000, 4000 and 8000."""
    buckets = {"num_finite_buckets": 3, "growth_factor": 2.0, "scale": 1000.0}
    return {
        "count": sum(counts),
        "mean": mean,
        "bucket_options": {"exponential_buckets": buckets},
        "bucket_counts": counts,
    } | fields
