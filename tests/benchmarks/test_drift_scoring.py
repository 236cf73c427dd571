"""Pages, delays and shares are counted as the page of figures says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.drift import tables
from benchmarks.drift.__main__ import main
from benchmarks.drift.faults import FAULTS, HARMLESS, Fault
from benchmarks.drift.figures import world_score
from benchmarks.drift.rendering import Timeline
from benchmarks.drift.scoring import Judge, Plan, Planting, Score, score_model
from benchmarks.drift.simulator import Course, Model, course_of, model_of
from benchmarks.drift.worlds import CALM

CERTAIN = replace(CALM, missing=(0.0, 0.0))
LARGE, PRICE = FAULTS[0], HARMLESS[-1]
Alarms = dict[int, tuple[str, ...]]


class Scripted(Judge):
    """A judge whose drifts are written down by day; proves the counting, not the engine."""

    def __init__(self, alarms: Alarms, model: Model) -> None:
        super().__init__(model, Score("calm"))
        self.written = alarms

    def alarms(self, timeline: Timeline, t: int) -> tuple[tuple[str, ...], str | None]:
        found = self.written.get(t, ())
        return found, "model_quality" if found else None


def scripted(alarms: Alarms, days: int = 40) -> tuple[Scripted, Course]:
    model = model_of(CERTAIN, 0, 1)
    return Scripted(alarms, model), course_of(model, days)


def test_a_page_is_the_first_day_of_a_run() -> None:
    """Three days in a row are one page, a day later another; all four are alarm days."""
    alarms: Alarms = dict.fromkeys((10, 11, 12, 14), ("rouge_l",))
    judge, course = scripted(alarms)
    judge.fault_free(course)
    assert [t for t, _ in judge.score.pages] == [10, 14]
    assert (judge.score.alarm_days, judge.score.judged_days) == (4, 35)


@pytest.mark.parametrize(
    ("alarms", "expected"),
    [
        pytest.param({30: ("rouge_l",)}, 1, id="on-its-day"),
        pytest.param({33: ("rouge_l[t01]",)}, 4, id="three-days-later-in-a-slice"),
        pytest.param({30: ("latency_p95_ms",)}, None, id="another-family-does-not-count"),
        pytest.param({29 + 15: ("rouge_l",)}, None, id="too-late"),
        pytest.param({}, None, id="never"),
    ],
)
def test_the_delay_counts_the_planted_day_as_one(alarms: Alarms, expected: int | None) -> None:
    """A fault of day 30, looked for until day 43."""
    judge, course = scripted(alarms, days=60)
    found = judge.find(LARGE, course, 30)
    assert (found.delay, found.already) == (expected, False)


def test_what_was_drifted_before_is_not_found() -> None:
    """An alarm of the same family on the day before takes the model out of the count."""
    judge, course = scripted({29: ("rouge_l",), 30: ("rouge_l",)}, days=60)
    assert judge.find(LARGE, course, 30) == Planting(LARGE.name, already=True)


def test_quality_pages_of_a_harmless_change_stand_beside_those_without_it() -> None:
    """Two new runs of quality alarms with it, none without; other families do not count."""
    written: Alarms = {31: ("rouge_l",), 33: ("rouge_l",), 35: ("cost_usd_per_1k",)}
    judge, course = scripted(written, days=60)
    quiet: Alarms = dict.fromkeys(range(5, 60), ())
    found = judge.endure(PRICE, course, 30, quiet)
    assert (found.pages, found.pages_without, found.cause) == (2, 0, "model_quality")


def test_a_worlds_figures_are_rates_a_model_month() -> None:
    """60 judged days with three pages are 1.5 a month; one of four faults was not found."""
    score = Score("calm", 60, 23, 5, [(9, ("rouge_l", "rouge_l[t01]")), (40, ("cost_usd_per_1k",))])
    score.pages.append((50, ("rouge_l[t00]",)))
    causes = ("model_quality", "model_quality", "unknown")
    score.plantings = [
        Planting(LARGE.name, delay=d, cause=c) for d, c in zip((1, 1, 4), causes, strict=True)
    ]
    score.plantings += [Planting(LARGE.name), Planting(LARGE.name, already=True)]
    score.compare_s, score.compares = 1.0, 100
    found = world_score("calm", [score], Plan(faults=(LARGE,), harmless=()))
    assert found.pages == pytest.approx(1.5)
    assert found.mature_pages == pytest.approx(2 / (37 / 30))
    assert found.by_measure["rouge_l[slice]"] == pytest.approx(1.0)
    fault = found.faults[LARGE.name]
    assert (fault.n, fault.already, fault.within_14) == (4, 1, 0.75)
    assert (fault.mean_delay, fault.median_delay) == (2.0, 1)
    assert fault.right_cause == pytest.approx(2 / 3)
    assert found.compare_ms == pytest.approx(10.0)


def test_the_worst_world_is_named_beside_the_median() -> None:
    """Of three worlds that find 100, 50 and 80 %, the table says 80 % and 50 % and whose."""
    shares = {"a": (10, 0), "b": (5, 5), "c": (8, 2)}
    scores = []
    for world, (found, missed) in shares.items():
        score = Score(world, judged_days=60, compares=1)
        score.plantings = [Planting(LARGE.name, delay=1)] * found + [Planting(LARGE.name)] * missed
        scores.append(world_score(world, [score], Plan(faults=(LARGE,), harmless=())))
    text = "\n".join(tables.report(scores, Plan(faults=(LARGE,), harmless=())))
    assert f"| {LARGE.name} | 80%; 50% b |" in text


def test_the_engine_finds_what_nobody_could_miss() -> None:
    """Five within-day standard deviations are found on their day, and equally twice."""

    def lose(_: Model, course: Course, day: int) -> Course:
        lost = course.quality.copy()
        lost[day:] -= 5.0
        return replace(course, quality=lost)

    obvious = Fault("all is lost", lose, LARGE.families, LARGE.causes)
    judge = Judge(model_of(CERTAIN, 1, 1), Score("calm"))
    course = course_of(judge.model, 60)
    first, second = (judge.find(obvious, course, 40) for _ in range(2))
    assert first == second
    assert first.delay == 1
    assert judge.score.compares == 4


@pytest.mark.parametrize("arguments", [["--days", "30"], ["--models", "0"]])
def test_a_plan_that_is_too_small_is_refused(arguments: list[str]) -> None:
    """With what is allowed."""
    with pytest.raises(SystemExit, match="at least 75 and 1"):
        main(arguments)


def test_model_scores_have_the_plan_in_them() -> None:
    """Every planted change has its line; a plan without any has none."""
    score = score_model(CERTAIN, 0, 1, Plan(days=31, faults=(), harmless=()))
    assert score.plantings == []
    assert score.judged_days == 26
