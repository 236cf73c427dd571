"""A day is trusted only if every number that a decision needs is known and makes sense."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.request_logs import (
    day_rows,
    log_row,
    log_spec,
    read_logs,
    write_day,
    write_manifest,
)
from upkeep import validation_suite
from upkeep.records import DailyMetrics, Finding, Quantiles, ValidationResult
from upkeep.validation import validate
from upkeep.validation_measures import usual
from upkeep.validation_suite import FRAMES, suite_of

DAY = date(2026, 3, 5)
SPEC = log_spec("logs")


def collected(path: Path) -> DailyMetrics:
    """Collect a day that lies under ``path``."""
    return read_logs(log_spec(path), DAY).metrics


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> DailyMetrics:
    """Give the metrics of a day on which all is well."""
    path = tmp_path_factory.mktemp("good")
    write_day(path, DAY)
    return collected(path)


def changed(metrics: DailyMetrics, **fields: Any) -> DailyMetrics:
    """Give the metrics with other values, checked like every record."""
    return DailyMetrics.model_validate(metrics.model_dump() | fields)


def failed(result: ValidationResult) -> dict[str, Finding]:
    """Give the findings that did not pass, by check."""
    return {finding.check: finding for finding in result.failures}


def holds(result: ValidationResult) -> set[str]:
    """Give the checks that put the day on hold."""
    return {f.check for f in result.failures if f.severity == "hold"}


def quantiles(p50: float, **other: float) -> Quantiles:
    """Give quantiles that all lie at the median unless named."""
    return Quantiles(
        **({"p50": p50, "p90": p50, "p95": p50, "p99": p50, "mean": p50} | other), n=72
    )


def test_a_whole_day_is_trusted_and_every_check_is_on_record(good: DailyMetrics) -> None:
    """Each check of the suite gives one finding in words, passed or not."""
    result, _ = validate(SPEC, good, [])
    assert result.trusted
    assert result.failures == ()
    assert [(f.check, f.severity) for f in result.findings] == [
        ("source", "hold"),
        ("numbers", "hold"),
        ("coverage", "hold"),
        ("bad_share", "hold"),
        ("requests", "hold"),
        ("series", "hold"),
        ("error_rate", "hold"),
        ("hours", "hold"),
        ("inconsistent", "investigate"),
        ("agreement", "investigate"),
        ("fresh", "flag"),
        ("gaps", "flag"),
        ("collected", "flag"),
        ("error_unit", "flag"),
        ("odd", "flag"),
        ("slices", "hold"),
        ("quantiles", "hold"),
        ("utilisation", "hold"),
        ("sums", "hold"),
        ("partial", "hold"),
        ("unit_suspect", "investigate"),
        ("unit", "hold"),
    ]
    assert all(f.words and f.rule and f.observed for f in result.findings)
    suite = suite_of("request_log")
    assert (result.model, result.day, result.suite) == ("talker", DAY, "request_log/5")
    assert (result.suite, result.suite_sha256) == (suite.name, suite.sha256)


def test_half_a_day_is_held_with_every_file_named(tmp_path: Path) -> None:
    """A person reads how much is lost, where, and what is allowed (A22)."""
    folder = write_day(tmp_path, DAY)
    for hour in range(12):
        file = folder / f"{hour:02d}.jsonl"
        raw = file.read_bytes()
        file.write_bytes(raw[:-30] if hour % 2 else raw.replace(b"ok", b"no"))
    result, _ = validate(SPEC, collected(tmp_path), [])
    assert not result.trusted
    assert (result.coverage, result.bad_share) == (0.5, 0.5)
    assert holds(result) == {"coverage", "bad_share"}
    words = failed(result)["coverage"].words
    assert words.startswith(
        "12 of 24 hours could not be read (coverage 0.50, at least 0.90 is needed): "
        "00.jsonl differs from its manifest, 01.jsonl is cut off (803 of 833 bytes), 02.jsonl"
    )
    assert all(f"{hour:02d}.jsonl" in words for hour in range(12))
    assert failed(result)["bad_share"].words.startswith(
        "36 of 72 rows were set aside (50.0%, at most 5.0% is allowed): 00.jsonl differs"
    )


def test_one_lost_hour_is_flagged_and_the_day_trusted(tmp_path: Path) -> None:
    """Ninety percent of the hours are enough; the gap is on record (A23)."""
    (write_day(tmp_path, DAY) / "07.jsonl").unlink()
    result, _ = validate(SPEC, collected(tmp_path), [])
    assert result.trusted
    assert set(failed(result)) == {"gaps"}
    assert failed(result)["gaps"].words == (
        "hours that are not in the day's numbers as a whole: 07"
    )


def test_a_missing_folder_is_held_as_no_source(tmp_path: Path) -> None:
    """Nothing is known, and the words say what to look for (A20, A27, B29)."""
    result, _ = validate(SPEC, collected(tmp_path), [])
    assert holds(result) == {"source", "coverage", "requests"}
    words = "no_source: there is no log folder for 2026-03-05; is path right "
    assert failed(result)["source"].words == f"{words}({SPEC.sources[0].path})?"
    assert failed(result)["requests"].words.startswith("no_data: ")


def test_a_day_without_traffic_is_trusted_as_such(tmp_path: Path) -> None:
    """Zero requests in whole logs is an answer, not a gap (A21)."""
    folder = write_day(tmp_path, DAY, [])
    result, _ = validate(SPEC, collected(tmp_path), [])
    assert result.trusted
    words = {f.check: f.words for f in result.findings}
    assert words["requests"] == "no_traffic: whole data says that nothing was requested"
    write_manifest(folder)
    (folder / "_complete.json").unlink()
    assert not validate(SPEC, collected(tmp_path), [])[0].trusted


def test_zero_requests_of_a_day_that_was_not_read_whole_are_no_answer(good: DailyMetrics) -> None:
    """Only whole logs may say that there was nothing."""
    nothing = changed(good, requests=0, generation_errors=0, api_errors=0, latency_ms=None)
    result, _ = validate(SPEC, changed(nothing, coverage=0.95, rows_read=0, hours=()), [])
    assert {"requests", "hours"} <= holds(result)


def test_bad_rows_within_the_allowed_share_are_counted_and_the_day_goes_on(tmp_path: Path) -> None:
    """Three of 75 rows may be bad, four of 76 may not (B10, B22)."""
    for extra, trusted in ((3, True), (4, False)):
        rows = day_rows(DAY) + [log_row(DAY, 5, 90 + n, latency_ms="1") for n in range(extra)]
        write_day(tmp_path / str(extra), DAY, rows)
        result, _ = validate(SPEC, collected(tmp_path / str(extra)), [])
        assert result.trusted is trusted
        assert result.bad_share == extra / (72 + extra)
    assert failed(result)["bad_share"].words == (
        "4 of 76 rows were set aside (5.3%, at most 5.0% is allowed): 05.jsonl lines 4, 5, 6, 7"
        " has a latency_ms that is not a number of 0 to 86400000"
    )


def test_a_renamed_column_is_held_and_named(tmp_path: Path) -> None:
    """The column that is gone and the one that came are both in the findings (B23)."""
    rows = day_rows(DAY)
    for row in rows[36:]:
        row["latency"] = row.pop("latency_ms")
    write_day(tmp_path, DAY, rows)
    found = failed(validate(SPEC, collected(tmp_path), [])[0])
    assert found["bad_share"].severity == "hold"
    assert "has no latency_ms" in found["bad_share"].words
    assert (found["odd"].severity, "'latency'" in found["odd"].words) == ("flag", True)


CONTRADICTIONS: list[Any] = [
    pytest.param({"requests": None}, "requests", "hold", id="A20-requests-unknown"),
    pytest.param({"requests": 19, "hours": None}, "requests", "hold", id="too-few-requests"),
    pytest.param({"api_errors": 73}, "error_rate", "hold", id="A5-A36-more-errors-than-requests"),
    pytest.param({"latency_ms": quantiles(9, p90=8)}, "quantiles", "hold", id="A31-p50-over-p90"),
    pytest.param({"latency_ms": quantiles(9, p95=10)}, "quantiles", "hold", id="A31-p95-over-p99"),
    pytest.param({"ttft_ms": quantiles(9, p90=10)}, "quantiles", "hold", id="A31-p90-over-p95"),
    pytest.param({"hours": ()}, "hours", "hold", id="A20-no-hours"),
    pytest.param({"requests": 73}, "hours", "hold", id="day-is-not-the-sum-of-its-hours"),
    pytest.param({"requests_by_slice": {"a": 71}}, "slices", "hold", id="a-request-of-no-slice"),
    pytest.param({"requests_by_version": {}}, "slices", "hold", id="requests-of-no-version"),
    pytest.param({"latency_ms": None}, "inconsistent", "investigate", id="A35-no-latency"),
    pytest.param({"ttft_ms": quantiles(900)}, "inconsistent", "investigate", id="late-first-token"),
    pytest.param({"tokens_out_per_s": 40_000.0}, "inconsistent", "investigate", id="A6-first-day"),
    pytest.param({"api_errors": None}, "inconsistent", "investigate", id="A35-no-errors"),
    pytest.param({"flags": ("odd",)}, "odd", "flag", id="B24-flag"),
]


@pytest.mark.parametrize(("fields", "check", "severity"), CONTRADICTIONS)
def test_a_day_that_contradicts_itself_fails_the_check_that_says_so(
    good: DailyMetrics, fields: dict[str, Any], check: str, severity: str
) -> None:
    """The severity says what follows: hold, investigate, or a line in the report."""
    if fields.get("hours", ()) is None:
        hours = [hour.model_dump() | {"requests": 0} for hour in good.hours]
        fields = fields | {"hours": [hours[0] | {"requests": 19}, *hours[1:]]}
    result, _ = validate(SPEC, changed(good, **fields), [])
    assert failed(result)[check].severity == severity
    assert result.trusted is (severity != "hold")


def test_more_errors_than_requests_in_an_hour_are_held(good: DailyMetrics) -> None:
    """The window is named (A36)."""
    hours = [h.model_dump() for h in good.hours]
    hours[7]["errors"] = 4
    result, _ = validate(SPEC, changed(good, hours=hours), [])
    assert holds(result) == {"hours", "sums"}
    assert failed(result)["hours"].words.endswith("more errors than requests in 07h")


@pytest.mark.parametrize(
    ("factor", "suspect"),
    [(1.0, False), (1000.0, True), (0.001, True), (199.0, False), (1 / 199, False)],
    ids=["same", "A6-s-read-as-us", "A6-s-instead-of-ms", "199-times", "a-199th"],
)
def test_a_latency_in_another_unit_is_suspected(
    good: DailyMetrics, factor: float, *, suspect: bool
) -> None:
    """Against the median of the days that look sound by themselves; never an action by itself."""
    assert good.latency_ms is not None
    usual = good.latency_ms.p50
    history = [changed(good, latency_ms=quantiles(usual * f)) for f in (0.9, 1.0, 1.1)]
    history += [changed(good, coverage=0.5, latency_ms=quantiles(1e7))] * 9
    history += [changed(good, requests=3, latency_ms=quantiles(1e7))] * 9
    history += [changed(good, rows_quarantined=60, latency_ms=quantiles(1e7))] * 9
    result, _ = validate(SPEC, changed(good, latency_ms=quantiles(usual * factor)), history)
    assert result.trusted
    assert ("unit_suspect" in failed(result)) is suspect
    if suspect:
        assert failed(result)["unit_suspect"].severity == "investigate"
        assert "times the 112.5 of 3 earlier days: is it in another unit?" in (
            failed(result)["unit_suspect"].words
        )


def test_without_a_sound_day_there_is_nothing_to_compare_with(good: DailyMetrics) -> None:
    """A first day cannot be suspected; a baseline of 0 ms compares with nothing."""
    assert "latency_ms" not in usual([changed(good, latency_ms=None)])
    result, _ = validate(SPEC, good, [])
    words = {f.check: f.words for f in result.findings}
    assert words["unit_suspect"] == "nothing to compare the measures with"
    result, _ = validate(SPEC, good, [changed(good, latency_ms=quantiles(0))])
    assert result.failures == ()


def test_the_thresholds_are_the_models_own(good: DailyMetrics) -> None:
    """The suite's file holds parameters, the model's file their values."""
    strict = log_spec("logs", trust={"min_coverage": 0.99, "min_requests": 100})
    result, document = validate(strict, changed(good, coverage=0.98), [])
    assert holds(result) == {"coverage", "requests"}
    assert failed(result)["coverage"].rule == "coverage >= 0.99, of hours whose requests are known"
    assert failed(result)["requests"].words == "72 requests, at least 100 are needed to judge a day"
    assert json.loads(document)["parameters"]["min_requests"] == 100


bad_numbers = st.sampled_from([float("nan"), float("inf"), float("-inf")])
Spoil = Callable[[DailyMetrics, float], DailyMetrics]
SPOILS: dict[str, Spoil] = {
    "coverage": lambda m, x: m.model_copy(update={"coverage": x}),
    "requests": lambda m, x: m.model_copy(update={"requests": x}),
    "busy_s": lambda m, x: m.model_copy(update={"busy_s": x}),
    "cost_usd_per_1k": lambda m, x: m.model_copy(update={"cost_usd_per_1k": x}),
    "latency_ms": lambda m, x: m.model_copy(
        update={"latency_ms": m.latency_ms and m.latency_ms.model_copy(update={"p95": x})}
    ),
    "hours": lambda m, x: m.model_copy(
        update={"hours": (m.hours[0].model_copy(update={"busy_s": x}), *m.hours[1:])}
    ),
}


@settings(max_examples=6, deadline=None)
@given(field=st.sampled_from(sorted(SPOILS)), number=bad_numbers)
def test_a_number_that_is_none_never_makes_a_trusted_day(
    good: DailyMetrics, field: str, number: float
) -> None:
    """NaN and the infinities are refused by every record; one that slips in is still held."""
    result, document = validate(SPEC, SPOILS[field](good, number), [])
    assert not result.trusted
    assert "numbers" in holds(result)
    json.loads(document, parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def test_an_empty_record_is_never_trusted() -> None:
    """A day of which nothing is known passes nothing that a decision needs."""
    empty = DailyMetrics(
        model="talker", day=DAY, source="", coverage=0, rows_read=0, rows_quarantined=0
    )
    assert {"coverage", "requests", "hours"} <= holds(validate(SPEC, empty, [])[0])


def test_an_expectation_that_cannot_be_computed_holds_the_day(
    good: DailyMetrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the suite never passes a day, whatever severity the check has."""
    shutil.copytree(validation_suite.SUITES, tmp_path / "suites")
    monkeypatch.setattr(validation_suite, "SUITES", tmp_path / "suites")
    file = tmp_path / "suites" / "request_log.json"
    own, part = json.loads(file.read_bytes()), json.loads((file.parent / "day.json").read_bytes())
    odd = next(e for e in part["day"] if e["meta"]["check"] == "odd")
    odd["kwargs"]["column"] = "no_such_column"
    file.write_text(json.dumps(own | {"parts": []} | part))
    result, _ = validate(SPEC, good, [])
    assert not result.trusted
    assert failed(result)["odd"].severity == "hold"
    assert failed(result)["odd"].words.startswith("could not be checked: ")
    assert "no_such_column" in failed(result)["odd"].words


