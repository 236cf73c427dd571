"""One incident lived through: weeks of ordinary days, then the days until it is seen."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.causes.incidents import Incident, Kind, drawn, together
from benchmarks.causes.service import COLLECTED, Days, Model, Truth
from upkeep.diagnosis import diagnose
from upkeep.drift import compare
from upkeep.records import (
    DayFacts,
    DayMeasures,
    Diagnosis,
    Finding,
    History,
    MeasureValue,
    ValidationResult,
)
from upkeep.spec import Policy

DEFAULTS = Path(__file__).parents[2] / "include" / "fleet" / "defaults.yaml"
START = date(2026, 1, 5)
ORDINARY_DAYS = (30, 45)
PATIENCE_DAYS = 14
QUIET = ("none", "learning")


class Seen(NamedTuple):
    """An incident, after how many days a cause was named, and the diagnosis of that day."""

    incident: Incident
    days: int
    diagnosis: Diagnosis

    @property
    def right(self) -> bool:
        """Whether the first cause is the planted one."""
        return self.diagnosis.cause == self.incident.cause


def default_policy() -> Policy:
    """The policy of fleet/defaults.yaml, as shipped."""
    return Policy.model_validate(yaml.safe_load(DEFAULTS.read_text("utf-8"))["policy"])


def play(
    kinds: Mapping[str, Kind], seed: int, total: int, policy: Policy, collected: float = COLLECTED
) -> list[Seen]:
    """``total`` incidents of these kinds, in their proportions; each has its own model.

    ``collected`` is the probability that a model collects a resource.
    """
    names = [name for name, kind in kinds.items() for _ in range(kind.number)]
    chosen = random.Random(seed).sample(names, min(total, len(names)))
    return [
        live(kinds[name], name, f"{name}/{seed}/{n}", policy, collected)
        for n, name in enumerate(chosen)
    ]


def live(kind: Kind, name: str, seed: str, policy: Policy, collected: float = COLLECTED) -> Seen:
    """One incident until the day on which a cause is named, ``PATIENCE_DAYS`` at most."""
    rng = random.Random(seed)
    model = Model.drawn(rng, collected)
    model = replace(model, collected=model.collected | set(kind.needs))
    incident = drawn(name, kind, model, rng)
    days, past = Days(model, rng), rng.randint(*ORDINARY_DAYS)
    history: list[DayMeasures] = []
    for n in range(past):
        beside = n >= past - incident.before_days
        history.append(days.measured(START + timedelta(n), incident.beside if beside else Truth()))
    truth = together(incident.truth, incident.beside)
    seen = 0
    while True:
        day = START + timedelta(past + seen)
        today = _broken(days.measured(day, truth), incident)
        facts = facts_of(today, history, incident)
        found = diagnose(facts, compare(facts, policy))
        seen += 1
        if found.cause not in QUIET or seen >= PATIENCE_DAYS:
            return Seen(incident, seen, found)
        history.append(today)


def _broken(today: DayMeasures, incident: Incident) -> DayMeasures:
    if incident.broken == "untrusted":
        return today.model_copy(update={"trusted": False})
    if incident.broken == "empty":
        none = (MeasureValue(name="requests", value=0.0),)
        return today.model_copy(update={"measures": none})
    return today


def facts_of(today: DayMeasures, history: list[DayMeasures], incident: Incident) -> DayFacts:
    """The day's facts; its validation says what a broken day's would."""
    findings = ()
    if incident.broken in ("untrusted", "doubtful"):
        held = incident.broken == "untrusted"
        finding = Finding(
            check="coverage" if held else "unit_suspect",
            passed=False,
            severity="hold" if held else "investigate",
            observed="0.5",
            rule="made up",
            words="12 hours are missing" if held else "latency is in another unit",
        )
        findings = (finding,)
    validation = ValidationResult(
        model="m",
        day=today.day,
        trusted=today.trusted,
        coverage=1.0 if today.trusted else 0.5,
        bad_share=0.0,
        findings=findings,
        suite="made up",
        suite_sha256="0" * 64,
    )
    return DayFacts(
        model="m",
        day=today.day,
        revision=1,
        champion_version=today.champion_version,
        champion_format="safetensors",
        validation=validation,
        current=today,
        history=History.of(history[-60:]),
        past_decisions=(),
    )
