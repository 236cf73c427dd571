"""Days of a made-up model as facts: healthy, busy, broken, drifted, healed; seeded noise.

What it does not prove: that real traffic is as noisy as this. The noise is stated in ``Noise``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import yaml

from upkeep.decision import decide
from upkeep.diagnosis import diagnose
from upkeep.drift import compare
from upkeep.records import (
    DayFacts,
    DayMeasures,
    Decision,
    Diagnosis,
    Drift,
    Finding,
    History,
    Interval,
    MeasureValue,
    PastDecision,
    ValidationResult,
)
from upkeep.spec import Policy

MODEL = "docs-assistant"
DEFAULTS = Path(__file__).parents[2] / "include" / "fleet" / "defaults.yaml"
METHODS = {"compress": "openvino-int8", "retrain": "full"}
PRICE_USD_PER_HOUR = 0.60
SUITE_SHA256 = "0" * 64


def default_policy() -> Policy:
    """The policy of fleet/defaults.yaml, as shipped."""
    return Policy.model_validate(yaml.safe_load(DEFAULTS.read_text("utf-8"))["policy"])


@dataclass(frozen=True)
class Noise:
    """Day-to-day noise: uniform within +- ``latency`` and ``perplexity`` (0.15 = 15 %)."""

    latency: float = 0.15
    perplexity: float = 0.04
    requests: float = 0.10
    weekend: float = 0.5


@dataclass(frozen=True)
class Truth:
    """What is really so on a day, before noise. Factors multiply the healthy value."""

    requests: float = 1.0
    latency: float = 1.0
    perplexity: float = 1.0
    price: float = 1.0
    prompt_chars: float = 1.0
    error_rate: float = 0.002
    shares: Mapping[str, float] = field(default_factory=lambda: {"browser": 1.0})
    slice_perplexity: Mapping[str, float] = field(default_factory=lambda: {"browser": 1.0})
    trusted: bool = True
    coverage: float = 1.0
    prompt_mmd: float | None = None


def measures_on(
    day: date, truth: Truth, version: str, noise: Noise, rng: random.Random
) -> DayMeasures:
    """The day's numbers as production would give them."""

    def near(share: float) -> float:
        return 1.0 + rng.uniform(-share, share)

    weekend = noise.weekend if day.weekday() >= 5 else 1.0
    slow = near(noise.latency) * truth.latency
    price = PRICE_USD_PER_HOUR * truth.price
    values = {
        "requests": float(round(1000 * weekend * truth.requests * near(noise.requests))),
        "error_rate": truth.error_rate * near(0.5),
        "latency_p95_ms": 180.0 * slow * near(0.03),
        "ttft_p95_ms": 20.0 * slow * near(0.03),
        "tokens_out_per_s": 400.0 / slow,
        "price_usd_per_hour": price,
        "cost_usd_per_1k": 120.0 * slow / 3600.0 * price,
        "prompt_chars_mean": 300.0 * truth.prompt_chars * near(0.05),
    }
    found = [MeasureValue(name=n, value=v, n=1000) for n, v in values.items()]
    found += [MeasureValue(name=f"share[{s}]", value=v, n=1000) for s, v in truth.shares.items()]
    found.append(scored("perplexity", 5.2 * truth.perplexity * near(noise.perplexity)))
    found += [
        scored(f"perplexity[{s}]", 5.2 * v * near(noise.perplexity))
        for s, v in truth.slice_perplexity.items()
    ]
    found += _asked(day, truth)
    return DayMeasures(
        day=day, trusted=truth.trusted, champion_version=version, measures=tuple(found)
    )


def _asked(day: date, truth: Truth) -> list[MeasureValue]:
    """How unlike the reference the prompts are: the truth and the noise of 100 prompts."""
    if truth.prompt_mmd is None:
        return []
    value = truth.prompt_mmd + random.Random(day.toordinal()).gauss(0.0, 0.001)
    interval = Interval(low=value - 0.003, high=value + 0.003)
    return [MeasureValue(name="prompt_mmd", value=value, interval=interval, n=100)]


def scored(name: str, value: float, width: float = 0.05) -> MeasureValue:
    """A quality value with an interval of +- ``width`` (a share of it) within the day."""
    interval = Interval(low=value * (1 - width), high=value * (1 + width))
    return MeasureValue(name=name, value=value, interval=interval, n=200)


def validated(
    day: date, *, trusted: bool = True, coverage: float = 1.0, findings: tuple[Finding, ...] = ()
) -> ValidationResult:
    """What validation said about a day."""
    return ValidationResult(
        model=MODEL,
        day=day,
        trusted=trusted,
        coverage=coverage,
        bad_share=0.0,
        findings=findings,
        suite="request_log/1",
        suite_sha256=SUITE_SHA256,
    )


