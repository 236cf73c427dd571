"""Section A of the bad inputs: each of the 40 series, and the answer that it gets.

What the frame of all series answers runs here as a day does: points, hours, costs, validation,
decision. What belongs to one source's code is proved by that source's own test; the tables at
the end say by which, for sections A and B, and fail when such a test is gone.
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.believable_days import DAY, LATENCY_BOUNDS, changed, good_day, spec_of, with_hours
from fakes.request_logs import log_spec, read_logs, write_day

from upkeep import diagnosis, drift
from upkeep.config import DEFAULTS, load_fleet
from upkeep.costs import priced
from upkeep.decision import decide
from upkeep.errors import ConfigError
from upkeep.facts import measures_of
from upkeep.records import DailyMetrics, DayFacts, Decision, History, ValidationResult
from upkeep.sources.hourly import Buckets, Hours
from upkeep.sources.join import joined
from upkeep.sources.points import (
    RejectedSeries,
    Window,
    by_hour,
    clean,
    increases,
    is_frozen,
    shares,
)
from upkeep.spec import ModelSpec
from upkeep.validation import validate

Points = list[tuple[Any, Any]]

TESTS = Path(__file__).parents[1]
START = Window.of(DAY, datetime(2026, 3, 6, tzinfo=UTC)).start_s
STEP_S = 300
GRID = [START + STEP_S * i for i in range(24 * 3600 // STEP_S + 1)]
RULES = [{"cause": cause, "action": "keep"} for cause in ("none", "learning", "no_traffic")]
SPEC = spec_of(policy={"version": "test", "measures": {}, "rules": RULES})

REQUESTS: Points = [(at, 10.0 * i) for i, at in enumerate(GRID)]
LATENCY: Points = [(at, 100.0 + i % 37) for i, at in enumerate(GRID[:-1])]
GPU: Points = [(at, 0.5 + i % 7 / 100) for i, at in enumerate(GRID[:-1])]


# ---------------------------------------------------------------- a day of series


@dataclass(frozen=True)
class Series:
    """What was scraped of one day; the latencies are samples."""

    requests: Points | None = None
    errors: Points | None = None
    latency: Points | None = None
    gpu: Points | None = None
    gpu_unit: str = "share"
    now: datetime = datetime(2026, 3, 6, 0, 10, tzinfo=UTC)


def day_of(series: Series) -> DailyMetrics:
    """Read the series as a source does: nothing raises, everything is told."""
    into, window = Hours("series"), Window.of(DAY, series.now)
    _read(into, "requests", lambda: _requests(series, window, into))
    _read(into, "errors", lambda: _errors(series, window, into))
    _read(into, "latency", lambda: _latency(series, window, into))
    _read(into, "gpu", lambda: _gpu(series, window, into))
    return priced(SPEC, into.metrics(SPEC, DAY))


def _read(into: Hours, name: str, read: Callable[[], None]) -> None:
    try:
        read()
    except RejectedSeries as reason:
        into.reject(name, str(reason))


def _requests(series: Series, window: Window, into: Hours) -> None:
    raw = REQUESTS if series.requests is None else series.requests
    points = clean("requests", raw, window, into, edge=True)
    seen = by_hour(points, window)
    for number, gained in increases("requests", points, window, into).items():
        hour = into.hours[number]
        hour.covered = len(seen[number]) >= 0.9 * 3600 / STEP_S
        hour.counts["requests"] = gained


def _errors(series: Series, window: Window, into: Hours) -> None:
    raw = [(at, 0.0) for at in GRID] if series.errors is None else series.errors
    points = clean("errors", raw, window, into, edge=True)
    for number, gained in increases("errors", points, window, into).items():
        into.hours[number].counts |= {"generation_errors": gained, "api_errors": 0.0}


def _latency(series: Series, window: Window, into: Hours) -> None:
    points = clean("latency", LATENCY if series.latency is None else series.latency, window, into)
    for number, values in by_hour(points, window).items():
        counts = [0.0] * len(LATENCY_BOUNDS)
        for value in values:
            counts[bisect.bisect_left(LATENCY_BOUNDS, value)] += 1
        into.hours[number].times["latency_ms"] = Buckets(
            LATENCY_BOUNDS, tuple(counts), math.fsum(values)
        )


def _gpu(series: Series, window: Window, into: Hours) -> None:
    points = clean("gpu", GPU if series.gpu is None else series.gpu, window, into)
    if is_frozen(points):
        into.flag("gpu: stale, one value all day")
    for number, values in by_hour(shares("gpu", points, series.gpu_unit), window).items():
        into.hours[number].gauges["gpu"] = values


# ---------------------------------------------------------------- and its answer


def judged(day: DailyMetrics, history: tuple[DailyMetrics, ...] = ()) -> ValidationResult:
    """Whether the day can be believed."""
    return validate(SPEC, day, history)[0]


def decided(day: DailyMetrics, result: ValidationResult, spec: ModelSpec = SPEC) -> Decision:
    """What is done about the day."""
    facts = DayFacts(
        model=spec.name,
        day=day.day,
        revision=1,
        champion_version="1",
        champion_format="safetensors",
        validation=result,
        current=measures_of(day, None, trusted=result.trusted, version="1"),
        history=History.of(()),
        past_decisions=(),
    )
    drifts = drift.compare(facts, spec.policy)
    found = diagnosis.diagnose(facts, drifts)
    return decide(facts, drifts, found, spec.policy, {"compress": "c", "retrain": "r"})


def at(points: Points, index: int, value: Any) -> Points:
    """The series with another value at one place."""
    return [*points[:index], (points[index][0], value), *points[index + 1 :]]


def times(value: Any, factor: float) -> Any:
    """All quantiles times a factor."""
    return {name: q * factor if name != "n" else q for name, q in value.model_dump().items()}


GOOD = good_day()
assert GOOD.latency_ms is not None
FALLING = GOOD.latency_ms.model_dump() | {"p50": 9e3}
SAME = GOOD.hours[0].latency_ms
IDLE = [(at_s, 7.0) for at_s in GRID]
HALF_DAY_NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)

# id: the day, what is done about it, and which words are found where.
CASES: dict[str, tuple[Callable[[], DailyMetrics], str, dict[str, str]]] = {
    "A0-nothing-wrong": (lambda: day_of(Series()), "keep", {}),
    "A1-nan-latency": (
        lambda: day_of(Series(latency=at(LATENCY, 9, math.nan))),
        *("keep", {"quarantined": "latency is NaN or infinite 1"}),
    ),
    "A1-nan-latency-too-often": (
        lambda: day_of(Series(latency=[(t, math.nan) for t, _ in LATENCY])),
        *("hold", {"bad_share": "latency is NaN or infinite"}),
    ),
    "A2-infinite-latency": (
        lambda: day_of(Series(latency=at(at(LATENCY, 9, math.inf), 99, "-Inf"))),
        *("keep", {"quarantined": "latency is NaN or infinite 2"}),
    ),
    "A3-negative-latency": (
        lambda: day_of(Series(latency=at(LATENCY, 9, -1))),
        *("keep", {"quarantined": "latency is negative 1"}),
    ),
    "A4-negative-request-count": (
        lambda: day_of(Series(requests=at(REQUESTS, 9, -1))),
        *("keep", {"quarantined": "requests is negative 1"}),
    ),
    "A5-error-rate-of-170-percent": (
        lambda: changed(GOOD, generation_errors=1224),
        *("hold", {"error_rate": "error_rate 1.7 > 1; is it percent? set unit: percent"}),
    ),
    "A6-latency-in-seconds": (
        lambda: changed(GOOD, latency_ms=times(GOOD.latency_ms, 0.001)),
        *("investigate", {"unit_suspect": "is it in another unit?"}),
    ),
    "A7-memory-in-bytes": (
        lambda: changed(
            GOOD,
            utilisation={"gpu_memory": {"mean": 0.55 / 2**20, "high": 0.6 / 2**20}},
        ),
        *("investigate", {"unit_suspect": "gpu_memory is 5.2"}),
    ),
    "A9-restart": (
        lambda: day_of(
            Series(requests=[(t, v if i < 100 else v - 1000) for i, (t, v) in enumerate(REQUESTS)])
        ),
        *("keep", {"flags": "requests restarted; undercounted"}),
    ),
    "A10-restarts": (
        lambda: day_of(Series(requests=[(t, 10.0 * (i % 100)) for i, t in enumerate(GRID)])),
        *("keep", {"flags": "requests restarted 2 times; undercounted"}),
    ),
    "A11-gauge-sold-as-counter": (
        lambda: day_of(Series(requests=[(t, 1e4 - v) for t, v in REQUESTS])),
        *("hold", {"series": "requests: not a counter", "requests": "no_data"}),
    ),
    "A12-frozen-gauge": (
        lambda: day_of(Series(gpu=[(t, 0.7) for t, _ in GPU])),
        *("keep", {"flags": "gpu: stale"}),
    ),
    "A12-frozen-decision-input": (
        lambda: with_hours(GOOD, *range(24), latency_ms=SAME.model_dump() if SAME else None),
        *("hold", {"frozen": "latency_ms says the same in every hour: stale"}),
    ),
    "A13-scraped-twice": (lambda: day_of(Series(requests=REQUESTS + REQUESTS)), "keep", {}),
    "A14-pair-without-a-label": (
        lambda: day_of(Series(latency=[*LATENCY, (GRID[5], 999)])),
        *("keep", {"quarantined": "another value at the same time 2", "flags": "HA pair without"}),
    ),
    "A16-out-of-order": (lambda: day_of(Series(requests=REQUESTS[::-1])), "keep", {}),
    "A17-neighbouring-days": (
        lambda: day_of(Series(latency=[(START - 1, 1e6), *LATENCY, (GRID[-1], 1e6)])),
        *("keep", {}),
    ),
    "A18-clock-ahead": (
        lambda: day_of(Series(latency=[*LATENCY[:144], *LATENCY[145:150]], now=HALF_DAY_NOW)),
        *("hold", {"quarantined": "latency lies in the future 5", "flags": "clock of its writer"}),
    ),
    "A19-milliseconds-as-seconds": (
        lambda: day_of(Series(latency=[(t * 1000, v) for t, v in LATENCY])),
        *("hold", {"series": "latency: timestamp unit"}),
    ),
    "A19-the-year-1970": (
        lambda: day_of(Series(requests=[(t / 1e6, v) for t, v in REQUESTS])),
        *("hold", {"series": "requests: timestamp unit", "requests": "no_data"}),
    ),
    "A20-empty-day": (
        lambda: day_of(Series(requests=[], errors=[], latency=[], gpu=[])),
        *("hold", {"requests": "no_data: how many requests there were is not known"}),
    ),
    "A21-no-traffic": (
        lambda: day_of(Series(requests=IDLE, latency=[])),
        *("keep", {"requests": "no_traffic", "cause": "no_traffic"}),
    ),
    "A22-half-a-day": (
        lambda: day_of(Series(requests=REQUESTS[:145], latency=LATENCY[:144])),
        *("hold", {"coverage": "12 of 24 hours could not be read (coverage 0.50"}),
    ),
    "A23-one-hour-missing": (
        lambda: day_of(Series(requests=REQUESTS[:84] + REQUESTS[96:])),
        *("keep", {"gaps": "not in the day's numbers as a whole: 07"}),
    ),
    "A31-quantiles-fall": (
        lambda: changed(GOOD, latency_ms=FALLING),
        *("hold", {"quantiles": "quantiles cannot fall: latency"}),
    ),
    "A34-gpu-of-140-percent": (
        lambda: day_of(Series(gpu=[(t, 140.0) for t, _ in GPU], gpu_unit="percent")),
        *("hold", {"series": "gpu: gpu: 140 > 100; over 100 %"}),
    ),
    "A35-requests-without-latency": (
        lambda: day_of(Series(latency=[])),
        *("investigate", {"inconsistent": "inconsistent: 2880 requests, but latency p95 unknown"}),
    ),
    "A36-more-errors-than-requests": (
        lambda: day_of(Series(errors=[(t, 0.0 if i < 90 else 1e3) for i, t in enumerate(GRID)])),
        *("keep", {"quarantined": "hour 07 more errors than requests (1000 of 120) 1"}),
    ),
    "A40-digits-of-other-scripts": (
        lambda: day_of(Series(latency=at(at(at(LATENCY, 1, "1_000"), 2, "١٢"), 3, "1,234"))),
        *("keep", {"quarantined": "latency is not a number 3"}),
    ),
}


@pytest.mark.parametrize(
    ("build", "action", "words"), [pytest.param(*case, id=name) for name, case in CASES.items()]
)
def test_each_series_gets_its_answer(
    build: Callable[[], DailyMetrics], action: str, words: dict[str, str]
) -> None:
    """Hold, investigate, or on with the day and a note of what was set aside."""
    day = build()
    result = judged(day, (GOOD, GOOD, GOOD))
    made = decided(day, result)
    assert made.action == action
    assert made.job is None
    found = {finding.check: finding.words for finding in result.findings}
    found["quarantined"] = "; ".join(f"{q.what} {q.reason} {q.rows}" for q in day.quarantined)
    found["flags"] = "; ".join(day.flags)
    found["cause"] = made.cause
    for where, said in words.items():
        assert said in found[where]
    if "quarantined" not in words and "bad_share" not in words:
        assert day.quarantined == ()


@pytest.mark.parametrize("name", ["A13-scraped-twice", "A16-out-of-order", "A17-neighbouring-days"])
def test_a_day_that_was_scraped_oddly_is_the_same_day(name: str) -> None:
    """Every number and every flag."""
    assert CASES[name][0]() == CASES["A0-nothing-wrong"][0]()


def test_a_restart_costs_less_than_one_percent() -> None:
    """A9: of 2,880 requests, those between two scrapes."""
    assert CASES["A9-restart"][0]().requests == pytest.approx(2880, rel=0.01)


def test_a_set_aside_hour_is_not_covered() -> None:
    """A36: neither its requests nor its errors are believed."""
    day = CASES["A36-more-errors-than-requests"][0]()
    assert (day.requests, day.generation_errors, day.coverage) == (2760, 0, 23 / 24)


PRICES = "prices:\n  - {since: 2026-01-01, usd_per_hour: 1.0, eur_per_hour: 0.9}\n"
MODEL = "name: tiny\nsources:\n  - {kind: request_log, path: /logs/tiny}\n"


@pytest.mark.parametrize(
    ("prices", "named"),
    [
        pytest.param(PRICES, "eur_per_hour", id="A8-two-currencies"),
        pytest.param(PRICES.replace("usd_", ""), "per_hour", id="A8-no-currency"),
    ],
)
def test_a_price_has_one_currency_and_says_which(tmp_path: Path, prices: str, named: str) -> None:
    """A8: it is in the field's name; another is refused, and told beside the allowed ones."""
    defaults = TESTS.parent / "include" / "fleet" / DEFAULTS
    (tmp_path / DEFAULTS).write_bytes(defaults.read_bytes())
    (tmp_path / "tiny.yaml").write_text(MODEL + prices)
    with pytest.raises(ConfigError, match=named) as refused:
        load_fleet(tmp_path, {}, strict=True)
    assert "usd_per_hour" in str(refused.value)


