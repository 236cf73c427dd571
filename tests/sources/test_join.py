"""Views of one day become one: the first that knows says it, and who differs is told of."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.records import DailyMetrics, Gauge, HourMetrics, Quantiles, Utilisation
from upkeep.sources.join import HOURLY, MEASURES, joined
from upkeep.spec import Trust

DAY = date(2026, 3, 5)
TRUST = Trust()


def times(p50: float) -> Quantiles:
    return Quantiles(p50=p50, p90=p50, p95=p50, p99=p50, mean=p50, n=10)


def view(
    source: str, *, lost: tuple[int, ...] = (), an_hour: Any = None, **day: Any
) -> DailyMetrics:
    """A view with the same numbers in each hour but the lost ones, and what they add up to."""
    per_hour: dict[str, int] = an_hour or {}
    hours = tuple(
        HourMetrics(hour=n, covered=False)
        if n in lost
        else HourMetrics(hour=n, covered=True, **per_hour)
        for n in range(24)
    )
    sums = {name: value * (24 - len(lost)) for name, value in per_hour.items() if name != "errors"}
    if "errors" in per_hour:
        sums |= {"generation_errors": 0, "api_errors": per_hour["errors"] * (24 - len(lost))}
    whole: dict[str, Any] = {
        "model": "talker",
        "day": DAY,
        "source": source,
        "coverage": (24 - len(lost)) / 24,
        "rows_read": 10,
        "rows_quarantined": 1,
        "hours": hours,
    }
    return DailyMetrics.model_validate(whole | sums | day)


def differing(*views: DailyMetrics, trust: Trust = TRUST) -> dict[str, tuple[float, float]]:
    """The disagreements, by measure."""
    found = joined(views, trust).disagreements
    return {d.measure: (d.value, d.other_value) for d in found}


def test_one_view_is_the_day() -> None:
    """Nothing is added to it."""
    only = view("logs", an_hour={"requests": 3})
    assert joined([only], TRUST) is only


def test_the_first_that_knows_a_measure_says_it() -> None:
    """In the order of the model's file; what nobody knows stays unknown."""
    logs = view("logs", an_hour={"requests": 10}, requests_by_slice={"a": 240}, flags=("f1",))
    gpu = Utilisation(gpu=Gauge(mean=0.5, high=0.9))
    scraped = view(
        "prom", an_hour={"requests": 10, "tokens_in": 5}, ttft_ms=times(7.0), utilisation=gpu
    )
    day = joined([logs, scraped], TRUST)
    assert (day.requests, day.tokens_in, day.ttft_ms) == (240, 120, times(7.0))
    assert (day.hours[3].requests, day.hours[3].tokens_in) == (10, 5)
    assert (day.utilisation.gpu, day.utilisation.cpu) == (gpu.gpu, None)
    assert (day.tokens_out, day.latency_ms, day.generation_errors) == (None, None, None)
    assert day.requests_by_slice == {"a": 240}
    assert (day.source, day.flags) == ("logs + prom", ("f1",))
    assert (day.rows_read, day.rows_quarantined) == (20, 2)
    assert day.disagreements == ()


def test_zero_is_known() -> None:
    """A21: a view that says 0 says it."""
    day = joined([view("a", requests=0), view("b", requests=7)], TRUST)
    assert day.requests == 0
    assert differing(view("a", requests=0), view("b", requests=7)) == {"requests": (0, 7)}


def test_an_hour_that_one_view_lost_is_not_filled_from_another() -> None:
    """A23: the day would no longer be the sum of its hours."""
    logs = view("logs", lost=(7,), an_hour={"requests": 10, "errors": 1})
    scraped = view("prom", an_hour={"requests": 10, "errors": 1, "tokens_in": 5})
    day = joined([logs, scraped], TRUST)
    assert (day.hours[7].requests, day.hours[7].errors, day.hours[7].covered) == (None, None, False)
    assert day.requests == sum(h.requests or 0 for h in day.hours) == 230
    assert day.coverage == pytest.approx(23 / 24)
    assert day.disagreements == ()


def test_a_view_of_the_machines_does_not_vouch_for_lost_requests() -> None:
    """A22: coverage is that of the view that knows the requests, wherever it stands."""
    gpus = view("dcgm")
    logs = view("logs", lost=tuple(range(12)), an_hour={"requests": 10})
    for views in ([gpus, logs], [logs, gpus]):
        day = joined(views, TRUST)
        assert day.coverage == 0.5
        assert [h.covered for h in day.hours] == [False] * 12 + [True] * 12


def test_a_first_view_that_is_gone_keeps_the_day_uncovered() -> None:
    """A27: the first is the one that is asked for; another may say more, not vouch for it."""
    gone = view("logs", lost=tuple(range(24)))
    day = joined([gone, view("prom", an_hour={"requests": 10})], TRUST)
    assert (day.coverage, day.requests) == (0.0, 240)
    assert "logs covers 0.000 of the day" in day.flags


def test_the_gaps_of_the_other_views_are_told() -> None:
    """A flag: their measures are of less than the day."""
    day = joined([view("logs", an_hour={"requests": 9}), view("prom", lost=(1, 2, 3))], TRUST)
    assert day.flags == ("prom covers 0.875 of the day",)


