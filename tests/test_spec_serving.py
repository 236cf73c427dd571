"""``serving`` and ``jobs.review`` of a model's file: what is allowed, and where an error stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from upkeep.config import DEFAULTS, Fleet, load_fleet

FLEET = Path(__file__).parents[1] / "include" / "fleet"
MODEL = """\
name: tiny
sources: [{{kind: request_log, path: "${{LOGS}}/tiny"}}]
prices: [{{since: 2026-01-01, usd_per_hour: 0.60}}]
serving: {serving}
"""


def fleet_of(folder: Path, serving: str) -> Fleet:
    """A fleet of one model with this ``serving``; LOGS holds a lock."""
    (folder / "tiny.yaml").write_text(MODEL.format(serving=serving))
    (folder / DEFAULTS).write_text((FLEET / DEFAULTS).read_text())
    logs = folder / "logs"
    logs.mkdir()
    (logs / "requirements.txt").write_text("torch==2.13.0\n")
    return load_fleet(folder, {"LOGS": str(logs)}, strict=False)


def test_what_is_said_is_kept_and_the_rest_is_unknown(tmp_path: Path) -> None:
    """A number that nobody gave is none, not a default."""
    fleet = fleet_of(tmp_path, "{threads: 2, timeout_ms: 8000.0, lock: '${LOGS}/requirements.txt'}")
    assert dict(fleet.errors) == {}
    serving = fleet.models["tiny"].serving
    assert serving is not None
    assert (serving.threads, serving.timeout_ms) == (2, 8000.0)
    assert (serving.cpus, serving.gpus, serving.batch) == (None, None, None)
    assert serving.lock == "${LOGS}/requirements.txt"


@pytest.mark.parametrize(
    ("serving", "words"),
    [
        ("{threads: 0}", ["tiny.yaml:4:serving.threads", "0", "must be >= 1"]),
        ("{threads: two}", ["serving.threads", "write a whole number"]),
        ("{treads: 2}", ["unknown key", "did you mean threads?"]),
        ("{timeout_ms: -1.0}", ["serving.timeout_ms", "must be > 0"]),
        ("{lock: '${LOGS}/none.txt'}", ["serving.lock", "is not there"]),
        ("{lock: '${NOWHERE}/r.txt'}", ["serving.lock", "${NOWHERE} is not set"]),
        ("{lock: '${LOGS}/../r.txt'}", ["serving.lock", "leads out of its folder"]),
        ("{lock: 'http://example.org/r.txt'}", ["serving.lock", "names a scheme"]),
        ("{lock: requirements.txt}", ["serving.lock", "is not absolute"]),
    ],
)
def test_what_is_not_allowed_says_where_and_how_to_mend_it(
    tmp_path: Path, serving: str, words: list[str]
) -> None:
    """File, line, field, value, rule and fix."""
    fleet = fleet_of(tmp_path, serving)
    assert dict(fleet.models) == {}
    for word in words:
        assert word in str(fleet.errors["tiny.yaml"])
