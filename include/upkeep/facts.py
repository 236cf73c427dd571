"""What a decision may read, gathered from the store into one record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal

from upkeep import measures, promotion, scaling
from upkeep.facts_context import context
from upkeep.late import first, newest
from upkeep.past_jobs import completed, standing
from upkeep.records import (
    DailyMetrics,
    DayFacts,
    DayMeasures,
    DayOpen,
    Decision,
    Evaluation,
    GateResult,
    History,
    Interval,
    JobFailure,
    JobSpec,
    LedgerEntry,
    MeasureValue,
    PastDecision,
    People,
    PromptDistance,
    ScalingHint,
    ValidationResult,
)
from upkeep.records.history import Z_95
from upkeep.store import Store, get_record, record_key

Outcome = Literal["none", "running", "promoted", "refused", "failed"]


def measures_of(
    metrics: DailyMetrics,
    quality: Evaluation | None,
    *,
    trusted: bool,
    version: str,
    people: People | None = None,
    prompts: PromptDistance | None = None,
) -> DayMeasures:
    """Flatten one day's records into named numbers; what was not collected stays ``None``."""
    values = [*_traffic(metrics), *context(metrics), *_asked(prompts)]
    values += [*_quality(quality), *_people(people)]
    return DayMeasures(
        day=metrics.day, trusted=trusted, champion_version=version, measures=tuple(values)
    )


def _traffic(metrics: DailyMetrics) -> Iterator[MeasureValue]:
    n = metrics.requests or 0
    latency, ttft = metrics.latency_ms, metrics.ttft_ms
    numbers: dict[str, float | None] = {
        "requests": None if metrics.requests is None else float(metrics.requests),
        "error_rate": metrics.error_rate,
        "latency_p95_ms": latency.p95 if latency else None,
        "ttft_p95_ms": ttft.p95 if ttft else None,
        "tokens_out_per_s": metrics.tokens_out_per_s,
        "cost_usd_per_1k": metrics.cost_usd_per_1k,
        "price_usd_per_hour": metrics.price_usd_per_hour,
        "prompt_chars_mean": metrics.prompt_chars_mean,
    }
    for name, value in numbers.items():
        yield MeasureValue(name=name, value=value, n=n)
    total = sum(metrics.requests_by_slice.values())
    for name, count in sorted(metrics.requests_by_slice.items()):
        yield MeasureValue(name=measures.sliced(measures.SHARE, name), value=count / total, n=total)


def _asked(prompts: PromptDistance | None) -> Iterator[MeasureValue]:
    """How unlike the reference the day's prompts are, where that is known."""
    if prompts is not None and prompts.value is not None and prompts.error is not None:
        half = Z_95 * prompts.error
        yield MeasureValue(
            name="prompt_mmd",
            value=prompts.value,
            interval=Interval(low=prompts.value - half, high=prompts.value + half),
            n=prompts.n,
            signature=prompts.signature,
        )


def _quality(quality: Evaluation | None) -> Iterator[MeasureValue]:
    for result in quality.results if quality else ():
        signature = measures.comparable(result.signature)
        yield MeasureValue(
            name=result.measure,
            value=result.score,
            interval=result.interval,
            n=result.n,
            signature=signature,
        )
        for part in result.slices:
            yield MeasureValue(
                name=measures.sliced(result.measure, part.name),
                value=part.score,
                interval=part.interval,
                n=part.n,
                signature=signature,
            )
    for missing in quality.unmeasured if quality else ():
        yield MeasureValue(name=missing.measure, value=None, why=missing.words)


def _people(people: People | None) -> Iterator[MeasureValue]:
    """What people say, as measures that the policy may watch: ``human_coherence``, 1 to 5."""
    for found in people.criteria if people else ():
        name = f"{measures.HUMAN}_{found.criterion}"
        if found.weight > 0.0:
            yield MeasureValue(
                name=name, value=found.score, interval=found.interval, n=found.outputs
            )
        else:
            yield MeasureValue(name=name, value=None, why=found.words)


def serving_version(metrics: DailyMetrics, champion: str | None) -> str | None:
    """The version that answered most of the day's requests, else the champion."""
    counts = metrics.requests_by_version
    return max(sorted(counts), key=lambda v: counts[v]) if counts else champion


