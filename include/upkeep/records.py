"""START HERE: the facts that travel between the steps, and between the two programs.

Every record is frozen, refuses unknown fields, and holds finite numbers only: a value that
could not be measured is ``None`` ("not collected"), never 0 and never NaN. Units stand in the
names (``_ms``, ``_usd``, ``_bytes``, ``_per_s``); days are ``date`` in UTC, half-open
[00:00, 24:00). ``canonical_bytes`` is the one serialised form: hashes, replay and the store
all use it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Action = Literal["keep", "compress", "retrain", "rollback", "hold", "investigate"]
Cause = Literal[
    "none",
    "learning",  # too little history to judge
    "no_traffic",
    "data_breakage",
    "traffic_volume",
    "workload",  # each request asks for more work, and takes as much longer
    "traffic_mix",  # inputs changed and quality fell with them
    "model_quality",
    "infrastructure",
    "price",
    "upstream_errors",
    "unknown",
]
DriftState = Literal["stable", "watch", "drifted", "improved", "unknown"]
JobKind = Literal["evaluate", "compress", "retrain", "benchmark"]
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "unknown"]
Direction = Literal["lower_is_better", "higher_is_better", "neither"]

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0.0)]


HELD_OUT_TENTHS = 3


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys, no spaces and no NaN: equal values give equal bytes."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class Record(BaseModel):
    """Base of all records: frozen, strict about fields, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical_bytes(self) -> bytes:
        """The record's one serialised form."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of ``canonical_bytes``."""
        return sha256_hex(self.canonical_bytes())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what ``canonical_bytes`` wrote; pydantic's ValidationError otherwise."""
        return cls.model_validate_json(data)


class Interval(Record):
    """A two-sided interval with its nominal confidence (0.95 = 95 %)."""

    low: float
    high: float
    confidence: Share = 0.95

    @property
    def half_width(self) -> float:
        """Half of the interval's width, in the interval's own unit."""
        return (self.high - self.low) / 2.0


class RecordRef(Record):
    """Where a record lies in the store, and its hash: what XCom carries."""

    key: str
    sha256: Sha256


class FileHash(Record):
    """One file of a folder: POSIX path relative to the folder, size and hash."""

    path: str
    size_bytes: Count
    sha256: Sha256


class Folder(Record):
    """A folder of model files in the store: its key prefix and its files, sorted by path."""

    prefix: str
    files: tuple[FileHash, ...]

    @property
    def files_sha256(self) -> str:
        """Identity of the content: hash over (path, sha256) of every file; not of the place."""
        return sha256_hex(canonical_json([[f.path, f.sha256] for f in self.files]))

    @property
    def size_bytes(self) -> int:
        """Sum of the file sizes."""
        return sum(f.size_bytes for f in self.files)


# ---------------------------------------------------------------- what production did


class Quantiles(Record):
    """Quantiles of one quantity over the day (or hour), with the number of samples."""

    p50: NonNegative
    p90: NonNegative
    p95: NonNegative
    p99: NonNegative
    mean: NonNegative
    n: Count


class HourMetrics(Record):
    """One UTC hour of a day. ``covered`` is False when its data is missing or unreadable."""

    hour: Annotated[int, Field(ge=0, le=23)]
    covered: bool
    requests: Count | None = None
    errors: Count | None = None
    latency_p95_ms: NonNegative | None = None


class Quarantined(Record):
    """A file or row that was set aside, and why."""

    what: str
    reason: str
    rows: Count = 0


