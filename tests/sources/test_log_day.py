"""Requests are added up exactly, in any order, in bounded records."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.request_logs import log_row, log_spec
from upkeep.costs import priced
from upkeep.records import DailyMetrics, Sample
from upkeep.sources import log_day, log_table
from upkeep.sources.log_aside import Notes, Reading
from upkeep.sources.log_day import LogDay
from upkeep.sources.log_row import Row, parse_row
from upkeep.sources.log_table import Conflicts, LogTable

DAY = date(2026, 3, 5)
WHOLE = Reading(covered=(True,) * 24, coverage=1.0, rows_read=1_000, quarantined=(), flags=())
few = settings(max_examples=20, deadline=None)


def row(hour: int = 0, number: int = 0, **fields: Any) -> Row:
    """Give one parsed row."""
    return parse_row(json.dumps(log_row(DAY, hour, number, **fields)).encode(), DAY, "client")


def added(*rows: Row, reading: Reading = WHOLE) -> tuple[DailyMetrics, tuple[Sample, ...]]:
    """Add rows up: the day without costs, and its samples."""
    with TemporaryDirectory() as folder, LogTable(Path(folder)) as table:
        for number, each in enumerate(rows, start=1):
            table.add(0, number, each)
        day = LogDay(table, table.dedupe()[0])
        samples = day.samples()
        spec = log_spec("logs")
        return day.metrics(spec, "request_log:logs", DAY, reading, len(samples)), samples


def metrics_of(*rows: Row) -> DailyMetrics:
    """Add rows up, at 1 USD an hour."""
    return priced(log_spec("logs"), added(*rows)[0])


def deduped(rows: Iterable[tuple[int, int, Row]]) -> tuple[int, list[Conflicts], int]:
    """Give duplicates, conflicts and how many rows are left."""
    with TemporaryDirectory() as folder, LogTable(Path(folder)) as table:
        for file, line, each in rows:
            table.add(file, line, each)
        again, conflicts = table.dedupe()
        return again, conflicts, table.execute("SELECT count(*) FROM requests")[0][0]


milliseconds = st.floats(0, 86_400_000)


@few
@given(st.lists(milliseconds, min_size=2, max_size=60))
def test_quantiles_are_linear_between_order_statistics(values: list[float]) -> None:
    """Definition 7 of Hyndman and Fan, as the standard library's ``inclusive`` has it."""
    found = metrics_of(*(row(number=n, latency_ms=v) for n, v in enumerate(values))).latency_ms
    assert found is not None
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    expected = [cuts[49], cuts[89], cuts[94], cuts[98]]
    assert [found.p50, found.p90, found.p95, found.p99] == pytest.approx(expected, rel=1e-9)
    assert found.p50 <= found.p90 <= found.p95 <= found.p99
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.n == len(values)


@pytest.mark.parametrize("value", [0.1, 0.3, 12.7, 5e-324, 86_400_000.0])
def test_quantiles_of_equal_values_do_not_fall_by_a_rounding(value: float) -> None:
    """Interpolation between equal neighbours may round; validation refuses falling quantiles."""
    found = metrics_of(*(row(number=n, latency_ms=value) for n in range(7))).latency_ms
    assert found is not None
    assert found.p50 <= found.p90 <= found.p95 <= found.p99
    assert found.p99 == pytest.approx(value, rel=1e-15)


def test_a_small_day_gives_the_numbers_worked_out_by_hand() -> None:
    """Two requests that ended well and one that failed, at 1 USD an hour."""
    metrics = metrics_of(
        row(1, 0, latency_ms=1000, ttft_ms=10, tokens_in=5, tokens_out=30, prompt="abcd"),
        row(1, 1, latency_ms=3000, ttft_ms=30, tokens_in=7, tokens_out=50, prompt="ab"),
        row(2, 2, latency_ms=5000, status="api_error", tokens_in=None, tokens_out=None),
        row(2, 3, latency_ms=None, status="generation_error", model_version="2", client=None),
    )
    assert (metrics.requests, metrics.generation_errors, metrics.api_errors) == (4, 1, 1)
    assert metrics.error_rate == 0.5
    assert (metrics.tokens_in, metrics.tokens_out, metrics.tokens_out_per_s) == (12, 80, 20.0)
    assert metrics.latency_ms is not None
    assert metrics.latency_ms.model_dump() == {
        "p50": 2000.0, "p90": 2800.0, "p95": 2900.0, "p99": 2980.0, "mean": 2000.0, "n": 2
    }  # fmt: skip
    assert metrics.ttft_ms is not None
    assert metrics.ttft_ms.p50 == 20.0
    assert metrics.busy_s == 9.0
    assert metrics.cost_usd == 9.0 / 3600
    assert metrics.cost_usd_per_1k == 9.0 / 3600 / 2 * 1000
    assert metrics.requests_by_slice == {"all": 1, "docs": 2, "search": 1}
    assert metrics.requests_by_version == {"1": 3, "2": 1}
    assert [
        (h.requests, h.errors, h.tokens_in, h.tokens_out, h.busy_s, h.latency_ms and h.latency_ms.n)
        for h in metrics.hours[1:3]
    ] == [(2, 0, 12, 80, 4.0, 2), (2, 2, 0, 0, 5.0, None)]


