"""Hours become a day: counts add up, buckets merge, quantiles rise, unknown stays unknown."""

from __future__ import annotations

import bisect
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.request_logs import log_spec
from upkeep.records import DailyMetrics, Quantiles
from upkeep.sources.hourly import COUNTS, Buckets, Hour, Hours, merged

DAY = date(2026, 3, 5)
SPEC = log_spec("unused")
INF = math.inf

finite_bounds = st.lists(
    st.floats(0.001, 1e7, allow_subnormal=False), min_size=1, max_size=12, unique=True
).map(sorted)


@st.composite
def buckets(draw: st.DrawFn) -> Buckets:
    """A histogram with whole or extrapolated (fractional) counts."""
    bounds = (*draw(finite_bounds), INF)
    one = st.integers(0, 10_000).map(float) | st.floats(0, 1e4, allow_subnormal=False)
    counts = draw(st.lists(one, min_size=len(bounds), max_size=len(bounds)))
    return Buckets(bounds, tuple(counts), draw(st.floats(0, 1e9)))


def histogram(samples: list[float], bounds: tuple[float, ...]) -> Buckets:
    """Count samples as Prometheus does: ``le`` is inclusive."""
    counts = [0.0] * len(bounds)
    for sample in samples:
        counts[bisect.bisect_left(bounds, sample)] += 1
    return Buckets(bounds, tuple(counts), math.fsum(samples))


def prometheus_quantile(q: float, part: Buckets) -> float:
    """``bucketQuantile`` of prometheus/promql/quantile.go (v3), for bounds above 0."""
    cumulative, below = [], 0.0
    for count in part.counts:
        below += count
        cumulative.append(below)
    rank = q * cumulative[-1]
    b = next(i for i, c in enumerate([*cumulative[:-1], INF]) if c >= rank)
    if b == len(cumulative) - 1:
        return part.bounds[-2]
    start = part.bounds[b - 1] if b else 0.0
    count = cumulative[b] - (cumulative[b - 1] if b else 0.0)
    rank -= cumulative[b - 1] if b else 0.0
    return start + (part.bounds[b] - start) * (rank / count)


def day_of(*hours: Hour, **fields: Any) -> DailyMetrics:
    """The day of a source that filled the first hours."""
    made = Hours("fake", **fields)
    made.hours[: len(hours)] = hours
    return made.metrics(SPEC, DAY)


def covered(counts: Any, times: Any = None, gauges: Any = None) -> Hour:
    """An hour that the source could answer for."""
    return Hour(covered=True, counts=counts, times=times or {}, gauges=gauges or {})


def rising(p50: float, **other: float) -> Quantiles:
    """Quantiles that a service computed."""
    whole = {"p50": p50, "p90": p50 + 1, "p95": p50 + 2, "p99": p50 + 3, "mean": p50, "n": 10}
    return Quantiles.model_validate(whole | other)


# ---------------------------------------------------------------- one histogram


@given(buckets(), st.floats(0.01, 0.999))
def test_a_quantile_is_that_of_prometheus(part: Buckets, q: float) -> None:
    """Linear within the bucket; the highest finite bound in the infinite one."""
    if part.counts[0] + sum(part.counts[1:-1]) <= 0.0 or part.n == 0:
        return
    assert part.quantile(q) == pytest.approx(prometheus_quantile(q, part), rel=1e-6, abs=1e-9)


@given(buckets())
def test_quantiles_never_fall(part: Buckets) -> None:
    """p50 <= p90 <= p95 <= p99, to the last digit, within the bounds."""
    found = part.quantiles()
    if part.n == 0:
        assert found is None
        return
    assert found is not None
    assert 0 <= found.p50 <= found.p90 <= found.p95 <= found.p99 <= part.bounds[-2]
    assert found.n == part.n


@given(st.lists(st.floats(0.5, 9_000), min_size=20, max_size=300))
def test_a_quantile_of_buckets_is_within_a_bucket_of_the_truth(samples: list[float]) -> None:
    """The error is at most the width of the bucket that the truth lies in."""
    bounds = (10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 10_000.0, INF)
    part, ordered = histogram(samples, bounds), sorted(samples)
    for q in (0.5, 0.9, 0.95, 0.99):
        truth = ordered[max(0, math.ceil(q * len(ordered)) - 1)]
        b = bisect.bisect_left(bounds, truth)
        low = bounds[b - 1] if b else 0.0
        assert low <= part.quantile(q) <= bounds[b]


