"""What a compute engine must know of the cluster: one class an engine.

``jobs.engine`` names the engine; its settings stand beside it under its own name, in
``defaults.yaml`` for the whole fleet or in a model's file. ``connection`` names an Airflow
connection; no secret ever stands in these files.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from upkeep.spec_part import Part, Url
from upkeep.spec_sources import Connection

EngineName = Literal["aws_batch", "kubernetes", "local", "ray", "sagemaker", "slurm"]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,199}$")]
Argument = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Arn = Annotated[str, StringConstraints(pattern=r"^arn:[a-z0-9-]+:[A-Za-z0-9:/_.-]{1,500}$")]
Digest = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9./_:-]{0,300}@sha256:[0-9a-f]{64}$")
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]{0,99}$")]
WORKER: tuple[str, ...] = ("python3", "-m", "upkeep.worker")


class WorkerSettings(Part):
    """How the worker is started there: an argument list, and variables that are no secrets."""

    command: tuple[Argument, ...] = Field(WORKER, min_length=1, max_length=50, strict=False)
    environment: dict[Variable, str] = Field(default_factory=dict)


class SlurmSettings(WorkerSettings):
    """Slurm's own commands, here or over SSH on ``host``; ``folder`` is shared by the cluster."""

    folder: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_./-]{1,300}$")]
    host: Word | None = None
    connection: Connection | None = None
    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None


class RaySettings(WorkerSettings):
    """The Jobs REST API of a Ray head, KubeRay's too; ``connection``'s password is the token."""

    address: Url
    connection: Connection | None = None
    allow_insecure: bool = False


class KubernetesSettings(WorkerSettings):
    """Jobs of ``batch/v1`` in one namespace."""

    image: Digest
    namespace: Word = "default"
    service_account: Word = "upkeep-worker"
    context: Word | None = None
    connection: Connection | None = None
    gpu_resource: Word = "nvidia.com/gpu"
    ttl_s: Annotated[int, Field(ge=600, le=2_592_000)] = 604_800


class AwsBatchSettings(WorkerSettings):
    """A job queue and a job definition that exist in AWS Batch."""

    queue: Word
    definition: Word
    region: Word | None = None
    connection: Connection | None = None


class SageMakerSettings(WorkerSettings):
    """CreateTrainingJob of SageMaker."""

    image: Argument
    role: Arn
    instance_type: Word
    output: Annotated[
        str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")
    ]
    region: Word | None = None
    connection: Connection | None = None
    volume_gb: Annotated[int, Field(ge=1, le=16_384)] = 100
    spot: bool = False
