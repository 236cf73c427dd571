"""Days in a store as the cycle leaves them: every record of a decided day, and of its job.

What it does not prove: that the cycle writes these records; its own tests do.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from fakes.sixteen_days import MODEL, SUITE_SHA256, Judged, Story

from upkeep.records import (
    Approval,
    Benchmark,
    Candidate,
    DailyMetrics,
    DayMeasures,
    DayOpen,
    Evaluation,
    FileHash,
    Folder,
    GateResult,
    GateRow,
    Interval,
    JobSpec,
    LedgerEntry,
    ModelInput,
    QualityResult,
    Quantiles,
    Quarantined,
    Record,
)
from upkeep.sealed import seal
from upkeep.store import Store

START = date(2026, 3, 5)
FILES = (FileHash(path="model.bin", size_bytes=3, sha256="1" * 64),)


def put(store: Store, model: str, day: date, step: str, record: Record) -> None:
    """Write one record where the cycle writes it."""
    named = record.model_copy(update={"model": model})
    store.put_if_absent(f"{model}/{day.isoformat()}/r1/{step}.json", seal(named))


def record_day(store: Store, judged: Judged, *, promoted: bool = True, model: str = MODEL) -> date:
    """Write every record of a decided day; with ``promoted`` its job passed the gate."""
    facts, day = judged.facts, judged.facts.day
    records: dict[str, Record] = {
        "open": opened(day),
        "metrics": metrics_of(facts.current, facts.validation.coverage),
        "validation": facts.validation,
        "facts": facts,
        "drift": judged.drift,
        "diagnosis": judged.diagnosis,
        "decision": judged.decision,
    }
    if facts.current.trusted:
        records["quality"] = quality_of(facts.current)
    for step, record in records.items():
        put(store, model, day, step, record)
    document = f"{model}/{day.isoformat()}/r1/great-expectations.json"
    store.put_if_absent(document, b'{"success": true}')
    if judged.decision.action in ("compress", "retrain"):
        record_job(store, model, judged, promoted=promoted)
    return day


def record_story(store: Store, story: Story, model: str = MODEL) -> list[date]:
    """Write all days of a story."""
    return [record_day(store, judged, model=model) for judged in story.days.values()]


def opened(day: date) -> DayOpen:
    """A day's snapshot."""
    return DayOpen.model_validate(
        {
            "model": MODEL,
            "day": day,
            "revision": 1,
            "spec": {"name": MODEL},
            "spec_sha256": "5" * 64,
            "params": {"action": "auto", "dry_run": False, "note": "", "models": [MODEL]},
            "owner": "airflow:manual__1",
        }
    )


def metrics_of(measured: DayMeasures, coverage: float = 1.0) -> DailyMetrics:
    """The day's metrics from which these measures could come."""
    value = measured.value
    requests = int(value("requests") or 0)
    return DailyMetrics(
        model=MODEL,
        day=measured.day,
        source="request_log",
        coverage=coverage,
        rows_read=requests,
        rows_quarantined=0 if coverage == 1.0 else 12,
        requests=requests,
        generation_errors=0,
        api_errors=int(requests * (value("error_rate") or 0.0)),
        latency_ms=quantiles(value("latency_p95_ms")),
        ttft_ms=quantiles(value("ttft_p95_ms")),
        tokens_out_per_s=value("tokens_out_per_s"),
        cost_usd_per_1k=value("cost_usd_per_1k"),
        price_usd_per_hour=value("price_usd_per_hour"),
        quarantined=() if coverage == 1.0 else (Quarantined(what="05.jsonl", reason="cut off"),),
    )


def quantiles(p95: float | None) -> Quantiles | None:
    """Quantiles with this p95."""
    if p95 is None:
        return None
    return Quantiles(p50=p95 / 2, p90=p95 * 0.9, p95=p95, p99=p95 * 1.2, mean=p95 / 2, n=100)


def quality_of(measured: DayMeasures) -> Evaluation:
    """The evaluation from which these measures could come."""
    found = next(m for m in measured.measures if m.name == "perplexity")
    scores = {"perplexity": found.value or 0.0, "bleu": 21.5, "rouge_l": 0.31}
    return Evaluation(
        model=MODEL,
        day=measured.day,
        model_version=measured.champion_version,
        results=tuple(
            QualityResult(
                model=MODEL,
                day=measured.day,
                measure=name,
                score=score,
                interval=found.interval if name == "perplexity" else None,
                n=200,
                unit="1",
                direction="lower_is_better" if name == "perplexity" else "higher_is_better",
                model_version=measured.champion_version,
                evaluation_set_sha256="e" * 64,
                signature="fake",
            )
            for name, score in scores.items()
        ),
    )


