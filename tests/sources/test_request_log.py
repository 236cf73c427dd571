"""A folder of log files becomes a day; what cannot be believed is set aside, never counted."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import tracemalloc
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.request_logs import (
    day_rows,
    log_row,
    log_spec,
    read_logs,
    write_day,
    write_manifest,
)
from upkeep.errors import ConfigError, SourceError
from upkeep.records import DailyMetrics, Sample
from upkeep.sources import Collected, log_aside, log_whole

DAY = date(2026, 3, 5)


class KeptAside:
    """A quarantine that remembers what it was given."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: list[tuple[str, bytes, str]] = []

    def __call__(self, name: str, data: bytes, reason: str) -> None:
        """Keep it."""
        self.kept.append((name, data, reason))


def collect(*paths: Path, aside: KeptAside | None = None, **spec: Any) -> Collected:
    """Collect the day from one or more folders."""
    return read_logs(log_spec(*paths, **spec), DAY, aside or KeptAside())


def lost(metrics: DailyMetrics) -> list[int]:
    """Give the hours that are not covered."""
    return [hour.hour for hour in metrics.hours if not hour.covered]


def reasons(metrics: DailyMetrics) -> list[str]:
    """Give what was set aside, in words."""
    return [f"{q.what} {q.reason}" for q in metrics.quarantined]


def numbers(metrics: DailyMetrics) -> dict[str, Any]:
    """Give what the day says of production, without how its rows were come by."""
    how = {"quarantined", "flags", "rows_read", "rows_quarantined"}
    return metrics.model_dump(exclude=how)


def test_a_whole_day_is_covered_and_counted_in_each_of_its_hours(tmp_path: Path) -> None:
    """Nothing is set aside, nothing is odd."""
    write_day(tmp_path, DAY)
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.rows_read, metrics.rows_quarantined) == (1.0, 72, 0)
    assert (metrics.requests, metrics.flags, metrics.quarantined) == (72, (), ())
    assert [(h.hour, h.covered, h.requests) for h in metrics.hours] == [
        (n, True, 3) for n in range(24)
    ]
    assert metrics.source == f"request_log:{tmp_path}"


def test_a_row_on_the_edge_of_two_days_is_counted_in_exactly_one(tmp_path: Path) -> None:
    """Midnight belongs to the day that begins, whichever folder the row lies in (A17)."""
    edge = "2026-03-05T00:00:00.000000000Z"
    before = "2026-03-04T23:59:59.999999999Z"
    rows = [log_row(DAY, number=1, time=edge), log_row(DAY, number=2, time=before)]
    counted = []
    for day in (DAY - timedelta(1), DAY, DAY + timedelta(1)):
        write_day(tmp_path, day, rows)
        metrics = read_logs(log_spec(tmp_path), day, KeptAside()).metrics
        counted.append(metrics.requests or 0)
    assert counted == [1, 1, 0]


def test_days_of_23_and_25_local_hours_are_days_of_24_hours_in_utc(tmp_path: Path) -> None:
    """Daylight saving changes nothing (A24)."""
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        write_day(tmp_path, day)
        metrics = read_logs(log_spec(tmp_path), day, KeptAside()).metrics
        assert (metrics.coverage, metrics.requests) == (1.0, 72)


# ---------------------------------------------------------------- folders


def test_a_missing_day_folder_is_no_source_and_no_error(tmp_path: Path) -> None:
    """The day is recorded as unknown, so that the other models go on (A27, B29)."""
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.requests, metrics.latency_ms) == (0.0, None, None)
    assert reasons(metrics) == ["2026-03-05 no_source"]
    assert lost(metrics) == list(range(24))


def test_a_day_closed_with_no_files_is_a_day_without_traffic(tmp_path: Path) -> None:
    """The writer's own word that nothing was requested is not the same as silence (A21, B29)."""
    folder = tmp_path / DAY.isoformat()
    folder.mkdir()
    write_manifest(folder)
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.requests, metrics.cost_usd) == (1.0, 0, 0.0)
    assert metrics.latency_ms is None
    assert metrics.flags == ("no_traffic: the manifest says that nothing was requested",)


