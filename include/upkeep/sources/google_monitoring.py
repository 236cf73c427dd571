"""Google Cloud Monitoring: ListTimeSeries, aligned to hours, read to its last page.

Built in are the metrics of a Vertex AI endpoint (``aiplatform.googleapis.com/prediction/online``),
given ``endpoint_id`` as a label of the resource:

- ``response_count`` by ``response_code``: all are requests; 4xx are API errors (the request was
  not one that could be served), 5xx are generation errors (the model failed). An hour with any
  answer knows its errors, which may be 0.
- ``prediction_latencies`` are histograms in microseconds: they add up over the hours and deployed
  models, and the day's quantiles are theirs, good to the width of a bucket. Where they are split
  by ``latency_type``, one type is read (``total`` before ``model``), never two together.
- ``accelerator/duty_cycle`` is a share. ``cpu/utilization`` is a sum over the machine's cores,
  may exceed 1, and the number of cores is not in it: it is not read as a share, and a flag says
  how to name it in ``metrics`` where there is one core. ``network`` bytes, received and sent, are
  averaged over the hour. Memory is in bytes without a total: not collected.

``metrics`` adds measures or replaces built-in ones: counts are DELTA metrics, times are DELTA
distributions, the others are gauges. ``labels`` are labels of the resource, or with ``metric.``
before them of the metric. Vertex writes no point where nothing was requested: ``service_metrics``
says when that is 0.

Credentials are the connection's (extra: ``keyfile_dict``, a service account's key) or Google's
own chain. ``endpoint`` is another address of the API; only on this machine may it be plain http.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from upkeep.errors import ConfigError, SourceError
from upkeep.sources import Asked, Collected
from upkeep.sources.google_day import DELTA, Reading, request_metric
from upkeep.sources.points import HOUR_S, Window
from upkeep.sources.service_metrics import check_units
from upkeep.sources.service_sum import added, each_resource
from upkeep.spec_sources import GoogleMonitoringSource
from upkeep.urls import ALWAYS, url_fault

BUDGET_S, CALL_S = 120.0, 60.0  # of one metric with all its tries, and of one call
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


def collect(sources: Sequence[GoogleMonitoringSource], asked: Asked) -> Collected:
    """Read a model's Google metrics of the UTC day; see :func:`upkeep.sources.collect`."""
    window = Window.of(asked.day, asked.now())
    resources = each_resource("google_monitoring", sources, window)
    for source, day in resources:
        check_units(f"{asked.spec.name}: google_monitoring", source.metrics)
        api = _Api(source, window, open_client(source, asked))
        Reading(source.metrics, day, api.series).read()
    name = " + ".join(f"google_monitoring:{_resource(s)}" for s in sources)
    return Collected(added(name, [day for _, day in resources]).metrics(asked.spec, asked.day))


def probe(source: GoogleMonitoringSource, asked: Asked) -> str:
    """How many series the request count had on the day."""
    api = _Api(source, Window.of(asked.day, asked.now()), open_client(source, asked))
    name = request_metric(source.metrics)
    found = api.series(name, DELTA) or ()
    return f"{_resource(source)}: {len(found)} series of {name} on {asked.day}"


