"""Days read from a real Prometheus are the days that truly happened."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.prometheus_server import Prometheus, installed
from tests.fakes.prometheus_truth import (
    BOUNDS_S,
    DAYS,
    FIRST_DAY,
    LATE,
    PAIRED,
    RESTART,
    Truth,
    tell,
)
from upkeep.records import DailyMetrics
from upkeep.sources import Asked, collect, connect
from upkeep.spec import ModelSpec

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not installed(), reason="prometheus and promtool are not installed"),
]
ALL_DAYS = [FIRST_DAY + timedelta(days=n) for n in range(DAYS)]
USUAL = FIRST_DAY + timedelta(days=1)
MIDNIGHT = (LATE[0] - timedelta(days=1), LATE[0])


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, dict[date, Truth]]]:
    """A server's address, and what truly happened on its days."""
    text, truths = tell()
    with Prometheus(text) as server:
        yield server.url, truths


def spec(url: str, **source: Any) -> ModelSpec:
    """A model with one Prometheus."""
    usual = {
        "kind": "prometheus",
        "url": url,
        "queries": ["vllm", "dcgm", "node"],
        "selector": {"job": "chat"},
        "step_s": 120,
    }
    return ModelSpec.model_validate(
        {
            "name": "talker",
            "sources": [usual | source],
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {"version": "test", "measures": {}, "rules": []},
        }
    )