def failed_check(
    severity: Literal["hold", "investigate", "flag"], check: str = "coverage"
) -> Finding:
    """A finding that did not pass."""
    return Finding(
        check=check,
        passed=False,
        severity=severity,
        observed="0.5",
        rule="at least 0.9",
        words="12 of 24 hours could be read: 00.jsonl and 11 more are cut off",
    )


@dataclass(frozen=True)
class Judged:
    """One day, decided."""

    facts: DayFacts
    drift: Drift
    diagnosis: Diagnosis
    decision: Decision


def judge(facts: DayFacts, policy: Policy | None = None) -> Judged:
    """Compare, diagnose, decide."""
    policy = policy or default_policy()
    drift = compare(facts, policy)
    diagnosis = diagnose(facts, drift)
    return Judged(facts, drift, diagnosis, decide(facts, drift, diagnosis, policy, METHODS))


class Production:
    """A model in production: give each day's truth, get the day decided, with its history."""

    def __init__(
        self,
        seed: int,
        noise: Noise | None = None,
        policy: Policy | None = None,
        start: date = date(2026, 3, 5),
    ) -> None:
        self.rng, self.noise = random.Random(seed), noise or Noise()
        self.policy = policy or default_policy()
        self.day, self.version, self.format = start, 1, "safetensors"
        self.history: list[DayMeasures] = []
        self.past: list[PastDecision] = []

    def facts(self, truth: Truth) -> DayFacts:
        """The facts of the next day."""
        findings = () if truth.trusted else (failed_check("hold"),)
        current = measures_on(self.day, truth, str(self.version), self.noise, self.rng)
        return DayFacts(
            model=MODEL,
            day=self.day,
            revision=1,
            champion_version=str(self.version),
            champion_format=self.format,
            validation=validated(
                self.day, trusted=truth.trusted, coverage=truth.coverage, findings=findings
            ),
            current=current,
            history=History.of(self.history[-35:]),
            past_decisions=tuple(self.past[-35:]),
            champion_event="promote" if self.version > 1 else "register",
            earlier_version=str(self.version - 1) if self.version > 1 else None,
        )

    def live(self, truth: Truth) -> Judged:
        """One day passes; what it decides is promoted before the next."""
        judged = judge(self.facts(truth), self.policy)
        made = judged.decision
        outcome: Literal["promoted", "none"] = "none"
        if made.action in ("compress", "retrain"):
            outcome = "promoted"
            self.version += 1
            self.format = "openvino" if made.action == "compress" else "safetensors"
        self.past.append(PastDecision(day=self.day, action=made.action, outcome=outcome))
        self.history.append(judged.facts.current)
        self.day += timedelta(days=1)
        return judged


MIXED: dict[str, float] = {"browser": 0.5, "editor": 0.5}


def mixed(before: float, *, retrained: bool) -> Truth:
    """Half of the prompts are source code; ``before`` is the perplexity factor it causes."""
    code = 2.0 * before if not retrained else 1.05
    return Truth(
        perplexity=before if not retrained else 1.0,
        prompt_chars=1.2,
        shares=MIXED,
        slice_perplexity={"browser": 1.0, "editor": code},
    )


@dataclass
class Story:
    """The sixteen days: what each decided, by number of the day."""

    days: dict[int, Judged] = field(default_factory=dict)

    def action(self, number: int) -> str:
        """What day ``number`` (1 to 16) decided."""
        return self.days[number].decision.action

    def cause(self, number: int) -> str:
        """The cause that day ``number`` named."""
        return self.days[number].decision.cause


def tell(
    seed: int, worse: float = 1.8, start: date = date(2026, 3, 5), *, prompts: bool = False
) -> Story:
    """Live the sixteen days once; ``worse`` is day 13's perplexity factor.

    With ``prompts`` they are measured: the first five days are the reference, and from day 13 on
    half of them are other ones.
    """
    production, story = Production(seed, start=start), Story()

    def live(truth: Truth) -> None:
        number = len(story.days) + 1
        unlike = 0.0 if number < 13 else 0.05
        asked = replace(truth, prompt_mmd=unlike) if prompts and number > 5 else truth
        story.days[number] = production.live(asked)

    for _ in range(10):
        live(Truth())
    live(Truth(requests=4.0))
    live(Truth(requests=0.5, trusted=False, coverage=0.5))
    for _ in (13, 14):
        live(mixed(worse, retrained=production.version > 1))
    dear = replace(mixed(worse, retrained=production.version > 1), price=2.0)
    live(dear)
    live(replace(dear, latency=0.5 if story.action(15) == "compress" else 1.0))
    return story