def test_both_kinds_of_errors_come_from_one_view() -> None:
    """Half of one view and half of another make no error rate."""
    half = view("a", an_hour={"requests": 10}, generation_errors=5)
    whole = view("b", an_hour={"requests": 10, "errors": 2})
    day = joined([half, whole], TRUST)
    assert (day.generation_errors, day.api_errors) == (0, 48)
    assert [h.errors for h in day.hours] == [2] * 24
    alone = joined([half, view("c", api_errors=7)], TRUST)
    assert (alone.generation_errors, alone.api_errors, alone.hours[0].errors) == (5, 7, None)


COUNTS = [
    pytest.param({"requests": 1000}, {"requests": 1050}, False, id="within-5-percent"),
    pytest.param({"requests": 1000}, {"requests": 1053}, True, id="beyond-5-percent"),
    pytest.param({"requests": 1053}, {"requests": 1000}, True, id="beyond-the-other-way"),
    pytest.param({"requests": 2}, {"requests": 0}, False, id="two-at-the-days-edge"),
    pytest.param({"requests": 3}, {"requests": 0}, True, id="three-are-no-edge"),
    pytest.param({"tokens_in": 2}, {"tokens_in": 0}, True, id="tokens-have-no-edge"),
    pytest.param({"requests": 5}, {}, False, id="nobody-else-knows"),
    pytest.param({"latency_ms": times(100)}, {"latency_ms": times(240)}, False, id="58-percent"),
    pytest.param({"latency_ms": times(100)}, {"latency_ms": times(260)}, True, id="62-percent"),
    pytest.param({"ttft_ms": times(0)}, {"ttft_ms": times(0)}, False, id="both-0"),
    pytest.param({"ttft_ms": times(0)}, {"ttft_ms": times(9)}, True, id="0-against-9"),
]


@pytest.mark.parametrize(("one", "two", "differ"), COUNTS)
def test_who_differs_beyond_tolerance_is_told_of(
    one: dict[str, Any], two: dict[str, Any], *, differ: bool
) -> None:
    """As a share of the larger: 5 % for counts, 60 % for times, unless the model says otherwise."""
    assert bool(differing(view("a", **one), view("b", **two))) is differ


def test_the_tolerance_is_the_models_own() -> None:
    """And stands in the record, with both values and both names."""
    trust = Trust(agreement=0.2)
    assert differing(view("a", requests=1000), view("b", requests=1200), trust=trust) == {}
    (found,) = joined([view("a", requests=1000), view("b", requests=1300)], trust).disagreements
    assert found.model_dump() == {
        "measure": "requests",
        "source": "a",
        "value": 1000,
        "other_source": "b",
        "other_value": 1300,
        "tolerance": 0.2,
    }


def test_errors_of_both_kinds_are_compared_as_one() -> None:
    """Systems draw the line between them differently."""
    one = view("a", generation_errors=90, api_errors=10)
    assert differing(one, view("b", generation_errors=10, api_errors=90)) == {}
    assert differing(one, view("b", generation_errors=10, api_errors=50)) == {"errors": (100, 60)}


def test_a_gap_is_no_disagreement() -> None:
    """Counts are compared over the hours that both cover."""
    logs = view("logs", lost=(1, 2, 3), an_hour={"requests": 100, "errors": 10})
    scraped = view("prom", an_hour={"requests": 100, "errors": 10})
    assert differing(logs, scraped) == {}
    assert differing(scraped, logs) == {}
    less = view("prom", an_hour={"requests": 90, "errors": 10})
    assert differing(logs, less) == {"requests": (2100, 1890)}


def test_each_view_is_held_against_the_first_that_knows() -> None:
    """Three views, one of which is wrong, and one that knows nothing of it."""
    views = [view("a"), view("b", requests=100), view("c", requests=101), view("d", requests=50)]
    found = joined(views, TRUST).disagreements
    assert [(d.source, d.other_source) for d in found] == [("b", "d")]


numbers = st.none() | st.integers(0, 100)


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=4))
def test_what_no_view_knows_is_never_zero_and_hours_add_up(drawn: list[Any]) -> None:
    """Whatever the views know of requests and of both kinds of tokens."""
    names = ("requests", "tokens_in", "tokens_out")
    views = [
        view(f"v{i}", an_hour={n: v for n, v in zip(names, each, strict=True) if v is not None})
        for i, each in enumerate(drawn)
    ]
    day = joined(views, TRUST)
    for name, values in zip(names, zip(*drawn, strict=True), strict=True):
        known = [v for v in values if v is not None]
        assert getattr(day, name) == (known[0] * 24 if known else None)
        of_hours = [getattr(h, name) for h in day.hours]
        assert of_hours == [known[0] if known else None] * 24


def test_every_measure_of_a_day_is_joined() -> None:
    """A field that somebody adds to the record is not forgotten here."""
    by_hand = {
        *("model", "day", "source", "coverage", "rows_read", "rows_quarantined", "hours"),
        *("generation_errors", "api_errors", "utilisation", "requests_by_slice"),
        *("requests_by_version", "quarantined", "rejected", "disagreements", "flags"),
        *("cost_usd", "cost_usd_per_1k", "price_usd_per_hour"),  # costs come after the join
    }
    assert set(DailyMetrics.model_fields) == set(MEASURES) | by_hand
    others = {"hour", "covered", "errors", "cost_usd", "utilisation"}
    assert set(HourMetrics.model_fields) == set(HOURLY) | others
