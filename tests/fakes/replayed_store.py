"""Decided days in a store, with everything that a replay reads, and the jobs that they had.

What it does not prove: that the cycle writes these records; its own tests replay what it wrote.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from fakes.recorded_days import record_job
from fakes.sixteen_days import DEFAULTS, MODEL, Judged, Story, default_policy, judge, tell

from upkeep.config import load_fleet
from upkeep.decision import methods_of
from upkeep.records import DayFacts, DayOpen, Record, canonical_json
from upkeep.replay_records import ReplayQuestion
from upkeep.sealed import seal
from upkeep.spec import ModelSpec, Policy
from upkeep.store import Store, open_store, record_key


@cache
def spec() -> ModelSpec:
    """The example's model, under the policy of fleet/defaults.yaml."""
    fleet = load_fleet(DEFAULTS.parent, {"UPKEEP_LOGS": "/var/log/requests"})
    return fleet.models[MODEL].model_copy(update={"policy": default_policy()})


def opened(model: str, day: date, of: ModelSpec | None = None) -> DayOpen:
    """The snapshot that a day ran on."""
    named = (of or spec()).model_copy(update={"name": model})
    return DayOpen(
        model=model,
        day=day,
        revision=1,
        spec=named.model_dump(mode="json"),
        spec_sha256=named.digest(),
        params={},
        owner="test",
    )


def as_cycle(judged: Judged, policy: Policy | None = None) -> Judged:
    """The day as the cycle judges it: by the policy as it is read back from the snapshot."""
    read = (policy or default_policy()).model_dump(mode="json")
    return judge(judged.facts, Policy.model_validate_json(canonical_json(read)))


@cache
def told(seed: int = 0) -> Story:
    """The sixteen days, as the cycle judges them."""
    return Story({n: as_cycle(judged) for n, judged in tell(seed).days.items()})


def put_day(store: Store, judged: Judged, model: str = MODEL, of: ModelSpec | None = None) -> None:
    """Write the records of a decided day."""
    assert methods_of(of or spec()) == {"compress": "openvino-int8", "retrain": "full"}
    records: Mapping[str, Record] = {
        "open": opened(model, judged.facts.day, of),
        "facts": judged.facts,
        "drift": judged.drift,
        "diagnosis": judged.diagnosis,
        "decision": judged.decision,
    }
    for step, record in records.items():
        store.put_if_absent(record_key(model, judged.facts.day, step), seal(record))


def put_story(
    store: Store, story: Story, model: str = MODEL, *, promoted: bool = True
) -> list[date]:
    """Write all days of a story; its jobs passed their gate where ``promoted``."""
    for judged in story.days.values():
        put_day(store, judged, model)
        if judged.decision.action in ("compress", "retrain"):
            record_job(store, model, judged, promoted=promoted)
    return [judged.facts.day for judged in story.days.values()]


def copied(store: Store, root: Path) -> Store:
    """A store of its own with the same records: far faster than writing them durably again."""
    return open_store(str(shutil.copytree(store.root, root / "store")))


def question(policy: Policy | None = None, model: str = MODEL, **bounds: Any) -> ReplayQuestion:
    """What is asked about a model."""
    tried = policy.model_dump(mode="json") if policy else None
    return ReplayQuestion(model=model, policy=tried, **bounds)


def tamper(store: Store, key: str, before: bytes, after: bytes) -> None:
    """Change bytes of a record where it lies."""
    path = Path(store.root) / key
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(before, after, 1))


def renamed(facts: DayFacts, model: str) -> DayFacts:
    """The same facts of another model."""
    validation = facts.validation.model_copy(update={"model": model})
    return facts.model_copy(update={"model": model, "validation": validation})


def renamed_days(store: Store, days: Mapping[int, Judged], model: str) -> list[date]:
    """Write the same days of another model, judged as the cycle does; when they were."""
    for judged in days.values():
        put_day(store, as_cycle(replace(judged, facts=renamed(judged.facts, model))), model)
    return [judged.facts.day for judged in days.values()]
