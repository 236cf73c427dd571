"""Slow, dear, failing: load, work, machines, a leak and upstream are told apart by their signs."""

from __future__ import annotations

import pytest
from fakes.signs import drift_of, facts_of, grown, result
from fakes.sixteen_days import failed_check

from upkeep.diagnosis import diagnose
from upkeep.records import CauseEvidence, Diagnosis, DriftResult

SLOW = result("latency_p95_ms", 200.0, 600.0, "drifted")
FIRST = result("ttft_p95_ms", 50.0, 200.0, "drifted")
DEAR = result("cost_usd_per_1k", 1.0, 3.0, "drifted")
FAILING = result("error_rate", 0.002, 0.12, "drifted")
BUSY = result("gpu_share", 0.4, 0.4)
GENERATION_FAILS = result("generation_error_rate", 0.001, 0.12)
TOKEN = result("ms_per_token_out", 10.0, 10.0)


def diagnosed(*results: DriftResult) -> Diagnosis:
    """What is behind these results on an otherwise ordinary day."""
    return diagnose(facts_of(), drift_of(*results))


def first(*results: DriftResult) -> CauseEvidence:
    """The first cause."""
    return diagnosed(*results).ranked[0]


@pytest.mark.parametrize(
    ("signs", "cause", "bottleneck"),
    [
        pytest.param(
            (SLOW, FIRST, TOKEN, result("gpu_share", 0.5, 0.9), result("requests", 1e3, 1.8e3)),
            *("traffic_volume", None),
            id="gpus-follow-the-traffic",
        ),
        pytest.param(
            (SLOW, FIRST, TOKEN, BUSY, result("requests", 1e3, 1.8e3)),
            *("infrastructure", "queue"),
            id="more-requests-and-gpus-no-busier",
        ),
        pytest.param(
            (SLOW, FIRST, result("gpu_share", 0.3, 0.8), result("requests", 1e3, 1.2e3)),
            *("infrastructure", "gpu"),
            id="gpus-busier-than-the-traffic-asks",
        ),
        pytest.param(
            (SLOW, BUSY, result("ms_per_token_out", 10.0, 30.0)),
            *("infrastructure", "gpu"),
            id="each-token-is-slower",
        ),
        pytest.param((SLOW, FIRST, BUSY, TOKEN), "infrastructure", "queue", id="queue"),
        pytest.param(
            (SLOW, FIRST, BUSY, TOKEN, result("network_bytes_per_s", 9e3, 3e3)),
            *("infrastructure", "network"),
            id="bytes-fell-and-requests-did-not",
        ),
        pytest.param(
            (SLOW, BUSY, result("gpu_memory_share_high", 0.6, 0.99)),
            *("infrastructure", "memory"),
            id="memory-is-full",
        ),
        pytest.param(
            (
                FAILING,
                result("generation_error_rate", 0.001, 0.12),
                BUSY,
                result("gpu_memory_share_high", 0.6, 0.99),
            ),
            *("infrastructure", "memory"),
            id="memory-is-full-and-generation-fails",
        ),
        pytest.param(
            (SLOW, FIRST, BUSY, result("tokens_in_mean", 300.0, 900.0)),
            *("workload", None),
            id="longer-prompts",
        ),
        pytest.param(
            (SLOW, TOKEN, result("tokens_out_mean", 100.0, 300.0)),
            *("workload", None),
            id="longer-answers",
        ),
        pytest.param(
            (FAILING, result("api_error_rate", 0.001, 0.12), result("ttft_p95_ms", 50.0, 20.0)),
            *("upstream_errors", None),
            id="errors-that-make-the-rest-look-faster",
        ),
        pytest.param(
            (
                FAILING,
                result("api_error_rate", 0.001, 0.001),
                result("generation_error_rate", 0.001, 0.12),
            ),
            *("unknown", None),
            id="the-model-fails-and-nothing-says-why",
        ),
        pytest.param(
            (SLOW, result("ttft_p95_ms", 50.0, 50.0), BUSY, TOKEN),
            *("unknown", None),
            id="only-the-tail-is-slower-and-the-machines-are-as-before",
        ),
        pytest.param(
            (DEAR, result("requests", 1e3, 3e2)),
            *("traffic_volume", None),
            id="fewer-requests-share-the-clock",
        ),
    ],
)
def test_the_signs_tell_the_cause(
    signs: tuple[DriftResult, ...], cause: str, bottleneck: str | None
) -> None:
    """One pattern of signs, one first cause, and what the machines wait for."""
    found = first(*signs)
    assert (found.cause, found.bottleneck) == (cause, bottleneck)
    assert bottleneck is None or bottleneck in found.words


def test_a_context_within_its_noise_explains_nothing() -> None:
    """Requests at +80 % of an ordinary day's noise are no load."""
    noisy = result("requests", 1e3, 1.8e3, "stable", sds=1.0)
    assert first(SLOW, FIRST, noisy, result("gpu_share", 0.5, 0.5)).cause != "traffic_volume"


