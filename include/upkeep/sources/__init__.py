"""What production did on a day: one file a kind of source, imported when a model names it.

Sources of one kind add up (several servers' logs); sources of different kinds are views of the
same traffic and are joined (``join``): the first that knows a measure says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib import import_module
from typing import Any, Protocol, cast

from upkeep.costs import priced
from upkeep.credentials import Credentials, from_environment
from upkeep.errors import UpkeepError
from upkeep.records import DailyMetrics, Sample
from upkeep.sources.join import joined
from upkeep.spec import ModelSpec

__all__ = ["SOURCES", "Asked", "Collected", "Quarantine", "Reader", "collect", "connect"]

SOURCES = {
    "request_log": "upkeep.sources.request_log",
    "prometheus": "upkeep.sources.prometheus",
    "cloudwatch": "upkeep.sources.cloudwatch",
    "azure_monitor": "upkeep.sources.azure_monitor",
    "google_monitoring": "upkeep.sources.google_monitoring",
}

Quarantine = Callable[[str, bytes, str], None]
"""Keeps what was set aside: its name, its raw bytes, the reason in words."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Asked:
    """What a source is asked for: a model's UTC day, and what it may use to find out."""

    spec: ModelSpec
    day: date
    quarantine: Quarantine
    credentials: Credentials = field(default_factory=from_environment)
    now: Callable[[], datetime] = _utc_now


@dataclass(frozen=True)
class Collected:
    """One day of one model: its aggregates, and the outputs that quality is measured on.

    ``images`` are those of the samples, by name, of an image model. A source leaves costs alone:
    :func:`collect` adds them.
    """

    metrics: DailyMetrics
    samples: tuple[Sample, ...] = ()
    images: Mapping[str, bytes] = field(default_factory=dict)


class Reader(Protocol):
    """What each module of ``SOURCES`` has."""

    def collect(self, sources: Sequence[Any], asked: Asked) -> Collected:
        """Read the model's sources of this kind."""

    def probe(self, source: Any, asked: Asked) -> str:
        """One line on what is there, without reading a day; SourceError in one line if not."""


def collect(asked: Asked) -> Collected:
    """Read what production did on the UTC day.

    Data that is missing or broken is no error: it shows in ``coverage``, ``quarantined``,
    ``rejected`` and ``flags``, and its bytes go to ``asked.quarantine``.

    Raises:
        ConfigError: a source's settings cannot be used, for example an unset ``${VAR}``.
        SourceError: the source fails or changes while it is read; trying again may help.

    """
    parts: list[Collected] = []
    for kind in dict.fromkeys(source.kind for source in asked.spec.sources):
        alike = [source for source in asked.spec.sources if source.kind == kind]
        parts.append(_reader(kind).collect(alike, asked))
    metrics = joined([part.metrics for part in parts], asked.spec.trust)
    with_samples = next((part for part in parts if part.samples), parts[0])
    return Collected(priced(asked.spec, metrics), with_samples.samples, with_samples.images)


def connect(asked: Asked) -> Iterator[tuple[str, bool, str]]:
    """Try each source: (``sources[0] request_log``, whether it answers, one line)."""
    for number, source in enumerate(asked.spec.sources):
        name = f"sources[{number}] {source.kind}"
        try:
            yield name, True, _reader(source.kind).probe(source, asked)
        except UpkeepError as error:
            yield name, False, " ".join(str(error).split())


def _reader(kind: str) -> Reader:
    return cast("Reader", import_module(SOURCES[kind]))