def gather(store: Store, opened: DayOpen, history_days: int) -> DayFacts:
    """Read one day and the ``history_days`` days before it.

    Raises:
        ValueError: the day was not observed yet.

    """
    model, day = opened.model, opened.day
    entries = _entries_before(store, model, day)
    champion = entries[-1] if entries else None
    version = champion.version if champion else None
    known = first(store, model, day)
    if known is None:
        raise ValueError(f"{model} {day} was not observed yet")
    current = _measures(store, known, version)
    days = [day - timedelta(n) for n in range(history_days, 0, -1)]
    history = (day_measures(store, model, d) for d in days)
    past = (past_decision(store, model, d) for d in days)
    return DayFacts(
        model=model,
        day=day,
        revision=opened.revision,
        champion_version=version,
        champion_format=champion.format if champion else None,
        validation=known[1],
        current=current,
        history=History.of([d for d in history if d is not None]),
        past_decisions=tuple(completed(store, model, entries, (p for p in past if p is not None))),
        people=get_record(store, record_key(model, day, "people"), People),
        champion_event=standing(entries).event,
        earlier_version=standing(entries).earlier_version,
    )


def champion_on(store: Store, model: str, day: date) -> LedgerEntry | None:
    """The champion that a day is decided with: the last entry of an earlier day, or by hand of it.

    A function of the ledger and the day, so that a backfill decides as the day itself did.
    """
    earlier = _entries_before(store, model, day)
    return earlier[-1] if earlier else None


def _entries_before(store: Store, model: str, day: date) -> list[LedgerEntry]:
    return [e for e in promotion.ledger(store, model) if _made_before(e, day)]


def _made_before(entry: LedgerEntry, day: date) -> bool:
    """Whether an entry is known when a day is decided: of an earlier day, or made on it by hand.

    What a day's own decision made came after its end.
    """
    if entry.day is None or entry.day < day:
        return True
    return entry.event == "rollback" and entry.day == day == entry.at.date()


def day_measures(store: Store, model: str, day: date) -> DayMeasures | None:
    """The measures of a past day as it is known now, or None if it was never observed."""
    known = newest(store, model, day)
    return _measures(store, known, None) if known else None


def _measures(
    store: Store, known: tuple[DailyMetrics, ValidationResult], champion: str | None
) -> DayMeasures:
    metrics, validation = known
    quality = get_record(store, record_key(metrics.model, metrics.day, "quality"), Evaluation)
    version = serving_version(metrics, champion) or "unknown"
    people = get_record(store, record_key(metrics.model, metrics.day, "people"), People)
    prompts = get_record(store, record_key(metrics.model, metrics.day, "prompts"), PromptDistance)
    return measures_of(
        metrics,
        quality,
        trusted=validation.trusted,
        version=version,
        people=people,
        prompts=prompts,
    )


def scaling_hint(store: Store, model: str, day: date, machines: int | None) -> ScalingHint:
    """When of the week the model's ``machines`` are needed, from its trusted days up to ``day``."""
    past = [day - timedelta(n) for n in range(scaling.WINDOW_DAYS)]
    known = [found for d in past if (found := newest(store, model, d)) is not None]
    days = [metrics for metrics, validation in known if validation.trusted]
    return scaling.hint(model, day, days, machines=machines)


def past_decision(store: Store, model: str, day: date) -> PastDecision | None:
    """What a stored day decided and what came of it, or None if it decided nothing."""
    decision = get_record(store, record_key(model, day, "decision"), Decision)
    if decision is None:
        return None
    kinds = [
        kind
        for kind in ("compress", "retrain")
        if get_record(store, record_key(model, day, f"{kind}/job"), JobSpec) is not None
    ]
    action = decision.action if not kinds else kinds[-1]
    outcome = _outcome(store, model, day, kinds[-1]) if kinds else "none"
    return PastDecision.model_validate({"day": day, "action": action, "outcome": outcome})


def _outcome(store: Store, model: str, day: date, kind: str) -> Outcome:
    def key(step: str) -> str:
        return record_key(model, day, f"{kind}/{step}")

    if get_record(store, key("promotion"), LedgerEntry) is not None:
        return "promoted"
    gate = get_record(store, key("gate"), GateResult)
    if gate is not None:
        return "running" if gate.passed else "refused"
    return "failed" if get_record(store, key("failure"), JobFailure) else "running"
