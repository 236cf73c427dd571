"""What CloudWatch is asked for, and what its answer means for one resource's day. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from upkeep.errors import ConfigError
from upkeep.sources.hourly import COUNTS, GAUGES, TIMES, GaugeName
from upkeep.sources.points import DAY_S, HOUR_S
from upkeep.sources.service_metrics import ERRORS, STATISTICS, Raw, ServiceDay
from upkeep.spec_sources import CloudWatchSource, Measure, MetricName

SAGEMAKER, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
BUILT_IN: dict[Measure, MetricName] = {
    "requests": MetricName(name="Invocations", unit="1"),
    "generation_errors": MetricName(name="Invocation5XXErrors", unit="1"),
    "api_errors": MetricName(name="Invocation4XXErrors", unit="1"),
    "latency_ms": MetricName(name="ModelLatency", unit="us"),
    "cpu": MetricName(name="CPUUtilizationNormalized", unit="percent"),
    "gpu": MetricName(name="GPUUtilizationNormalized", unit="percent"),
    "gpu_memory": MetricName(name="GPUMemoryUtilizationNormalized", unit="percent"),
    "host_memory": MetricName(name="MemoryUtilization", unit="percent"),
}
SUMS: dict[GaugeName, str] = {
    "cpu": "CPUUtilization",
    "gpu": "GPUUtilization",
    "gpu_memory": "GPUMemoryUtilization",
}
OVERHEAD, OVERHEAD_SHARE = "OverheadLatency", 0.1
_STATISTICS = {"mean": "Average", "n": "SampleCount"}  # the others are called as we call them
_GAUGE_STATISTIC = re.compile(r"Average|Minimum|Maximum|p\d{1,2}(\.\d{1,2})?")


@dataclass(frozen=True)
class Query:
    """One series of GetMetricData: a metric, its statistic, and over how many seconds."""

    namespace: str
    name: str
    statistic: str
    period_s: int

    @property
    def series(self) -> str:
        """The series as flags and reasons name it."""
        return f"{self.name} {self.statistic}"


def metrics_of(source: CloudWatchSource) -> dict[Measure, MetricName]:
    """Each measure's metric: the built-in ones of a SageMaker endpoint, and the source's own."""
    built_in = BUILT_IN if source.namespace == SAGEMAKER else {}
    return built_in | source.metrics


def namespace_of(source: CloudWatchSource, measure: str) -> str:
    """SageMaker's instances write apart from its endpoints."""
    apart = source.namespace == SAGEMAKER and measure in GAUGES
    return INSTANCES if apart else source.namespace


def resource_of(source: CloudWatchSource) -> str:
    """The namespace and the dimensions, for people."""
    named = ",".join(f"{name}={value}" for name, value in sorted(source.dimensions.items()))
    return f"{source.namespace}[{named}]"


def count_query(source: CloudWatchSource, measure: str, metric: MetricName) -> Query:
    """A count's sums, or a gauge's means, over each period."""
    statistic = metric.statistic or ("Average" if measure in GAUGES else "Sum")
    return Query(namespace_of(source, measure), metric.name, statistic, source.period_s)


def time_query(source: CloudWatchSource, name: str, statistic: str, period_s: int) -> Query:
    """One of ``STATISTICS`` of a time, over the hour or the day."""
    return Query(source.namespace, name, _STATISTICS.get(statistic, statistic), period_s)


def queries_of(source: CloudWatchSource, metrics: Mapping[Measure, MetricName]) -> Iterator[Query]:
    """All that one day needs; some of it twice."""
    for measure, metric in metrics.items():
        if measure in TIMES:
            for period_s in (HOUR_S, DAY_S):
                for statistic in STATISTICS:
                    yield time_query(source, metric.name, statistic, period_s)
        else:
            yield count_query(source, measure, metric)
    if source.namespace == SAGEMAKER:
        for name in SUMS.values():
            yield Query(INSTANCES, name, "Average", source.period_s)
        for name in (OVERHEAD, BUILT_IN["latency_ms"].name):
            yield time_query(source, name, "mean", DAY_S)