def test_a_day_closed_with_empty_files_is_a_day_without_traffic(tmp_path: Path) -> None:
    """Empty hours that the manifest records are whole."""
    write_day(tmp_path, DAY, [])
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.requests, metrics.busy_s) == (1.0, 0, 0.0)


def test_an_empty_folder_that_nobody_closed_is_unknown(tmp_path: Path) -> None:
    """No files and no manifest is not zero requests (A20)."""
    (tmp_path / DAY.isoformat()).mkdir()
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.requests) == (0.0, None)
    assert reasons(metrics) == ["2026-03-05 has no file of any hour"]


def test_a_day_that_was_not_closed_is_read_and_flagged(tmp_path: Path) -> None:
    """Without a manifest the files must speak for themselves."""
    write_day(tmp_path, DAY, manifest=False)
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.requests) == (1.0, 72)
    assert metrics.flags == ("the writer did not close the day: there is no _complete.json",)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"files": {"00.jsonl": {"size_by', id="cut-off"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'{"file": {}}', id="other-key"),
        pytest.param(b'{"files": {}, "files": {}}', id="key-twice"),
        pytest.param(b'{"files": {"00.jsonl": {"size_bytes": "1", "sha256": "x"}}}', id="types"),
        pytest.param(b'{"files": {}}' + b" " * 2**20 + b"x", id="over-a-mebibyte"),
    ],
)
def test_a_broken_manifest_leaves_no_file_believable(tmp_path: Path, manifest: bytes) -> None:
    """Nothing is taken for whole when the record of what is whole cannot be read."""
    folder = write_day(tmp_path, DAY)
    (folder / "_complete.json").write_bytes(manifest)
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.requests) == (0.0, None)
    assert reasons(metrics) == ["_complete.json is not a manifest, so no file can be told whole"]


def test_files_of_no_hour_are_not_read_and_named(tmp_path: Path) -> None:
    """A stray copy adds nothing, and its name cannot break a page."""
    folder = write_day(tmp_path, DAY)
    for name in ("03.jsonl.bak", "24.jsonl", "a\n<b>", "notes"):
        shutil.copy(folder / "03.jsonl", folder / name)
    metrics = collect(tmp_path).metrics
    assert metrics.requests == 72
    assert metrics.flags == (
        r"files that are no hour's were not read: '03.jsonl.bak', '24.jsonl', 'a\\n<b>' and 1 more",
    )


