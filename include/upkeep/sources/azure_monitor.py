"""Azure Monitor: metrics:getBatch of one resource, by the minute, the hour and the UTC day.

Built in are the metrics of an Azure ML online endpoint (namespace
``Microsoft.MachineLearningServices/workspaces/onlineEndpoints``):

- ``RequestsPerMinute`` is asked for by the minute and by each of its dimensions, and summed: its
  only aggregation is the average, which over several codes or deployments at once would be a
  mean of their counts. ``statusCodeClass`` 4xx are API errors (the request was not one that
  could be served), 5xx are generation errors (the model failed).
- ``RequestLatency_P50``, ``_P90``, ``_P95`` and ``_P99`` are quantiles of one minute, and Azure
  gives their *average* over an hour or the day, each minute with the same weight. That is not
  the quantile of the hour or the day: a slow minute at noon counts as much as one at night, and
  the tail is understated. It is comparable from day to day, not with a request log; where a
  model has both, name the log first. ``n`` is the number of requests.
- ``NetworkBytes``, in bytes a second.

and of its deployments (namespace ``../onlineEndpoints/deployments``, a source of its own beside
the endpoint's): CPU, memory, GPU and GPU memory as shares, averaged over the instances.

``metrics`` adds measures or replaces built-in ones. A time's name is that of its mean, to which
``_P50`` .. ``_P99`` are appended. A count's statistic is ``Total`` or ``Count`` over the hour, or
``Average`` if the metric says how many there were a minute. ``filter`` are dimensions.

Azure leaves out the grains it has no value for: ``service_metrics`` says when that is 0. An
answer is not paged; it is cut at ``MAX_SERIES``, and one that reaches it is refused.

Credentials are the connection's (login: client id, password: client secret, extra:
``tenantId``) or Azure's own chain. Plain http goes to this machine only, with no real token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from upkeep.errors import ConfigError, SourceError, shown
from upkeep.sources import Asked, Collected
from upkeep.sources.azure_day import (
    DAY,
    HOUR,
    MINUTE,
    Question,
    Reading,
    Series,
    check_statistics,
    filter_of,
    first_metric,
)
from upkeep.sources.points import Window
from upkeep.sources.service_metrics import check_units
from upkeep.sources.service_sum import added, each_resource
from upkeep.spec_sources import AzureMonitorSource
from upkeep.urls import ALWAYS, url_fault

MAX_SERIES = 1_000
RETRIES, BUDGET_S = 5, 120  # of one request with all its tries
LONGEST_WAIT_S = 60.0  # that a Retry-After may ask for
CONNECT_S, READ_S = 10, 60
BAD_REQUEST, NOT_FOUND = 400, 404
GRAINS = {MINUTE: "minute", HOUR: "hour", DAY: "day"}


def collect(sources: Sequence[AzureMonitorSource], asked: Asked) -> Collected:
    """Read a model's Azure metrics of the UTC day; see :func:`upkeep.sources.collect`."""
    window = Window.of(asked.day, asked.now())
    resources = each_resource("azure_monitor", sources, window)
    for source, day in resources:
        where = f"{asked.spec.name}: azure_monitor"
        check_units(where, source.metrics)
        check_statistics(where, source.metrics)
        with open_client(source, asked) as client:
            Reading(source, day, _Api(source, window, client).ask).read()
    name = " + ".join(f"azure_monitor:{_resource(s)}" for s in sources)
    return Collected(added(name, [day for _, day in resources]).metrics(asked.spec, asked.day))


def probe(source: AzureMonitorSource, asked: Asked) -> str:
    """Of how many hours of the day one of the resource's metrics has a value."""
    name = first_metric(source)
    if name is None:
        return f"{_resource(source)}: metrics names none"
    window = Window.of(asked.day, asked.now())
    with open_client(source, asked) as client:
        found = _Api(source, window, client).ask(Question((name,), HOUR, "Average"))[name]
    hours = {at for _, points in found for at, _ in points}
    return f"{_resource(source)}: {name} has {len(hours)} hours on {asked.day}"


