# ruff: noqa: FBT003 - the columns of a table
"""Section B of the malformed inputs: each case through the real source, with its answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fakes.request_logs import (
    day_rows,
    encoded,
    log_row,
    log_spec,
    parquet_bytes,
    read_logs,
    write_day,
    write_manifest,
)
from upkeep.sources import Collected
from upkeep.validation import validate

DAY = date(2026, 3, 5)
HOUR = day_rows(DAY)[9:12]
Edit = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """What is done to hour 03 of a good day, and what the day then says.

    ``lost`` says whether the hour is uncovered, ``requests`` how many are counted of 72, and
    ``closed`` whether the writer's manifest records the file as it is after the edit.
    """

    edit: Edit
    words: str
    requests: int
    lost: bool
    file_format: str = "jsonl"
    closed: bool = True
    source: Mapping[str, Any] | None = None


def put(data: bytes, name: str = "03.jsonl") -> Edit:
    """Write the hour's file."""

    def edit(folder: Path) -> None:
        for file in folder.glob("03.*"):
            file.unlink()
        (folder / name).write_bytes(data)

    return edit


def append(*lines: bytes, end: bytes = b"\n") -> Edit:
    """Add lines to the hour."""

    def edit(folder: Path) -> None:
        with (folder / "03.jsonl").open("ab") as file:
            file.write(b"\n".join(lines) + end)

    return edit