@pytest.mark.parametrize(
    ("counts", "p50", "p99"),
    [
        pytest.param((0.0, 0.0, 5.0), 100.0, 100.0, id="A2-all-in-the-infinite-bucket"),
        pytest.param((4.0, 0.0, 0.0), 5.0, 9.9, id="all-in-the-first"),
        pytest.param((0.0, 4.0, 0.0), 55.0, 99.1, id="an-empty-bucket-before"),
        pytest.param((1.0, 0.0, 1.0), 10.0, 100.0, id="rank-on-a-bound"),
    ],
)
def test_quantiles_that_can_be_worked_out_by_hand(
    counts: tuple[float, ...], p50: float, p99: float
) -> None:
    """Bounds are 10, 100 and infinity."""
    part = Buckets((10.0, 100.0, INF), counts, 1.0)
    assert (part.quantile(0.5), part.quantile(0.99)) == pytest.approx((p50, p99))


def test_a_rounding_error_does_not_lift_a_quantile_out_of_its_bucket() -> None:
    """0.95 x 20 is 19 and a little: without a clamp this is 61.513200000000005."""
    assert Buckets((61.5132, 411.0, INF), (19.0, 1.0, 0.0), 1.0).quantile(0.95) == 61.5132


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(Buckets((10.0, INF), (0.0, 0.0), 0.0), id="A20-no-samples"),
        pytest.param(Buckets((10.0, INF), (0.2, 0.0), 1.0), id="A20-less-than-one-sample"),
        pytest.param(Buckets((INF,), (7.0,), 700.0), id="A2-no-finite-bound"),
    ],
)
def test_what_has_no_quantile_is_unknown_and_never_0_ms(part: Buckets) -> None:
    """A service that is not measured is not fast."""
    assert part.quantiles() is None


# ---------------------------------------------------------------- merging


@given(st.lists(st.lists(st.floats(0.5, 9_000), max_size=40), min_size=1, max_size=6))
def test_merging_equal_bounds_is_the_histogram_of_all_samples(parts: list[list[float]]) -> None:
    """Hours add up to the day exactly, in any order."""
    bounds = (10.0, 100.0, 1000.0, INF)
    made = [histogram(part, bounds) for part in parts]
    whole = histogram([s for part in parts for s in part], bounds)
    for order in (made, made[::-1]):
        found = merged(order)
        assert found is not None
        assert (found.bounds, found.counts) == (whole.bounds, whole.counts)
        assert found.total == pytest.approx(whole.total)


@given(st.lists(buckets(), min_size=1, max_size=5))
def test_merging_different_bounds_keeps_every_count(parts: list[Buckets]) -> None:
    """Only resolution is lost: below each shared bound lie as many as before."""
    found = merged(parts)
    assert found is not None
    assert all(count >= 0 for count in found.counts)
    for i, bound in enumerate(found.bounds):
        before = [
            c for part in parts for b, c in zip(part.bounds, part.counts, strict=True) if b <= bound
        ]
        assert math.fsum(found.counts[: i + 1]) == pytest.approx(math.fsum(before))


def test_bounds_that_changed_at_noon_meet_in_those_they_share() -> None:
    """A rollout with other buckets: 100 and 1000 are in both."""
    morning = Buckets((50.0, 100.0, 1000.0, INF), (3.0, 2.0, 1.0, 1.0), 7.0)
    evening = Buckets((100.0, 200.0, 1000.0, INF), (4.0, 1.0, 1.0, 0.0), 5.0)
    assert merged([morning, evening]) == Buckets((100.0, 1000.0, INF), (9.0, 3.0, 1.0), 12.0)
    assert merged([]) is None


# ---------------------------------------------------------------- the day


def test_nothing_collected_is_nothing_known() -> None:
    """A20: no hour is covered and no number is 0."""
    day = day_of()
    assert day.coverage == 0.0
    known = {n: getattr(day, n) for n in (*COUNTS, "latency_ms", "ttft_ms", "busy_s", "cost_usd")}
    assert set(known.values()) == {None}
    assert len(day.hours) == 24
    assert all(h.requests is None and h.errors is None and not h.covered for h in day.hours)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(COUNTS[:1] + COUNTS[3:]), st.floats(0, 1e9)), max_size=24
    )
)
def test_none_never_becomes_zero_and_a_day_is_the_sum_of_its_hours(
    counts: list[dict[Any, float]],
) -> None:
    """What no hour knows, the day does not know; what hours know adds up in whole numbers."""
    day = day_of(*(covered(known) for known in counts))
    for name in COUNTS[:1] + COUNTS[3:]:
        known = [getattr(h, name) for h in day.hours if getattr(h, name) is not None]
        assert getattr(day, name) == (sum(known) if known else None)
        assert len(known) == sum(name in hour for hour in counts)


@pytest.mark.parametrize(
    ("counts", "errors"),
    [
        ({"generation_errors": 2.0, "api_errors": 3.0}, 5),
        ({"generation_errors": 2.0}, None),
        ({"api_errors": 0.0}, None),
        ({"generation_errors": 0.0, "api_errors": 0.0}, 0),
    ],
)
def test_errors_are_known_where_both_kinds_are(
    counts: dict[Any, float], errors: int | None
) -> None:
    """One kind alone says nothing of all errors."""
    day = day_of(covered({"requests": 9.0, **counts}))
    assert day.hours[0].errors == errors
    assert (day.error_rate is None) is (errors is None)


