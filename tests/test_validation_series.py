"""Days of series: each kind has its suite, and each check says what is wrong in words."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.believable_days import (
    KINDS,
    SERIES,
    busy_hour,
    changed,
    day_of,
    good_day,
    spec_of,
    with_hours,
)

from upkeep.records import DailyMetrics, Disagreement, Finding, Quantiles, Rejected, Utilisation
from upkeep.sources.hourly import Buckets, Hour
from upkeep.spec import ModelSpec
from upkeep.validation import validate
from upkeep.validation_measures import believable, usual

GOOD = good_day()
IDLE: Any = {"requests": 0.0, "generation_errors": 0.0, "api_errors": 0.0}


def failed(
    metrics: DailyMetrics, *history: DailyMetrics, spec: ModelSpec | None = None
) -> dict[str, Finding]:
    """The findings that did not pass, by check."""
    result, _ = validate(spec or spec_of(), metrics, history)
    return {finding.check: finding for finding in result.failures}


def severities(found: dict[str, Finding]) -> dict[str, str]:
    """What follows from each."""
    return {check: finding.severity for check, finding in found.items()}


def times(p50: float, **other: float) -> Quantiles:
    """Quantiles that all lie at the median unless named."""
    values = dict.fromkeys(("p50", "p90", "p95", "p99", "mean"), p50) | other
    return Quantiles.model_validate({**values, "n": 696})


def used(name: str, mean: float, high: float | None = None) -> dict[str, Any]:
    """Utilisation of one kind."""
    gauge = {"mean": mean, "high": mean if high is None else high}
    return Utilisation.model_validate({name: gauge}).model_dump()


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_day_of_any_kind_is_trusted_by_its_own_suite(kind: str) -> None:
    """The kind of the first source chooses; the name has its version."""
    other = "prometheus" if kind == "request_log" else "request_log"
    result, _ = validate(spec_of(kind, other), good_day(kind), [good_day(kind)] * 3)
    assert result.trusted
    assert [f.words for f in result.failures] == []
    assert result.suite.split("/")[0] == kind


@pytest.mark.parametrize("kind", SERIES)
def test_a_day_whose_requests_were_not_collected_is_held_as_no_data(kind: str) -> None:
    """A20: whatever else is known of it; no number of it is 0."""
    hours = [busy_hour(n) for n in range(24)]
    for hour in hours:
        del hour.counts["requests"]
    found = failed(day_of(*hours), spec=spec_of(kind))
    assert severities(found)["requests"] == "hold"
    assert found["requests"].words.startswith("no_data: ")


@pytest.mark.parametrize("kind", SERIES)
def test_a_day_without_a_single_request_is_no_traffic(kind: str) -> None:
    """A21: 24 covered hours say 0; a NaN among their latencies does not change that."""
    day = day_of(*(Hour(covered=True, counts=dict(IDLE)) for _ in range(24)))
    day = changed(day, rows_quarantined=3)
    result, _ = validate(spec_of(kind), day, [GOOD])
    assert result.trusted
    words = {f.check: f.words for f in result.findings}
    assert words["requests"].startswith("no_traffic: ")
    assert result.failures == ()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param({"covered": False}, id="A20-an-hour-without-data"),
        pytest.param({"requests": None}, id="A20-an-hour-without-requests"),
    ],
)
def test_no_requests_in_less_than_all_hours_is_no_answer(spoil: dict[str, Any]) -> None:
    """One hour that does not say 0 may have had any number."""
    day = day_of(*(Hour(covered=True, counts=dict(IDLE)) for _ in range(24)))
    found = failed(with_hours(day, 5, **spoil))
    assert severities(found)["requests"] == "hold"
    assert "no_traffic" not in found["requests"].words


def test_half_a_day_is_held_with_its_ratio() -> None:
    """A22: and the finding says where the data ends."""
    found = failed(day_of(*(busy_hour(n) for n in range(12))))
    assert severities(found) == {"coverage": "hold", "gaps": "flag", "fresh": "flag"}
    assert found["coverage"].words.startswith("12 of 24 hours could not be read (coverage 0.50")
    assert found["fresh"].words == "the data ends with hour 11: what is missing may still come"


def test_one_lost_hour_is_flagged() -> None:
    """A23: the day is judged on the other 23."""
    hours = [busy_hour(n) for n in range(24)]
    hours[7] = Hour()
    found = failed(day_of(*hours))
    assert severities(found) == {"gaps": "flag"}
    assert found["gaps"].words.endswith("not in the day's numbers as a whole: 07")


def test_errors_of_an_hour_whose_requests_are_lost_are_no_contradiction() -> None:
    """A23: the series have gaps of their own; only what is known can be compared."""
    lost = with_hours(GOOD, 7, requests=None, covered=False)
    found = failed(changed(lost, requests=690, coverage=23 / 24))
    assert severities(found) == {"gaps": "flag"}


def test_the_last_hour_missing_is_late_data() -> None:
    """Freshness: 23 hours are enough, and the last may still come."""
    found = failed(day_of(*(busy_hour(n) for n in range(23))))
    assert severities(found) == {"gaps": "flag", "fresh": "flag"}
    assert found["fresh"].observed == "hour 22"


def test_covered_hours_that_do_not_know_their_requests_are_not_covered() -> None:
    """Completeness: three of them are more than a tenth of the day."""
    found = failed(with_hours(GOOD, 1, 2, 3, requests=None))
    assert found["coverage"].words.startswith("3 of 24 hours could not be read (coverage 0.88")
    assert severities(found)["coverage"] == "hold"


SPOILT: list[Any] = [
    pytest.param(
        {"latency_ms": times(9, p90=8)}, "quantiles", "hold", "cannot fall: latency", id="A31-day"
    ),
    pytest.param(
        {"ttft_ms": times(9, p99=8.5)}, "quantiles", "hold", "cannot fall: ttft", id="A31-ttft"
    ),
    pytest.param(
        {"rejected": [Rejected(what="gpu", reason="140 > 100; over 100 %").model_dump()]},
        *("series", "hold", "gpu: 140 > 100; over 100 %"),
        id="A34-rejected-series",
    ),
    pytest.param(
        {"utilisation": used("gpu", 0.9, 1.4)},
        *("utilisation", "hold", "gpu 0.9 (up to 1.4); no share is over 1: gpu 1.4"),
        id="A34-gpu-of-140-percent",
    ),
    pytest.param(
        {"api_errors": 1200},
        "error_rate",
        "hold",
        "error_rate 1.7 > 1; is it percent? set unit",
        id="A5-A36-more-errors-than-requests",
    ),
    pytest.param(
        {"latency_ms": None},
        "inconsistent",
        "investigate",
        "inconsistent: 720 requests, but",
        id="A35-no-latency",
    ),
    pytest.param(
        {"latency_ms": times(9).model_dump() | {"n": 0}},
        *("inconsistent", "investigate", "latency p95 unknown"),
        id="A35-zero-latency-samples",
    ),
    pytest.param(
        {"tokens_out": 14_000},
        "sums",
        "hold",
        "tokens_out of the day is -400 off",
        id="sums-tokens",
    ),
    pytest.param(
        {"api_errors": 3}, "sums", "hold", "errors of the day is +3 off", id="sums-errors"
    ),
    pytest.param(
        {"requests": 700}, "hours", "hold", "the day has 700 requests", id="sums-requests"
    ),
    pytest.param({"flags": ("odd",)}, "odd", "flag", "odd", id="odd"),
    pytest.param(
        {"rows_quarantined": 1300},
        "bad_share",
        "hold",
        "1300 of 24000 rows were set aside",
        id="A1-too-many-bad-points",
    ),
]


@pytest.mark.parametrize(("fields", "check", "severity", "words"), SPOILT)
def test_a_day_that_cannot_be_fails_the_check_that_says_so(
    fields: dict[str, Any], check: str, severity: str, words: str
) -> None:
    """With what follows from it, and with the numbers."""
    found = failed(changed(GOOD, **fields))
    assert severities(found)[check] == severity
    assert words in found[check].words


@pytest.mark.parametrize(
    ("fields", "check", "words"),
    [
        pytest.param(
            {"latency_ms": times(9, p95=8).model_dump()},
            "quantiles",
            "latency of hour 04 (",
            id="A31-hour",
        ),
        pytest.param({"errors": 31}, "hours", "more errors than requests in 04h", id="A36-hour"),
        pytest.param(
            {"utilisation": used("cpu", 0.5, 1.01)},
            "utilisation",
            "cpu 1.01 in hour 04",
            id="A34-hour",
        ),
    ],
)
def test_an_hour_that_cannot_be_is_named(fields: dict[str, Any], check: str, words: str) -> None:
    """The day is held, and a person knows where to look."""
    found = failed(with_hours(GOOD, 4, **fields))
    assert severities(found)[check] == "hold"
    assert words in found[check].words


def test_an_hour_that_comes_twice_is_held() -> None:
    """Duplicates: 24 rows, but not 24 hours."""
    hours = [hour.model_dump() for hour in GOOD.hours]
    assert severities(failed(changed(GOOD, hours=[*hours[:-1], hours[0]])))["hours"] == "hold"


def test_sources_that_disagree_are_looked_into_by_a_person() -> None:
    """Both values stand in the words."""
    found = Disagreement(
        measure="requests",
        source="a",
        value=100,
        other_source="b",
        other_value=50,
        tolerance=0.05,
    )
    said = failed(changed(GOOD, disagreements=[found.model_dump()]))["agreement"]
    assert said.severity == "investigate"
    assert said.words == "requests: a says 100, b 50 (more than 5% apart)"


@pytest.mark.parametrize(
    ("fields", "suspect"),
    [
        pytest.param({"latency_ms": times(150e3)}, "latency_ms", id="A6-s-as-ms"),
        pytest.param({"latency_ms": times(0.15)}, "latency_ms", id="A6-ms-as-s"),
        pytest.param({"ttft_ms": times(15e3)}, "ttft_ms", id="A6-ttft"),
        pytest.param(
            {"utilisation": used("gpu_memory", 0.55 / 2**20)}, "gpu_memory", id="A7-bytes-as-mib"
        ),
        pytest.param(
            {"utilisation": used("host_memory", 0.55 / 2**20)}, "host_memory", id="A7-host-memory"
        ),
        pytest.param({"tokens_in": 7_200_000}, "tokens_in", id="tokens-times-1000"),
        pytest.param({"tokens_out": 14}, "tokens_out", id="tokens-in-thousands"),
    ],
)
def test_a_measure_in_another_unit_is_suspected(fields: dict[str, Any], suspect: str) -> None:
    """A6, A7: against the model's own sound days; never an action by itself."""
    found = failed(changed(GOOD, **fields), GOOD, GOOD, GOOD)["unit_suspect"]
    assert found.severity == "investigate"
    assert suspect in found.words
    assert "of 3 earlier days: is it in another unit?" in found.words