def cut(name: str, count: int | None = None) -> Edit:
    """Cut bytes off the end: ``count``, or half of them."""

    def edit(folder: Path) -> None:
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: -(count or len(raw) // 2)])

    return edit


def column(name: str, values: list[Any], type_: Any = None) -> bytes:
    """Give the hour as Parquet with one column replaced."""
    table = pq.read_table(pa.BufferReader(parquet_bytes(HOUR)))
    at = table.schema.get_field_index(name)
    return written(table.set_column(at, name, pa.array(values, type_)))


def renamed(old: str, new: str) -> bytes:
    """Give the hour as Parquet with a column renamed."""
    table = pq.read_table(pa.BufferReader(parquet_bytes(HOUR)))
    return written(table.rename_columns([new if n == old else n for n in table.column_names]))


def written(table: Any) -> bytes:
    """Give a table as Parquet."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def lines(**fields: Any) -> bytes:
    """Give a fourth line of the hour."""
    return json.dumps(log_row(DAY, 3, 900, **fields)).encode()


PARQUET: dict[str, Any] = {"file_format": "parquet"}
P = "03.parquet"
GOOD = encoded(HOUR)
MIDNIGHT_NS = 1_772_755_200_000_000_000
BOMB = {"max_decompressed_bytes": 2**20}

CASES = {
    "B1-parquet-cut": Case(cut(P, 100), f"{P} is damaged or cut off", 69, True, **PARQUET),
    "B1-parquet-cut-open": Case(
        cut(P, 100), f"{P} is damaged or cut off", 69, True, closed=False, **PARQUET
    ),
    "B3-parquet-empty": Case(put(b"", P), f"{P} is empty", 69, True, **PARQUET),
    "B3-gzip-empty": Case(put(b"", "03.jsonl.gz"), "03.jsonl.gz is empty", 69, True),
    "B6-gzip-cut-in-half": Case(
        put(gzip.compress(GOOD)[:-20], "03.jsonl.gz"), "03.jsonl.gz line 3 is cut off", 71, True
    ),
    "B7-gzip-garbage-tail": Case(
        put(gzip.compress(GOOD) + b"garbage", "03.jsonl.gz"),
        "03.jsonl.gz goes on after its data: 7 bytes",
        72,
        False,
    ),
    "B7-gzip-zero-tail": Case(put(gzip.compress(GOOD) + b"\0" * 99, "03.jsonl.gz"), "", 72, False),
    "B8-gzip-bomb": Case(
        put(gzip.compress(GOOD + b"\n" * 2**22), "03.jsonl.gz"),
        "03.jsonl.gz decompresses to more than 1048576 bytes",
        69,
        True,
        source=BOMB,
    ),
    "B8-zstd-bomb": Case(
        put(encoded([*HOUR, {"a": "x" * 2**22}], "jsonl.zst"), "03.jsonl.zst"),
        "03.jsonl.zst decompresses to more than 1048576 bytes",
        69,
        True,
        source=BOMB,
    ),
    "B8-parquet-bomb": Case(
        put(parquet_bytes([*HOUR, log_row(DAY, 3, 9, prompt="x" * 2**21)]), P),
        f"{P} decompresses to more than 1048576 bytes",
        69,
        True,
        source=BOMB,
    ),
    "B9-zip-under-gz": Case(
        put(b"PK\x03\x04" + b"\0" * 99, "03.jsonl.gz"), "03.jsonl.gz is zip", 69, True
    ),
    "B9-zstd-under-gz": Case(
        put(encoded(HOUR, "jsonl.zst"), "03.jsonl.gz"), "03.jsonl.gz is zstd", 69, True
    ),
    "B9-parquet-under-jsonl": Case(put(parquet_bytes(HOUR)), "03.jsonl is Parquet", 69, True),
    "B10-one-bad-line": Case(append(b"{oops"), "03.jsonl line 4 is not JSON", 72, True),
    "B12-half-last-line": Case(
        append(lines()[:50], end=b""), "03.jsonl line 4 is cut off", 72, True
    ),
    "B13-endless-line": Case(
        append(b"x" * 100_000), "03.jsonl line 4 is longer than 65536 bytes", 72, True
    ),
    "B14-nul": Case(append(b"\0" * 9), "03.jsonl line 4 holds NUL bytes", 72, True),
    "B15-latin-1": Case(append(b'"\xe9"'), "03.jsonl line 4 is not UTF-8", 72, True),
    "B15-utf-16": Case(put(GOOD.decode().encode("utf-16")), "03.jsonl is UTF-16", 69, True),
    "B16-utf-8-bom": Case(put(b"\xef\xbb\xbf" + GOOD), "", 72, False),
    "B17-lone-surrogate": Case(
        append(lines(prompt="a\ud800b")), "", 73, False
    ),
    "B18-deep": Case(append(b"[" * 60_000), "03.jsonl line 4 is nested too deep", 72, True),
    "B19-400-digits": Case(
        append(b'{"a": ' + b"9" * 400 + b"}"), "03.jsonl line 4 holds a number of", 72, False
    ),
    "B20-nan": Case(append(b'{"latency_ms": NaN}'), "03.jsonl line 4 holds NaN", 72, False),
    "B21-key-twice": Case(append(b'{"a":1,"a":2}'), "03.jsonl line 4 names a key twice", 72, False),
    "B22-mixed-types": Case(
        append(*(lines(request_id=f"m{n}", tokens_in=v) for n, v in enumerate((1, "2", None, {})))),
        "03.jsonl lines 5, 7 has tokens_in that are not a whole number",
        73,
        False,
    ),
    "B22-parquet-text-for-number": Case(
        put(column("latency_ms", ["1", "2", "3"]), P),
        f"{P} has a column latency_ms of type string; it must be a type of numbers",
        69,
        True,
    ),
    "B22-parquet-floats-for-counts": Case(
        put(column("tokens_in", [1.0, 2.0, 3.0]), P),
        f"{P} has a column tokens_in of type double; it must be a type of whole numbers",
        69,
        True,
    ),
    "B23-parquet-renamed": Case(
        put(renamed("latency_ms", "latency"), P),
        f"{P} has no column latency_ms, but has latency",
        69,
        True,
    ),
    "B23-renamed": Case(
        append(lines().replace(b"latency_ms", b"latency")),
        "03.jsonl line 4 has no latency_ms",
        72,
        False,
    ),
    "B24-parquet-extra-column": Case(
        put(renamed("client", "team"), P), "not known and not read: 'team'", 72, False
    ),
    "B24-extra-column": Case(append(lines(gpu=1)), "not known and not read: 'gpu'", 73, False),
    "B25-delivered-twice": Case(
        append(GOOD, end=b""), "3 rows were delivered again and counted once", 72, False
    ),
    "B26-no-id": Case(
        append(lines(request_id=None)), "03.jsonl line 4 has no request_id", 72, False
    ),
    "B26-parquet-no-id": Case(
        put(renamed("request_id", "id"), P), f"{P} has no column request_id, but has id", 69, True
    ),
    "A1-parquet-nan": Case(
        put(column("latency_ms", [1.0, float("nan"), 3.0]), P),
        f"{P} row 2 has a latency_ms that is not a number of 0",
        71,
        False,
    ),
    "A2-parquet-infinity": Case(
        put(column("ttft_ms", [float("inf"), 1.0, 3.0]), P),
        f"{P} row 1 has a ttft_ms that is not a number of 0",
        71,
        False,
    ),
    "A3-parquet-negative": Case(
        put(column("latency_ms", [1.0, 2.0, -0.5]), P), f"{P} row 3 has a latency_ms", 71, False
    ),
    "A17-parquet-a-nanosecond-late": Case(
        put(column("time", [MIDNIGHT_NS - 1, MIDNIGHT_NS, 0], pa.timestamp("ns", "UTC")), P),
        f"{P} rows 2, 3 lies outside its day",
        70,
        False,
    ),
    "A19-parquet-epoch-seconds": Case(
        put(column("time", [1772668800] * 3), P), f"{P} has a column time of type int64", 69, True
    ),
    "A19-parquet-year-58000": Case(
        put(column("time", [2**60, -(2**60), 2**63 - 1], pa.timestamp("us", "UTC")), P),
        f"{P} rows 1, 2, 3 lies outside its day",
        69,
        False,
    ),
    "A25-parquet-no-time-zone": Case(
        put(column("time", [1772668800] * 3, pa.timestamp("s")), P),
        f"{P} has a column time of type timestamp[ms]; it must be a timestamp in UTC or text",
        69,
        True,
    ),
    "A25-parquet-text-without-offset": Case(
        put(column("time", ["2026-03-05T03:00:00", "2026-03-05T03:00:00Z", "x"]), P),
        f"{P} rows 1, 3 has a time that is not RFC 3339",
        70,
        False,
    ),
    "A26-parquet-leap-second": Case(
        put(column("time", ["2026-03-05T23:59:60Z"] * 3), P), "", 72, False
    ),
    "C2-parquet-two-columns-of-one-name": Case(
        put(renamed("client", "LATENCY_MS"), P), f"{P} has two columns of one name", 69, True
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(c, id=name) for name, c in CASES.items()])
def test_a_damaged_hour_gets_its_answer_and_the_other_23_stand(tmp_path: Path, case: Case) -> None:
    """The fault is in the record in words, the count is right, only that hour is lost."""
    folder = write_day(tmp_path, DAY, manifest=False)
    if case.file_format != "jsonl":
        put(encoded(HOUR, case.file_format), f"03.{case.file_format}")(folder)
    case.edit(folder)
    if case.closed:
        write_manifest(folder)
    source = {"kind": "request_log", "path": str(tmp_path), "max_line_bytes": 65_536}
    spec = log_spec(sources=[source | dict(case.source or {})])
    metrics = read_logs(spec, DAY).metrics
    said = [f"{q.what} {q.reason}" for q in metrics.quarantined] + list(metrics.flags)
    assert any(case.words in words for words in said) or (case.words == "" and not said), said
    assert metrics.requests == case.requests
    assert [hour.hour for hour in metrics.hours if not hour.covered] == [3] * case.lost
    assert metrics.coverage == (24 - case.lost) / 24


def day(path: Path) -> Collected:
    """Collect it."""
    return read_logs(log_spec(path), DAY)


def test_b22_the_rows_of_a_refused_parquet_file_are_counted_as_set_aside(tmp_path: Path) -> None:
    """Its footer says how many they are, so that the bad share is right."""
    folder = write_day(tmp_path, DAY, file_format="parquet", manifest=False)
    (folder / P).write_bytes(renamed("latency_ms", "latency"))
    metrics = day(tmp_path).metrics
    assert (metrics.rows_read, metrics.rows_quarantined, metrics.requests) == (72, 3, 69)


def test_bad_rows_of_parquet_are_kept_as_json_lines(tmp_path: Path) -> None:
    """With the row's own values, times as they are stored."""
    folder = write_day(tmp_path, DAY, manifest=False)
    put(column("latency_ms", [1.0, -2.0, 3.0]), P)(folder)
    kept: list[bytes] = []
    read_logs(log_spec(tmp_path), DAY, lambda _, data, __: kept.append(data))
    (row,) = map(json.loads, b"".join(kept).splitlines())
    assert (row["latency_ms"], row["request_id"]) == (-2.0, "2026-03-05-03-00001")


def held(collected: Collected) -> list[str]:
    """Give the words of the checks that hold the day."""
    verdict, _ = validate(log_spec("logs"), collected.metrics, [])
    return [f.words for f in verdict.failures if f.severity == "hold"]


def test_b2_without_a_manifest_and_checksums_it_is_said_that_damage_would_not_be_seen(
    tmp_path: Path,
) -> None:
    """With page checksums nothing is flagged but the open day."""
    folder = write_day(tmp_path, DAY, manifest=False, file_format="parquet")
    assert len(day(tmp_path).metrics.flags) == 1
    (folder / "03.parquet").write_bytes(parquet_bytes(HOUR, write_page_checksum=False))
    flag = day(tmp_path).metrics.flags[-1]
    assert flag == "no manifest and no page checksums: damage would not be seen in 03.parquet"


def test_b11_a_day_of_bad_rows_only_is_held(tmp_path: Path) -> None:
    """In Parquet too."""
    write_day(tmp_path, DAY, day_rows(DAY, latency_ms=-1.0), file_format="parquet")
    collected = day(tmp_path)
    assert (collected.metrics.requests, collected.metrics.rows_quarantined) == (None, 72)
    assert any("no_data" in words for words in held(collected))


def test_b27_texts_of_parquet_reach_samples_and_nothing_else(tmp_path: Path) -> None:
    """Prompts, secrets and markup are in no metric, reason or flag."""
    secret = "=cmd|' /C calc'!A0 <script>\x1b[31m sk-hunter2"
    rows = day_rows(DAY, 1, prompt=secret, completion=secret)
    rows += [log_row(DAY, 5, 900 + n, prompt=secret, status=secret) for n in range(3)]
    write_day(tmp_path, DAY, rows, file_format="parquet")
    collected = day(tmp_path)
    assert "hunter2" not in collected.metrics.model_dump_json()
    assert collected.metrics.rows_quarantined == 3
    assert {s.prompt for s in collected.samples} == {secret}


def test_b29_a_missing_folder_and_a_day_without_traffic_are_told_apart(tmp_path: Path) -> None:
    """The first is held as no_source, the second as no_traffic where nothing was asked for."""
    missing = day(tmp_path)
    write_day(tmp_path, DAY, [], file_format="parquet")
    quiet = day(tmp_path)
    assert any("no_source" in words for words in held(missing))
    assert (missing.metrics.requests, quiet.metrics.requests) == (None, 0)
    assert not any("no_source" in words for words in held(quiet))
