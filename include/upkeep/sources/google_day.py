"""What Google's time series of one resource mean for its day. Pure: ``ask`` gives the series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from upkeep.sources.google_points import (
    as_buckets,
    check_time_unit,
    distributions,
    gauge_unit,
    latency_series,
    numbers,
)
from upkeep.sources.hourly import COUNTS, TIMES, CountName, GaugeName, TimeName
from upkeep.sources.points import HOUR_S, RejectedSeries
from upkeep.sources.service_metrics import ERRORS, ServiceDay
from upkeep.spec_sources import Measure, MetricName

VERTEX = "aiplatform.googleapis.com/prediction/online"
RESPONSES = f"{VERTEX}/response_count"
CPU_SUM = f"{VERTEX}/cpu/utilization"
NETWORK = (f"{VERTEX}/network/received_bytes_count", f"{VERTEX}/network/sent_bytes_count")
BUILT_IN: dict[Measure, MetricName] = {
    "latency_ms": MetricName(name=f"{VERTEX}/prediction_latencies", unit="us"),
    "gpu": MetricName(name=f"{VERTEX}/accelerator/duty_cycle", unit="share"),
}
ERROR_OF: dict[str, CountName] = {"4": "api_errors", "5": "generation_errors"}
MAX_SERIES = 2_000
DELTA, MEAN = "ALIGN_DELTA", "ALIGN_MEAN"

Ask = Callable[[str, str], list[Any] | None]
"""The series of a metric, aligned as said; None if Google does not know the metric."""


def request_metric(own: dict[Measure, MetricName]) -> str:
    """The metric that counts the requests."""
    return own["requests"].name if "requests" in own else RESPONSES


class Reading:
    """Reads one resource's metrics into its day."""

    def __init__(self, own: dict[Measure, MetricName], day: ServiceDay, ask: Ask) -> None:
        self._own, self._day, self._ask = own, day, ask
        self._unknown: set[str] = set()

    def read(self) -> None:
        """Read every measure, and decide what each hour is worth."""
        own = self._own
        self._responses({name for name in ("requests", *ERRORS) if name not in own})
        for measure, metric in (BUILT_IN | own).items():
            if measure in COUNTS:
                self._counts(measure, metric)
            elif measure in TIMES:
                self._histograms(measure, metric)
            else:
                self._gauges(cast("GaugeName", measure), metric)
        if "network_bytes_per_s" not in own:
            self._network()
        if "cpu" not in own:
            self._note_cpu_sum()
        self._day.settle(known=request_metric(own) not in self._unknown, strict=False)

    # ------------------------------------------------------------------ what it means

    def _responses(self, wanted: set[CountName]) -> None:
        self._day.asked |= wanted
        for series in self._series(RESPONSES) if wanted else ():
            code = series.metric.labels.get("response_code", "")
            if not (code.isascii() and code.isdigit()):
                self._flag(f"{RESPONSES}: code {code[:40]!r} is not counted as an error")
            error = ERROR_OF.get(code[:1])
            name = f"{RESPONSES} {code[:40]}"
            self._day.responses(name, self._numbers(name, series), error, wanted)

    def _counts(self, measure: CountName, metric: MetricName) -> None:
        self._day.asked.add(measure)
        for series in self._series(metric.name):
            self._day.counts(measure, metric.name, self._numbers(metric.name, series))

    def _histograms(self, measure: TimeName, metric: MetricName) -> None:
        kept, words = latency_series(self._series(metric.name))
        if words:
            self._flag(f"{metric.name}: {words}")
        for series in kept:
            try:
                check_time_unit(series, metric.unit)
                by_time = dict(distributions(series))
            except RejectedSeries as error:
                self._day.into.reject(self._day.prefix + metric.name, str(error))
                continue
            sizes = ((at, parts.count) for at, parts in distributions(series))
            for point in self._day.points(metric.name, sizes):
                if point.value:
                    self._histogram(measure, metric, point.at_s, by_time[point.at_s])

    def _histogram(self, measure: TimeName, metric: MetricName, at_s: float, found: Any) -> None:
        part = as_buckets(found, metric.unit)
        if isinstance(part, str):
            self._day.into.set_aside(self._day.prefix + metric.name, part, 1)
        else:
            self._day.histogram(measure, self._day.window.hour(at_s), part)

    def _gauges(self, measure: GaugeName, metric: MetricName) -> None:
        for series in self._series(metric.name, MEAN):
            points = self._numbers(metric.name, series)
            self._day.gauges(measure, metric.name, points, gauge_unit(series, metric.unit))

    def _network(self) -> None:
        """Received and sent, of all replicas together, as a mean over each hour."""
        sums: dict[float, float] = {}
        for name in NETWORK:
            for series in self._series(name):
                for at_s, value in self._numbers(name, series):
                    sums[at_s] = sums.get(at_s, 0.0) + value / HOUR_S
        if sums:
            self._day.gauges(
                "network_bytes_per_s", f"{VERTEX}/network", sums.items(), "bytes_per_s"
            )

    def _note_cpu_sum(self) -> None:
        """A sum over N cores is no share, but it shows that its machine was alive."""
        for series in self._series(CPU_SUM, MEAN):
            if self._day.note_alive(CPU_SUM, self._numbers(CPU_SUM, series)):
                self._flag(
                    f"cpu: not collected, {CPU_SUM} is a sum over cores; if there is 1, set "
                    f"metrics: {{cpu: {{name: {CPU_SUM}, unit: share}}}}"
                )

    def _series(self, metric: str, aligner: str = DELTA) -> list[Any]:
        found = self._ask(metric, aligner)
        if found is None:
            self._unknown.add(metric)
            self._flag(f"series {metric} not found")
            return []
        if len(found) > MAX_SERIES:
            words = f"{len(found)} series, at most {MAX_SERIES} are read: name labels"
            self._day.into.reject(self._day.prefix + metric, words)
            return []
        return found

    def _numbers(self, name: str, series: Any) -> list[tuple[float, Any]]:
        try:
            return list(numbers(series))
        except RejectedSeries as error:
            self._day.into.reject(self._day.prefix + name, str(error))
            return []

    def _flag(self, words: str) -> None:
        self._day.into.flag(self._day.prefix + words)