def test_overload_fails_requests_too() -> None:
    """Full GPUs, slow, and the API turns requests away: the volume stands before upstream."""
    found = diagnosed(
        *(SLOW, FIRST, FAILING, result("api_error_rate", 0.001, 0.12)),
        *(result("gpu_share", 0.5, 0.97), result("requests", 1e3, 2.5e3)),
    )
    assert [c.cause for c in found.ranked][:2] == ["traffic_volume", "upstream_errors"]


def test_a_leak_is_told_from_a_full_memory() -> None:
    """Memory that grows with every request, as on no day before, stands before the machine."""
    days = [{"gpu_memory_growth_per_1k": 0.0001 * (n % 3)} for n in range(10)]
    today = {"requests": 2e4, "gpu_memory_growth_per_1k": grown(0.02, 0.002)}
    full = result("gpu_memory_share_high", 0.6, 0.99)
    found = diagnose(facts_of(today, days), drift_of(SLOW, BUSY, full))
    assert [c.cause for c in found.ranked] == ["memory_leak", "infrastructure"]
    assert (
        "2.00% of it per 1,000 requests (1.80% to 2.20%), 40% in the day" in found.ranked[0].words
    )


@pytest.mark.parametrize(
    ("growth", "requests", "usual"),
    [
        pytest.param(grown(0.02, 0.03), 2e4, 0.0, id="it-may-be-no-growth"),
        pytest.param(grown(0.02, 0.002), 1e3, 0.0, id="two-per-cent-a-day"),
        pytest.param(grown(0.02, 0.002), 2e4, 0.02, id="as-every-day"),
    ],
)
def test_what_is_no_leak(growth: object, requests: float, usual: float) -> None:
    """Unsure, small or usual growth is no leak."""
    days = [{"gpu_memory_growth_per_1k": usual + 0.001 * (n % 3)} for n in range(10)]
    facts = facts_of({"requests": requests, "gpu_memory_growth_per_1k": growth}, days)  # type: ignore[dict-item]
    causes = [c.cause for c in diagnose(facts, drift_of(SLOW, BUSY)).ranked]
    assert "memory_leak" not in causes


def test_a_leak_that_harms_nobody_is_told_and_alarms_nobody() -> None:
    """Nothing drifted: the cause is none, with the leak behind it."""
    days = [{"gpu_memory_growth_per_1k": 0.0001 * (n % 3)} for n in range(10)]
    facts = facts_of({"requests": 2e4, "gpu_memory_growth_per_1k": grown(0.02, 0.002)}, days)
    found = diagnose(facts, drift_of(result("latency_p95_ms", 200.0, 200.0, "stable")))
    assert [(c.cause, c.score) for c in found.ranked] == [("none", 1.0), ("memory_leak", 0.0)]


def test_numbers_in_another_unit_explain_their_drifts() -> None:
    """A trusted day whose latency may be in another unit: the data stands first."""
    doubt = failed_check("investigate", "unit_suspect")
    found = diagnose(facts_of(findings=(doubt,)), drift_of(SLOW, DEAR))
    assert found.cause == "data_breakage"


def test_other_findings_excuse_no_drift() -> None:
    """Sources that disagree do not make a slow day a broken one."""
    doubt = failed_check("investigate", "agreement")
    assert diagnose(facts_of(findings=(doubt,)), drift_of(SLOW)).cause == "infrastructure"


def test_context_that_is_young_does_not_make_a_model_young() -> None:
    """A resource that is collected since yesterday leaves the day a healthy one."""
    young = result("gpu_share", 0.4, 0.4).model_copy(
        update={"state": "unknown", "baseline": None, "effect": None}
    )
    assert first(result("latency_p95_ms", 200.0, 201.0, "stable"), young).cause == "none"


def test_a_fact_is_remembered_as_it_was_before_a_slow_harm() -> None:
    """Requests doubled six days ago and are the baseline since; the latency is proven today."""
    before = [{"requests": 1000.0 + n % 3, "latency_p95_ms": 200.0 + n % 5} for n in range(20)]
    since = [{"requests": 2000.0, "latency_p95_ms": 400.0 + n % 5} for n in range(5)]
    facts = facts_of({"requests": 2000.0, "latency_p95_ms": 402.0}, [*before, *since])
    slow = result("latency_p95_ms", 202.0, 402.0, "drifted")
    steady = result("requests", 2000.0, 2000.0, "stable", baseline_days=5)
    found = diagnose(facts, drift_of(slow, steady))
    assert found.cause == "traffic_volume"
    assert "before its level changed" in found.ranked[0].words


def test_a_fact_that_changed_on_another_day_is_no_cause() -> None:
    """Requests doubled six days ago, the latency today: the load is not remembered."""
    before = [{"requests": 1000.0 + n % 3, "latency_p95_ms": 200.0 + n % 5} for n in range(20)]
    since = [{"requests": 2000.0, "latency_p95_ms": 200.0 + n % 5} for n in range(5)]
    facts = facts_of({"requests": 2000.0, "latency_p95_ms": 402.0}, [*before, *since])
    slow = result("latency_p95_ms", 202.0, 402.0, "drifted")
    steady = result("requests", 2000.0, 2000.0, "stable", baseline_days=5)
    assert diagnose(facts, drift_of(slow, steady)).cause == "infrastructure"
