"""What the worker gets, and what it gives back."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from upkeep.records.base import (
    Count,
    Direction,
    FileHash,
    Folder,
    JobKind,
    ModelName,
    NonNegative,
    Record,
    Sha256,
)
from upkeep.records.trials import Step


class Resources(Record):
    """What a job may use: ``timeout_s`` while it runs, ``queue_timeout_s`` before it runs."""

    cpus: Annotated[int, Field(ge=1, le=1024)] = 2
    gpus: Annotated[int, Field(ge=0, le=1024)] = 0
    memory_gib: Annotated[float, Field(gt=0, le=65536)] = 4.0
    timeout_s: Annotated[int, Field(ge=10, le=604_800)] = 1800
    queue_timeout_s: Annotated[int, Field(ge=10, le=604_800)] = 86_400


class JobCaps(Record):
    """What all jobs of one UTC day may use together; None does not limit.

    The last fence before an engine, whatever a policy allows: GPU-hours are counted by the run
    time-out of each attempt, when it is submitted.
    """

    jobs_per_day: Annotated[int, Field(ge=0, le=100_000)] | None = None
    gpu_hours_per_day: Annotated[float, Field(ge=0, le=1e6)] | None = None


class ModelInput(Record):
    """A model version that a job reads: where its files lie, with their hashes."""

    version: str
    format: Literal["safetensors", "openvino", "onnx"]
    folder: Folder


class JobSpec(Record):
    """One job for the worker. ``key`` is ``model/day/kind``: at most one job ever has it.

    ``data`` maps a role to a file in the store: ``evaluation``, ``training`` and ``original``
    (what the model was first trained on) are JSON lines of :class:`Sample`, ``selection`` says
    how training texts were chosen (:class:`TrainingSelection`), ``images`` and ``references``
    are Parquet files of images by name. ``tools`` are folders of other models that measure:
    ``features`` (ONNX), ``clip``. ``earlier`` is what earlier days found of ways to compress:
    JSON lines of :class:`Earlier`.
    ``params`` are the method's settings, JSON values only. ``image`` is the container that the
    engine starts, where it starts one, by its digest; ``environment`` are variables of the job's
    processes, never secrets.
    """

    key: str
    kind: JobKind
    model: ModelName
    day: date
    method: str
    source: ModelInput
    candidate: ModelInput | None = None
    data: dict[str, FileHash] = Field(default_factory=dict)
    tools: dict[str, Folder] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    resources: Resources = Resources()
    caps: JobCaps = JobCaps()
    image: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    store_root: str
    output_prefix: str


class Candidate(Record):
    """A model version made by a job, not yet anybody's champion.

    ``steps`` are the methods that really made it, where a chain or a search did. With
    ``no_candidate`` no model met what was asked, for the reason that stands there; the files
    are then those of the nearest one, which the gate measures and refuses. ``events`` are
    TensorBoard's files of a training.
    """

    model: ModelName
    day: date
    job_key: str
    kind: Literal["compress", "retrain"]
    method: str
    parent_version: str
    format: Literal["safetensors", "openvino", "onnx"]
    folder: Folder
    measurements: dict[str, float]
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    no_candidate: str = ""
    events: Folder | None = None


class JobFailure(Record):
    """A job that failed for good: no further attempt is made under its key."""

    key: str
    attempts: Count
    words: str


class PairedScores(Record):
    """Per-sample scores of champion and candidate on the same samples, in the same order.

    ``champion`` and ``candidate`` are sums of a per-sample loss (negative log-likelihood in
    nats), ``weights`` the number of tokens of each sample; ``slices`` its slice.
    """

    measure: str
    direction: Direction
    sample_ids: tuple[str, ...]
    slices: tuple[str, ...]
    champion: tuple[float, ...]
    candidate: tuple[float, ...]
    weights: tuple[float, ...]


class PairedTimes(Record):
    """Champion and candidate measured in turn (A B A B ..) on one machine in one run.

    ``champion_ms`` and ``candidate_ms`` hold one number a round, paired by position. With one
    request at a time ``quantity`` is ``latency_ms`` or ``ttft_ms``; at the production
    concurrency ``concurrent_latency_ms`` (waiting included) or ``concurrent_ms_per_token``:
    1,000 divided by it are tokens/s.
    """

    quantity: str
    champion_ms: tuple[NonNegative, ...]
    candidate_ms: tuple[NonNegative, ...]


class TokenAgreement(Record):
    """Greedy continuations of both models: how many tokens are the same at the same place.

    ``whole`` counts the ``prompts`` whose continuations are the same from end to end.
    """

    prompts: Count
    tokens: Count
    equal: Count
    whole: Count

    @property
    def share(self) -> float | None:
        """Equal tokens of all; None of none."""
        return self.equal / self.tokens if self.tokens else None


class Benchmark(Record):
    """Champion against candidate: paired quality, paired times, sizes, and on what machine.

    ``.._peak_bytes`` is the largest resident memory of a fresh process that loads the one model
    and answers the prompts, its libraries included. ``set_scores`` are measures that no sample has
    alone (FID, KID), of champion and candidate.
    """

    model: ModelName
    day: date
    job_key: str
    champion_version: str
    champion_files_sha256: Sha256
    candidate_files_sha256: Sha256
    scores: tuple[PairedScores, ...]
    times: tuple[PairedTimes, ...]
    champion_size_bytes: Count
    candidate_size_bytes: Count
    evaluation_set_sha256: Sha256
    machine: dict[str, str]
    concurrency: Annotated[int, Field(ge=1)] = 1
    agreement: TokenAgreement | None = None
    set_scores: dict[str, tuple[float, float]] = Field(default_factory=dict)
    champion_peak_bytes: Count | None = None
    candidate_peak_bytes: Count | None = None
