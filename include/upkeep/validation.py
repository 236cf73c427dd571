"""Whether a day's data may be believed: Great Expectations over the day, its hours and measures.

The expectations lie in ``suites``, one file for each kind of source, with the model's own
thresholds as suite parameters; the kind of the model's first source says which is run. This
module fills the frames, runs the suite and says the outcome in words. Great Expectations drops
nulls before it compares, so that an unknown number would pass: each number that a decision
needs is expected to be known as well.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from upkeep.records import DailyMetrics, Finding, ValidationResult, canonical_json
from upkeep.spec import ModelSpec
from upkeep.validation_day import HOUR_COLUMNS, Day
from upkeep.validation_measures import Row, finite
from upkeep.validation_suite import FRAMES, Json, Suite, suite_of
from upkeep.validation_words import Words

# Great Expectations' parser of suite parameters is one object for all threads.
_ONE_AT_A_TIME = threading.Lock()

Severity = Literal["hold", "investigate", "flag"]
_SEVERITIES: Mapping[str, Severity] = {
    "critical": "hold",
    "warning": "investigate",
    "info": "flag",
}


def validate(
    spec: ModelSpec, metrics: DailyMetrics, history: Sequence[DailyMetrics]
) -> tuple[ValidationResult, bytes]:
    """Judge one day; the bytes are Great Expectations' result as canonical JSON.

    ``history`` holds earlier days; those that look sound by themselves say what is usual. The
    bytes are the same for the same arguments; ``validation_page`` shows them.
    """
    suite, day = suite_of(spec.sources[0].kind), Day(spec, metrics, history)
    with _ONE_AT_A_TIME:
        results = _run(suite, day.frames(), day.parameters())
    findings = tuple(_findings(suite, results, day))
    verdict = ValidationResult(
        model=metrics.model,
        day=metrics.day,
        trusted=all(f.passed for f in findings if f.severity == "hold"),
        coverage=finite(metrics.coverage) or 0.0,
        bad_share=day.bad_share,
        findings=findings,
        suite=suite.name,
        suite_sha256=suite.sha256,
    )
    document = {
        "suite": suite.name,
        "suite_sha256": suite.sha256,
        "parameters": day.parameters(),
        "verdict": verdict.model_dump(mode="json"),
        **results,
    }
    return verdict, canonical_json(document)


def _findings(suite: Suite, results: Json, day: Day) -> Iterator[Finding]:
    """One finding a check, in the suite's order; it passes if all its expectations do."""
    expected = [e for frame in FRAMES for e in suite.expectations[frame]]
    seen = [r for frame in FRAMES for r in results[frame]["results"]]
    words = Words(day)
    for check in suite.checks():
        wanted = [e for e in expected if e["meta"]["check"] == check]
        got = [r for r in seen if r["expectation_config"]["meta"]["check"] == check]
        passed = len(got) == len(wanted) and all(r["success"] is True for r in got)
        broken = [r for r in got if r["exception"]]
        observed, said = words.of(check)
        yield Finding(
            check=check,
            passed=passed,
            severity="hold" if broken else _SEVERITIES[wanted[0]["severity"]],
            observed=observed,
            rule=str(wanted[0]["meta"]["rule"]).format(**day.parameters()),
            words=f"could not be checked: {broken[0]['exception']}" if broken else said,
        )


def _run(suite: Suite, rows: Mapping[str, list[Row]], parameters: Mapping[str, float]) -> Json:
    """Great Expectations' results of the frames, without what differs from run to run."""
    # Its import takes seconds, and reads this switch: nothing is ever sent.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations

        context = great_expectations.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        source = context.data_sources.add_pandas("day")
        found: Json = {"great_expectations_version": great_expectations.__version__}
        for frame in FRAMES:
            batch = (
                source.add_dataframe_asset(frame)
                .add_batch_definition_whole_dataframe(frame)
                .get_batch({"dataframe": _frame(frame, rows[frame])})
            )
            name, expected = f"{suite.name}.{frame}", list(suite.expectations[frame])
            expectations = great_expectations.ExpectationSuite(name=name, expectations=expected)
            result = batch.validate(expectations, expectation_parameters=dict(parameters))
            found[frame] = _lasting(result.to_json_dict())
    return found


def _frame(frame: str, rows: list[Row]) -> Any:
    """A pandas frame of 64-bit floats, None as NaN, its columns there even without a row."""
    import pandas as pd

    columns = list(HOUR_COLUMNS) if frame == "hours" else list(rows[0])
    return pd.DataFrame(rows, columns=columns, dtype="float64")


def _lasting(result: Json) -> Json:
    """What a second run of the same day gives again, in an order that is always the same."""
    results = [
        {
            "expectation_config": r["expectation_config"]
            | {"kwargs": _without(r["expectation_config"]["kwargs"], "batch_id")},
            "success": r["success"],
            "result": _finite_json(r["result"]),
            "exception": _exception(r["exception_info"]),
        }
        for r in result["results"]
    ]
    return {
        "suite_name": result["suite_name"],
        "success": result["success"],
        "statistics": _finite_json(result["statistics"]),
        "results": sorted(results, key=lambda r: canonical_json(r["expectation_config"])),
    }


def _without(mapping: Json, key: str) -> Json:
    return {name: value for name, value in mapping.items() if name != key}


def _exception(info: Json) -> str | None:
    """The message of an expectation that failed to compute: flat, or nested by metric."""
    for part in (info, *info.values()):
        if isinstance(part, dict) and part.get("raised_exception"):
            return str(part.get("exception_message"))
    return None


def _finite_json(value: Any) -> Any:
    """JSON without NaN: what is not a number is null."""
    if isinstance(value, dict):
        return {name: _finite_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite_json(part) for part in value]
    return finite(value) if isinstance(value, float) else value