@pytest.mark.parametrize(
    "local", [date(2026, 3, 29), date(2026, 10, 25)], ids=["A24-23h", "A24-25h"]
)
def test_a_day_of_series_is_a_utc_day(local: date) -> None:
    """A24: 24 hours on the days on which Berlin's clocks change."""
    start = datetime(local.year, local.month, local.day, tzinfo=UTC)
    window, into = Window.of(local, start + timedelta(2)), Hours("series")
    raw = [(start.timestamp() + 300 * i, float(i)) for i in range(289)]
    gained = increases("s", clean("s", raw, window, into, edge=True), window, into)
    assert gained == dict.fromkeys(range(24), 12.0)


def test_one_model_without_data_does_not_hold_the_others(tmp_path: Path) -> None:
    """A27: each model is read and judged by itself."""
    trusted = {}
    for name in ("a", "b", "c"):
        if name != "b":
            write_day(tmp_path / name, DAY)
        spec = log_spec(tmp_path / name)
        trusted[name] = validate(spec, read_logs(spec, DAY).metrics, [])[0].trusted
    assert trusted == {"a": True, "b": False, "c": True}


def test_views_that_disagree_are_looked_into() -> None:
    """Two kinds of sources, one of which counts double: a person looks."""
    other = changed(with_hours(GOOD, *range(24), requests=60), requests=1440, source="the other")
    day = joined([GOOD, other], SPEC.trust)
    assert decided(day, judged(day)).action == "investigate"


