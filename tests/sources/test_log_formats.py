"""The same day in every format, from a folder: the same numbers, the same texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.request_logs import (
    FORMATS,
    day_rows,
    encoded,
    log_row,
    log_spec,
    read_logs,
    write_day,
    write_manifest,
)
from upkeep.records import DailyMetrics
from upkeep.sources import Collected

DAY = date(2026, 3, 5)
HOW = {"quarantined", "flags", "rows_read", "rows_quarantined", "source"}


def rich_rows() -> list[dict[str, Any]]:
    """Rows of all kinds: failures without numbers, no slice, other versions, references."""
    rows = day_rows(DAY, 4)
    for number, row in enumerate(rows):
        if number % 7 == 0:
            row.update(status="api_error", latency_ms=None, ttft_ms=None, tokens_out=None)
        if number % 11 == 0:
            row.update(status="generation_error", prompt=None)
        if number % 5 == 0:
            row["client"] = None
        if number % 3 == 0:
            row.update(model_version="2", reference=f"näher {number}")
    return rows


def collected(path: Path) -> Collected:
    """Collect the day."""
    return read_logs(log_spec(path), DAY)


def numbers(metrics: DailyMetrics) -> dict[str, Any]:
    """What the day says of production, without how its rows were come by."""
    return metrics.model_dump(exclude=HOW)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """The day of ``rich_rows`` as plain JSON lines."""
    path = tmp_path_factory.mktemp("plain")
    write_day(path, DAY, rich_rows())
    return collected(path)


@pytest.mark.parametrize("manifest", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_gives_the_same_day(
    tmp_path: Path, plain: Collected, file_format: str, *, manifest: bool
) -> None:
    """To the bit, samples too, with a manifest and without."""
    write_day(tmp_path, DAY, rich_rows(), manifest=manifest, file_format=file_format)
    found = collected(tmp_path)
    assert numbers(found.metrics) == numbers(plain.metrics)
    assert found.samples == plain.samples
    assert found.metrics.coverage == 1.0
    assert found.metrics.rows_read == 96
    assert found.metrics.quarantined == ()
    assert len(found.metrics.flags) == (0 if manifest else 1)


@pytest.mark.parametrize("file_format", FORMATS[1:])
def test_files_of_one_hour_in_two_formats_are_both_read_and_joined(
    tmp_path: Path, plain: Collected, file_format: str
) -> None:
    """What both deliver counts once, across formats (B25)."""
    rows = rich_rows()
    folder = write_day(tmp_path, DAY, rows[:80])
    for hour in range(24):
        more = [row for row in rows[60:] if row["time"][11:13] == f"{hour:02d}"]
        if more:
            (folder / f"{hour:02d}.{file_format}").write_bytes(encoded(more, file_format))
    write_manifest(folder)
    found = collected(tmp_path)
    assert numbers(found.metrics) == numbers(plain.metrics)
    assert found.samples == plain.samples
    assert found.metrics.flags == ("20 rows were delivered again and counted once",)


@pytest.mark.parametrize("file_format", ["jsonl.zst", "parquet"])
def test_a_different_request_with_the_same_id_in_another_format_refuses_both(
    tmp_path: Path, file_format: str
) -> None:
    """Formats are no excuse: neither is counted, both are named with their bytes (A14)."""
    folder = write_day(tmp_path, DAY)
    other = encoded([log_row(DAY, 9, 1, prompt="other"), log_row(DAY, 9, 50)], file_format)
    (folder / f"09.{file_format}").write_bytes(other)
    write_manifest(folder)
    aside: list[tuple[str, bytes, str]] = []
    metrics = read_logs(log_spec(tmp_path), DAY, lambda *kept: aside.append(kept)).metrics
    unit = "row" if file_format == "parquet" else "line"
    assert [q.what for q in metrics.quarantined] == [
        "09.jsonl line 2",
        f"09.{file_format} {unit} 1",
    ]
    assert {q.reason for q in metrics.quarantined} == {"has the request_id of a different request"}
    assert metrics.requests == 72
    assert all(b"2026-03-05-09-00001" in data for _, data, _ in aside)


def test_an_hour_needs_all_the_files_that_its_manifest_lists(tmp_path: Path) -> None:
    """A second file that is gone uncovers the hour; one that is not listed is not read."""
    folder = write_day(tmp_path, DAY)
    (folder / "04.parquet").write_bytes(encoded([log_row(DAY, 4, 50)], "parquet"))
    write_manifest(folder)
    (folder / "04.parquet").unlink()
    (folder / "05.parquet").write_bytes(encoded([log_row(DAY, 5, 50)], "parquet"))
    metrics = collected(tmp_path).metrics
    assert [hour.hour for hour in metrics.hours if not hour.covered] == [4]
    assert [f"{q.what} {q.reason}" for q in metrics.quarantined] == [
        "04.parquet is missing, its manifest lists it",
        "05.parquet is not in its manifest",
    ]
    assert metrics.requests == 72


def test_a_missing_hour_is_named_as_the_other_files_are(tmp_path: Path) -> None:
    """Of a day of Parquet files a Parquet file is missing."""
    folder = write_day(tmp_path, DAY, file_format="parquet", manifest=False)
    (folder / "03.parquet").unlink()
    metrics = collected(tmp_path).metrics
    assert [f"{q.what} {q.reason}" for q in metrics.quarantined] == ["03.parquet is missing"]


# ---------------------------------------------------------------- properties

slow = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def split(rows: Sequence[dict[str, Any]], chance: random.Random) -> list[tuple[str, list[Any]]]:
    """Rows dealt to files of random hours and formats."""
    files: dict[str, list[Any]] = {}
    for row in rows:
        name = f"{chance.randrange(24):02d}.{chance.choice(FORMATS)}"
        files.setdefault(name, []).append(row)
    return list(files.items())


@slow
@given(seed=st.integers(0, 2**32), copies=st.integers(0, 30))
def test_no_split_order_format_or_second_delivery_changes_the_day(
    tmp_path: Path, plain: Collected, seed: int, copies: int
) -> None:
    """Rows shuffled over files of all formats, some delivered again: the same day (A16, B25)."""
    chance = random.Random(seed)
    path = tmp_path / f"{seed}-{copies}"
    rows = rich_rows()
    folder = write_day(path, DAY, []) if not path.exists() else path / DAY.isoformat()
    dealt = rows + chance.sample(rows, copies)
    chance.shuffle(dealt)
    for name, part in split(dealt, chance):
        (folder / name).write_bytes(encoded(part, name.partition(".")[2]))
    write_manifest(folder)
    found = collected(path)
    assert numbers(found.metrics) == numbers(plain.metrics)
    assert found.samples == plain.samples


@pytest.mark.parametrize("manifest", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize("file_format", ["jsonl.gz", "parquet"])
def test_b2_a_flipped_byte_gives_the_same_day_or_says_so(
    tmp_path: Path, file_format: str, *, manifest: bool
) -> None:
    """Never another number in silence: by SHA-256, or by the checksums of gzip and of pages."""
    folder = write_day(tmp_path, DAY, day_rows(DAY), file_format=file_format, manifest=manifest)
    whole = collected(tmp_path)
    file = folder / f"03.{file_format}"
    raw, chance = file.read_bytes(), random.Random(3)
    for _ in range(8 if manifest else 15):
        damaged = bytearray(raw)
        damaged[chance.randrange(len(raw))] ^= chance.randrange(1, 256)
        file.write_bytes(damaged)
        found = collected(tmp_path)
        if numbers(found.metrics) != numbers(whole.metrics) or found.samples != whole.samples:
            assert found.metrics.coverage < 1.0
            assert found.metrics.quarantined


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_log_without_first_tokens_says_so_and_is_read(tmp_path: Path, file_format: str) -> None:
    """Who does not stream has none: not collected, and everything else is there."""
    rows = [{k: v for k, v in row.items() if k != "ttft_ms"} for row in day_rows(DAY)]
    write_day(tmp_path, DAY, rows=rows, file_format=file_format)
    metrics = collected(tmp_path).metrics
    assert (metrics.requests, metrics.rows_quarantined) == (72, 0)
    assert metrics.ttft_ms is None
    assert {hour.ttft_ms for hour in metrics.hours} == {None}
    assert metrics.latency_ms is not None


def test_first_tokens_of_some_requests_are_of_those(tmp_path: Path) -> None:
    """Their mean and count are over the requests that have one."""
    rows = day_rows(DAY)
    for row in rows[::2]:
        row["ttft_ms"] = None
    write_day(tmp_path, DAY, rows=rows)
    metrics = collected(tmp_path).metrics
    assert metrics.ttft_ms is not None
    assert metrics.ttft_ms.n == 36
    assert metrics.ttft_ms.mean == pytest.approx(fmean(row["ttft_ms"] for row in rows[1::2]))


def test_utc_may_be_written_as_an_offset_of_nothing(tmp_path: Path) -> None:
    """``+00:00``, as Python writes it, is UTC; any other offset is not guessed at."""
    rows = day_rows(DAY)
    for row in rows:
        row["time"] = row["time"].replace("Z", "+00:00")
    rows[0]["time"] = rows[0]["time"].replace("+00:00", "+01:00")
    write_day(tmp_path, DAY, rows=rows)
    metrics = collected(tmp_path).metrics
    assert (metrics.requests, metrics.rows_quarantined) == (71, 1)


def test_an_hour_of_which_every_row_was_refused_is_unknown(tmp_path: Path) -> None:
    """Its file is whole, and yet nothing is known of its requests: None, and never 0."""
    rows = day_rows(DAY)
    for row in rows:
        if row["time"].startswith(f"{DAY}T05"):
            row["status"] = "fine"
    write_day(tmp_path, DAY, rows=rows)
    refused, other = collected(tmp_path).metrics.hours[5:7]
    assert (refused.covered, refused.requests, refused.tokens_in, refused.busy_s) == (
        True, None, None, None,
    )  # fmt: skip
    assert other.requests == 3
