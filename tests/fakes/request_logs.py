"""Request logs as a serving process would leave them: one file an hour, in any format."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from upkeep.sources import Asked, Collected, Quarantine, collect
from upkeep.spec import ModelSpec

ROWS_AN_HOUR = 3
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("request_id", "model_version", "client", "status")),
        ("time", pa.timestamp("ns", "UTC")),
        *((name, pa.int64()) for name in ("tokens_in", "tokens_out")),
        *((name, pa.float64()) for name in ("ttft_ms", "latency_ms")),
        *((name, pa.string()) for name in ("prompt", "completion", "reference")),
    ]
)
REQUIRED = frozenset(SCHEMA.names) - {"client", "ttft_ms", "prompt", "completion", "reference"}


def read_logs(spec: ModelSpec, day: date, aside: Quarantine = lambda *_: None) -> Collected:
    """Collect a day as the cycle does."""
    return collect(Asked(spec, day, aside))


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


def encoded(rows: Sequence[Mapping[str, Any]], file_format: str = "jsonl") -> bytes:
    """Give the bytes of one file with these rows."""
    if file_format == "parquet":
        return parquet_bytes(rows)
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if file_format == "jsonl.gz":
        return gzip.compress(lines, mtime=0)
    if file_format == "jsonl.zst":
        return zstd(lines)
    return lines


def zstd(data: bytes) -> bytes:
    """Give the data as one zstd frame."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def parquet_bytes(rows: Sequence[Mapping[str, Any]], **options: Any) -> bytes:
    """Give a Parquet file with page checksums; times are timestamps of nanoseconds in UTC."""
    names = dict.fromkeys([*SCHEMA.names, *(name for row in rows for name in row)])
    names = {n: None for n in names if n in REQUIRED or any(n in row for row in rows)}
    columns = {name: [row.get(name) for row in rows] for name in names}
    columns["time"] = [instant_ns(text) for text in columns["time"]]
    arrays = {
        name: pa.array(values, SCHEMA.field(name).type if name in SCHEMA.names else None)
        for name, values in columns.items()
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink, **{"write_page_checksum": True} | options)
    return bytes(sink.getvalue())


def instant_ns(text: str) -> int:
    """Nanoseconds since 1970 of a time like 2026-03-05T23:59:59.999999999Z."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC).timestamp()
    return int(whole) * 10**9 + int(fraction.ljust(9, "0") or 0)


def write_day(
    path: Path,
    day: date,
    rows: Iterable[Mapping[str, Any]] | None = None,
    *,
    manifest: bool = True,
    file_format: str = "jsonl",
) -> Path:
    """Write a whole day under ``path/<day>`` and give that folder.

    Every hour gets its file, one without rows where no row has a time in it. ``rows`` defaults
    to ``day_rows``; ``manifest`` says whether the writer closed the day.
    """
    folder = path / day.isoformat()
    folder.mkdir(parents=True)
    hours: dict[int, list[Mapping[str, Any]]] = {hour: [] for hour in range(24)}
    for row in day_rows(day) if rows is None else rows:
        hours[int(str(row["time"])[11:13])].append(row)
    for hour, written in hours.items():
        (folder / f"{hour:02d}.{file_format}").write_bytes(encoded(written, file_format))
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
        for file in sorted(folder.glob("[0-9][0-9].*"))
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