def test_what_sound_days_say_is_the_median_of_each_measure() -> None:
    """Days that cannot be believed do not count, nor what was not collected."""
    wild = changed(GOOD, coverage=0.5, latency_ms=times(1e6))
    days = [changed(GOOD, latency_ms=times(ms)) for ms in (1, 2, 9)] + [wild] * 9
    known = usual([day for day in days if believable(spec_of().trust, day)])
    assert (known["latency_ms"], known["tokens_in"]) == ((2.0, 3), (10.0, 3))
    assert usual([changed(GOOD, latency_ms=None)]).get("latency_ms") is None


@pytest.mark.parametrize(
    ("an_hour", "told"),
    [
        pytest.param(100, True, id="A5-100-times"),
        pytest.param(20, False, id="an-outage-of-20-times"),
    ],
)
def test_an_error_rate_100_times_the_usual_may_be_in_percent(an_hour: int, *, told: bool) -> None:
    """A flag only: an outage can look the same, and its rule must not wait."""
    rare = with_hours(changed(GOOD, requests=72_000), *range(24), requests=3000, errors=1)
    many = with_hours(changed(rare, generation_errors=24 * an_hour), *range(24), errors=an_hour)
    found = failed(many, *[rare] * 3)
    assert severities(found) == ({"error_unit": "flag"} if told else {})
    if told:
        assert found["error_unit"].words.endswith(
            "100 times the 0.0003333 of 3 earlier days: is it in percent?"
        )


