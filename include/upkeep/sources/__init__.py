"""What production did on a day: one file a kind of source, imported when a model names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module

from upkeep.errors import SourceError
from upkeep.records import DailyMetrics, Sample
from upkeep.spec import ModelSpec

__all__ = ["SOURCES", "Collected", "Quarantine", "collect"]

SOURCES = {"request_log": "upkeep.sources.request_log"}

Quarantine = Callable[[str, bytes, str], None]
"""Keeps what was set aside: its name, its raw bytes, the reason in words."""


@dataclass(frozen=True)
class Collected:
    """One day of one model: its aggregates, and the texts that quality is measured on."""

    metrics: DailyMetrics
    samples: tuple[Sample, ...]


def collect(spec: ModelSpec, day: date, quarantine: Quarantine) -> Collected:
    """Read what production did on the UTC ``day``.

    Data that is missing or broken is no error: it shows in ``coverage``, ``quarantined`` and
    ``flags``, and its bytes go to ``quarantine``.

    Raises:
        ConfigError: a source's settings cannot be used, for example an unset ``${VAR}``.
        SourceError: the source fails or changes while it is read; trying again may help.

    """
    kinds = sorted({source.kind for source in spec.sources})
    if len(kinds) != 1 or kinds[0] not in SOURCES:
        raise SourceError(f"{spec.name}: no reader for sources of kind {', '.join(kinds)}")
    collected: Collected = import_module(SOURCES[kinds[0]]).collect(spec, day, quarantine)
    return collected