def check_statistics(where: str, metrics: Mapping[Measure, MetricName]) -> None:
    """Each measure's statistic, where it names one, is one that it can have.

    Raises:
        ConfigError: one is not.

    """
    for measure, metric in metrics.items():
        said = metric.statistic
        if said is None:
            continue
        if measure in TIMES:
            fits, fix = False, "leave it out: p50, p90, p95, p99, mean and n are all asked for"
        elif measure in GAUGES:
            fits, fix = bool(_GAUGE_STATISTIC.fullmatch(said)), "write Average, Maximum or p95"
        else:
            fits, fix = said in ("Sum", "SampleCount"), "write Sum or SampleCount"
        if not fits:
            rule = f"{measure} has no such statistic"
            raise ConfigError(f"{where} metrics.{measure}.statistic", said, rule, fix)


Answer = Mapping[Query, Raw]
Known = Callable[[], Sequence[str]]
"""The names of all metrics that CloudWatch knows of the resource."""


class Reading:
    """Reads one resource's answer into its day."""

    def __init__(self, source: CloudWatchSource, day: ServiceDay, answer: Answer) -> None:
        self._source, self._day, self._answer = source, day, answer
        self._sagemaker = source.namespace == SAGEMAKER

    def read(self, known: Known) -> None:
        """Read every measure, and decide what each hour is worth."""
        own, metrics = self._source.metrics, metrics_of(self._source)
        for measure, metric in metrics.items():
            if measure in TIMES:
                hourly, daily = (self._statistics(metric.name, s) for s in (HOUR_S, DAY_S))
                self._day.quantiles(measure, metric.name, hourly, daily, metric.unit)
                continue
            query = count_query(self._source, measure, metric)
            if measure in COUNTS:
                self._day.counts(measure, query.series, self._answer[query])
                continue
            name = cast("GaugeName", measure)
            found = self._day.gauges(name, query.series, self._answer[query], metric.unit)
            if self._sagemaker and measure not in own and not found:
                self._note_sum(name)
        if self._sagemaker:
            self._flag_overhead()
        self._day.settle(
            known=self._day.has("requests") or self._request_metric_exists(known),
            strict=self._sagemaker and not set(ERRORS) & set(own),
        )

    def _statistics(self, name: str, period_s: int) -> dict[str, Raw]:
        return {s: self._answer[time_query(self._source, name, s, period_s)] for s in STATISTICS}

    def _note_sum(self, measure: GaugeName) -> None:
        """A sum over N devices is no share, but it shows that its instance was alive."""
        name = SUMS.get(measure)
        query = Query(INSTANCES, name or "", "Average", self._source.period_s)
        if name and self._day.note_alive(query.series, self._answer[query]):
            self._flag(
                f"{measure}: not collected, {name} is a sum over devices (0 to N x 100 %); "
                f"if N is 1, set metrics: {{{measure}: {{name: {name}, unit: percent}}}}"
            )

    def _flag_overhead(self) -> None:
        queries = [
            time_query(self._source, name, "mean", DAY_S)
            for name in (OVERHEAD, BUILT_IN["latency_ms"].name)
        ]
        overhead_us, model_us = (max((v for _, v in self._answer[q]), default=0.0) for q in queries)
        if overhead_us > OVERHEAD_SHARE * model_us > 0.0:
            self._flag(f"{OVERHEAD} adds {overhead_us / 1000:.1f} ms on average to the latency")

    def _request_metric_exists(self, known: Known) -> bool:
        """Whether CloudWatch knows the request count, which had no point all day (A30, A21)."""
        metric = metrics_of(self._source).get("requests")
        if metric is None:
            return False
        names = known()
        if metric.name in names:
            return True
        nearest = get_close_matches(metric.name, names, 1)
        hint = f"; nearest: {nearest[0]}" if nearest else ""
        self._flag(f"series {metric.name} not found{hint}")
        return False

    def _flag(self, words: str) -> None:
        self._day.into.flag(self._day.prefix + words)