def test_a_time_that_never_changes_is_stale() -> None:
    """A12: one value in every hour of a decision input is held; 11 hours are too few to tell."""
    frozen = with_hours(GOOD, *range(24), ttft_ms=times(7).model_dump())
    found = failed(frozen)
    assert severities(found)["frozen"] == "hold"
    assert found["frozen"].words == "ttft_ms says the same in every hour: stale"
    assert "frozen" not in failed(with_hours(GOOD, *range(23), ttft_ms=times(7).model_dump()))
    few = with_hours(GOOD, *range(13), ttft_ms=None)
    assert "frozen" not in failed(with_hours(few, *range(13, 24), ttft_ms=times(7).model_dump()))


def test_what_the_policy_watches_and_earlier_days_have_is_missed() -> None:
    """A30: a flag; what no day ever had is only said."""
    spec = spec_of(measures=("ttft_p95_ms", "prompt_chars_mean", "perplexity"))
    found = failed(changed(GOOD, ttft_ms=None), GOOD, spec=spec)
    assert severities(found) == {"collected": "flag"}
    assert found["collected"].words == (
        "ttft_p95_ms was not collected, earlier days have it, prompt_chars_mean was never collected"
    )
    assert failed(changed(GOOD, ttft_ms=None), spec=spec) == {}
    assert failed(changed(GOOD, ttft_ms=None), GOOD) == {}


