"""What a search for a compression looks like in MLflow: a nested run for each trial. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from upkeep.day_records import DayRecords, JobRecords
from upkeep.projection import day_start_ms, finite, metric_name, source
from upkeep.records import Trial
from upkeep.tracking_runs import RunView

MEASURES = (
    *("quality_loss", "quality_loss_se", "speedup", "speedup_low", "speedup_high"),
    *("concurrent_speedup", "size_bytes", "size_share", "token_agreement"),
)


def trial_views(records: DayRecords, job: JobRecords) -> Iterator[RunView]:
    """The runs below the job's own, one a trial, by number."""
    for trial in job.trials:
        yield _trial_view(records, job, trial)


def _trial_view(records: DayRecords, job: JobRecords, trial: Trial) -> RunView:
    start = day_start_ms(records.day)
    return RunView(
        key=f"{records.model}/{records.day.isoformat()}/{job.kind}/trial-{trial.number:04d}",
        name=f"trial {trial.number}: {trial.route}",
        start_ms=start,
        end_ms=start + round(trial.seconds * 1000.0),
        status="FINISHED" if trial.state == "measured" else "FAILED",
        params=dict(_params(trial)),
        tags={
            "upkeep.kind": "trial",
            "upkeep.model": records.model,
            "upkeep.day": records.day.isoformat(),
            "upkeep.state": trial.state,
            "upkeep.place": place_of(job, trial),
            **({"upkeep.reason": trial.reason} if trial.reason else {}),
            "mlflow.note.content": trial_note(job, trial),
            **source(trial.route),
        },
        metrics=_metrics(trial),
        at_ms=start,
    )


def place_of(job: JobRecords, trial: Trial) -> str:
    """What the search made of a trial: chosen, nearest, finalist, front, beaten, or its state."""
    result = job.search
    if trial.measured is None:
        return trial.state
    if result is None:
        return "measured"
    if trial.number == result.chosen:
        return "chosen"
    for place, numbers in (
        ("nearest", (result.nearest,)),
        ("finalist", result.finalists),
        ("front", result.front),
    ):
        if trial.number in numbers:
            return place
    return "beaten"


def trial_note(job: JobRecords, trial: Trial) -> str:
    """What was expected and what came, in a line each."""
    predicted = trial.predicted
    expected = [
        f"{value:.2f} {words}"
        for value, words in (
            (predicted.speedup, "times as fast"),
            (predicted.size_share, "of the size"),
        )
        if value is not None
    ]
    came = trial.measured.words if trial.measured else f"{trial.state}: {trial.reason}"
    lines = [
        f"**{place_of(job, trial)}**: {came}",
        f"expected: {', '.join(expected) or 'nothing'} ({predicted.words})",
        *trial.notes,
    ]
    return "\n\n".join(line.replace("<", "&lt;") for line in lines)


def _params(trial: Trial) -> Iterator[tuple[str, str]]:
    yield "route", trial.route
    for place, step in enumerate(trial.steps, 1):
        yield f"step{place}.method", step.method
        for name, value in sorted(step.params.items()):
            yield metric_name(f"step{place}.{name}"), str(value)
    if trial.measured is not None:
        yield "precision", trial.measured.precision


def _metrics(trial: Trial) -> Mapping[str, float]:
    numbers: dict[str, Any] = {"seconds": trial.seconds}
    numbers |= {f"predicted/{n}": getattr(trial.predicted, n) for n in ("speedup", "size_share")}
    if trial.measured is not None:
        numbers |= {name: getattr(trial.measured, name) for name in MEASURES}
    numbers |= {f"made/{name}": value for name, value in trial.measurements.items()}
    return {metric_name(name): value for name, value in finite(numbers).items()}
