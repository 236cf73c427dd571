"""Sources are found by the name that a model's file uses, and imported when used."""

from __future__ import annotations

import importlib
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.fakes.request_logs import log_spec, write_day
from upkeep.sources import SOURCES, Asked, collect, connect
from upkeep.spec_sources import Source

DAY = date(2026, 3, 5)


def kinds() -> set[str]:
    """The kinds that a specification can name."""
    union: Any = get_args(Source)[0]
    return {get_args(part.model_fields["kind"].annotation)[0] for part in get_args(union)}


def test_every_kind_that_a_model_may_name_has_a_reader() -> None:
    """The mapping and the specification name the same kinds; each module collects and probes."""
    assert kinds() == set(SOURCES)
    for path in SOURCES.values():
        module = importlib.import_module(path)
        assert callable(module.collect)
        assert callable(module.probe)


def test_collect_reads_the_source_that_the_model_names(tmp_path: Path) -> None:
    """One day of logs gives its metrics, its costs and its texts."""
    write_day(tmp_path, DAY)
    collected = collect(Asked(log_spec(tmp_path), DAY, lambda *_: None))
    assert collected.metrics.requests == len(collected.samples) == 72
    assert collected.metrics.cost_usd == pytest.approx((collected.metrics.busy_s or 0) / 3600)


def test_connect_says_in_one_line_what_is_there_and_what_is_wrong(tmp_path: Path) -> None:
    """A folder with a day, and one that is not there."""
    write_day(tmp_path / "here", DAY)
    spec = log_spec(tmp_path / "here", tmp_path / "nowhere")
    good, bad = connect(Asked(spec, DAY, lambda *_: None))
    assert good == ("sources[0] request_log", True, f"{tmp_path / 'here'}: 1 days, {DAY} to {DAY}")
    assert bad[:2] == ("sources[1] request_log", False)
    assert "cannot be listed: No such file" in bad[2]