def read(url: str, day: date, **source: Any) -> DailyMetrics:
    """One day of it."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    asked = Asked(spec(url, **source), day, lambda *_: None, now=lambda: now)
    return collect(asked).metrics


@pytest.mark.parametrize("day", sorted({*ALL_DAYS} - {*MIDNIGHT}), ids=str)
def test_counts_of_a_day_are_exact(told: tuple[str, dict[date, Truth]], day: date) -> None:
    """Two pods, one of which restarts on one day (A9); the first refusal makes its series."""
    url, truths = told
    truth, metrics = truths[day], read(url, day)
    assert metrics.coverage == 1.0
    assert metrics.requests == len(truth.latencies_s) + truth.refused
    assert metrics.generation_errors == truth.aborted
    assert metrics.api_errors == truth.refused
    assert metrics.tokens_out == truth.tokens_out
    assert metrics.latency_ms is not None
    assert metrics.latency_ms.n == len(truth.latencies_s)
    mean_s = sum(truth.latencies_s) / len(truth.latencies_s)
    assert metrics.latency_ms.mean == pytest.approx(1000 * mean_s, rel=1e-6)
    if day != RESTART[0]:  # a series that is gone for hours says no hour of what came between
        assert [hour.requests for hour in metrics.hours] == truth.by_hour


def test_A17_what_nobody_saw_over_a_midnight_is_counted_once(  # noqa: N802 - the case's id
    told: tuple[str, dict[date, Truth]],
) -> None:
    """In the day on which it was seen; both days together are exact."""
    url, truths = told
    days = [read(url, day) for day in MIDNIGHT]
    true = [len(truths[day].latencies_s) + truths[day].refused for day in MIDNIGHT]
    assert [day.requests for day in days] != true
    assert sum(day.requests or 0 for day in days) == sum(true)
    assert sum(day.latency_ms.n for day in days if day.latency_ms) == sum(
        len(truths[day].latencies_s) for day in MIDNIGHT
    )


@pytest.mark.parametrize("day", [USUAL, RESTART[0]], ids=["usual", "A9-restart"])
@pytest.mark.parametrize("q", ["p50", "p90", "p95", "p99"])
def test_quantiles_lie_in_the_bucket_of_the_truth(
    told: tuple[str, dict[date, Truth]], day: date, q: str
) -> None:
    """Not further from the truth than the bucket is wide."""
    url, truths = told
    true_ms = truths[day].quantile_ms(int(q[1:]) / 100)
    index = bisect_left(BOUNDS_S, true_ms / 1000)
    low, high = (0.0, *BOUNDS_S)[index] * 1000, (*BOUNDS_S, BOUNDS_S[-1])[index] * 1000
    metrics = read(url, day)
    assert metrics.latency_ms is not None
    assert low <= getattr(metrics.latency_ms, q) <= high


def test_a_restart_is_flagged(told: tuple[str, dict[date, Truth]]) -> None:
    """And only on its day."""
    url, _ = told
    assert any("restarted" in flag for flag in read(url, RESTART[0]).flags)
    assert not any("restarted" in flag for flag in read(url, USUAL).flags)


def test_utilisation_is_in_shares_and_bytes(told: tuple[str, dict[date, Truth]]) -> None:
    """By PromQL over several series: memory from used and free, processors from idle time."""
    url, _ = told
    found = read(url, USUAL).utilisation
    assert found.gpu is not None
    assert found.gpu.mean == pytest.approx(0.545)
    assert found.gpu.high == pytest.approx(0.69)
    assert found.cpu is not None
    assert found.cpu.mean == pytest.approx(0.25, abs=1e-6)
    assert found.host_memory is not None
    assert found.host_memory.mean == pytest.approx(0.2355)
    assert found.network_bytes_per_s is not None
    assert found.network_bytes_per_s.mean == pytest.approx(150.0)
    # The first set that a model names says a measure: vLLM's cache, which is not there.
    assert found.gpu_memory is None
    memory = read(url, USUAL, queries=["dcgm", "vllm"]).utilisation.gpu_memory
    assert memory is not None
    assert memory.mean == pytest.approx(0.7503625)


@pytest.mark.parametrize(
    ("label", "requests"), [("prometheus", 3600), (None, 7200)], ids=["A15-label", "A15-no-label"]
)
def test_of_a_pair_of_prometheus_one_is_read(
    told: tuple[str, dict[date, Truth]], label: str | None, requests: int
) -> None:
    """The whole one, not the one with gaps, and not both."""
    url, _ = told
    source = {"queries": ["vllm"], "selector": {"job": PAIRED}, "replica_label": label}
    metrics = read(url, USUAL, **source)
    assert (metrics.requests, metrics.coverage) == (requests, 1.0)


def test_a_day_without_data_is_not_a_day_without_requests(
    told: tuple[str, dict[date, Truth]],
) -> None:
    """Not collected, and in words which series was looked for (A20, A30)."""
    url, _ = told
    metrics = read(url, FIRST_DAY - timedelta(days=9))
    assert (metrics.requests, metrics.coverage, metrics.latency_ms) == (None, 0.0, None)
    what = metrics.quarantined[0]
    assert what.what == "series vllm:request_success_total"
    assert what.reason.startswith("not found")


def test_A30_a_renamed_series_is_named_with_its_nearest(  # noqa: N802 - the case's id
    told: tuple[str, dict[date, Truth]],
) -> None:
    """The names are the server's own, of the model's labels."""
    url, _ = told
    metrics = {"requests": {"name": "vllm:requests_success_total", "unit": "1"}}
    found = read(url, USUAL, metrics=metrics)
    assert found.requests is None
    assert found.quarantined[0].reason == "not found; nearest: 'vllm:request_success_total'"


def test_A28_too_many_series_are_refused_by_their_widest_label(  # noqa: N802 - the case's id
    told: tuple[str, dict[date, Truth]],
) -> None:
    """Without reading them: the label with the most values is named."""
    url, _ = told
    metrics = read(url, USUAL, max_series=10)
    rejected = {r.what: r.reason for r in metrics.rejected}
    assert "16 series, max_series is 10; label 'le' has 8 values" in rejected["latency_ms"]
    assert metrics.latency_ms is None
    assert metrics.requests is not None


def test_probe_says_version_and_series(told: tuple[str, dict[date, Truth]]) -> None:
    """Now there is nothing (the blocks are of March); then there was."""
    url, _ = told
    then = datetime(2026, 3, 5, tzinfo=UTC)
    asked = Asked(spec(url), USUAL, lambda *_: None, now=lambda: then)
    ((name, answers, line),) = connect(asked)
    assert (name, answers) == ("sources[0] prometheus", True)
    assert line.startswith(f"{url}: version '2.")
    assert line.endswith(" series; not found: tokens_in, ttft_ms, gpu_memory")
    later = Asked(asked.spec, USUAL, lambda *_: None, now=lambda: then + timedelta(days=60))
    ((_, answers, line),) = connect(later)
    assert not answers
    assert "series vllm:request_success_total not found" in line