def test_the_same_day_gives_the_same_bytes(good: DailyMetrics) -> None:
    """No time, no random id, no path of this machine is in Great Expectations' result."""
    first, second = validate(SPEC, good, [good]), validate(SPEC, good, [good])
    assert first[0].canonical_bytes() == second[0].canonical_bytes()
    assert first[1] == second[1]
    document = json.loads(first[1])
    assert document["suite"] == "request_log/5"
    assert ValidationResult.model_validate_json(json.dumps(document["verdict"])) == first[0]
    assert document["great_expectations_version"]
    for frame in FRAMES:
        expected = suite_of("request_log").expectations[frame]
        assert len(document[frame]["results"]) == len(expected)
        assert document[frame]["success"] is True


PROGRAM = """
import sys
from datetime import date
from pathlib import Path

from upkeep import sources, validation

heavy = {"pandas", "numpy", "scipy", "great_expectations"} & set(sys.modules)
assert not heavy, f"imported before it is used: {heavy}"

from tests.fakes.request_logs import read_logs, log_spec, write_day

day = date(2026, 3, 5)
write_day(Path("logs"), day)
spec = log_spec("logs")
metrics = sources.collect(sources.Asked(spec, day, lambda *_: None)).metrics
result, document = validation.validate(spec, metrics, [])
assert result.trusted
Path("document.json").write_bytes(document)
"""


def test_a_fresh_process_says_nothing_writes_nothing_and_gives_the_same_bytes(
    good: DailyMetrics, tmp_path: Path
) -> None:
    """No progress bar, no warning, no file outside, no import before the first use."""
    root = Path(__file__).parents[1]
    environment = os.environ | {
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join([str(root / "include"), str(root)]),
    }
    (tmp_path / "home").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["document.json", "home", "logs"]
    assert list((tmp_path / "home").iterdir()) == []
    assert (tmp_path / "document.json").read_bytes() == validate(SPEC, good, [])[1]
