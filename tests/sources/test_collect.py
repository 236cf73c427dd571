"""Sources are found by the name that a model's file uses, and imported when used."""

from __future__ import annotations

import importlib
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from tests.fakes.request_logs import log_spec, write_day
from upkeep.errors import SourceError
from upkeep.sources import SOURCES, collect
from upkeep.spec import RequestLogSource

DAY = date(2026, 3, 5)


def test_every_kind_that_a_model_may_name_has_a_module_that_collects() -> None:
    """The mapping and the specification name the same kinds."""
    assert set(get_args(RequestLogSource.model_fields["kind"].annotation)) == set(SOURCES)
    for module in SOURCES.values():
        assert callable(importlib.import_module(module).collect)


def test_collect_reads_the_source_that_the_model_names(tmp_path: Path) -> None:
    """One day of logs gives its metrics and its texts."""
    write_day(tmp_path, DAY)
    collected = collect(log_spec(tmp_path), DAY, lambda *_: None)
    assert collected.metrics.requests == len(collected.samples) == 72


def test_a_kind_without_a_reader_is_named() -> None:
    """A specification from a later version is refused, not read as something else."""
    source = RequestLogSource.model_construct(kind="prometheus", path="x")
    spec = log_spec("x").model_copy(update={"sources": (source,)})
    with pytest.raises(SourceError, match="no reader for sources of kind prometheus"):
        collect(spec, DAY, lambda *_: None)
