"""Each rule on what it is for, beside it, and where something is not known."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from fakes.reviewed_model import SOME_MB, Case

from upkeep.inspections import infrastructure
from upkeep.inspections.infrastructure import judge
from upkeep.records import DailyMetrics, Gauge, HourMetrics, Quantiles, Utilisation
from upkeep.serving_situation import Situation, situation
from upkeep.spec_serving import Serving

SOUND = Situation(
    cores=4,
    cuda=False,
    bf16=False,
    weights={"F32": SOME_MB},
    threads={"serving.threads": 2, "jobs.benchmark.params.threads": 2},
    cpus=2,
    gpus=0,
    memory_gib=4.0,
    serving=Serving(cpus=2, gpus=0, threads=2, batch=1, timeout_ms=10_000.0),
    machines=2,
    usd_per_hour=0.5,
    load=(1.0,) * 48,
    busy=(0.6,) * 48,
    host_memory=0.5,
    gpu_memory=None,
    p99_ms=900.0,
    job_seconds=100.0,
    job_timeout_s=1800,
)
"""A model that is served as it should be."""


def serving(**changes: Any) -> Serving:
    return SOUND.serving.model_copy(update=changes)


def rules(**changes: Any) -> dict[str, str]:
    """Severity by rule of what is found, the note of what was looked at left out."""
    found = judge(SOUND._replace(**changes))
    return {f.rule: f.severity for f in found if f.rule != "looked-at"}


def test_a_sound_model_is_no_finding() -> None:
    """Only the note of what was looked at."""
    assert rules() == {}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        # a bad setting of threads: planted in the model's file, or in what serves
        ({"threads": {"jobs.benchmark.params.threads": 64}}, {"threads": "warning"}),
        ({"threads": {"serving.threads": 3}}, {"threads": "warning"}),
        ({"threads": {"serving.threads": 3}, "serving": serving(cpus=4)}, {}),
        ({"serving": serving(cpus=8)}, {"idle-cores": "advice"}),
        ({"serving": serving(cpus=8), "weights": {"F32": 1000}}, {}),
        ({"serving": serving(cpus=8, gpus=1, batch=8)}, {}),
        # number types
        ({"bf16": True}, {"dtype": "advice"}),
        ({"bf16": True, "weights": {"F32": 1000}}, {"dtype": "note"}),
        ({"bf16": True, "weights": {"BF16": SOME_MB}}, {}),
        ({"bf16": True, "weights": {}}, {}),
        # batch 1 on a GPU
        ({"gpus": 1, "cuda": True, "load": (3.0,) * 48}, {"batch-1": "advice"}),
        ({"gpus": 1, "cuda": True, "load": (0.1,) * 48}, {"batch-1": "note"}),
        ({"gpus": 1, "cuda": True, "load": ()}, {"batch-1": "note"}),
        ({"gpus": 1, "cuda": True, "serving": serving(batch=8)}, {}),
        ({"gpus": 1, "cuda": True, "serving": serving(batch=None)}, {}),
        ({"load": (3.0,) * 48}, {}),
        # machines against load
        ({"busy": (0.1,) * 48}, {"too-many-machines": "advice"}),
        ({"busy": (0.95,) * 48}, {"too-few-machines": "warning"}),
        ({"busy": (0.1,) * 46 + (0.99,) * 2}, {"too-many-machines": "advice"}),
        ({"busy": (0.1,) * 12}, {}),
        ({"busy": (0.1,) * 48, "machines": None}, {}),
        ({"busy": (0.1,) * 48, "machines": 1}, {}),
        ({"busy": (), "load": (0.1,) * 48}, {"too-many-machines": "advice"}),
        ({"busy": (), "load": (0.1,) * 48, "serving": serving(batch=None)}, {}),
        # limits
        ({"p99_ms": 8_000.0}, {"time-out-near-p99": "warning"}),
        ({"p99_ms": 8_000.0, "serving": serving(timeout_ms=None)}, {}),
        ({"p99_ms": None}, {}),
        ({"job_seconds": 1_500.0}, {"job-time-out": "warning"}),
        ({"host_memory": 0.96}, {"memory-full": "warning"}),
        ({"gpu_memory": 0.99}, {"memory-full": "warning"}),
        ({"gpus": 2, "serving": serving(batch=8)}, {"gpu-not-found": "warning"}),
        ({"cores": 1}, {"job-cpus": "warning"}),
    ],
)
def test_each_rule_finds_what_it_is_for(changes: dict[str, Any], found: dict[str, str]) -> None:
    """And nothing beside it."""
    assert rules(**changes) == found


def test_machines_are_counted_for_the_busy_hour() -> None:
    """Four machines at 20 %: 0.8 machines' work is two at 70 %; the rest is money."""
    found = judge(SOUND._replace(machines=4, busy=(0.2,) * 48))
    spare = next(f for f in found if f.rule == "too-many-machines")
    assert spare.evidence["machines_needed"] == 2.0
    assert spare.evidence["usd_per_day_saved"] == pytest.approx(2 * 24 * 0.5)
    assert spare.expected_gain == "24.00 USD a day"


def test_what_is_not_known_is_listed_with_the_field_to_fill_in() -> None:
    """A rule without its input has not found all well."""
    unknown = SOUND._replace(serving=Serving(), p99_ms=None, busy=(), weights={}, machines=None)
    looked = judge(unknown)[-1]
    assert looked.evidence["unknown"] == 8.0
    assert looked.action is not None
    for field in ("serving.threads", "serving.timeout_ms", "prices.machines"):
        assert field in looked.action
    assert judge(SOUND)[-1].no_action_because is not None


def test_the_situation_is_read_from_facts_files_and_machine() -> None:
    """Little's law over the hours; bytes by number type; threads of the model's file."""
    hour = HourMetrics(
        hour=3,
        covered=True,
        requests=3600,
        latency_ms=Quantiles(p50=500.0, p90=500.0, p95=500.0, p99=900.0, mean=500.0, n=3600),
        utilisation=Utilisation(
            cpu=Gauge(mean=0.4, high=0.8), host_memory=Gauge(mean=0.5, high=0.7)
        ),
    )
    day = DailyMetrics(
        model="docs-assistant",
        day=date(2026, 3, 17),
        source="request_log",
        coverage=1.0,
        rows_read=0,
        rows_quarantined=0,
        latency_ms=hour.latency_ms,
        hours=(hour,),
    )
    case = Case(facts={"days": [day], "threads": {"serving.threads": 9}, "machines": 3})
    made = case.material()
    seen = situation(made.job, made.facts, case.folder)
    assert seen.load == (0.5,)
    assert (seen.busy, seen.host_memory, seen.p99_ms) == ((0.4,), 0.7, 900.0)
    assert seen.weights == {"F32": 39_072 * 4}
    assert (seen.cpus, seen.machines, seen.threads) == (1, 3, {"serving.threads": 9})
    found = infrastructure.review(case.material())
    assert "threads" in {f.rule for f in found if hasattr(f, "rule")}