class DailyMetrics(Record):
    """What production did on one UTC day. ``None`` means not collected, never zero."""

    model: ModelName
    day: date
    source: str
    coverage: Share
    rows_read: Count
    rows_quarantined: Count
    requests: Count | None = None
    generation_errors: Count | None = None
    api_errors: Count | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    latency_ms: Quantiles | None = None
    ttft_ms: Quantiles | None = None
    tokens_out_per_s: NonNegative | None = None
    busy_s: NonNegative | None = None
    cost_usd: NonNegative | None = None
    cost_usd_per_1k: NonNegative | None = None
    price_usd_per_hour: NonNegative | None = None
    prompt_chars_mean: NonNegative | None = None
    requests_by_slice: dict[str, int] = Field(default_factory=dict)
    requests_by_version: dict[str, int] = Field(default_factory=dict)
    hours: tuple[HourMetrics, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    flags: tuple[str, ...] = ()  # odd and accepted, in words

    @property
    def error_rate(self) -> float | None:
        """Failed share of all requests, or None where it cannot be known."""
        if not self.requests or self.generation_errors is None or self.api_errors is None:
            return None
        return (self.generation_errors + self.api_errors) / self.requests


class Finding(Record):
    """One check of a day's data: what was looked at, what was seen, what is allowed."""

    check: str
    passed: bool
    severity: Literal["hold", "investigate", "flag"]
    observed: str
    rule: str
    words: str


class ValidationResult(Record):
    """Whether a day's data can be trusted. ``trusted`` is False if any hold finding failed."""

    model: ModelName
    day: date
    trusted: bool
    coverage: Share
    bad_share: Share
    findings: tuple[Finding, ...]
    suite: str
    suite_sha256: Sha256

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that did not pass."""
        return tuple(f for f in self.findings if not f.passed)


# ---------------------------------------------------------------- quality, drift, decision


class SliceScore(Record):
    """A measure's score on one slice of the evaluation set."""

    name: str
    score: float
    interval: Interval | None
    n: Count


class QualityResult(Record):
    """One quality measure of one model version on one evaluation set."""

    model: ModelName
    day: date
    measure: str
    score: float
    interval: Interval | None
    n: Count
    unit: str
    direction: Direction
    model_version: str
    evaluation_set_sha256: Sha256
    signature: str
    slices: tuple[SliceScore, ...] = ()


class Evaluation(Record):
    """What the evaluate job gives: all quality results of one model version on one day."""

    model: ModelName
    day: date
    model_version: str
    results: tuple[QualityResult, ...]


class MeasureValue(Record):
    """One number of one day, as drift, diagnosis and policy read it."""

    name: str
    value: float | None
    interval: Interval | None = None
    n: Count = 0


class DayMeasures(Record):
    """All measures of one day, and what served it."""

    day: date
    trusted: bool
    champion_version: str
    measures: tuple[MeasureValue, ...]

    def value(self, name: str) -> float | None:
        """The value of a measure, or None where it was not collected."""
        return next((m.value for m in self.measures if m.name == name), None)


class PastDecision(Record):
    """What an earlier day decided and what came of it."""

    day: date
    action: Action
    outcome: Literal["none", "running", "promoted", "refused", "failed"]


class DayFacts(Record):
    """Everything that a decision may read: replay needs this record and a policy, no more."""

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=1)]
    champion_version: str | None
    champion_format: str | None
    validation: ValidationResult
    current: DayMeasures
    history: tuple[DayMeasures, ...]
    past_decisions: tuple[PastDecision, ...]


class DriftResult(Record):
    """One measure of the day against its baseline.

    ``effect`` is (current - baseline) / baseline for relative tolerances and
    current - baseline for absolute ones; ``evidence`` is the effect in standard deviations of
    ordinary day-to-day change, accumulated over the recent days.
    """

    measure: str
    slice: str | None = None
    baseline: float | None
    current: float | None
    effect: float | None
    interval: Interval | None
    tolerance: float
    tolerance_kind: Literal["relative", "absolute"]
    direction: Direction
    evidence: float | None
    baseline_days: Count
    state: DriftState
    words: str


class Drift(Record):
    """All drift results of a day."""

    model: ModelName
    day: date
    results: tuple[DriftResult, ...]

    def get(self, measure: str) -> DriftResult | None:
        """The result of one measure, or None if it is not watched."""
        return next((r for r in self.results if r.measure == measure), None)


class CauseEvidence(Record):
    """One cause that was considered, its score (higher explains more) and why."""

    cause: Cause
    score: float
    words: str


class Diagnosis(Record):
    """Which cause explains the drifts together; ``ranked`` starts with ``cause``."""

    model: ModelName
    day: date
    cause: Cause
    ranked: tuple[CauseEvidence, ...]


class Reason(Record):
    """One reason of a decision: the fact, its value, the rule and the threshold, in words."""

    fact: str
    value: str
    rule: str
    threshold: str
    words: str


class HashedInput(Record):
    """An input of a decision, by name and hash."""

    name: str
    sha256: Sha256


class JobRequest(Record):
    """What a decision asks the cluster to do."""

    kind: Literal["compress", "retrain"]
    method: str