def test_the_days_quantiles_come_from_its_hours_buckets() -> None:
    """Busy time is the sum of the samples, throughput is tokens over it."""
    hour = covered({"tokens_out": 50.0}, {"latency_ms": histogram([5.0, 50.0], (10.0, 100.0, INF))})
    day = day_of(hour, covered({"tokens_out": 60.0}, dict(hour.times)))
    assert day.latency_ms is not None
    assert (day.latency_ms.n, day.latency_ms.p50) == (4, 10.0)
    assert day.busy_s == pytest.approx(0.110)
    assert day.tokens_out_per_s == pytest.approx(1000.0)
    assert day.hours[0].busy_s == pytest.approx(0.055)


def test_no_requests_take_no_time_and_unmeasured_requests_an_unknown_one() -> None:
    """As a log's day: busy time is 0 where it is known that nothing came, and else not."""
    idle, busy = covered({"requests": 0.0}), covered({"requests": 3.0})
    day = day_of(idle, busy, Hour(counts={"requests": 0.0}), covered({}))
    assert [hour.busy_s for hour in day.hours[:4]] == [0.0, None, None, None]
    assert day.busy_s is None
    assert day_of(*[idle] * 24).busy_s == 0.0


def test_quantiles_of_hours_do_not_make_the_days() -> None:
    """They cannot be added up: the service's own for the day is taken, or none."""
    hours = [covered({}, {"latency_ms": rising(5.0)}) for _ in range(24)]
    assert day_of(*hours).latency_ms is None
    mixed = [covered({}, {"latency_ms": histogram([5.0], (10.0, INF))}), *hours[1:]]
    assert day_of(*mixed).latency_ms is None
    assert day_of(*hours, times={"latency_ms": rising(6.0)}).latency_ms == rising(6.0)


def test_histograms_without_a_common_bound_have_no_day() -> None:
    """A flag says why; 0 ms is not the answer."""
    hours = [covered({}, {"ttft_ms": Buckets((b, INF), (1.0, 1.0), 3.0)}) for b in (1.0, 2.0)]
    day = day_of(*hours)
    assert day.ttft_ms is None
    assert day.flags == ("ttft_ms: the day's histograms have no finite bound in common",)


def test_an_hour_with_more_errors_than_requests_is_set_aside() -> None:
    """A36: the window is named and not covered; the rest of the day goes on."""
    good = {"requests": 10.0, "generation_errors": 1.0, "api_errors": 0.0, "tokens_in": 7.0}
    bad = {**good, "generation_errors": 6.0, "api_errors": 5.0}
    day = day_of(*(covered(dict(bad if n == 7 else good)) for n in range(24)))
    assert (day.requests, day.tokens_in, day.generation_errors) == (230, 161, 23)
    assert (day.hours[7].covered, day.hours[7].requests) == (False, None)
    assert day.coverage == pytest.approx(23 / 24)
    assert [(q.what, q.reason, q.rows) for q in day.quarantined] == [
        ("hour 07", "more errors than requests (11 of 10)", 1)
    ]
    assert (day.rows_read, day.rows_quarantined) == (1, 1)


def test_an_hours_quantiles_that_fall_are_set_aside() -> None:
    """A31: that hour's, and nothing else of it."""
    day = day_of(covered({"requests": 3.0}, {"latency_ms": rising(5.0, p95=4.0)}))
    assert (day.hours[0].latency_ms, day.hours[0].requests) == (None, 3)
    assert [(q.what, q.reason) for q in day.quarantined] == [
        ("latency_ms of hour 00", "quantiles not monotone")
    ]


def test_gauges_are_mean_and_highest_of_their_samples() -> None:
    """Over all samples of the hour and of the day; what has none is unknown."""
    day = day_of(covered({}, {}, {"gpu": [0.2, 0.4]}), covered({}, {}, {"gpu": [0.9]}))
    assert day.utilisation.gpu is not None
    assert (day.utilisation.gpu.mean, day.utilisation.gpu.high) == pytest.approx((0.5, 0.9))
    assert day.hours[0].utilisation.gpu is not None
    assert day.hours[0].utilisation.gpu.mean == pytest.approx(0.3)
    assert day.utilisation.cpu is None
    assert day.hours[2].utilisation.gpu is None


def test_what_is_odd_is_said_once_and_what_is_rejected_is_named() -> None:
    """Flags do not repeat; nothing set aside is no entry."""
    hours = Hours("fake")
    hours.flag("odd")
    hours.flag("odd")
    hours.set_aside("s", "nothing", 0)
    hours.reject("s", "not a counter")
    day = hours.metrics(SPEC, DAY)
    assert (day.flags, day.quarantined) == (("odd",), ())
    assert [(r.what, r.reason) for r in day.rejected] == [("s", "not a counter")]
