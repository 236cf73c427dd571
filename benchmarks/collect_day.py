"""A day of request logs, collected and validated, against the barest DuckDB query.

    python -m benchmarks.collect_day [--rounds 3] [--parquet 100000 1000000] [--jsonl 1000000]

The query computes the same aggregates over the same files (distinct requests, sums, quantiles by
day and hour, counts by slice and version, mean length of prompts) and trusts everything: no
manifest, no checks, no conflicts, no samples. Each run is a process of its own, the two sides in
turn; seconds are from after the imports until the answer is there, because Airflow's scheduler
imports DuckDB and Great Expectations once for all its tasks (``UPKEEP_PRELOAD``): what the imports
cost a process of its own is printed beside it. Peak memory is the process's ``ru_maxrss``. The
first pair warms the page cache and does not count.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

DAY = date(2026, 3, 5)
START_S = 1_772_668_800
BARE_MEMORY = "4GB"  # with the 512 MB that Upkeep has, it fails at 1e7 rows
ROWS = """
SELECT 'req-' || substr(md5((i + {first})::VARCHAR), 1, 24) AS request_id,
    {time} AS time,
    CASE WHEN i % 3 = 0 THEN '2' ELSE '1' END AS model_version, 'team-' || i % 20 AS client,
    CASE WHEN i % 100 = 7 THEN 'api_error' ELSE 'ok' END AS status,
    (hash(i) % 1000)::BIGINT AS tokens_in, (hash(i + 1) % 500)::BIGINT AS tokens_out,
    (hash(i + 2) % 1000000) / 1e4 AS ttft_ms, (hash(i + 3) % 100000000) / 1e4 AS latency_ms,
    'What is said about ' || repeat('topic ' || hash(i) || ', ', 3) AS prompt,
    'It depends on ' || hash(i + 4) AS completion
FROM range({n}) AS t(i)
"""
BARE = """
SELECT {hour} AS hour, count(*), count(*) FILTER (status = 'api_error'), sum(tokens_in),
    sum(tokens_out), sum(latency_ms), sum(ttft_ms), avg(length(prompt)),
    quantile_cont(latency_ms, [0.5, 0.9, 0.95, 0.99]) FILTER (status = 'ok'),
    quantile_cont(ttft_ms, [0.5, 0.9, 0.95, 0.99]) FILTER (status = 'ok')
FROM {files} GROUP BY hour;
SELECT quantile_cont(latency_ms, [0.5, 0.9, 0.95, 0.99]),
    quantile_cont(ttft_ms, [0.5, 0.9, 0.95, 0.99]) FROM {files} WHERE status = 'ok';