def test_a_path_takes_its_variables_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record names the variable, not the machine's folder, so that it is the same anywhere."""
    monkeypatch.setenv("SOME_LOGS", str(tmp_path))
    write_day(tmp_path / "talker", DAY)
    collected = read_logs(log_spec("${SOME_LOGS}/talker"), DAY, KeptAside())
    assert collected.metrics.requests == 72
    assert collected.metrics.source == "request_log:${SOME_LOGS}/talker"


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_a_variable_that_is_not_set_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """An unset variable never makes another path (C16)."""
    monkeypatch.delenv("SOME_LOGS", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_LOGS", value)
    with pytest.raises(ConfigError, match=r"talker: request_log path: .*SOME_LOGS is not set"):
        read_logs(log_spec("${SOME_LOGS}/talker"), DAY, KeptAside())


@pytest.mark.parametrize(
    ("path", "rule"),
    [("gs://bucket/logs", "neither a folder nor s3://"), ("s3:///logs", "names no bucket")],
)
def test_a_path_of_another_scheme_is_refused_before_anything_is_read(path: str, rule: str) -> None:
    """Another object store is not a relative folder named ``gs:``."""
    with pytest.raises(ConfigError, match=rule):
        read_logs(log_spec(path), DAY, KeptAside())


def test_two_sources_make_one_day(tmp_path: Path) -> None:
    """Two replicas' logs are added up; a request in both is counted once."""
    rows = day_rows(DAY)
    write_day(tmp_path / "a", DAY, rows[:40])
    write_day(tmp_path / "b", DAY, rows[30:])
    metrics = collect(tmp_path / "a", tmp_path / "b").metrics
    assert (metrics.requests, metrics.coverage) == (72, 1.0)
    assert metrics.flags == ("10 rows were delivered again and counted once",)


def test_an_hour_is_covered_only_if_every_source_covers_it(tmp_path: Path) -> None:
    """Half of the replicas is half of the day's data."""
    write_day(tmp_path / "a", DAY)
    (write_day(tmp_path / "b", DAY) / "07.jsonl").unlink()
    metrics = collect(tmp_path / "a", tmp_path / "b", tmp_path / "none").metrics
    assert metrics.coverage == (24 + 23) / 72
    assert lost(metrics) == list(range(24))
    assert reasons(metrics) == [
        "source 2: 07.jsonl is missing, its manifest lists it",
        "source 3: 2026-03-05 no_source",
    ]


# ---------------------------------------------------------------- files


def _unlink(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def _cut_in_a_character(file: Path) -> None:
    text = file.read_bytes().rstrip(b'\n"}') + "é".encode()
    file.write_bytes(text[:-1])


def _flip(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"latency_ms": 1', b'"latency_ms": 2', 1))


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _append(file: Path) -> None:
    with file.open("ab") as f:
        f.write(json.dumps(log_row(DAY, 3, 999)).encode() + b"\n")


def _utf16(file: Path) -> None:
    file.write_bytes(file.read_text().encode("utf-16"))


def _folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _gzip(file: Path) -> None:
    file.write_bytes(gzip.compress(file.read_bytes()))


def _dangling(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.parent / "gone")


BROKEN_FILES: list[Any] = [
    pytest.param(_unlink, True, "03.jsonl is missing, its manifest lists it", id="A23-B5-gone"),
    pytest.param(_unlink, False, "03.jsonl is missing", id="A23-no-file-no-manifest"),
    pytest.param(_flip, True, "03.jsonl differs from its manifest", id="B2-flipped-digit"),
    pytest.param(_empty, True, "03.jsonl is cut off (0 of 833 bytes)", id="B3-empty"),
    pytest.param(_empty, False, "03.jsonl is empty", id="B3-empty-no-manifest"),
    pytest.param(_append, True, "03.jsonl differs from its manifest", id="B4-still-growing"),
    pytest.param(_cut, True, "03.jsonl is cut off (803 of 833 bytes)", id="B12-cut-off"),
    pytest.param(_cut, False, "03.jsonl line 3 is cut off", id="B12-cut-off-no-manifest"),
    pytest.param(_cut_in_a_character, False, "03.jsonl line 3 is cut off", id="B12-in-a-character"),
    pytest.param(_utf16, True, "03.jsonl is UTF-16, not UTF-8", id="B15-utf-16"),
    pytest.param(_utf16, False, "03.jsonl is UTF-16, not UTF-8", id="B15-utf-16-no-manifest"),
    pytest.param(_gzip, True, "03.jsonl is cut off", id="B9-gzip-under-a-plain-name"),
    pytest.param(_gzip, False, "03.jsonl is gzip, which its name does not", id="B9-gzip"),
    pytest.param(
        _folder_instead, True, "03.jsonl cannot be read (it is not a regular file)", id="folder"
    ),
    pytest.param(_dangling, True, "03.jsonl is missing, its manifest lists it", id="dangling-link"),
]


@pytest.mark.parametrize(("damage", "closed", "words"), BROKEN_FILES)
def test_one_broken_file_uncovers_its_hour_and_no_other(
    tmp_path: Path, damage: Callable[[Path], None], words: str, *, closed: bool
) -> None:
    """The file is named with what is wrong; the rest of the day stands."""
    folder = write_day(tmp_path, DAY, manifest=closed)
    damage(folder / "03.jsonl")
    aside = KeptAside()
    metrics = collect(tmp_path, aside=aside).metrics
    assert lost(metrics) == [3]
    assert metrics.coverage == 23 / 24
    assert reasons(metrics)[0].startswith(words)
    assert metrics.requests in {69, 71}
    assert [(name, reason) for name, _, reason in aside.kept] == [
        (q.what, q.reason) for q in metrics.quarantined
    ]


def test_the_whole_rows_of_a_cut_off_file_are_kept_where_no_manifest_denies_them(
    tmp_path: Path,
) -> None:
    """Two of the three rows of the hour are good, and its hour is still not covered."""
    folder = write_day(tmp_path, DAY, manifest=False)
    _cut(folder / "03.jsonl")
    metrics = collect(tmp_path).metrics
    assert (metrics.hours[3].covered, metrics.hours[3].requests) == (False, 2)
    assert (metrics.requests, metrics.rows_read, metrics.rows_quarantined) == (71, 72, 1)


def test_no_row_is_believed_of_a_file_that_differs_from_its_manifest(tmp_path: Path) -> None:
    """A flipped digit reads well and is wrong; its rows are counted as set aside, not as true."""
    folder = write_day(tmp_path, DAY)
    _flip(folder / "03.jsonl")
    aside = KeptAside()
    metrics = collect(tmp_path, aside=aside).metrics
    assert metrics.hours[3].requests is None
    assert (metrics.requests, metrics.rows_read, metrics.rows_quarantined) == (69, 72, 3)
    assert aside.kept == [
        ("03.jsonl", (folder / "03.jsonl").read_bytes(), "differs from its manifest")
    ]


def test_a_file_that_came_after_the_day_was_closed_is_not_believed(tmp_path: Path) -> None:
    """An hour that the manifest does not list is unknown, with a file or without."""
    folder = write_day(tmp_path, DAY)
    manifest = json.loads((folder / "_complete.json").read_text())
    del manifest["files"]["03.jsonl"], manifest["files"]["04.jsonl"]
    (folder / "_complete.json").write_text(json.dumps(manifest))
    (folder / "04.jsonl").unlink()
    metrics = collect(tmp_path).metrics
    assert reasons(metrics) == ["03.jsonl is not in its manifest", "04.jsonl is missing"]
    assert (lost(metrics), metrics.requests) == ([3, 4], 66)


def test_a_source_that_died_at_noon_covers_half_of_the_day(tmp_path: Path) -> None:
    """Files that were never written are lost hours, not quiet ones (A22)."""
    folder = write_day(tmp_path, DAY, manifest=False)
    for hour in range(12, 24):
        (folder / f"{hour:02d}.jsonl").unlink()
    write_manifest(folder)
    metrics = collect(tmp_path).metrics
    assert (metrics.coverage, metrics.requests) == (0.5, 36)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    """Both are harmless (B16); a last line without an end is whole if it is whole JSON."""
    folder = write_day(tmp_path, DAY, manifest=False)
    plain = collect(tmp_path).metrics
    for file in folder.glob("*.jsonl"):
        lines = file.read_bytes().rstrip().replace(b"\n", b"\r\n\r\n")
        file.write_bytes(b"\xef\xbb\xbf" + lines)
    assert collect(tmp_path).metrics == plain


def test_a_file_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was hashed is what is counted, or nothing is; trying again may help."""
    folder = write_day(tmp_path, DAY)
    real = log_whole.measure

    def measure_then_flip(file: BinaryIO) -> tuple[int, int, str]:
        measured = real(file)
        if Path(file.name).name == "03.jsonl":
            _flip(Path(file.name))
        return measured

    monkeypatch.setattr(log_whole, "measure", measure_then_flip)
    aside = KeptAside()
    with pytest.raises(SourceError, match=r"03\.jsonl changed while it was read"):
        collect(tmp_path, aside=aside)
    assert aside.kept == []
    assert folder.is_dir()


# ---------------------------------------------------------------- lines


BAD_LINES: list[Any] = [
    pytest.param(b'{"latency_ms": NaN}', "holds NaN or Infinity", True, id="B20-nan"),
    pytest.param(b"{} {}", "is not JSON", False, id="B10-not-json"),
    pytest.param(b"\0" * 50, "holds NUL bytes", False, id="B14-nul"),
    pytest.param(b'{"a": "\xff"}', "is not UTF-8", False, id="B15-stray-byte"),
    pytest.param(b"[" * 20_000, "is nested too deep", False, id="B18-deep"),
    pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "holds a number of more", True, id="B19-huge"),
    pytest.param(b'{"a": 1, "a": 2}', "names a key twice", True, id="B21-key-twice"),
    pytest.param(b'{"status": "ok"}', "has no request_id", True, id="B26-no-id"),
    pytest.param(b'"' + b"x" * 70_000 + b'"', "is longer than 65536 bytes", False, id="B13-long"),
]


@pytest.mark.parametrize(("raw", "reason", "covered"), BAD_LINES)
def test_one_bad_line_is_set_aside_with_its_number_and_its_bytes(
    tmp_path: Path, raw: bytes, reason: str, *, covered: bool
) -> None:
    """The rest of the file counts; the hour is whole only if the line was JSON text."""
    folder = write_day(tmp_path, DAY, manifest=False)
    file = folder / "03.jsonl"
    file.write_bytes(file.read_bytes() + raw + b"\n")
    write_manifest(folder)
    aside = KeptAside()
    metrics = collect(tmp_path, aside=aside).metrics
    assert reasons(metrics)[0].startswith(f"03.jsonl line 4 {reason}")
    assert (metrics.requests, metrics.rows_read, metrics.rows_quarantined) == (72, 73, 1)
    assert lost(metrics) == ([] if covered else [3])
    assert aside.kept[0][1].rstrip(b"\n") == raw[: 65_536 + 2]


def test_lines_with_one_reason_are_set_aside_together(tmp_path: Path) -> None:
    """Half a file of bad rows makes one entry with a few line numbers, not thousands (B22)."""
    rows = [log_row(DAY, 3, n, latency_ms=str(n)) for n in range(40)]
    write_day(tmp_path, DAY, day_rows(DAY) + rows)
    aside = KeptAside()
    metrics = collect(tmp_path, aside=aside).metrics
    (quarantined,) = metrics.quarantined
    assert quarantined.what == "03.jsonl lines 4, 5, 6, 7, 8 and 35 more"
    assert (quarantined.rows, metrics.rows_quarantined, metrics.requests) == (40, 40, 72)
    assert len(aside.kept[0][1].splitlines()) == 40


def test_a_column_renamed_at_noon_is_named_on_both_sides(tmp_path: Path) -> None:
    """What is missing and what is new stand in the day's record (B23)."""
    rows = day_rows(DAY)
    for row in rows[36:]:
        row["latency"] = row.pop("latency_ms")
    write_day(tmp_path, DAY, rows)
    metrics = collect(tmp_path).metrics
    assert (metrics.requests, metrics.rows_quarantined, metrics.coverage) == (36, 36, 1.0)
    assert {q.reason for q in metrics.quarantined} == {"has no latency_ms"}
    assert metrics.flags == ("rows have fields that are not known and not read: 'latency'",)


def test_a_day_of_bad_lines_only_is_unknown(tmp_path: Path) -> None:
    """Every line bad is no data, not no traffic (B11)."""
    write_day(tmp_path, DAY, day_rows(DAY, status="fine"))
    metrics = collect(tmp_path).metrics
    assert (metrics.requests, metrics.rows_read, metrics.rows_quarantined) == (None, 72, 72)


def test_a_file_delivered_twice_counts_once(tmp_path: Path) -> None:
    """Rows of a neighbouring hour's file are theirs by their time, and counted once (B25)."""
    folder = write_day(tmp_path, DAY, manifest=False)
    once = collect(tmp_path).metrics
    (folder / "04.jsonl").write_bytes((folder / "04.jsonl").read_bytes() * 2)
    shutil.copy(folder / "05.jsonl", folder / "06.jsonl.part")
    (folder / "07.jsonl").write_bytes(
        (folder / "07.jsonl").read_bytes() + (folder / "08.jsonl").read_bytes()
    )
    twice = collect(tmp_path).metrics
    assert numbers(twice) == numbers(once)


def test_two_requests_with_one_id_are_both_set_aside(tmp_path: Path) -> None:
    """No order of files decides which of them is true (A14)."""
    rows = [*day_rows(DAY), log_row(DAY, 9, 0, latency_ms=77)]
    write_day(tmp_path, DAY, rows)
    aside = KeptAside()
    metrics = collect(tmp_path, aside=aside).metrics
    assert (metrics.requests, metrics.rows_quarantined, metrics.coverage) == (71, 2, 1.0)
    assert reasons(metrics) == ["09.jsonl lines 1, 4 has the request_id of a different request"]
    assert len(aside.kept) == 1


def test_a_line_of_64_mebibytes_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    """The reader's memory depends on max_line_bytes, not on the line (B13)."""
    folder = write_day(tmp_path, DAY, manifest=False)
    collect(tmp_path)  # what is imported on first use is not the reader's
    with (folder / "03.jsonl").open("ab") as file:
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b"\n" + json.dumps(log_row(DAY, 3, 50)).encode() + b"\n")
    tracemalloc.start()
    metrics = collect(tmp_path).metrics
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (metrics.requests, lost(metrics)) == (73, [3])
    assert peak_bytes < 16 * 2**20


def test_no_more_than_a_few_megabytes_of_a_bad_file_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quarantine holds the beginning; the original still lies at its source."""
    monkeypatch.setattr(log_aside, "KEPT_BYTES", 100)
    folder = write_day(tmp_path, DAY)
    _flip(folder / "03.jsonl")
    (folder / "04.jsonl").write_bytes(b"not json\n" * 50)
    manifest = json.loads((folder / "_complete.json").read_text())
    write_manifest(folder)
    manifest["files"]["04.jsonl"] = json.loads((folder / "_complete.json").read_text())["files"][
        "04.jsonl"
    ]
    (folder / "_complete.json").write_text(json.dumps(manifest))
    aside = KeptAside()
    metrics = collect(tmp_path, aside=aside).metrics
    assert [len(data) for _, data, _ in aside.kept] == [100, 100]
    assert metrics.rows_quarantined == 53


# ---------------------------------------------------------------- texts


def test_texts_never_reach_metrics_or_reasons(tmp_path: Path) -> None:
    """Prompts, secrets and markup stay in samples and in the quarantine (B27)."""
    secret = "=cmd|' /C calc'!A0 <script>\x1b[31m sk-hunter2"
    rows = day_rows(DAY, 1, prompt=secret, completion=secret, reference=secret)
    rows += [log_row(DAY, 5, 900 + n, prompt=secret, status=secret) for n in range(3)]
    rows += [log_row(DAY, 6, 900, latency_ms=secret)]
    write_day(tmp_path, DAY, rows)
    collected = collect(tmp_path)
    assert "hunter2" not in collected.metrics.model_dump_json()
    assert collected.metrics.rows_quarantined == 4
    assert {s.prompt for s in collected.samples} == {secret}


def test_every_good_text_becomes_a_sample_of_its_slice(tmp_path: Path) -> None:
    """Sorted by id; the slice is the field that the model names."""
    write_day(tmp_path, DAY, [log_row(DAY, h, 0, reference="R", team=f"t{h % 2}") for h in (5, 2)])
    source = {"kind": "request_log", "path": str(tmp_path), "slice_field": "team"}
    collected = read_logs(log_spec(sources=[source]), DAY, KeptAside())
    assert collected.samples == tuple(
        Sample(
            id=f"2026-03-05-{hour:02d}-00000",
            slice=f"t{hour % 2}",
            prompt=f"What is said about topic 0 at {hour}?",
            completion="It depends.",
            reference="R",
        )
        for hour in (2, 5)
    )


# ---------------------------------------------------------------- properties

slow_fixtures = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@slow_fixtures
@given(seed=st.integers(0, 2**32), copies=st.integers(0, 10))
def test_no_order_of_rows_and_files_changes_the_day(tmp_path: Path, seed: int, copies: int) -> None:
    """Rows shuffled over all files, some delivered again: the same numbers and texts (A16)."""
    chance = random.Random(seed)
    rows = [
        log_row(
            DAY,
            h,
            n,
            latency_ms=chance.uniform(0, 900),
            status=chance.choice(["ok"] * 9 + ["api_error"]),
        )
        for h in range(24)
        for n in range(2)
    ]
    straight, shuffled = tmp_path / f"{seed}-{copies}-a", tmp_path / f"{seed}-{copies}-b"
    for path in (straight, shuffled):
        shutil.rmtree(path, ignore_errors=True)
    write_day(straight, DAY, rows)
    folder = write_day(shuffled, DAY, [])
    lines = [json.dumps(row) for row in rows + chance.sample(rows, copies)]
    chance.shuffle(lines)
    for number, text in enumerate(lines):
        with (folder / f"{number % 24:02d}.jsonl").open("a") as file:
            file.write(text + "\n")
    write_manifest(folder)
    one, other = collect(straight), collect(shuffled)
    assert numbers(one.metrics) | {"source": ""} == numbers(other.metrics) | {"source": ""}
    assert one.samples == other.samples


@pytest.fixture(scope="module")
def closed_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of logs that each example damages and heals."""
    path = tmp_path_factory.mktemp("closed")
    write_day(path, DAY, day_rows(DAY, 1))
    return path


@pytest.fixture(scope="module")
def whole(closed_day: Path) -> Collected:
    """Give what the undamaged logs say."""
    return collect(closed_day)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_one_damaged_byte_of_a_closed_day_is_seen_or_harmless(
    closed_day: Path, whole: Collected, data: st.DataObject
) -> None:
    """Whichever byte of logs or manifest flips: the same result, or the hour is lost (B2)."""
    files = sorted((closed_day / DAY.isoformat()).iterdir())
    file = data.draw(st.sampled_from([files[3], files[-1]]), label="file")
    raw = file.read_bytes()
    at = data.draw(st.integers(0, len(raw) - 1), label="at")
    damaged = bytearray(raw)
    damaged[at] ^= data.draw(st.integers(1, 255), label="flip")
    file.write_bytes(damaged)
    try:
        found = collect(closed_day)
    finally:
        file.write_bytes(raw)
    if found != whole:
        assert found.metrics.quarantined
        assert found.metrics.coverage < 1.0
        assert set(found.samples) < set(whole.samples)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_bytes_in_a_file_give_a_day(closed_day: Path, data: st.DataObject) -> None:
    """No content of a log file raises."""
    file = closed_day / DAY.isoformat() / "03.jsonl"
    raw = file.read_bytes()
    row = raw.rstrip()
    manifest = closed_day / DAY.isoformat() / "_complete.json"
    kept = manifest.read_bytes()
    pieces = st.one_of(st.binary(max_size=40), st.sampled_from([row, b"\n", row[:50], b"{}"]))
    file.write_bytes(b"".join(data.draw(st.lists(pieces, max_size=8))))
    manifest.unlink()
    try:
        metrics = collect(closed_day).metrics
    finally:
        file.write_bytes(raw)
        manifest.write_bytes(kept)
    assert metrics.requests in {23, 24}
    assert metrics.rows_read - metrics.rows_quarantined >= 23