def record_job(store: Store, model: str, judged: Judged, *, promoted: bool) -> None:
    """Write the records of the job that a day's decision asked for."""
    decision = judged.decision
    kind: Literal["compress", "retrain"] = (
        "compress" if decision.action == "compress" else "retrain"
    )
    key = f"{model}/{decision.day.isoformat()}/{kind}"
    folder = Folder(prefix=f"{model}/{decision.day.isoformat()}/r1/jobs/{kind}/model", files=FILES)
    parent = decision.champion_version or "1"
    day = decision.day
    put(store, model, day, f"{kind}/job", job_spec(key, kind, day, parent, folder))
    put(store, model, day, f"{kind}/candidate", candidate(key, kind, day, parent, folder))
    put(store, model, day, f"{kind}/benchmark", benchmark(key, day, parent))
    put(store, model, day, f"{kind}/gate", gate(kind, day, parent, passed=promoted))
    if promoted:
        approval = Approval(approved=True, by="mara", note="looks right")
        put(store, model, day, f"{kind}/approval", approval)
        put(
            store, model, day, f"{kind}/promotion", ledger_entry(key, day, parent, folder, approval)
        )


def job_spec(
    key: str, kind: Literal["compress", "retrain"], day: date, parent: str, folder: Folder
) -> JobSpec:
    """A job of the local engine."""
    return JobSpec(
        key=key,
        kind=kind,
        model=MODEL,
        day=day,
        method="openvino-int8" if kind == "compress" else "full",
        source=ModelInput(version=parent, format="safetensors", folder=folder),
        params={"epochs": 2},
        store_root="store",
        output_prefix=folder.prefix.removesuffix("/model"),
    )


def candidate(
    key: str, kind: Literal["compress", "retrain"], day: date, parent: str, folder: Folder
) -> Candidate:
    """What the job made."""
    return Candidate(
        model=MODEL,
        day=day,
        job_key=key,
        kind=kind,
        method="openvino-int8" if kind == "compress" else "full",
        parent_version=parent,
        format="openvino" if kind == "compress" else "safetensors",
        folder=folder,
        measurements={
            "train_loss": 3.1,
            "seconds": 41.0,
            **({"loss_train[50]": 3.5, "loss_train[100]": 3.25} if kind == "retrain" else {}),
        },
    )


def benchmark(key: str, day: date, parent: str) -> Benchmark:
    """A benchmark without its pairs: nothing here reads them."""
    return Benchmark(
        model=MODEL,
        day=day,
        job_key=key,
        champion_version=parent,
        champion_files_sha256="c" * 64,
        candidate_files_sha256="d" * 64,
        scores=(),
        times=(),
        champion_size_bytes=12_000_000,
        candidate_size_bytes=4_000_000,
        evaluation_set_sha256="e" * 64,
        machine={"cpu": "fake"},
    )


def gate(
    kind: Literal["compress", "retrain"], day: date, parent: str, *, passed: bool
) -> GateResult:
    """A verdict with two rows."""
    rows = (
        GateRow(
            check="perplexity",
            champion=68.9,
            candidate=44.2 if passed else 71.0,
            effect=-0.358 if passed else 0.03,
            interval=Interval(low=-0.37, high=-0.34) if passed else Interval(low=0.01, high=0.05),
            margin=0.03,
            passed=passed,
            words="perplexity -35.8 % (-37 % to -34 %)"
            if passed
            else "perplexity may be 5 % worse",
        ),
        GateRow(
            check="latency_ms",
            champion=52.0,
            candidate=51.0,
            effect=0.98,
            interval=None,
            margin=1.05,
            passed=True,
            words="as fast as before",
        ),
    )
    return GateResult(
        model=MODEL,
        day=day,
        kind=kind,
        champion_version=parent,
        champion_files_sha256="c" * 64,
        candidate_files_sha256="d" * 64,
        passed=passed,
        rows=rows,
        benchmark_sha256="b" * 64,
    )


def ledger_entry(
    key: str, day: date, parent: str, folder: Folder, approval: Approval
) -> LedgerEntry:
    """The promotion of the job's candidate."""
    return LedgerEntry.model_validate(
        {
            "seq": int(parent) + 1,
            "key": key,
            "at": f"{(day + timedelta(days=1)).isoformat()}T01:00:00Z",
            "model": MODEL,
            "event": "promote",
            "version": str(int(parent) + 1),
            "replaced_version": parent,
            "format": "safetensors",
            "folder": folder,
            "day": day,
            "gate_sha256": SUITE_SHA256,
            "approval": approval,
            "note": "",
            "previous_sha256": SUITE_SHA256,
        }
    )
