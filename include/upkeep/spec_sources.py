"""Where a model's production metrics come from: one class a kind of source.

Sources of one kind are parts of the same traffic and add up; sources of different kinds are
views of the same traffic: the first that knows a measure says it, and where another differs by
more than ``agreement`` of the model's trust, that is a finding. ``connection`` names an Airflow
connection; no secret ever stands in these files.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from upkeep.spec_part import Part, Url

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_:.-]{0,199}$")]
LabelValue = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Connection = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
# The canonical measures that a source of series can give; times in ms, shares of 0 to 1.
Measure = Literal[
    "requests",
    "generation_errors",
    "api_errors",
    "tokens_in",
    "tokens_out",
    "latency_ms",
    "ttft_ms",
    "cpu",
    "gpu",
    "gpu_memory",
    "host_memory",
    "network_bytes_per_s",
]
Unit = Literal["1", "s", "ms", "us", "share", "percent", "bytes", "bytes_per_s", "MiB", "GiB"]


class RequestLogSource(Part):
    """Request logs: one file an hour under ``path/<day>/``, a folder or ``s3://bucket/prefix``.

    JSON lines (``03.jsonl``, ``03.jsonl.gz``, ``03.jsonl.zst``) or ``03.parquet``; ``path`` may
    name ``${VAR}``.
    """

    kind: Literal["request_log"]
    path: Url
    connection: Connection | None = None
    slice_field: str = "client"
    max_line_bytes: Annotated[int, Field(ge=1024, le=2**30)] = 1_048_576
    max_decompressed_bytes: Annotated[int, Field(ge=2**20, le=2**44)] = 64 * 2**30


class MetricName(Part):
    """How a system calls one measure, and in which unit it counts.

    ``statistic`` is for systems whose names have several (``p95``, ``Sum``, ``Average``).
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    unit: Unit
    statistic: str | None = None


class PrometheusSource(Part):
    """A Prometheus (or what speaks its HTTP API).

    ``queries`` names built-in sets; ``metrics`` adds to them or replaces theirs; ``selector``
    are the labels that every series of this model has. ``replica_label`` tells the two of a
    highly available pair of Prometheus apart; of each pair one is read.
    """

    kind: Literal["prometheus"]
    url: Url
    connection: Connection | None = None
    queries: tuple[Literal["vllm", "tgi", "triton", "dcgm", "node"], ...] = Field((), strict=False)
    metrics: dict[Measure, MetricName] = Field(default_factory=dict)
    selector: dict[Name, LabelValue] = Field(default_factory=dict)
    replica_label: Name | None = None
    step_s: Annotated[int, Field(ge=5, le=3600)] = 60
    max_series: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000


class CloudWatchSource(Part):
    """Amazon CloudWatch, by default as a SageMaker endpoint writes it."""

    kind: Literal["cloudwatch"]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    namespace: Annotated[str, StringConstraints(min_length=1, max_length=255)] = "AWS/SageMaker"
    dimensions: dict[Name, LabelValue]
    metrics: dict[Measure, MetricName] = Field(default_factory=dict)
    connection: Connection | None = None
    period_s: Literal[60, 300, 3600] = 3600


class AzureMonitorSource(Part):
    """Azure Monitor, by default as an Azure ML online endpoint writes it."""

    kind: Literal["azure_monitor"]
    resource_id: Annotated[str, StringConstraints(pattern=r"^/subscriptions/[^\s]{1,800}$")]
    endpoint: Url
    namespace: str = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    filter: dict[Name, LabelValue] = Field(default_factory=dict)
    metrics: dict[Measure, MetricName] = Field(default_factory=dict)
    connection: Connection | None = None


class GoogleMonitoringSource(Part):
    """Google Cloud Monitoring, by default as a Vertex AI endpoint writes it."""

    kind: Literal["google_monitoring"]
    project: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
    labels: dict[Name, LabelValue]
    metrics: dict[Measure, MetricName] = Field(default_factory=dict)
    connection: Connection | None = None
    endpoint: Url | None = None


Source = Annotated[
    RequestLogSource
    | PrometheusSource
    | CloudWatchSource
    | AzureMonitorSource
    | GoogleMonitoringSource,
    Field(discriminator="kind"),
]
