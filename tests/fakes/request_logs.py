"""Request logs as a serving process would leave them: one JSON-lines file an hour."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from upkeep.spec import ModelSpec

ROWS_AN_HOUR = 3


def log_spec(*paths: Path | str, max_line_bytes: int = 65_536, **parts: Any) -> ModelSpec:
    """Give a model's specification whose request logs lie under ``paths``; 1 USD an hour."""
    source = {"kind": "request_log", "max_line_bytes": max_line_bytes}
    whole = {
        "name": "talker",
        "sources": [source | {"path": str(path)} for path in paths],
        "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
        "policy": {"version": "test", "measures": {}, "rules": []},
    }
    return ModelSpec.model_validate(whole | parts)


def log_row(day: date, hour: int = 0, number: int = 0, **fields: Any) -> dict[str, Any]:
    """Give one valid row; ``number`` tells the hour's rows apart, ``fields`` replace values.

    Latencies (ms) vary with hour and number, so that quantiles have something to find.
    """
    row = {
        "request_id": f"{day.isoformat()}-{hour:02d}-{number:05d}",
        "time": f"{day.isoformat()}T{hour:02d}:{number // 60 % 60:02d}:{number % 60:02d}.250Z",
        "model_version": "1",
        "client": "docs" if number % 2 == 0 else "search",
        "tokens_in": 10 + number % 7,
        "tokens_out": 20 + hour % 5,
        "ttft_ms": 5.0 + number % 11,
        "latency_ms": 100.0 + hour + number % 13,
        "status": "ok",
        "prompt": f"What is said about topic {number} at {hour}?",
        "completion": "It depends.",
    }
    return row | fields


def day_rows(day: date, an_hour: int = ROWS_AN_HOUR, **fields: Any) -> list[dict[str, Any]]:
    """Give ``an_hour`` valid rows for each of the 24 hours."""
    return [log_row(day, hour, number, **fields) for hour in range(24) for number in range(an_hour)]


def write_day(
    path: Path,
    day: date,
    rows: Iterable[Mapping[str, Any]] | None = None,
    *,
    manifest: bool = True,
) -> Path:
    """Write a whole day under ``path/<day>`` and give that folder.

    Every hour gets its file, an empty one where no row has a time in it. ``rows`` defaults to
    ``day_rows``; ``manifest`` says whether the writer closed the day with ``_complete.json``.
    """
    folder = path / day.isoformat()
    folder.mkdir(parents=True)
    lines: dict[int, list[bytes]] = {hour: [] for hour in range(24)}
    for row in day_rows(day) if rows is None else rows:
        lines[int(str(row["time"])[11:13])].append(json.dumps(row).encode() + b"\n")
    for hour, written in lines.items():
        (folder / f"{hour:02d}.jsonl").write_bytes(b"".join(written))
    if manifest:
        write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> None:
    """Record size and SHA-256 of every hour's file that is there now."""
    files = {
        file.name: {
            "size_bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in sorted(folder.glob("*.jsonl"))
    }
    (folder / "_complete.json").write_text(json.dumps({"files": files}), encoding="utf-8")


def rows_of(
    day: date, *, n: int = 48, version: str = "1", latency: float = 50.0
) -> list[dict[str, Any]]:
    """Healthy rows of one day: two an hour, latencies that vary by a few per cent."""
    noise = random.Random(day.toordinal())
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [
        {
            "request_id": f"{day}-{i:04d}",
            "time": (start + timedelta(seconds=86_400 * i / n)).isoformat().replace("+00:00", "Z"),
            "model_version": version,
            "client": "docs",
            "tokens_in": 100,
            "tokens_out": 12,
            "ttft_ms": latency / 5,
            "latency_ms": latency * noise.uniform(0.95, 1.05),
            "status": "ok",
            "prompt": f"prompt {day} {i}",
            "completion": "words",
            "reference": "words",
        }
        for i in range(n)
    ]