class Decision(Record):
    """What is done about one model's day, and every reason for it."""

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=1)]
    action: Action
    cause: Cause
    reasons: tuple[Reason, ...]
    champion_version: str | None
    job: JobRequest | None
    inputs: tuple[HashedInput, ...]
    policy_version: str
    policy_sha256: Sha256


class RunParams(Record):
    """The effective parameters of one run of a day; ``owner`` names the run."""

    model: ModelName
    day: date
    owner: str
    params: dict[str, Any]


class Override(Record):
    """A person's order for a day that stands over the policy's decision."""

    model: ModelName
    day: date
    action: Action
    note: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    by: str


class DayOpen(Record):
    """The snapshot a day runs on: its specification and its parameters.

    ``spec`` is the model's specification as JSON, ``params`` the effective parameters of the
    run that opened the day; a configuration that changes later changes nothing here.
    """

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=1)]
    spec: dict[str, Any]
    spec_sha256: Sha256
    params: dict[str, Any]
    owner: str


# ---------------------------------------------------------------- jobs, gate, ledger


class Resources(Record):
    """What a job may use."""

    cpus: Annotated[int, Field(ge=1, le=1024)] = 2
    gpus: Annotated[int, Field(ge=0, le=1024)] = 0
    memory_gib: Annotated[float, Field(gt=0, le=65536)] = 4.0
    timeout_s: Annotated[int, Field(ge=10, le=604_800)] = 1800


class ModelInput(Record):
    """A model version that a job reads: where its files lie, with their hashes."""

    version: str
    format: Literal["safetensors", "openvino", "onnx"]
    folder: Folder


class JobSpec(Record):
    """One job for the worker. ``key`` is ``model/day/kind``: at most one job ever has it.

    ``data`` maps a role (``evaluation``, ``training``) to JSON-lines files in the store, each a
    list of :class:`Sample`. ``params`` are the method's settings, JSON values only.
    """

    key: str
    kind: JobKind
    model: ModelName
    day: date
    method: str
    source: ModelInput
    candidate: ModelInput | None = None
    data: dict[str, FileHash] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    resources: Resources = Resources()
    store_root: str
    output_prefix: str


class Sample(Record):
    """One text of production: prompt, what the model said, and the reference if known."""

    id: str
    slice: str
    prompt: str
    completion: str = ""
    reference: str = ""

    @property
    def text(self) -> str:
        """What production wrote on purpose: the prompt and, where known, its reference."""
        return self.prompt + self.reference

    @property
    def held_out(self) -> bool:
        """Whether this prompt belongs to evaluation (30 %) and is never trained on.

        Decided by the prompt's hash alone, so that the same prompt is on the same side on
        every day.
        """
        digest = sha256_hex(self.prompt.encode("utf-8", "replace"))
        return int(digest[:8], 16) % 10 < HELD_OUT_TENTHS


class Candidate(Record):
    """A model version made by a job, not yet anybody's champion."""

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

    ``champion_ms`` and ``candidate_ms`` hold one number a round, paired by position.
    """

    quantity: str
    champion_ms: tuple[NonNegative, ...]
    candidate_ms: tuple[NonNegative, ...]


class Benchmark(Record):
    """Champion against candidate: paired quality, paired times, sizes, and on what machine."""

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


class GateRow(Record):
    """One check of the gate. ``interval`` is of the effect; ``margin`` is what is allowed."""

    check: str
    champion: float | None
    candidate: float | None
    effect: float | None
    interval: Interval | None
    margin: float
    passed: bool
    words: str


class GateResult(Record):
    """Whether a candidate may become champion: every row must pass."""

    model: ModelName
    day: date
    kind: Literal["compress", "retrain"]
    champion_version: str
    champion_files_sha256: Sha256
    candidate_files_sha256: Sha256
    passed: bool
    rows: tuple[GateRow, ...]
    benchmark_sha256: Sha256


class Approval(Record):
    """A person's answer to a promotion that waited for it."""

    approved: bool
    by: str
    note: str = ""


class LedgerEntry(Record):
    """One link of a model's chain of champions; ``previous_sha256`` is the link before."""

    seq: Annotated[int, Field(ge=1)]
    key: str
    at: datetime
    model: ModelName
    event: Literal["register", "promote", "rollback"]
    version: str
    replaced_version: str | None
    format: Literal["safetensors", "openvino", "onnx"]
    folder: Folder
    day: date | None
    gate_sha256: Sha256 | None
    approval: Approval | None
    note: str
    previous_sha256: Sha256 | None
