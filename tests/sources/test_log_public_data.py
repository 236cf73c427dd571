"""Public data sets, written as request logs and read by the real source: known figures come out.

The data sets have no latency (Azure), no request ids, no statuses: what a row needs and a data
set lacks is made up here, and no figure below is about it.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fakes.request_logs import log_spec, read_logs, write_day
from upkeep.records import DailyMetrics

DATA = Path(__file__).parents[3] / "shared" / "data"
SCALE = 10_000  # of ServeGen: one row stands for so many requests
MILLIONS = [
    *(85.092, 80.651, 98.340, 99.457, 88.116, 98.653, 92.613),
    *(100.771, 105.417, 124.210, 117.034, 122.906, 101.418, 105.882),
]


def data_set(name: str) -> Path:
    """The folder of a public data set, or skip."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no public data at {folder}")
    return folder


def row(number: int, when: datetime, **fields: Any) -> dict[str, Any]:
    """Give a row with what the data set lacks made up."""
    return {
        "request_id": f"r{number}",
        "time": when.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "model_version": "1",
        "status": "ok",
        "ttft_ms": 1.0,
        "latency_ms": 1.0,
    } | fields


# ---------------------------------------------------------------- Azure


def azure_rows() -> list[dict[str, Any]]:
    """The trace of 58 minutes of a conversation service."""
    path = data_set("azure-llm-conv") / "AzureLLMInferenceTrace_conv.csv"
    with path.open(encoding="utf-8") as file:
        return [
            row(
                number,
                datetime.fromisoformat(line["TIMESTAMP"][:26]).replace(tzinfo=UTC),
                tokens_in=int(line["ContextTokens"]),
                tokens_out=int(line["GeneratedTokens"]),
            )
            for number, line in enumerate(csv.DictReader(file))
        ]


@pytest.mark.parametrize("file_format", ["jsonl.gz", "parquet"])
def test_azure_conversations_give_their_known_requests_and_tokens(
    tmp_path: Path, file_format: str
) -> None:
    """19,366 requests, 22,361,870 tokens in and 4,088,665 out, all between 18 and 20 hours."""
    day = date(2023, 11, 16)
    write_day(tmp_path, day, azure_rows(), file_format=file_format)
    metrics = read_logs(log_spec(tmp_path), day).metrics
    assert (metrics.requests, metrics.tokens_in, metrics.tokens_out) == (
        *(19_366, 22_361_870, 4_088_665),
    )
    assert [hour.hour for hour in metrics.hours if hour.requests] == [18, 19]
    assert metrics.rows_quarantined == 0


# ---------------------------------------------------------------- AIBrix


def aibrix(variant: str) -> tuple[date, list[dict[str, Any]]]:
    """The requests of one variant at 4.1 requests a second, and their day."""
    archive = data_set("aibrix-vllm-requests") / "benchmark_output_20250519.zip"
    with zipfile.ZipFile(archive) as files:
        text = files.read(f"benchmark_output/{variant}_output_4.1.csv").decode()
    rows = []
    for number, line in enumerate(csv.DictReader(io.StringIO(text))):
        launched = datetime.fromtimestamp(float(line["launch_time"]), UTC)
        rows.append(
            row(
                number,
                launched,
                tokens_in=int(float(line["prompt_tokens"])),
                tokens_out=int(float(line["generation_tokens"])),
                ttft_ms=float(line["ttft"]) * 1000,
                latency_ms=(float(line["ttft"]) + float(line["generation_time"])) * 1000,
            )
        )
    return datetime.fromisoformat(rows[0]["time"]).date(), rows


@pytest.mark.parametrize(
    ("variant", "n", "p50_s", "p95_s"),
    [
        ("naive", 404, 31.58, 84.04),
        ("aibrix_naive", 405, 33.90, 61.51),
        ("aibrix_kvcache_dram", 455, 0.68, 8.82),
    ],
)
@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_aibrix_load_tests_give_their_known_times_to_the_first_token(
    tmp_path: Path, file_format: str, variant: str, n: int, p50_s: float, p95_s: float
) -> None:
    """The p50 and p95 that its README states, to its two digits."""
    day, rows = aibrix(variant)
    write_day(tmp_path, day, rows, file_format=file_format)
    metrics = read_logs(log_spec(tmp_path), day).metrics
    assert metrics.ttft_ms is not None
    assert (metrics.requests, metrics.ttft_ms.n) == (n, n)
    assert round(metrics.ttft_ms.p50 / 1000, 2) == p50_s
    assert round(metrics.ttft_ms.p95 / 1000, 2) == p95_s


# ---------------------------------------------------------------- ServeGen


def servegen_windows(day: int) -> Iterator[tuple[int, float]]:
    """(second of the day, requests) of each client's ten-minute windows of day 0 to 13."""
    for path in sorted(data_set("servegen-m-small").glob("chunk-*-trace.csv")):
        with path.open(encoding="utf-8") as file:
            for line in csv.reader(file):
                start = int(float(line[0]))
                if start // 86_400 == day:
                    yield start % 86_400, float(line[1]) * 600


def servegen_day(folder: Path, day: date, number: int) -> list[float]:
    """Write a day of Parquet files, one row for ``SCALE`` requests; requests by hour."""
    hours = [0.0] * 24
    for second, requests in servegen_windows(number):
        hours[second // 3600] += requests
    for hour, requests in enumerate(hours):
        n = round(requests / SCALE)
        start = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        times = [start + timedelta(hours=i / n) for i in range(n)]
        table = pa.table(
            {
                "request_id": [f"{number}-{hour}-{i}" for i in range(n)],
                "time": pa.array(times, pa.timestamp("us", "UTC")),
                **{name: ["x"] * n for name in ("model_version",)},
                "status": ["ok"] * n,
                **{name: pa.array([1] * n, pa.int64()) for name in ("tokens_in", "tokens_out")},
                **{name: pa.array([1.0] * n) for name in ("ttft_ms", "latency_ms")},
            }
        )
        pq.write_table(table, folder / f"{hour:02d}.parquet", write_page_checksum=True)
    return hours


@pytest.mark.parametrize("number", [0, 9])
def test_servegen_days_give_their_known_volume_at_one_to_ten_thousand(
    tmp_path: Path, number: int
) -> None:
    """The quietest but one and the busiest day: volume by day and hour, at the stated scale.

    That proves the volumes and their hours; 85 to 124 million rows a day are not written here.
    """
    day = date(2026, 3, 2) + timedelta(days=number)
    folder = tmp_path / day.isoformat()
    folder.mkdir()
    hours = servegen_day(folder, day, number)
    metrics: DailyMetrics = read_logs(log_spec(tmp_path), day).metrics
    assert sum(hours) / 1e6 == pytest.approx(MILLIONS[number], abs=5e-4)
    volume = (metrics.requests or 0) * SCALE
    assert volume / 1e6 == pytest.approx(MILLIONS[number], rel=24 * SCALE / 2 / sum(hours))
    assert [hour.requests for hour in metrics.hours] == [round(h / SCALE) for h in hours]
