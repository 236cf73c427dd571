"""Requests are added up exactly, in any order, in bounded records."""

from __future__ import annotations

import json
import statistics
from array import array
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.request_logs import log_row, log_spec
from upkeep.records import DailyMetrics, Sample
from upkeep.sources import log_day
from upkeep.sources.log_day import DayTotals, Reading, SampleBudget, quantiles
from upkeep.sources.log_row import BadRow, Row, parse_row

DAY = date(2026, 3, 5)
WHOLE = Reading(covered=(True,) * 24, coverage=1.0, rows_read=1_000, quarantined=(), flags=())


def row(hour: int = 0, number: int = 0, **fields: Any) -> Row:
    """Give one parsed row."""
    return parse_row(json.dumps(log_row(DAY, hour, number, **fields)).encode(), DAY, "client")


def metrics_of(*rows: Row, reading: Reading = WHOLE) -> DailyMetrics:
    """Add rows up, with nothing refused."""
    totals = DayTotals()
    for each in rows:
        totals.add(each)
    return totals.metrics(log_spec("logs"), DAY, reading)


milliseconds = st.floats(0, 86_400_000)


@given(st.lists(milliseconds, min_size=2, max_size=60))
def test_quantiles_are_linear_between_order_statistics(values: list[float]) -> None:
    """Definition 7 of Hyndman and Fan, as the standard library's ``inclusive`` has it."""
    found = quantiles(array("d", values))
    assert found is not None
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    expected = [cuts[49], cuts[89], cuts[94], cuts[98]]
    assert [found.p50, found.p90, found.p95, found.p99] == pytest.approx(expected, rel=1e-9)
    assert found.p50 <= found.p90 <= found.p95 <= found.p99
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.n == len(values)


def test_quantiles_of_nothing_are_not_known() -> None:
    """An empty day has no latency of 0 ms."""
    assert quantiles(array("d")) is None


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
    assert [(h.requests, h.errors, h.latency_p95_ms) for h in metrics.hours[1:3]] == [
        (2, 0, 2900.0),
        (2, 2, None),
    ]


def test_a_day_before_the_first_price_has_no_cost() -> None:
    """A price that is not known is not 0."""
    totals = DayTotals()
    totals.add(row())
    spec = log_spec("logs", prices=[{"since": date(2026, 3, 6), "usd_per_hour": 1.0}])
    metrics = totals.metrics(spec, DAY, WHOLE)
    assert metrics.busy_s is not None
    assert metrics.price_usd_per_hour is metrics.cost_usd is metrics.cost_usd_per_1k is None


def test_a_day_of_failures_only_has_no_latency_and_no_cost_per_generation() -> None:
    """Nothing is divided by zero generations."""
    metrics = metrics_of(row(status="api_error"), row(number=1, status="generation_error"))
    assert (metrics.requests, metrics.error_rate) == (2, 1.0)
    assert metrics.latency_ms is metrics.cost_usd_per_1k is metrics.tokens_out_per_s is None


@given(st.lists(milliseconds, min_size=1, max_size=30), st.randoms())
def test_no_order_of_rows_changes_a_digit(values: list[float], random: Any) -> None:
    """Sums are exact, so that every order gives the same bytes; the total is the true one."""
    rows = [row(n % 24, n, latency_ms=v) for n, v in enumerate(values)]
    first = metrics_of(*rows)
    random.shuffle(rows)
    assert metrics_of(*rows).canonical_bytes() == first.canonical_bytes()
    assert first.busy_s == pytest.approx(float(sum(map(Fraction, values)) / 1000), rel=1e-15)


def test_a_request_delivered_twice_is_counted_once_and_flagged() -> None:
    """Overlapping files and retried deliveries do not raise the volume (A13, B25)."""
    metrics = metrics_of(row(), row(), row(1, 1))
    assert metrics.requests == 2
    assert metrics.flags == ("1 rows were delivered again and counted once",)


def test_two_requests_with_one_id_are_both_refused_once_it_is_known() -> None:
    """Which came first must not matter: the second reading counts neither (A14)."""
    first = DayTotals()
    first.add(row(latency_ms=1))
    first.add(row(latency_ms=2))
    assert len(first.conflicts) == 1
    second = DayTotals(frozenset(first.conflicts))
    for latency_ms in (1, 2):
        with pytest.raises(BadRow, match="has the request_id of a different request"):
            second.add(row(latency_ms=latency_ms))
    second.add(row(number=1))
    assert second.metrics(log_spec("logs"), DAY, WHOLE).requests == 1


def test_unknown_fields_are_named_once_and_not_all_of_a_thousand() -> None:
    """A writer that adds columns is told of, in bounded words, in any order (B24)."""
    rows = [row(number=n, **{f"f{n:04d}\n": 1}) for n in range(1000)]
    words = metrics_of(*rows).flags
    assert words == metrics_of(*reversed(rows)).flags
    assert words[0].endswith(
        r"not read: 'f0000\\n', 'f0001\\n', 'f0002\\n', 'f0003\\n', 'f0004\\n' and more"
    )


def test_a_million_labels_would_not_make_a_million_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest slices are kept, the rest is one; no request is lost (A28)."""
    monkeypatch.setattr(log_day, "MAX_SLICES", 3)
    rows = [row(number=n, client=c) for n, c in enumerate("aaabbcdd")]
    metrics = metrics_of(*rows)
    assert metrics.requests_by_slice == {"a": 3, "b": 2, "(other)": 3}
    assert "4 slices; all but the 2 largest are (other)" in metrics.flags


def test_samples_are_the_texts_that_ended_well_sorted_by_id() -> None:
    """Failures and rows without a prompt give no sample."""
    totals = DayTotals()
    totals.add(row(number=3, reference="It is so."))
    totals.add(row(number=1, client=None))
    totals.add(row(number=2, status="generation_error"))
    totals.add(row(number=4, prompt=""))
    assert totals.samples() == (
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


@given(
    st.lists(st.integers(0, 3000), max_size=30).map(lambda sizes: list(enumerate(sizes))),
    st.integers(0, 20_000),
    st.randoms(),
)
def test_which_samples_are_kept_depends_on_ids_alone(
    sized: list[tuple[int, int]], budget: int, random: Any
) -> None:
    """A budget keeps the same samples in every order, and never more than it allows (B30)."""
    samples = [Sample(id=f"r{n}", slice="all", prompt="x" * size) for n, size in sized]
    kept = []
    for _ in range(2):
        keeper = SampleBudget(budget)
        for sample in samples:
            keeper.offer(sample)
        kept.append(keeper.kept())
        random.shuffle(samples)
    assert kept[0] == kept[1]
    assert sum(len(s.prompt) for s in kept[0]) <= budget


def test_a_budget_that_was_reached_is_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the volume keeps its counts; only texts are left out, and that is said."""
    monkeypatch.setattr(log_day.SampleBudget.__init__, "__defaults__", (2_000,))
    totals = DayTotals()
    for n in range(50):
        totals.add(row(number=n))
    metrics, kept = totals.metrics(log_spec("logs"), DAY, WHOLE), len(totals.samples())
    assert metrics.requests == 50
    assert 0 < kept < 50
    assert metrics.flags == (f"texts of {kept} of 50 requests were kept, by hash of their id",)


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
    metrics = DayTotals().metrics(log_spec("logs"), DAY, reading)
    assert metrics.requests == requests
    assert metrics.busy_s == metrics.cost_usd == metrics.tokens_out == requests
    assert metrics.latency_ms is None
