"""What production did on one day, and whether that can be believed."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from upkeep.records.base import Count, ModelName, NonNegative, Record, Sha256, Share, sha256_hex

HELD_OUT_TENTHS = 3
SEPARATOR = "\x1e"  # between several references of one sample


class Quantiles(Record):
    """Quantiles of one quantity over the day (or hour), with the number of samples."""

    p50: NonNegative
    p90: NonNegative
    p95: NonNegative
    p99: NonNegative
    mean: NonNegative
    n: Count


class Gauge(Record):
    """How full or how busy something was: the mean and the highest of its samples."""

    mean: NonNegative
    high: NonNegative


class Utilisation(Record):
    """How much of the machines was in use, as shares of 0 to 1. None: not collected."""

    cpu: Gauge | None = None
    gpu: Gauge | None = None
    gpu_memory: Gauge | None = None
    host_memory: Gauge | None = None
    network_bytes_per_s: Gauge | None = None


class HourMetrics(Record):
    """One UTC hour of a day. ``covered`` is False when its data is missing or unreadable."""

    hour: Annotated[int, Field(ge=0, le=23)]
    covered: bool
    requests: Count | None = None
    errors: Count | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    latency_ms: Quantiles | None = None
    ttft_ms: Quantiles | None = None
    busy_s: NonNegative | None = None
    cost_usd: NonNegative | None = None
    utilisation: Utilisation = Utilisation()


class Quarantined(Record):
    """A file or row that was set aside, and why."""

    what: str
    reason: str
    rows: Count = 0


class Rejected(Record):
    """A whole series that cannot be what it is said to be, and why: nothing of it is counted."""

    what: str
    reason: str


class Disagreement(Record):
    """Two sources of one day that say different things about the same measure."""

    measure: str
    source: str
    value: float
    other_source: str
    other_value: float
    tolerance: float


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
    utilisation: Utilisation = Utilisation()
    prompt_chars_mean: NonNegative | None = None
    requests_by_slice: dict[str, int] = Field(default_factory=dict)
    requests_by_version: dict[str, int] = Field(default_factory=dict)
    hours: tuple[HourMetrics, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
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


class LateChange(Record):
    """One number of a day that is another one since late data came; None: not collected."""

    measure: str
    before: float | None
    after: float | None


class Revision(Record):
    """What late data made of a day. ``revision`` counts from 2; the first is the day's own."""

    model: ModelName
    day: date
    revision: Annotated[int, Field(ge=2)]
    metrics: DailyMetrics
    validation: ValidationResult
    changes: tuple[LateChange, ...]


class Sample(Record):
    """One request of production: prompt, what the model made of it, the reference if known.

    Of an image model ``completion`` is the image's name, ``images/<sha256>.png``. Several
    references are separated by U+001E, ASCII's record separator.
    """

    id: str
    slice: str
    prompt: str
    completion: str = ""
    reference: str = ""

    @property
    def text(self) -> str:
        """What production wrote on purpose: the prompt and, where known, its reference."""
        return self.prompt + next(iter(self.references), "")

    @property
    def references(self) -> tuple[str, ...]:
        """The known right answers, each once; none where none is known."""
        return tuple(dict.fromkeys(r for r in self.reference.split(SEPARATOR) if r))

    @property
    def held_out(self) -> bool:
        """Whether this prompt belongs to evaluation (30 %) and is never trained on.

        Decided by the prompt's hash alone, so that the same prompt is on the same side on
        every day.
        """
        digest = sha256_hex(self.prompt.encode("utf-8", "replace"))
        return int(digest[:8], 16) % 10 < HELD_OUT_TENTHS
