"""A day is broken in the way that its name says, and its log is the course's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.drift.broken import AN_HOUR, BREAKS, _read, lines_of
from benchmarks.drift.simulator import course_of, model_of
from benchmarks.drift.worlds import CALM

MODEL = model_of(CALM, 0, 1)
COURSE = course_of(MODEL, 3)
SOUND = lines_of(MODEL, COURSE, 2)
ROWS = 24 * AN_HOUR
# A request that failed needs no latency.
LOST = sum(line["status"] == "ok" for line in SOUND[::5])


def broken(name: str) -> list[dict[str, object]]:
    return BREAKS[name](SOUND)


def test_equal_days_are_equal_lines() -> None:
    """Seeded by model and day; every request has an id of its own."""
    assert lines_of(MODEL, COURSE, 2) == SOUND
    assert lines_of(MODEL, COURSE, 1) != SOUND
    assert len({line["request_id"] for line in SOUND}) == ROWS


def test_each_break_does_what_it_is_called() -> None:
    """And leaves the sound lines as they are."""
    before = json.dumps(SOUND)
    nulls = [line["latency_ms"] is None for line in broken("nulls in a fifth of the latencies")]
    assert sum(nulls) == ROWS / 5
    for name, factor in (("unit x1000", 1e3), ("unit /1000", 1e-3)):
        assert broken(name)[7]["latency_ms"] == pytest.approx(SOUND[7]["latency_ms"] * factor)
    assert len(broken("every row twice")) == 2 * ROWS
    again = broken("ids used again")
    assert len({str(line["request_id"]) for line in again}) == ROWS
    assert len({json.dumps(line) for line in again}) == len(again) == ROWS * 4 / 3
    assert len(broken("half a day")) == ROWS / 2
    assert json.dumps(SOUND) == before


@pytest.mark.parametrize(
    ("name", "requests", "aside", "covered"),
    [
        ("sound", ROWS, 0, 1.0),
        ("every row twice", ROWS, 0, 1.0),
        ("nulls in a fifth of the latencies", ROWS - LOST, LOST, 1.0),
        ("half a day", ROWS // 2, 0, 0.5),
    ],
)
def test_the_real_source_reads_the_log(
    tmp_path: Path, name: str, requests: int, aside: int, covered: float
) -> None:
    """With the manifest's hashes, so that only what was broken is missing."""
    day = _read(tmp_path, MODEL, COURSE, 2, BREAKS[name])
    assert (day.requests, day.rows_quarantined, day.coverage) == (requests, aside, covered)
    (manifest,) = tmp_path.glob("*/_complete.json")
    name_, said = next(iter(json.loads(manifest.read_text())["files"].items()))
    data = (manifest.parent / name_).read_bytes()
    assert said["sha256"] == hashlib.sha256(data).hexdigest()
