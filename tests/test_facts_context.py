"""The context of a day: how busy, how much work, which errors, and whether memory leaks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep import config_rules, measures
from upkeep.facts import measures_of
from upkeep.facts_context import context, growth
from upkeep.records import DailyMetrics, Gauge, HourMetrics, MeasureValue, Quantiles, Utilisation

EMPTY = DailyMetrics(
    model="m",
    day=date(2026, 3, 5),
    source="prometheus",
    coverage=1.0,
    rows_read=0,
    rows_quarantined=0,
)


def times(mean: float) -> Quantiles:
    """Quantiles with this mean."""
    return Quantiles(p50=mean, p90=mean, p95=2 * mean, p99=3 * mean, mean=mean, n=990)


FULL = EMPTY.model_copy(
    update={
        "requests": 1000,
        "generation_errors": 8,
        "api_errors": 2,
        "tokens_in": 300_000,
        "tokens_out": 99_000,
        "latency_ms": times(1090.0),
        "ttft_ms": times(100.0),
        "utilisation": Utilisation(
            cpu=Gauge(mean=0.2, high=0.4),
            gpu=Gauge(mean=0.6, high=0.9),
            gpu_memory=Gauge(mean=0.7, high=0.95),
            host_memory=Gauge(mean=0.3, high=0.5),
            network_bytes_per_s=Gauge(mean=9e6, high=2e7),
        ),
    }
)


def values(metrics: DailyMetrics) -> dict[str, float | None]:
    """The context by name."""
    return {m.name: m.value for m in context(metrics)}


def test_a_day_that_collects_everything_has_its_context() -> None:
    """Means per request, errors apart, shares as they are; the token time is by hand."""
    found = values(FULL)
    assert found | {"gpu_memory_growth_per_1k": None} == {
        "tokens_in_mean": 300.0,
        "tokens_out_mean": 100.0,
        "ms_per_token_out": 10.0,
        "generation_error_rate": 0.008,
        "api_error_rate": 0.002,
        "gpu_share": 0.6,
        "cpu_share": 0.2,
        "gpu_memory_share_high": 0.95,
        "host_memory_share_high": 0.5,
        "network_bytes_per_s": 9e6,
        "gpu_memory_growth_per_1k": None,
        "host_memory_growth_per_1k": None,
    }


def test_what_was_not_collected_is_none_and_never_zero() -> None:
    """A day without any of it has all names and no values."""
    assert set(values(EMPTY).values()) == {None}
    assert set(values(EMPTY)) == set(values(FULL))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"requests": 0}, ("tokens_in_mean", "generation_error_rate", "tokens_out_mean")),
        ({"api_errors": None}, ("api_error_rate", "tokens_out_mean", "ms_per_token_out")),
        ({"generation_errors": 998}, ("tokens_out_mean",)),
        ({"tokens_out": 990}, ("ms_per_token_out",)),
        ({"ttft_ms": None}, ("ms_per_token_out",)),
        ({"ttft_ms": times(2000.0)}, ("ms_per_token_out",)),
        ({"utilisation": Utilisation()}, ("gpu_share", "network_bytes_per_s")),
    ],
)
def test_a_missing_part_leaves_its_measures_unknown(
    change: dict[str, object], names: tuple[str, ...]
) -> None:
    """No ratio over nothing, no time per token of answers of one token."""
    found = values(FULL.model_copy(update=change))
    assert [n for n in names if found[n] is not None] == []


def test_every_context_measure_is_known_and_in_the_facts() -> None:
    """A name that nobody knows would be guarded like quality; the day's measures have them."""
    names = set(values(FULL))
    assert names <= set(measures.OPERATIONAL)
    assert names <= set(config_rules.OPERATIONAL)
    assert measures.family("gpu_share") == "resources"
    found = measures_of(FULL, None, trusted=True, version="1")
    assert names <= {m.name for m in found.measures}


# ---------------------------------------------------------------- memory


def hours(
    shares: Sequence[float | None], requests: Sequence[int] | None = None
) -> list[HourMetrics]:
    """Hours with this GPU memory in use, and 1,000 requests each unless stated."""
    return [
        HourMetrics(
            hour=n,
            covered=True,
            requests=1000 if requests is None else requests[n],
            utilisation=Utilisation(
                gpu_memory=None if share is None else Gauge(mean=share, high=share)
            ),
        )
        for n, share in enumerate(shares)
    ]


def grew(shares: Sequence[float | None], requests: Sequence[int] | None = None) -> MeasureValue:
    """The growth of these hours."""
    found = hours(shares, requests)
    return growth("gpu_memory_growth_per_1k", found, lambda h: h.utilisation.gpu_memory)


def noise(seed: int, n: int = 24) -> list[float]:
    """Noise of a per cent."""
    rng = random.Random(seed)
    return [rng.gauss(0.0, 0.01) for _ in range(n)]


def test_a_leak_is_its_growth_per_request() -> None:
    """One per cent of the memory every 1,000 requests, under noise: found, surely above 0."""
    found = grew([0.4 + 0.01 * n + e for n, e in enumerate(noise(1))])
    assert found.value == pytest.approx(0.01, abs=0.001)
    assert found.interval is not None
    assert 0.0 < found.interval.low < 0.01 < found.interval.high
    assert found.n == 24


def test_growth_follows_the_requests_and_not_the_clock() -> None:
    """Busy hours leak more: the slope per request is the same one."""
    requests = [200 if n < 8 else 3000 for n in range(24)]
    served = [sum(requests[:n]) + requests[n] / 2 for n in range(24)]
    found = grew([0.2 + 0.01 * s / 1000 for s in served], requests)
    assert found.value == pytest.approx(0.01)


def test_a_restart_sets_memory_free_and_hides_no_leak() -> None:
    """A leak of two per cent an hour, restarted at noon: its slope is that of a run."""
    found = grew([0.4 + 0.02 * (n % 13) + e / 5 for n, e in enumerate(noise(2))])
    assert found.value == pytest.approx(0.02, abs=0.002)
    assert found.n == 13


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_memory_does_not_grow(seed: int) -> None:
    """Noise about a level: the interval holds 0, or nearly."""
    found = grew([0.6 + e for e in noise(10 + seed)])
    assert found.value == pytest.approx(0.0, abs=0.002)


def test_one_wild_hour_moves_nothing() -> None:
    """Theil-Sen's slope stands a spike that least squares would follow."""
    shares = [0.4 + 0.01 * n for n in range(24)]
    shares[3] = 0.6
    assert grew(shares).value == pytest.approx(0.01, abs=0.0005)


@pytest.mark.parametrize("known", [0, 1, 5])
def test_too_few_hours_say_so(known: int) -> None:
    """Under six hours there is no slope, and the reason is told."""
    found = grew([0.5] * known + [None] * (24 - known))
    assert found.value is None
    assert f"{known} hours of one run are known, 6 are needed" in found.why


@given(st.lists(st.floats(0.0, 1.0), min_size=24, max_size=24), st.integers(0, 2**32))
def test_the_order_of_the_hours_does_not_matter(shares: list[float], seed: int) -> None:
    """Hours in any order give the same growth."""
    found = hours(shares)
    shuffled = random.Random(seed).sample(found, len(found))
    first, second = (
        growth("gpu_memory_growth_per_1k", h, lambda x: x.utilisation.gpu_memory)
        for h in (found, shuffled)
    )
    assert first == second
