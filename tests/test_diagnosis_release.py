"""A release is the cause of what began on its day, and of nothing that the traffic explains."""

from __future__ import annotations

import pytest
from fakes.signs import drift_of, facts_of, result

from upkeep.diagnosis import diagnose
from upkeep.diagnosis_release import Release, newest_release
from upkeep.records import DayFacts, Diagnosis, DriftResult

WORSE = result("perplexity", 5.0, 9.0, "drifted")
SLOW = result("latency_p95_ms", 200.0, 600.0, "drifted")


def history(name: str, since: int, level: float, worse: float, served: int) -> DayFacts:
    """Twenty days of a measure that is worse since so many days; version 2 serves since others.

    Both counts hold today, so that 1 is today alone.
    """
    values = [level * (1 + 0.01 * (n % 3)) for n in range(21)]
    values[21 - since :] = [worse * (1 + 0.01 * (n % 2)) for n in range(since)]
    versions = ["1" if n < 21 - served else "2" for n in range(21)]
    before = [{name: v} for v in values[:-1]]
    return facts_of({name: values[-1]}, before, versions=versions[:-1], version=versions[-1])


def causes(found: Diagnosis) -> list[str]:
    """The causes, ranked."""
    return [c.cause for c in found.ranked]


@pytest.mark.parametrize("served", [1, 2, 5, 10])
def test_what_began_with_the_version_is_the_releases(served: int) -> None:
    """Quality and latency that changed on the release's day, today or ten days ago."""
    for name, level, worse, drifted in (
        ("perplexity", 5.0, 9.0, WORSE),
        ("latency_p95_ms", 200.0, 600.0, SLOW),
    ):
        found = diagnose(history(name, served, level, worse, served), drift_of(drifted))
        assert found.cause == "release"
        assert "version 2 started to serve in the place of 1" in found.ranked[0].words
        assert found.ranked[1].score == pytest.approx(0.5)


@pytest.mark.parametrize(("since", "served"), [(1, 3), (3, 1), (1, 10), (8, 2)])
def test_what_began_on_another_day_is_not(since: int, served: int) -> None:
    """A release three days before or after the change has nothing to do with it."""
    found = diagnose(history("perplexity", since, 5.0, 9.0, served), drift_of(WORSE))
    assert causes(found) == ["model_quality"]


def test_a_wild_day_of_the_past_hides_no_release() -> None:
    """One day a hundred times as slow, ten days ago, parts nothing."""
    facts = history("latency_p95_ms", 2, 200.0, 600.0, 2)
    series = facts.history.series[0]
    wild = series.model_copy(update={"values": (*series.values[:10], 2e4, *series.values[11:])})
    past = facts.history.model_copy(update={"series": (wild,)})
    facts = facts.model_copy(update={"history": past})
    assert diagnose(facts, drift_of(SLOW)).cause == "release"


def test_a_mix_that_changed_on_the_release_day_stays_the_mix() -> None:
    """The known slice is as before, a new one is bad: the traffic, though version 2 serves."""
    facts = history("perplexity", 1, 5.0, 9.0, 1)
    found = diagnose(
        facts,
        drift_of(
            WORSE,
            result("perplexity[chat]", 5.0, 5.05, "stable", sds=0.5),
            result("share[chat]", 1.0, 0.5),
            result("share[code]", 0.0, 0.5),
        ),
    )
    assert found.cause == "traffic_mix"


def test_a_price_that_rose_on_the_release_day_stays_the_price() -> None:
    """Dearer by the price alone."""
    facts = history("cost_usd_per_1k", 1, 1.0, 2.0, 1)
    dear = result("cost_usd_per_1k", 1.0, 2.0, "drifted")
    price = result("price_usd_per_hour", 1.0, 2.0, "drifted")
    assert diagnose(facts, drift_of(dear, price)).cause == "price"


def test_more_traffic_on_the_release_day_stays_the_traffic() -> None:
    """Slow with GPUs that follow the requests: the load."""
    facts = history("latency_p95_ms", 1, 200.0, 600.0, 1)
    load: tuple[DriftResult, ...] = (
        result("requests", 1e3, 2e3),
        result("gpu_share", 0.45, 0.9),
    )
    assert diagnose(facts, drift_of(SLOW, *load)).cause == "traffic_volume"


def test_longer_answers_of_a_new_version_are_the_releases() -> None:
    """The model says more since its release; without one it is the workload."""
    longer = result("tokens_out_mean", 100.0, 300.0)
    for served, cause in ((1, "release"), (10, "workload")):
        facts = history("latency_p95_ms", 1, 200.0, 600.0, served)
        assert diagnose(facts, drift_of(SLOW, longer)).cause == cause


@pytest.mark.parametrize(
    ("versions", "version", "expected"),
    [
        (["1", "1", "2"], "2", Release("2", "1", 2)),
        (["1", "2", "1"], "1", Release("1", "2", 1 + 1)),
        (["2", "2"], "2", None),
        (["1", "unknown"], "2", None),
        (["1", "1"], "unknown", None),
        ([], "1", None),
    ],
)
def test_the_newest_change_of_version(
    versions: list[str], version: str, expected: Release | None
) -> None:
    """How long today's version has served without a break; None where no other is in sight."""
    facts = facts_of({}, [{}] * len(versions), versions=versions, version=version)
    assert newest_release(facts) == expected