@dataclass(frozen=True)
class _Api:
    """Asks the Monitoring API for one resource's day."""

    source: GoogleMonitoringSource
    window: Window
    client: Any

    def series(self, metric: str, aligner: str) -> list[Any] | None:
        """All series of a metric, of all pages; None if Google does not know the metric.

        Raises:
            ConfigError: Google does not accept the filter.
            SourceError: it cannot be reached, or says itself that its answer is not whole.

        """
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError

        try:
            return self._pages(metric, aligner)
        except exceptions.NotFound:
            return None
        except exceptions.InvalidArgument as error:
            where = f"google_monitoring {_resource(self.source)}"
            rule, fix = "Google does not accept the query", "mend the metric's name or the labels"
            raise ConfigError(where, metric, rule, fix) from error
        except (exceptions.GoogleAPIError, GoogleAuthError) as error:
            cause = getattr(error, "cause", None) or error  # what the last try met
            raise self._failure(metric, type(cause).__name__) from error

    def _pages(self, metric: str, aligner: str) -> list[Any]:
        from google.api_core import exceptions, retry
        from google.cloud import monitoring_v3

        again = retry.if_exception_type(
            exceptions.ServiceUnavailable,
            exceptions.ResourceExhausted,
            exceptions.DeadlineExceeded,
            exceptions.InternalServerError,
        )
        pager = self.client.list_time_series(
            request=monitoring_v3.ListTimeSeriesRequest(
                name=f"projects/{self.source.project}",
                filter=_filter(metric, self.source),
                interval={
                    "start_time": {"seconds": int(self.window.start_s)},
                    "end_time": {"seconds": int(self.window.end_s)},
                },
                aggregation={
                    "alignment_period": {"seconds": HOUR_S},
                    "per_series_aligner": aligner,
                },
            ),
            retry=retry.Retry(
                again, initial=FIRST_WAIT_S, maximum=LONGEST_WAIT_S, timeout=BUDGET_S
            ),
            timeout=CALL_S,
        )
        found: list[Any] = []
        for page in pager.pages:
            if page.execution_errors:
                said = f"an answer that is not whole ({len(page.execution_errors)} errors)"
                raise self._failure(metric, said)
            found += page.time_series
        return found

    def _failure(self, metric: str, words: str) -> SourceError:
        return SourceError(
            f"Google Monitoring {_resource(self.source)} {metric}: {words} (tried for at most "
            f"{BUDGET_S:g} s); see the credentials and the role monitoring.viewer"
        )


def _resource(source: GoogleMonitoringSource) -> str:
    named = ",".join(f"{name}={value}" for name, value in sorted(source.labels.items()))
    return f"{source.project}[{named}]"


def _filter(metric: str, source: GoogleMonitoringSource) -> str:
    parts = [f"metric.type = {_quoted(metric)}"]
    for name, value in sorted(source.labels.items()):
        of = "metric" if name.startswith("metric.") else "resource"
        parts.append(f"{of}.labels.{name.removeprefix('metric.')} = {_quoted(value)}")
    return " AND ".join(parts)


def _quoted(text: str) -> str:
    r"""A string of Google's filter language: ``\`` and ``"`` cannot end it."""
    return json.dumps(text, ensure_ascii=False)


def open_client(source: GoogleMonitoringSource, asked: Asked) -> Any:
    """A client of the Monitoring API.

    Raises:
        ConfigError: the endpoint is not allowed, or the connection holds no key.
        SourceError: there are no credentials.

    """
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import monitoring_v3

    url = source.endpoint
    fault = url_fault(url) if url else None
    parts = urlsplit(url or "")
    if not fault and parts.scheme == "http" and parts.hostname not in ALWAYS:
        fault = "is plain http to another machine", "write https://host"
    if fault:
        raise ConfigError(f"{asked.spec.name}: google_monitoring endpoint", url, *fault)
    if parts.scheme == "http":
        import grpc

        transport = monitoring_v3.MetricServiceClient.get_transport_class("grpc")
        channel = grpc.insecure_channel(f"{parts.hostname}:{parts.port or 80}")
        return monitoring_v3.MetricServiceClient(transport=transport(channel=channel))
    options = {"api_endpoint": parts.netloc} if url else None
    try:
        key = _key(source, asked)
        return monitoring_v3.MetricServiceClient(credentials=key, client_options=options)
    except GoogleAuthError as error:
        raise SourceError(
            f"Google Monitoring {_resource(source)}: {type(error).__name__}; name a connection, "
            "or set up Google's own credentials"
        ) from error


def _key(source: GoogleMonitoringSource, asked: Asked) -> Any:
    """The service account of the connection; None: Google's own chain."""
    from google.oauth2 import service_account

    if source.connection is None:
        return None
    found = asked.credentials(source.connection).extra.get("keyfile_dict")
    try:
        fields = json.loads(found) if isinstance(found, str) else dict(found or {})
        return service_account.Credentials.from_service_account_info(fields)
    except ValueError as error:
        rule = "its extra has no keyfile_dict with a service account's key"
        fix = "add the key's JSON to the connection"
        raise ConfigError("connection", source.connection, rule, fix) from error
