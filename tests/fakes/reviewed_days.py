"""A deployment with a real small champion and days that were decided, for reviews.

What it does not prove: that the cycle writes these records; its own tests do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from fakes.deployment import FakeDeployment, make_deployment
from fakes.reviewed_model import samples_of
from fakes.tiny_model import tiny_llama

from upkeep import promotion
from upkeep.opening import open_day
from upkeep.params import effective_params
from upkeep.records import (
    DailyMetrics,
    Decision,
    HourMetrics,
    Quantiles,
    Sample,
    ValidationResult,
)
from upkeep.samples import put_samples, samples_key
from upkeep.spec import ModelSpec
from upkeep.store import adopt_or_put, record_key

MODEL = "docs-assistant"
DAY = date(2026, 3, 18)
LATENCY = Quantiles(p50=50.0, p90=80.0, p95=90.0, p99=120.0, mean=50.0, n=100)


def reviewed_deployment(
    folder: Path, spec: dict[str, Any] | None = None, network: Path | None = None
) -> FakeDeployment:
    """Version 1 is a tiny Llama; ``spec`` are changes of the model's file."""
    made = make_deployment(folder)
    if spec:
        known = made.fleet.models[MODEL].model_dump(mode="json")
        changed = ModelSpec.model_validate_json(json.dumps(_merged(known, spec)))
        made = replace(made, fleet=replace(made.fleet, models={MODEL: changed}))
    kept = made.store.put_folder(f"{MODEL}/versions/first", network or tiny_llama())
    promotion.register_first(
        made.store,
        made.tracker(),
        MODEL,
        folder=kept,
        format="safetensors",
        cache=made.cache,
        key=f"{MODEL}/first",
    )
    return made


def _merged(known: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    both = dict(known)
    for name, value in changes.items():
        old = known.get(name)
        both[name] = (
            _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return both


def decide_days(
    deployment: FakeDeployment, days: int = 3, samples: Sequence[Sample] = (), day: date = DAY
) -> None:
    """So many decided and trusted days up to ``day``; ``samples`` are the last one's."""
    for back in reversed(range(days)):
        each = day - timedelta(back)
        decide_day(deployment, each, samples if samples and not back else samples_of(40, back))


def decide_day(
    deployment: FakeDeployment, day: date, samples: Sequence[Sample], *, trusted: bool = True
) -> None:
    """One day, with its records."""
    store = deployment.store
    params = effective_params(
        {"day": day.isoformat(), "models": [MODEL]}, [MODEL], date(2026, 11, 1)
    )
    open_day(store, deployment.fleet.models[MODEL], params, "a test")
    hours = tuple(
        HourMetrics(hour=h, covered=True, requests=10, latency_ms=LATENCY) for h in range(24)
    )
    records = {
        "metrics": DailyMetrics(
            model=MODEL, day=day, source="request_log", coverage=1.0, rows_read=240,
            rows_quarantined=0, requests=240, latency_ms=LATENCY, hours=hours,
        ),
        "validation": ValidationResult(
            model=MODEL, day=day, trusted=trusted, coverage=1.0, bad_share=0.0, findings=(),
            suite="fake", suite_sha256="0" * 64,
        ),
        "decision": Decision(
            model=MODEL, day=day, revision=1, action="keep", cause="none", reasons=(),
            champion_version="1", job=None, inputs=(), policy_version="1", policy_sha256="0" * 64,
        ),
    }  # fmt: skip
    for step, record in records.items():
        adopt_or_put(store, record_key(MODEL, day, step), record)
    put_samples(store, samples_key(MODEL, day), samples)
