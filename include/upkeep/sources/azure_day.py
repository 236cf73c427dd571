"""What Azure's metrics of one resource are called, and what they mean for its day. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from upkeep.errors import ConfigError
from upkeep.sources.hourly import COUNTS, TIMES, CountName, GaugeName, TimeName
from upkeep.sources.points import HOUR_S
from upkeep.sources.service_metrics import ERRORS, ServiceDay
from upkeep.spec_sources import AzureMonitorSource, Measure, MetricName

ENDPOINTS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
DEPLOYMENTS = f"{ENDPOINTS}/deployments"
REQUESTS = "RequestsPerMinute"
BY_CODE = ("deployment", "statusCode", "statusCodeClass", "modelStatusCode")
ERROR_OF: dict[str, CountName] = {"4": "api_errors", "5": "generation_errors"}
BUILT_IN: dict[str, dict[Measure, MetricName]] = {
    ENDPOINTS: {
        "latency_ms": MetricName(name="RequestLatency", unit="ms"),
        "network_bytes_per_s": MetricName(name="NetworkBytes", unit="bytes_per_s"),
    },
    DEPLOYMENTS: {
        "cpu": MetricName(name="CpuUtilizationPercentage", unit="percent"),
        "host_memory": MetricName(name="CpuMemoryUtilizationPercentage", unit="percent"),
        "gpu": MetricName(name="GpuUtilizationPercentage", unit="percent"),
        "gpu_memory": MetricName(name="GpuMemoryUtilizationPercentage", unit="percent"),
    },
}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_SUFFIXES = {"p50": "_P50", "p90": "_P90", "p95": "_P95", "p99": "_P99", "mean": ""}
_STATISTICS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(COUNTS, ("Total", "Count", "Average")),
    **dict.fromkeys(TIMES, ()),
}


@dataclass(frozen=True)
class Question:
    """Metrics over one grain; ``split`` are dimensions whose every value is a series."""

    names: tuple[str, ...]
    grain: timedelta
    aggregation: str
    split: tuple[str, ...] = ()


Series = tuple[Mapping[str, str], list[tuple[float, float]]]
Ask = Callable[[Question], Mapping[str, Sequence[Series]]]
"""By metric: each series' dimensions (in lower case) and its points at the start of a grain."""


def check_statistics(where: str, metrics: Mapping[Measure, MetricName]) -> None:
    """Each measure's statistic, where it names one, is one that it can have.

    Raises:
        ConfigError: one is not.

    """
    for measure, metric in metrics.items():
        allowed = _STATISTICS.get(measure, ("Average", "Maximum", "Minimum"))
        if metric.statistic is not None and metric.statistic not in allowed:
            rule = f"{measure} has no such statistic"
            fix = f"write one of: {', '.join(allowed)}" if allowed else "leave it out"
            where = f"{where} metrics.{measure}.statistic"
            raise ConfigError(where, metric.statistic, rule, fix)


def filter_of(source: AzureMonitorSource, split: Sequence[str]) -> str | None:
    """The dimensions' filter in Azure's language: the source's own values, and all of others."""
    terms = dict.fromkeys(split, "*") | source.filter
    return " and ".join(f"{name} eq '{_quoted(value)}'" for name, value in terms.items()) or None


def _quoted(value: str) -> str:
    return value.replace("'", "''").replace("(", "%2528").replace(")", "%2529")


def first_metric(source: AzureMonitorSource) -> str | None:
    """A metric that the resource must have; None if neither a built-in one nor an own is named."""
    if "requests" in source.metrics:
        return source.metrics["requests"].name
    if source.namespace == ENDPOINTS:
        return REQUESTS
    metrics = BUILT_IN.get(source.namespace, {}) | source.metrics
    return next((metric.name for metric in metrics.values()), None)


class Reading:
    """Reads one resource's metrics into its day."""

    def __init__(self, source: AzureMonitorSource, day: ServiceDay, ask: Ask) -> None:
        self._source, self._day, self._ask = source, day, ask

    def read(self) -> None:
        """Read every measure, and decide what each hour is worth."""
        own = self._source.metrics
        if self._source.namespace == ENDPOINTS:
            self._responses({name for name in ("requests", *ERRORS) if name not in own})
        metrics = BUILT_IN.get(self._source.namespace, {}) | own
        for measure, metric in metrics.items():
            if measure in COUNTS:
                self._count(measure, metric)
        for measure, metric in metrics.items():
            if measure in TIMES:
                self._quantiles(measure, metric)  # after the requests, which are their n
            elif measure not in COUNTS:
                self._gauge(cast("GaugeName", measure), metric)
        self._day.settle(strict=False)

    def _responses(self, wanted: set[CountName]) -> None:
        self._day.asked |= wanted
        question = Question((REQUESTS,), MINUTE, "Average", BY_CODE)
        for labels, points in self._ask(question)[REQUESTS] if wanted else ():
            code = labels.get("statuscodeclass") or labels.get("statuscode", "")
            series = f"{REQUESTS} {','.join(labels.values())[:80]}"
            if not code[:1].isdigit():
                self._flag(f"{REQUESTS}: code {code[:40]!r} is not counted as an error")
            self._day.responses(series, points, ERROR_OF.get(code[:1]), wanted)

    def _count(self, measure: CountName, metric: MetricName) -> None:
        """A count; ``Average`` is of a metric that says so many a minute."""
        self._day.asked.add(measure)
        statistic = metric.statistic or "Total"
        grain = MINUTE if statistic == "Average" else HOUR
        for _, points in self._ask(Question((metric.name,), grain, statistic))[metric.name]:
            self._day.counts(measure, f"{metric.name} {statistic}", points)

    def _quantiles(self, measure: TimeName, metric: MetricName) -> None:
        requests = [
            (number, hour.counts.get("requests", 0.0))
            for number, hour in enumerate(self._day.into.hours)
        ]
        start_s = self._day.window.start_s
        by_hour = [(start_s + number * HOUR_S, n) for number, n in requests if n]
        whole = math.fsum(n for _, n in requests)
        hourly = self._statistics(metric.name, HOUR) | {"n": by_hour}
        daily = self._statistics(metric.name, DAY) | {"n": [(start_s, whole)]}
        self._day.quantiles(measure, metric.name, hourly, daily, metric.unit)

    def _statistics(self, name: str, grain: timedelta) -> dict[str, list[tuple[float, float]]]:
        names = {statistic: name + suffix for statistic, suffix in _SUFFIXES.items()}
        answer = self._ask(Question(tuple(names.values()), grain, "Average"))
        return {s: self._only(called, answer[called]) for s, called in names.items()}

    def _only(self, name: str, found: Sequence[Series]) -> list[tuple[float, float]]:
        """The points of the one series there is; quantiles of several cannot be added up."""
        if len(found) > 1:
            words = f"{len(found)} series where one is due: name a dimension in filter"
            self._day.into.reject(self._day.prefix + name, words)
            return []
        return found[0][1] if found else []

    def _gauge(self, measure: GaugeName, metric: MetricName) -> None:
        question = Question((metric.name,), HOUR, metric.statistic or "Average")
        for _, points in self._ask(question)[metric.name]:
            self._day.gauges(measure, metric.name, points, metric.unit)

    def _flag(self, words: str) -> None:
        self._day.into.flag(self._day.prefix + words)
