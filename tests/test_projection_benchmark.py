"""A benchmark's numbers in MLflow: medians, ratios, the paired change with its standard error."""

from __future__ import annotations

import pytest
from test_gate import benchmark_of, first_tokens, scores_of, times_of

from upkeep.projection_benchmark import benchmark_metrics
from upkeep.records import PairedTimes, TokenAgreement


def test_times_sizes_memory_and_agreement_have_names() -> None:
    """Twice as fast alone; tokens/s of both at the production concurrency."""
    load = PairedTimes(
        quantity="concurrent_ms_per_token", champion_ms=(4.0,) * 6, candidate_ms=(2.0,) * 6
    )
    made = benchmark_of().model_copy(
        update={
            "times": (times_of(2.0), first_tokens(), load),
            "champion_peak_bytes": 900,
            "candidate_peak_bytes": 300,
            "agreement": TokenAgreement(prompts=4, tokens=96, equal=72, whole=2),
        }
    )
    found = benchmark_metrics(made)
    assert found["latency_ms/speedup"] == pytest.approx(2.0, rel=0.05)
    assert found["latency_ms/speedup_low"] < found["latency_ms/speedup"]
    assert found["concurrent_tokens_per_s/champion"] == 250.0
    assert found["concurrent_tokens_per_s/candidate"] == 500.0
    assert found["token_agreement"] == 0.75
    assert (found["champion_peak_bytes"], found["candidate_peak_bytes"]) == (900.0, 300.0)
    assert (found["champion_size_bytes"], found["candidate_size_bytes"]) == (1000.0, 900.0)


def test_quality_is_told_of_the_whole_and_of_every_slice_with_its_error() -> None:
    """Worse on prose, better on code; a slice of one sample has no error and is left out."""
    scores = scores_of(slices=(("docs", 60, 0.1), ("code", 60, -0.2), ("rare", 1, 0.0)))
    found = benchmark_metrics(benchmark_of(scores))
    assert found["perplexity[docs]/change"] == pytest.approx(0.1, abs=0.02)
    assert found["perplexity[code]/change"] == pytest.approx(-0.2, abs=0.02)
    assert -0.2 < found["perplexity/change"] < 0.1
    assert 0.0 < found["perplexity[docs]/change_se"] < found["perplexity/change_se"]
    assert not any("rare" in name for name in found)


def test_the_standard_error_is_that_of_the_paired_samples() -> None:
    """Noise of 0.03 nats a sample, 200 samples: about 0.03 / sqrt(200)."""
    found = benchmark_metrics(benchmark_of(scores_of(0.0, n=200, noise=0.03)))
    assert found["perplexity/change_se"] == pytest.approx(0.03 / 200**0.5, rel=0.3)


def test_an_old_benchmark_without_the_new_quantities_has_what_it_has() -> None:
    """No memory, no agreement, no concurrency."""
    names = set(benchmark_metrics(benchmark_of()))
    assert not {n for n in names if "peak" in n or "concurrent" in n or "agreement" in n}