@dataclass(frozen=True)
class _Api:
    """Asks metrics:getBatch for one resource's day."""

    source: AzureMonitorSource
    window: Window
    client: Any

    def ask(self, question: Question) -> dict[str, list[Series]]:
        """Each metric's series.

        Raises:
            ConfigError: Azure does not know the resource, a metric or a dimension.
            SourceError: it cannot be reached, or its answer is not whole.

        """
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            (result,) = self.client.query_resources(**self._query(question))
        except HttpResponseError as error:
            raise self._refused(question, error) from error
        except AzureError as error:
            raise self._failure(question, type(error).__name__) from error
        if result.granularity not in (None, question.grain):
            words = f"answered by {result.granularity}, not by the {GRAINS[question.grain]}"
            raise self._failure(question, words)
        found = {metric.name: _series(metric, question.aggregation) for metric in result.metrics}
        for name in question.names:
            if name not in found:
                raise self._failure(question, f"{name} was not answered")
            if len(found[name]) >= MAX_SERIES:
                words = f"{name} has {MAX_SERIES} series or more: name dimensions in filter"
                raise self._failure(question, words)
        return found

    def _query(self, question: Question) -> dict[str, Any]:
        dimensions = filter_of(self.source, question.split)
        days = (self.window.start_s, self.window.end_s)
        query: dict[str, Any] = {
            "resource_ids": [self.source.resource_id],
            "metric_namespace": self.source.namespace,
            "metric_names": list(question.names),
            "timespan": tuple(datetime.fromtimestamp(s, UTC) for s in days),
            "granularity": question.grain,
            "aggregations": [question.aggregation],
            "retry_on_methods": frozenset(["POST"]),  # this POST changes nothing
            "raw_response_hook": self._look,
        }
        if dimensions:  # without a number Azure cuts at 10
            query |= {"filter": dimensions, "max_results": MAX_SERIES}
        if self.source.endpoint.startswith("http://"):
            query["enforce_https"] = False  # open_client has seen to it that it is this machine
        return query

    def _look(self, response: Any) -> None:
        """What the SDK does not look at: a wait that has no end, and a metric that failed."""
        from azure.core.pipeline.policies import RetryPolicy

        wait_s = RetryPolicy().get_retry_after(response) or 0.0
        if wait_s > LONGEST_WAIT_S:
            raise SourceError(
                f"Azure Monitor {_resource(self.source)}: asks to wait {wait_s:.0f} s, at most "
                f"{LONGEST_WAIT_S:.0f} s are waited; try again later"
            )
        if response.http_response.status_code >= BAD_REQUEST:
            return
        for value in response.http_response.json().get("values", ()):
            for metric in value.get("value", ()):
                code = metric.get("errorCode") or "Success"
                if code != "Success":
                    name = metric.get("name", {}).get("value")
                    raise SourceError(
                        f"Azure Monitor {_resource(self.source)} {name}: {code[:80]}; "
                        "its values are not whole, try again later"
                    )

    def _refused(self, question: Question, error: Any) -> ConfigError | SourceError:
        if error.status_code not in (BAD_REQUEST, NOT_FOUND):
            return self._failure(question, f"{error.status_code} {error.reason}")
        return ConfigError(
            f"azure_monitor {_resource(self.source)}",
            ",".join(question.names),
            f"Azure Monitor does not accept the query: {shown(str(error.message))}",
            "mend resource_id, namespace, filter or metrics",
        )

    def _failure(self, question: Question, words: str) -> SourceError:
        return SourceError(
            f"Azure Monitor {_resource(self.source)} {question.names[0]}: {words} (at most "
            f"{RETRIES} retries in {BUDGET_S} s); see the credentials and the role "
            "Monitoring Reader"
        )


def _series(metric: Any, aggregation: str) -> list[Series]:
    """Each series' dimensions and points; a grain without a value is none."""
    found: list[Series] = []
    for part in metric.timeseries:
        labels = {str(name).lower(): str(value) for name, value in part.metadata_values.items()}
        said = ((v.timestamp.timestamp(), getattr(v, aggregation.lower())) for v in part.data)
        found.append((labels, [(at, value) for at, value in said if value is not None]))
    return found


def _resource(source: AzureMonitorSource) -> str:
    """The last two names of the resource, which people know it by."""
    return "/".join(source.resource_id.rstrip("/").split("/")[-2:])


def open_client(source: AzureMonitorSource, asked: Asked) -> Any:
    """A client of the region's metrics endpoint, with a bounded number of retries.

    Raises:
        ConfigError: the endpoint is not allowed, or the connection is not complete.

    """
    from azure.monitor.querymetrics import MetricsClient

    parts = urlsplit(source.endpoint)
    fault = url_fault(source.endpoint)
    if not fault and parts.scheme == "http" and parts.hostname not in ALWAYS:
        fault = "is plain http to another machine", "write https://host"
    if fault:
        where = f"{asked.spec.name}: azure_monitor endpoint"
        raise ConfigError(where, source.endpoint, *fault)
    return MetricsClient(
        source.endpoint.rstrip("/"),
        _StandInToken() if parts.scheme == "http" else _credential(source, asked),
        retry_total=RETRIES,
        retry_status=RETRIES,
        timeout=BUDGET_S,
        connection_timeout=CONNECT_S,
        read_timeout=READ_S,
    )


def _credential(source: AzureMonitorSource, asked: Asked) -> Any:
    from azure.identity import ClientSecretCredential, DefaultAzureCredential

    if source.connection is None:
        return DefaultAzureCredential()
    secret = asked.credentials(source.connection)
    tenant = str(secret.extra.get("tenantId") or secret.extra.get("tenant_id") or "")
    if not (tenant and secret.login and secret.password):
        rule = "it has no login (client id), password (client secret) or extra tenantId"
        raise ConfigError("connection", source.connection, rule, "add them to the connection")
    return ClientSecretCredential(tenant, secret.login, secret.password)


class _StandInToken:
    """No real token ever travels over plain http."""

    def get_token(self, *_: str, **__: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("stand-in", 2**31)
