"""What a model's day looks like in MLflow: records in, runs out. Pure.

One run a day, named by the day; one nested run for each of its jobs; and the day's point on the
model's ``timeline``. A run's times are those of the day under review, not of the projection: the
list of runs is sorted by day, and a run that is rebuilt is the same run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from upkeep import measures
from upkeep.day_records import GX_DOCUMENT, DayRecords, JobRecords, Page
from upkeep.projection_benchmark import benchmark_metrics
from upkeep.records import DailyMetrics, Evaluation, GateResult
from upkeep.tracking_runs import RunView

DAY_MS = 86_400_000
FIGURES = 6
HEADLINE = (
    *("requests", "error_rate", "latency_p95_ms", "ttft_p95_ms", "tokens_out_per_s"),
    *("cost_usd_per_1k", "price_usd_per_hour", "coverage"),
)
BOUNDED = ("fid", "perplexity")  # quality measures whose intervals are headlines too
GATE_TABLE = "gate.json"
MOST_POINTS = 200  # of a curve: MLflow takes 1,000 numbers at a time
_POINT = re.compile(r"(?P<curve>loss_\w+)\[(?P<step>\d+)\]")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_\-./ ]+")


def day_key(model: str, day: date, revision: int = 1) -> str:
    """The key of a day's run."""
    return f"{model}/{day.isoformat()}/r{revision}"


def day_start_ms(day: date) -> int:
    """The day's first millisecond, UTC."""
    return int(datetime.combine(day, time(), UTC).timestamp() * 1000)


def action_of(records: DayRecords) -> str:
    """What is done about the day: a person's order stands over the policy's decision."""
    known = records.override or records.decision
    return known.action if known else "undecided"


def outcome_of(job: JobRecords) -> str:
    """What came of a job: promoted, refused, passed (waits for promotion), failed or running."""
    if job.promotion is not None:
        return f"promoted as version {job.promotion.version}"
    if job.approval is not None and not job.approval.approved:
        return f"refused by {job.approval.by}"
    if job.gate is not None:
        return "passed the gate" if job.gate.passed else "refused by the gate"
    if job.failure is not None:
        return "failed"
    return "running" if job.candidate is None else "waits for the gate"


def day_view(records: DayRecords, page: Page) -> RunView:
    """The run of the day."""
    start = day_start_ms(records.day)
    revision = "" if records.revision == 1 else f" r{records.revision}"
    return RunView(
        key=day_key(records.model, records.day, records.revision),
        name=f"{records.day.isoformat()}{revision}",
        start_ms=start,
        end_ms=start + DAY_MS,
        status="FINISHED" if records.decision else "RUNNING",
        params=_present(_day_params(records)),
        tags=_present({**_day_tags(records), "mlflow.note.content": page.note}),
        metrics=headline(records),
        at_ms=start,
        files=_day_files(records, page),
    )


def headline(records: DayRecords) -> dict[str, float]:
    """The day's headline numbers under their stable names; only those that are known and finite.

    Each quality measure stands beside its baseline, ``perplexity`` and ``perplexity_baseline``.
    """
    metrics = records.metrics
    traffic = _traffic(metrics) if metrics else {}
    numbers = {name: traffic.get(name) for name in HEADLINE}
    return finite({**numbers, **dict(_quality(records.quality)), **dict(_judged(records))})