def test_a_day_of_failures_only_has_no_latency_and_no_cost_per_generation() -> None:
    """Nothing is divided by zero generations."""
    metrics = metrics_of(row(status="api_error"), row(number=1, status="generation_error"))
    silent = metrics_of(row(status="api_error", latency_ms=None, ttft_ms=None))
    assert (silent.requests, silent.busy_s, silent.hours[0].busy_s) == (1, None, None)
    assert (metrics.requests, metrics.error_rate) == (2, 1.0)
    assert metrics.latency_ms is metrics.cost_usd_per_1k is metrics.tokens_out_per_s is None


@few
@given(st.lists(milliseconds, min_size=1, max_size=30), st.randoms())
def test_no_order_of_rows_changes_a_digit(values: list[float], random: Any) -> None:
    """Sums are exact, so that every order gives the same bytes; the total is the true one."""
    rows = [row(n % 24, n, latency_ms=v) for n, v in enumerate(values)]
    first = metrics_of(*rows)
    random.shuffle(rows)
    assert metrics_of(*rows).canonical_bytes() == first.canonical_bytes()
    assert first.busy_s == math.fsum(values) / 1000 or min(values) < 2**-12
    assert first.busy_s == pytest.approx(
        float(sum(map(Fraction, values)) / 1000), rel=1e-15, abs=1e-18
    )


def test_a_request_delivered_twice_is_counted_once_and_flagged() -> None:
    """Overlapping files and retried deliveries do not raise the volume (A13, B25)."""
    metrics = metrics_of(row(), row(), row(1, 1))
    assert metrics.requests == 2
    assert metrics.flags == ("1 rows were delivered again and counted once",)


def test_two_requests_with_one_id_are_both_refused_whichever_came_first() -> None:
    """Which came first must not matter: neither is counted, and their lines are named (A14)."""
    rows = [(0, 1, row(latency_ms=1)), (1, 7, row(latency_ms=2)), (1, 8, row(number=1))]
    again, conflicts, left = deduped(rows)
    assert (again, left) == (0, 1)
    assert conflicts == [Conflicts(0, 1, (1,)), Conflicts(1, 1, (7,))]
    assert deduped(reversed(rows))[1] == conflicts


def test_one_request_twice_and_another_once_under_its_id_are_all_refused() -> None:
    """A majority proves nothing."""
    rows = [(0, 1, row()), (0, 2, row()), (0, 3, row(tokens_in=11)), (0, 4, row(number=1))]
    assert deduped(rows) == (0, [Conflicts(0, 3, (1, 2, 3))], 1)


def test_requests_whose_hashes_are_equal_are_told_apart_by_their_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ids are compared where 64 bits are not enough: here every hash is 7."""
    same = log_table._MACROS.replace("hash(id)", "7::UBIGINT")
    monkeypatch.setattr(log_table, "_MACROS", same)
    rows = [(0, n, row(number=n)) for n in range(1, 6)]
    assert deduped([*rows, (1, 1, row(number=2))]) == (1, [], 5)


def test_unknown_fields_are_named_once_and_not_all_of_a_thousand() -> None:
    """A writer that adds columns is told of, in bounded words, in any order (B24)."""
    names = [f"f{n:04d}\\n" for n in range(1000)]
    words = []
    for order in (names, names[::-1]):
        notes = Notes()
        for name in order:
            notes.note_unknown([name])
        words.append(notes.facts([[True] * 24]).flags)
    assert words[0] == words[1]
    assert words[0][0].endswith(
        "not read: 'f0000\\\\n', 'f0001\\\\n', 'f0002\\\\n', 'f0003\\\\n', 'f0004\\\\n' and more"
    )


def test_a_million_labels_would_not_make_a_million_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest slices are kept, the rest is one; no request is lost (A28)."""
    monkeypatch.setattr(log_day, "MAX_SLICES", 3)
    rows = [row(number=n, client=c) for n, c in enumerate("aaabbcdd")]
    metrics = metrics_of(*rows)
    assert metrics.requests_by_slice == {"a": 3, "b": 2, "(other)": 3}
    assert "4 slices; all but the 2 largest are (other)" in metrics.flags