# ---------------------------------------------------------------- nothing is forgotten

SELF = "sources/test_section_a.py"
PROVED_BY: dict[str, tuple[str, ...]] = {
    **{f"A{n}": (SELF,) for n in (*range(1, 15), *range(16, 25), 27, 31, 34, 35, 36, 40)},
    "A9": (SELF, "sources/test_prometheus.py", "sources/test_points.py"),
    "A10": (SELF, "sources/test_prometheus.py"),
    "A11": (SELF, "sources/test_prometheus.py"),
    "A15": ("sources/test_prometheus.py",),
    "A25": ("sources/test_log_row.py",),
    "A26": ("sources/test_log_row.py", "sources/test_points.py"),
    "A28": ("sources/test_prometheus.py", "sources/test_google_monitoring.py"),
    "A29": ("test_report.py", "test_validation_page.py", "sources/test_prometheus.py"),
    "A30": ("sources/test_prometheus.py", "sources/test_cloudwatch.py"),
    "A32": ("sources/test_prometheus.py", "sources/test_google_points.py"),
    "A33": ("sources/test_prometheus.py",),
    "A37": ("sources/test_prometheus_http.py", "sources/test_azure_monitor.py"),
    "A38": (
        *("sources/test_prometheus_http.py", "sources/test_cloudwatch.py"),
        *("sources/test_azure_monitor.py", "sources/test_google_monitoring.py"),
    ),
    "A39": ("test_late_data.py",),
    **{
        f"B{n}": ("sources/test_log_*.py", "sources/test_request_log.py")
        for n in range(1, 31)
        if n != 27
    },
    "B27": ("sources/test_request_log.py", "test_report.py", "test_validation_page.py"),
}
_NAMED = r"(?<![A-Za-z0-9]){case}(?![0-9])"


@pytest.mark.parametrize("case", [f"A{n}" for n in range(1, 41)] + [f"B{n}" for n in range(1, 31)])
def test_every_case_is_proved_by_a_test_that_names_it(case: str) -> None:
    """By its id or its docstring; where several files prove it, each does, but for patterns."""
    named = re.compile(_NAMED.format(case=case), re.IGNORECASE)
    for pattern in PROVED_BY[case]:
        files = sorted(TESTS.glob(pattern))
        assert files, pattern
    found = [
        pattern
        for pattern in PROVED_BY[case]
        if any(_tests_that_name(file, named) for file in TESTS.glob(pattern))
    ]
    assert found == list(PROVED_BY[case]) if case[0] == "A" else found


def _tests_that_name(file: Path, named: re.Pattern[str]) -> int:
    """How often a file's tests name a case; this file's tables do not count as tests."""
    text = file.read_text(encoding="utf-8")
    if file.name == Path(__file__).name:
        text = text[
            : text.index(
                "# ---------------------------------------------------------------- nothing"
            )
        ]
    return len(named.findall(text))