def finite(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Only the numbers that are numbers: MLflow would store inf as 1.8e308, and keep NaN.

    Rounded to six figures, as a list of runs can show them; the records have every digit.
    """
    known = {name: value for name, value in numbers.items() if isinstance(value, int | float)}
    return {name: float(f"{v:.{FIGURES}g}") for name, v in known.items() if math.isfinite(v)}


def _traffic(metrics: DailyMetrics) -> dict[str, float | None]:
    latency, ttft = metrics.latency_ms, metrics.ttft_ms
    return {
        "requests": metrics.requests,
        "error_rate": metrics.error_rate,
        "latency_p95_ms": latency.p95 if latency else None,
        "ttft_p95_ms": ttft.p95 if ttft else None,
        "tokens_out_per_s": metrics.tokens_out_per_s,
        "cost_usd_per_1k": metrics.cost_usd_per_1k,
        "price_usd_per_hour": metrics.price_usd_per_hour,
        "coverage": metrics.coverage,
    }


def _quality(quality: Evaluation | None) -> Iterable[tuple[str, float]]:
    for result in quality.results if quality else ():
        yield result.measure, result.score
        if result.interval is not None and result.measure in BOUNDED:
            yield f"{result.measure}_low", result.interval.low
            yield f"{result.measure}_high", result.interval.high


def _judged(records: DayRecords) -> Iterable[tuple[str, float | None]]:
    """What people say, and the baselines of all quality measures."""
    for found in records.people.criteria if records.people else ():
        yield f"{measures.HUMAN}_{found.criterion}", found.score
    for result in records.drift.results if records.drift else ():
        if result.slice is None and measures.family(result.measure) in ("quality", "people"):
            yield f"{result.measure}_baseline", result.baseline


def _day_params(records: DayRecords) -> dict[str, Any]:
    decision, asked = records.decision, records.opened.get("params") or {}
    decided = ("action", "cause", "policy_version", "policy_sha256")
    return {
        **({name: getattr(decision, name) for name in decided} if decision else {}),
        "champion": records.champion,
        "revision": records.revision,
        "spec_sha256": records.opened.get("spec_sha256"),
        **{f"asked.{name}": value for name, value in asked.items() if _shown(value)},
    }


def _shown(value: object) -> bool:
    return value not in ("", None) and isinstance(value, str | int | float | bool)


def _day_tags(records: DayRecords) -> dict[str, Any]:
    drifts = records.drift.results if records.drift else ()
    drifted = [r.measure for r in drifts if r.state == "drifted"]
    order = records.override
    return {
        "upkeep.kind": "day",
        "upkeep.model": records.model,
        "upkeep.day": records.day.isoformat(),
        "upkeep.action": action_of(records),
        "upkeep.cause": records.decision.cause if records.decision else None,
        "upkeep.champion": records.champion,
        "upkeep.drifted": ", ".join(drifted) or "nothing",
        "upkeep.outcome": "; ".join(f"{j.kind} {outcome_of(j)}" for j in records.jobs) or None,
        "upkeep.budget": "; ".join(f"{a.wish.kind} {a.words}" for a in records.allotted) or None,
        "upkeep.late_data": f"revision {records.late[-1].revision}" if records.late else None,
        "upkeep.ordered_by": f"{order.by}: {order.note}" if order else None,
        "upkeep.decision_sha256": records.decision.digest() if records.decision else None,
        "upkeep.airflow_run_id": records.opened.get("airflow_run_id"),
        "mlflow.user": records.opened.get("owner"),
        **source(action_of(records)),
    }


def source(what: str) -> dict[str, str]:
    """MLflow's list of runs shows the source without being asked, and no other text of ours."""
    return {"mlflow.source.name": what, "mlflow.source.type": "JOB"}


def _day_files(records: DayRecords, page: Page) -> dict[str, bytes]:
    files = {f"records/{name}": data for name, data in records.files.items()}
    if records.gx_document is not None:
        files[GX_DOCUMENT] = records.gx_document
    return {**files, **page.files}


# ---------------------------------------------------------------- jobs


def job_view(
    records: DayRecords, job: JobRecords, note: str, shown: Mapping[str, bytes] | None = None
) -> RunView:
    """The nested run of one of the day's jobs; ``shown`` are files that people look at."""
    start = day_start_ms(records.day)
    files = {f"records/{name}": data for name, data in job.files.items()}
    files |= {f"tensorboard/{name}": data for name, data in job.events.items()}
    files |= shown or {}
    return RunView(
        key=f"{records.model}/{records.day.isoformat()}/{job.kind}",
        name=f"{records.day.isoformat()} {job.kind}",
        start_ms=start,
        end_ms=start + DAY_MS,
        status=_job_status(job),
        params=_present(_job_params(job)),
        tags=_present({**_job_tags(records, job), "mlflow.note.content": note}),
        metrics=_job_metrics(job),
        curves=loss_curves(job.candidate.measurements) if job.candidate else {},
        at_ms=start,
        files={**files, GATE_TABLE: gate_table(job.gate)} if job.gate else files,
    )


def _job_status(job: JobRecords) -> Literal["FINISHED", "FAILED", "RUNNING"]:
    if job.gate or job.promotion:
        return "FINISHED"
    return "FAILED" if job.failure else "RUNNING"


def _job_params(job: JobRecords) -> dict[str, Any]:
    spec, made = job.job, job.candidate
    asked = spec.params if spec else {}
    return {
        "kind": job.kind,
        "method": spec.method if spec else made.method if made else None,
        "parent_version": spec.source.version if spec else made.parent_version if made else None,
        "format": made.format if made else None,
        "files_sha256": made.folder.files_sha256 if made else None,
        "steps": " > ".join(step.method for step in made.steps) if made else None,
        **{f"asked.{metric_name(name)}": value for name, value in asked.items() if _shown(value)},
    }


def _job_tags(records: DayRecords, job: JobRecords) -> dict[str, Any]:
    table = json.dumps([{"path": GATE_TABLE, "type": "table"}])
    return {
        "upkeep.kind": job.kind,
        "upkeep.model": records.model,
        "upkeep.day": records.day.isoformat(),
        "upkeep.outcome": outcome_of(job),
        "upkeep.gate": ("passed" if job.gate.passed else "refused") if job.gate else None,
        "upkeep.version": job.promotion.version if job.promotion else None,
        "upkeep.approved_by": job.approval.by if job.approval and job.approval.approved else None,
        "mlflow.loggedArtifacts": table if job.gate else None,
        **source(job.kind),
    }


def _job_metrics(job: JobRecords) -> dict[str, float]:
    made = job.candidate.measurements if job.candidate else {}
    numbers: dict[str, Any] = {n: v for n, v in made.items() if not _POINT.fullmatch(n)}
    if job.benchmark is not None:
        numbers |= benchmark_metrics(job.benchmark)
        for name, pair in job.benchmark.set_scores.items():
            numbers |= {f"champion_{name}": pair[0], f"candidate_{name}": pair[1]}
    for row in job.gate.rows if job.gate else ():
        numbers[f"gate/{row.check}"] = row.effect
    return {metric_name(name): value for name, value in finite(numbers).items()}


def loss_curves(measurements: Mapping[str, float]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Of ``loss_train[50]`` and its like the curve ``loss_train`` over steps, thinned if long."""
    curves: dict[str, dict[int, float]] = {}
    for name, value in finite(measurements).items():
        if point := _POINT.fullmatch(name):
            curves.setdefault(point["curve"], {})[int(point["step"])] = value
    return {name: _thinned(sorted(points.items())) for name, points in curves.items()}


def _thinned(points: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Every n-th point, the last among them."""
    every = -(-len(points) // MOST_POINTS)
    return tuple(points[::-1][::every][::-1])


def gate_table(gate: GateResult) -> bytes:
    """The gate's rows in the form that MLflow shows as a table."""
    columns = ["check", "passed", "champion", "candidate", "effect"]
    columns += ["low", "high", "margin", "words"]
    rows = [
        [
            *(row.check, row.passed, row.champion, row.candidate, row.effect),
            row.interval.low if row.interval else None,
            row.interval.high if row.interval else None,
            *(row.margin, row.words),
        ]
        for row in gate.rows
    ]
    return json.dumps({"columns": columns, "data": rows}, allow_nan=False).encode()


# ---------------------------------------------------------------- the timeline


def timeline_view(records: DayRecords, first_day: date) -> RunView:
    """The day's point on the model's timeline: step 1 is ``first_day``."""
    first_ms = day_start_ms(first_day)
    return RunView(
        key=f"{records.model}/timeline",
        name="timeline",
        start_ms=first_ms,
        end_ms=first_ms + DAY_MS,
        tags={
            "upkeep.kind": "timeline",
            "upkeep.model": records.model,
            "upkeep.first_day": first_day.isoformat(),
            **source("timeline"),
            "mlflow.note.content": (
                f"Every day of **{records.model}** in one run; *Model metrics* has the charts. "
                f"Step 1 is {first_day.isoformat()}; each point's time is its day's start, so the "
                "x-axis *Time (wall)* shows dates."
            ),
        },
        metrics=headline(records),
        step=(records.day - first_day).days + 1,
        at_ms=day_start_ms(records.day),
        series=True,
    )


def _present(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def metric_name(text: str) -> str:
    """The text as MLflow allows it in the name of a metric or a param."""
    return _NOT_IN_A_NAME.sub("_", text)[:200]
