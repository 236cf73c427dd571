"""Whether a day's data may be believed: Great Expectations over the day and its 24 hours.

The expectations lie in ``suites/request_log.json``, with the model's own thresholds as suite
parameters; this module fills the two frames, runs the suite and says the outcome in words.
Great Expectations drops nulls before it compares, so that an unknown number would pass: each
number that a decision needs is expected to be known as well.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from upkeep.records import DailyMetrics, Finding, ValidationResult, canonical_json, sha256_hex
from upkeep.spec import ModelSpec
from upkeep.validation_day import Day, Row, finite, usual_latency_ms

SUITE = Path(__file__).parent / "suites" / "request_log.json"

# Great Expectations' parser of suite parameters is one object for all threads.
_ONE_AT_A_TIME = threading.Lock()

PARTS = ("day", "hours")
HOUR_COLUMNS = ["hour", "requests", "errors"]

Json = dict[str, Any]
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

    ``history`` holds earlier days; those that look trustworthy by themselves say what the
    latency usually is. The bytes are the same for the same arguments.
    """
    raw = SUITE.read_bytes()
    suite, day = json.loads(raw), Day(spec.trust, metrics, usual_latency_ms(spec.trust, history))
    with _ONE_AT_A_TIME:
        results = _run(suite, {"day": [day.row()], "hours": day.hours()}, day.parameters())
    findings = tuple(_findings(suite, results, day))
    verdict = ValidationResult(
        model=metrics.model,
        day=metrics.day,
        trusted=all(f.passed for f in findings if f.severity == "hold"),
        coverage=finite(metrics.coverage) or 0.0,
        bad_share=day.bad_share,
        findings=findings,
        suite=suite["suite"],
        suite_sha256=sha256_hex(raw),
    )
    document = {
        "suite": suite["suite"],
        "suite_sha256": verdict.suite_sha256,
        "parameters": day.parameters(),
        **results,
    }
    return verdict, canonical_json(document)


def _findings(suite: Json, results: Json, day: Day) -> Iterator[Finding]:
    """One finding a check, in the suite's order; it passes if all its expectations do."""
    expected = [e for part in PARTS for e in suite[part]["expectations"]]
    seen = [r for part in PARTS for r in results[part]["results"]]
    for check in dict.fromkeys(e["meta"]["check"] for e in expected):
        wanted = [e for e in expected if e["meta"]["check"] == check]
        got = [r for r in seen if r["expectation_config"]["meta"]["check"] == check]
        passed = len(got) == len(wanted) and all(r["success"] is True for r in got)
        broken = [r for r in got if r["exception"]]
        observed, words = day.words(check)
        yield Finding(
            check=check,
            passed=passed,
            severity="hold" if broken else _SEVERITIES[wanted[0]["severity"]],
            observed=observed,
            rule=str(wanted[0]["meta"]["rule"]).format(**day.parameters()),
            words=f"could not be checked: {broken[0]['exception']}" if broken else words,
        )


def _run(suite: Json, rows: Mapping[str, list[Row]], parameters: Mapping[str, float]) -> Json:
    """Great Expectations' results of both frames, without what differs from run to run."""
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
        for part in PARTS:
            batch = (
                source.add_dataframe_asset(part)
                .add_batch_definition_whole_dataframe(part)
                .get_batch({"dataframe": _frame(part, rows[part])})
            )
            expectations = great_expectations.ExpectationSuite(**suite[part])
            result = batch.validate(expectations, expectation_parameters=dict(parameters))
            found[part] = _lasting(result.to_json_dict())
    return found


def _frame(part: str, rows: list[Row]) -> Any:
    """A pandas frame of 64-bit floats, None as NaN, its columns there even without a row."""
    import pandas as pd

    columns = HOUR_COLUMNS if part == "hours" else list(rows[0])
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
