"""Which series say a measure: the built-in sets, and what a model's file adds or replaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from upkeep.errors import ConfigError
from upkeep.sources.hourly import COUNTS, TIMES, CountName, GaugeName, TimeName
from upkeep.sources.prometheus_promql import named
from upkeep.spec_sources import Measure, MetricName, PrometheusSource

SELECTOR = "$sel"  # stands for the model's own labels in a gauge's expression
RATE = "$rate"  # stands for the window of a rate


@dataclass(frozen=True)
class Family:
    """Counters that belong together, and which of them count.

    ``where`` is PromQL; ``counted`` maps labels (or ``__name__``) to the pattern that a series
    must match to be counted. The others show that the family is collected at all: with them
    there, no counted series means 0, as most clients export a counter at its first event only.
    """

    names: tuple[str, ...]
    where: str = ""
    counted: Mapping[str, str] = field(default_factory=dict)

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is one of those that count."""
        return all(re.fullmatch(p, labels.get(name, "")) for name, p in self.counted.items())


@dataclass(frozen=True)
class Count:
    """A count is the sum of its families; without the first one it is not collected."""

    measure: CountName
    families: tuple[Family, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that it is made of."""
        return tuple(name for family in self.families for name in family.names)


@dataclass(frozen=True)
class Histogram:
    """Times, by the name without ``_bucket``; classic or native."""

    measure: TimeName
    name: str
    unit: str = "s"

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that it is made of."""
        return (self.name, f"{self.name}_bucket", f"{self.name}_sum")


@dataclass(frozen=True)
class Level:
    """A gauge: PromQL over ``names``, in ``unit``."""

    measure: GaugeName
    names: tuple[str, ...]
    expression: str
    unit: str = "share"


Query = Count | Histogram | Level


def _gauge(measure: GaugeName, unit: str, *names: str) -> Level:
    return Level(measure, names, f"{{{named(names)}, {SELECTOR}}}", unit)


def _ratio(measure: GaugeName, used: str, *rest: str) -> Level:
    """``used`` as a share of the sum of ``rest``."""
    whole = " + ".join(f"{name}{{{SELECTOR}}}" for name in rest)
    return Level(measure, tuple(dict.fromkeys((used, *rest))), f"{used}{{{SELECTOR}}} / ({whole})")


def _one(measure: CountName, name: str) -> Count:
    return Count(measure, (Family((name,)),))


# vLLM counts what its engine finished; what its HTTP server refused never got there.
_VLLM_FINISHED = ("vllm:request_success_total",)
_VLLM_HTTP = Family(
    ("http_requests_total",), 'method="POST", handler=~"/v1/.+|/generate"', {"status": "[45].*"}
)
_TGI_ENDED = ("tgi_request_success", "tgi_request_failure")
_TGI_REFUSED = "validation|overloaded"
_TRITON_ENDED = ("nv_inference_request_success", "nv_inference_request_failure")
_DISCS = 'device!~"lo|veth.*|docker.*|cni.*|cali.*"'

SETS: Mapping[str, tuple[Query, ...]] = {
    "vllm": (
        Count("requests", (Family(_VLLM_FINISHED), _VLLM_HTTP)),
        Count(
            "generation_errors",
            (Family(_VLLM_FINISHED, counted={"finished_reason": "abort|error"}),),
        ),
        Count("api_errors", (_VLLM_HTTP,)),
        _one("tokens_in", "vllm:prompt_tokens_total"),
        _one("tokens_out", "vllm:generation_tokens_total"),
        Histogram("latency_ms", "vllm:e2e_request_latency_seconds"),
        Histogram("ttft_ms", "vllm:time_to_first_token_seconds"),
        # vLLM takes the memory of a GPU at its start; how full its cache is, is what moves.
        _gauge("gpu_memory", "share", "vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"),
    ),
    # https://huggingface.co/docs/text-generation-inference/reference/metrics
    "tgi": (
        _one("requests", "tgi_request_count"),
        Count(
            "generation_errors",
            (
                Family(
                    _TGI_ENDED,
                    counted={
                        "__name__": "tgi_request_failure",
                        "err": f"(?!(?:{_TGI_REFUSED})$).*",
                    },
                ),
            ),
        ),
        Count(
            "api_errors",
            (
                Family(
                    _TGI_ENDED,
                    counted={"__name__": "tgi_request_failure", "err": _TGI_REFUSED},
                ),
            ),
        ),
        _one("tokens_in", "tgi_request_input_length_sum"),
        _one("tokens_out", "tgi_request_generated_tokens_sum"),
        Histogram("latency_ms", "tgi_request_duration"),
    ),
    # Its nv_inference_request_duration_us is a sum without buckets: it gives no quantile, so
    # that Triton's latency is not collected. The first response's histogram is off by default
    # (--metrics-config histogram_latencies=true).
    "triton": (
        Count("requests", (Family(_TRITON_ENDED),)),
        Count(
            "generation_errors",
            (
                Family(
                    _TRITON_ENDED,
                    counted={
                        "__name__": "nv_inference_request_failure",
                        "reason": "(?!REJECTED$).*",
                    },
                ),
            ),
        ),
        Count(
            "api_errors",
            (
                Family(
                    _TRITON_ENDED,
                    counted={"__name__": "nv_inference_request_failure", "reason": "REJECTED"},
                ),
            ),
        ),
        Histogram("ttft_ms", "nv_inference_first_response_histogram_ms", "ms"),
        _gauge("gpu", "share", "nv_gpu_utilization"),
        _ratio("gpu_memory", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"),
        _gauge("cpu", "share", "nv_cpu_utilization"),
        _ratio("host_memory", "nv_cpu_memory_used_bytes", "nv_cpu_memory_total_bytes"),
    ),
    "dcgm": (
        _gauge("gpu", "percent", "DCGM_FI_DEV_GPU_UTIL"),
        _ratio(
            "gpu_memory", "DCGM_FI_DEV_FB_USED", *("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE")
        ),
    ),
    "node": (
        Level(
            "cpu",
            ("node_cpu_seconds_total",),
            "clamp_min(1 - avg without (cpu, mode) "
            f'(rate(node_cpu_seconds_total{{mode="idle", {SELECTOR}}}[{RATE}])), 0)',
        ),
        Level(
            "host_memory",
            ("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"),
            f"1 - node_memory_MemAvailable_bytes{{{SELECTOR}}} "
            f"/ node_memory_MemTotal_bytes{{{SELECTOR}}}",
        ),
        Level(
            "network_bytes_per_s",
            ("node_network_receive_bytes_total", "node_network_transmit_bytes_total"),
            " + ".join(
                "sum without (device) "
                f"(rate(node_network_{way}_bytes_total{{{_DISCS}, {SELECTOR}}}[{RATE}]))"
                for way in ("receive", "transmit")
            ),
            "bytes_per_s",
        ),
    ),
}

_UNITS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(COUNTS, ("1",)),
    **dict.fromkeys(TIMES, ("s", "ms", "us")),
    **dict.fromkeys(("cpu", "gpu", "gpu_memory", "host_memory"), ("share", "percent")),
    "network_bytes_per_s": ("bytes_per_s", "bytes"),
}


def plan(source: PrometheusSource) -> tuple[Query, ...]:
    """What to ask for: of each measure the model's own name, else the first set that has it.

    Raises:
        ConfigError: a metric of the model's file has a unit that its measure cannot have, or
            a statistic, which Prometheus' metrics do not have.

    """
    queries: dict[str, Query] = {
        measure: _own(measure, metric) for measure, metric in source.metrics.items()
    }
    for name in source.queries:
        for query in SETS[name]:
            queries.setdefault(query.measure, query)
    return tuple(queries.values())


def _own(measure: Measure, metric: MetricName) -> Query:
    where = f"prometheus metrics.{measure}"
    if metric.unit not in _UNITS[measure]:
        units = " or ".join(_UNITS[measure])
        raise ConfigError(f"{where}.unit", metric.unit, f"{measure} is in {units}", "correct it")
    if metric.statistic is not None:
        rule = "a metric of Prometheus has no statistics"
        raise ConfigError(f"{where}.statistic", metric.statistic, rule, "remove it")
    if measure in COUNTS:
        return _one(measure, metric.name)
    if measure in TIMES:
        name = metric.name.removesuffix("_bucket")
        return Histogram(measure, name, metric.unit)
    if metric.unit == "bytes":  # bytes so far, a counter
        expression = f"rate({{{named((metric.name,))}, {SELECTOR}}}[{RATE}])"
        return Level("network_bytes_per_s", (metric.name,), expression, "bytes_per_s")
    return _gauge(cast("GaugeName", measure), metric.unit, metric.name)


def expression(level: Level, own: str, step_s: int) -> str:
    """The PromQL of a gauge; rates look back over five minutes, and over four steps at least."""
    window = f"{max(300, 4 * step_s)}s"
    return level.expression.replace(RATE, window).replace(SELECTOR, own)