def test_a_sum_over_half_the_requests_is_not_the_days() -> None:
    """Unknown hours are not 0: the cost of the day would be half of what it was."""
    half = with_hours(GOOD, *range(12), tokens_out=None)
    found = failed(changed(half, tokens_out=7200))
    assert severities(found) == {"partial": "hold"}
    assert found["partial"].words == "tokens_out is known for 50.0% of the requests"
    one = with_hours(GOOD, 3, tokens_out=None)
    assert failed(changed(one, tokens_out=23 * 600)) == {}


def test_hours_in_which_everything_failed_have_no_latency() -> None:
    """An outage is decided upon, not held for want of latencies."""
    down = with_hours(GOOD, *range(6), latency_ms=None, errors=30)
    day = changed(down, generation_errors=6 * 30 + 18)
    assert failed(day) == {}


def test_first_tokens_of_some_requests_are_enough() -> None:
    """Not every request streams: it is said, and holds nothing."""
    found = failed(with_hours(GOOD, *range(12), ttft_ms=None))
    assert severities(found) == {"collected": "flag"}
    assert found["collected"].words == "ttft_ms is known for 50.0% of the requests"


def test_a_service_that_gives_only_the_days_quantiles_is_complete() -> None:
    """Hours without quantiles are no gap where no hour has them."""
    assert failed(with_hours(GOOD, *range(24), latency_ms=None, ttft_ms=None)) == {}


def test_merged_histograms_without_samples_are_inconsistent_with_traffic() -> None:
    """A35: the series is there, and all its buckets are 0."""
    hours = [busy_hour(n) for n in range(24)]
    for hour in hours:
        hour.times["latency_ms"] = Buckets((100.0, float("inf")), (0.0, 0.0), 0.0)
    assert severities(failed(day_of(*hours))) == {"inconsistent": "investigate"}