SELECT client, count(*) FROM {files} GROUP BY client;
SELECT model_version, count(*) FROM {files} GROUP BY model_version;
SELECT count(DISTINCT request_id) FROM {files}
"""


def write_day(root: Path, file_format: str, rows: int) -> None:
    """24 files of equal size and their manifest."""
    import duckdb

    folder = root / DAY.isoformat()
    folder.mkdir(parents=True)
    database, files = duckdb.connect(), {}
    database.execute("SET enable_progress_bar = false")
    for hour in range(24):
        second = f"{START_S + hour * 3600} + i % 3600"
        moment = f"make_timestamp(({second}) * 1000000)"
        text = f"strftime({moment}, '%Y-%m-%dT%H:%M:%SZ')"
        value = text if file_format == "jsonl" else f"to_timestamp({second})"
        n = rows // 24 + (hour < rows % 24)
        query = ROWS.format(first=hour * rows, time=value, n=n)
        path = folder / f"{hour:02d}.{file_format}"
        option = "JSON" if file_format == "jsonl" else "PARQUET"
        database.execute(f"COPY ({query}) TO '{path}' (FORMAT {option})")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.name] = {"size_bytes": path.stat().st_size, "sha256": sha256}
    (folder / "_complete.json").write_text(json.dumps({"files": files}))


def collect_and_validate(root: Path, file_format: str) -> tuple[int, dict[str, float]]:
    """What the cycle does with a day: the requests, and seconds by step."""
    begun = time.perf_counter()
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import duckdb  # noqa: F401 - the clock starts after the imports
    import great_expectations  # noqa: F401

    from upkeep.sources import Asked, collect
    from upkeep.spec import ModelSpec
    from upkeep.validation import validate

    spec = ModelSpec.model_validate(
        {
            "name": "talker",
            "sources": [{"kind": "request_log", "path": str(root)}],
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {"version": "benchmark", "measures": {}, "rules": []},
        }
    )
    start = time.perf_counter()
    imports = start - begun
    collected = collect(Asked(spec, DAY, lambda *_: None))
    middle = time.perf_counter()
    result, _ = validate(spec, collected.metrics, [])
    if not result.trusted:
        raise SystemExit(f"the {file_format} day is not trusted: {result.failures}")
    end = time.perf_counter()
    seconds = {"imports": imports, "collect": middle - start, "validate": end - middle}
    return collected.metrics.requests or 0, seconds


def bare(root: Path, file_format: str) -> tuple[int, dict[str, float]]:
    """The barest query of the same aggregates: the requests, and its seconds."""
    import duckdb

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as spilled:
        database = duckdb.connect(
            config={
                "memory_limit": BARE_MEMORY,
                "temp_directory": spilled,
                "threads": 2,
            }
        )
        database.execute("SET enable_progress_bar = false")
        glob = root / DAY.isoformat() / f"*.{file_format}"
        if file_format == "jsonl":
            files, hour = (
                f"read_json('{glob}', format = 'newline_delimited')",
                "hour(time::TIMESTAMP)",
            )
        else:
            files, hour = f"read_parquet('{glob}')", f"(epoch(time) - {START_S}) // 3600"
        answer: list[Any] = []
        for query in BARE.format(files=files, hour=hour).split(";"):
            answer = database.execute(query).fetchall()
    return int(answer[0][0]), {"query": time.perf_counter() - start}


SIDES: dict[str, Callable[[Path, str], tuple[int, dict[str, float]]]] = {
    "upkeep": collect_and_validate,
    "bare": bare,
}


def one_run(side: str, root: Path, file_format: str, rows: int) -> dict[str, float]:
    """Seconds by step and peak memory (MB) of one process."""
    command = [sys.executable, "-m", "benchmarks.collect_day", "--side", side, str(root)]
    done = subprocess.run([*command, file_format], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if found.pop("requests") != rows:
        raise SystemExit(f"{side} counted other requests than {rows}: {done.stdout}")
    return {name: float(value) for name, value in found.items()}


def compare(file_format: str, rows: int, rounds: int) -> float:
    """Print both sides' medians and the median of the pairs' ratios; give our seconds."""
    with tempfile.TemporaryDirectory(prefix="upkeep-bench-") as folder:
        write_day(Path(folder), file_format, rows)
        size = sum(f.stat().st_size for f in Path(folder).rglob("*.*")) / 1e6
        pairs = [
            tuple(one_run(side, Path(folder), file_format, rows) for side in SIDES)
            for _ in range(rounds + 1)
        ][1:]
    ours, theirs = (
        {name: statistics.median(run[name] for run in side) for name in side[0]}
        for side in zip(*pairs, strict=True)
    )
    total = ours["collect"] + ours["validate"]
    ratios = [(a["collect"] + a["validate"]) / b["query"] for a, b in pairs]
    only = statistics.median(a["collect"] / b["query"] for a, b in pairs)
    print(
        f"{file_format:7} {rows:>10,} rows {size:7.0f} MB  collect {ours['collect']:6.2f} s + "
        f"validate {ours['validate']:5.2f} s = {total:6.2f} s, {ours['rss_mb']:4.0f} MB "
        f"(imports {ours['imports']:.1f} s); "
        f"bare {theirs['query']:6.2f} s, {theirs['rss_mb']:4.0f} MB; "
        f"ratio {statistics.median(ratios):.2f} (collect alone {only:.2f})",
        flush=True,
    )
    return ours["collect"]


def main() -> None:
    """Compare every size that was asked for; print the growth exponent between Parquet's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parquet", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--jsonl", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "FOLDER", "FORMAT"))
    asked = parser.parse_args()
    if asked.side:
        side, folder, file_format = asked.side
        requests, seconds = SIDES[side](Path(folder), file_format)
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"requests": requests, "rss_mb": rss_mb} | seconds))
        return
    took = [(rows, compare("parquet", rows, asked.rounds)) for rows in asked.parquet]
    for (few, fast), (many, slow) in pairwise(took):
        exponent = math.log(slow / fast) / math.log(many / few)
        print(f"growth exponent of collect from {few:,} to {many:,} rows: {exponent:.2f}")
    for rows in asked.jsonl:
        compare("jsonl", rows, asked.rounds)


if __name__ == "__main__":
    main()