def test_a_label_of_a_megabyte_or_of_escapes_is_shown_bounded_and_printable() -> None:
    """Names of slices and versions go into records and pages (A29)."""
    metrics = metrics_of(
        row(client="x" * 2**20), row(number=1, client="a\x1b[31m"), row(number=2, client="<b>")
    )
    assert set(metrics.requests_by_slice) >= {"a\\x1b[31m", "<b>"}
    assert max(map(len, metrics.requests_by_slice)) == 100


def test_samples_are_the_texts_that_ended_well_sorted_by_id() -> None:
    """Failures and rows without a prompt give no sample."""
    _, samples = added(
        row(number=3, reference="It is so."),
        row(number=1, client=None),
        row(number=2, status="generation_error"),
        row(number=4, prompt=""),
    )
    assert samples == (
        Sample(
            id="2026-03-05-00-00001",
            slice="all",
            prompt="What is said about topic 1 at 0?",
            completion="It depends.",
        ),
        Sample(
            id="2026-03-05-00-00003",
            slice="search",
            prompt="What is said about topic 3 at 0?",
            completion="It depends.",
            reference="It is so.",
        ),
    )


@few
@given(
    sizes=st.lists(st.integers(1, 3000), max_size=30), budget=st.integers(0, 20_000), data=st.data()
)
def test_which_samples_are_kept_depends_on_ids_alone(
    sizes: list[int], budget: int, data: st.DataObject
) -> None:
    """A budget keeps the same samples in every order, and never more than it allows (B30)."""
    rows = [row(number=n, prompt="x" * size) for n, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_day, "SAMPLE_BUDGET_CHARS", budget)
        first = added(*rows)[1]
        again = added(*data.draw(st.permutations(rows)))[1]
    assert first == again
    assert sum(len(s.prompt) for s in first) <= budget


@pytest.mark.parametrize(("most", "chars"), [(20, 2**20), (50_000, 2_000)], ids=["count", "size"])
def test_a_budget_that_was_reached_is_flagged(
    monkeypatch: pytest.MonkeyPatch, most: int, chars: int
) -> None:
    """Ten times the volume keeps its counts; only texts are left out, and that is said (B30)."""
    monkeypatch.setattr(log_day, "MAX_SAMPLES", most)
    monkeypatch.setattr(log_day, "SAMPLE_BUDGET_CHARS", chars)
    metrics, samples = added(*(row(number=n) for n in range(50)))
    assert metrics.requests == 50
    assert 0 < len(samples) < 50
    words = f"texts of {len(samples)} of 50 requests were kept, by hash of their id"
    assert metrics.flags == (words,)


@pytest.mark.parametrize(
    ("coverage", "rows_read", "requests"),
    [
        pytest.param(1.0, 0, 0, id="A21-no-traffic-in-whole-logs"),
        pytest.param(0.0, 0, None, id="A20-no-logs"),
        pytest.param(0.5, 0, None, id="A20-half-of-the-logs-and-nothing-in-them"),
        pytest.param(1.0, 9, None, id="B11-rows-and-none-of-them-good"),
    ],
)
def test_zero_is_said_only_where_whole_logs_say_so(
    coverage: float, rows_read: int, requests: int | None
) -> None:
    """What could not be read is not collected; it is never zero."""
    reading = Reading((coverage == 1.0,) * 24, coverage, rows_read, (), ())
    metrics, _ = added(reading=reading)
    assert metrics.requests == requests
    assert metrics.busy_s == metrics.tokens_out == requests
    assert metrics.latency_ms is None


def test_a_batch_is_written_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is lost or counted twice between batches."""
    monkeypatch.setattr(log_table, "BATCH_ROWS", 7)
    assert metrics_of(*(row(number=n) for n in range(50))).requests == 50


def test_what_was_added_of_a_file_can_be_taken_back() -> None:
    """Of a file that turns out wrong no row stays, and no text."""
    with TemporaryDirectory() as folder, LogTable(Path(folder)) as table:
        table.add(0, 1, row())
        table.add(1, 1, row(number=1))
        table.forget(0)
        assert [s.id for s in LogDay(table).samples()] == ["2026-03-05-00-00001"]
