"""Control charts alarm where their definitions say; alarms become pages, delays and thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift.peers import exchange, judging
from benchmarks.drift.peers.__main__ import read
from benchmarks.drift.peers.charts import CHARTS, Chart, scores
from benchmarks.drift.peers.dataset import COLUMNS, HORIZON, MEASURES, RUNS, Fleet, rows_on
from benchmarks.drift.peers.judging import Alarm, Answer
from benchmarks.drift.simulator import Floats

DAYS, SHIFT = 60, 40
QUIET, TUNE = RUNS.index("quiet"), RUNS.index("tune")
LARGE, HARDER = RUNS.index("quality -0.60 SD"), RUNS.index("harder mix of topics")


def series(shift: float, only: int | None = None) -> Floats:
    """Normal days; shifted by so many standard deviations from day 40 on, or on one day only."""
    values = np.random.default_rng(3).normal(size=DAYS)
    values[SHIFT:only] += shift
    return values


def chart(name: str) -> Chart:
    return next(c for c in CHARTS if c.name == name)


@pytest.mark.parametrize("one", CHARTS, ids=lambda c: c.name)
def test_a_chart_is_quiet_without_a_shift_and_finds_a_large_one_at_once(one: Chart) -> None:
    """Ten standard deviations upwards are found on their day; downwards they are no harm."""
    assert list(one.alarms(series(0.0), one.default)) == []
    assert next(one.alarms(series(10.0), one.default)) == SHIFT
    assert SHIFT not in list(one.alarms(series(-10.0), one.default))
    assert one.default in one.thresholds
    assert list(one.thresholds) == sorted(one.thresholds)


def test_a_cusum_adds_up_what_a_z_score_never_sees() -> None:
    """1.5 standard deviations from day 40 on: found by the sum, by no single day."""
    values = np.tile([1.0, -1.0], DAYS // 2)
    values[SHIFT:] += 1.5
    assert list(chart("z-score").alarms(values, 3.0)) == []
    assert next(chart("CUSUM").alarms(values, 5.0)) > SHIFT


def test_a_cusum_starts_anew_after_an_alarm() -> None:
    """One enormous day is one alarm, although the sum would last for weeks."""
    assert list(chart("CUSUM").alarms(series(30.0, only=SHIFT + 1), 5.0)) == [SHIFT]


def test_missing_days_and_too_few_days_have_no_score() -> None:
    """NaN is skipped; with fewer than ten of 28 days known there is nothing to say."""
    values = series(0.0)
    values[35] = np.nan
    assert 35 not in [day for day, _ in scores(values)]
    values[5:33] = np.nan
    assert next(day for day, _ in scores(values)) > 38


# ---------------------------------------------------------------- judging


def answer(
    alarms: Mapping[str, Sequence[Alarm]], days: Mapping[tuple[int, int], Sequence[int]]
) -> Answer:
    return Answer("scripted", next(iter(alarms)), alarms, days, 1.0)


def test_a_page_is_the_first_day_of_a_run_of_judged_days() -> None:
    """A day that was not judged does not break a run."""
    assert judging.pages([1, 2, 4, 5, 6], frozenset({2, 4, 6})) == 2


def test_fault_free_rates_are_of_30_judged_days() -> None:
    """Two runs of three alarm days in 60 judged days: one page, 1.5 alarm days a month."""
    alarms: list[Alarm] = [(QUIET, 0, 3, "cost"), (QUIET, 0, 4, "errors"), (QUIET, 0, 9, "cost")]
    alarms.append((TUNE, 0, 5, "cost"))
    found = answer({"1": alarms}, {(QUIET, 0): range(60), (TUNE, 0): range(60)})
    assert judging.fault_free(found, "1", "quiet") == (1.0, 1.5)
    assert judging.fault_free(found, "1", "tune") == (0.5, 0.5)


def test_the_matched_threshold_is_the_laxest_that_keeps_to_the_rate_on_other_models() -> None:
    """Pages of the reported models do not choose it."""
    tune: list[Alarm] = [(TUNE, 0, day, "cost") for day in (3, 9, 20)]
    quiet: list[Alarm] = [(QUIET, 0, day, "cost") for day in (1, 3, 5)]
    alarms = {"lax": tune, "strict": [*tune[:1], *quiet], "mute": []}
    found = answer(alarms, {(QUIET, 0): range(30), (TUNE, 0): range(30)})
    assert judging.matched(found, 1.0) == "strict"
    assert judging.matched(found, 0.5) == "mute"


def test_found_is_the_faults_own_measure_and_false_is_quality() -> None:
    """Of three models one is found on its third day, one not, one had alarmed the day before."""
    planted, window = [40, 40, 40], range(40, 40 + HORIZON)
    alarms: list[Alarm] = [
        (LARGE, 0, 42, "quality"),
        (LARGE, 1, 41, "latency"),
        (LARGE, 2, 40, "quality"),
        (QUIET, 2, 39, "quality"),
        (HARDER, 0, 44, "quality"),
    ]
    days = {(run, m): window for run in (LARGE, HARDER) for m in range(3)}
    days |= {(QUIET, m): range(28, 60) for m in range(3)}
    found = judging.result(answer({"1": alarms}, days), "1", planted)
    assert found.found["quality -0.60 SD"] == (0.5, 3.0)
    assert found.false_quality["harder mix of topics"] == pytest.approx(30 / (3 * HORIZON))


@pytest.mark.parametrize(
    ("measure", "kind"),
    [("rouge_l[t01]", "quality"), ("latency_p95_ms", "latency"), ("price_usd_per_hour", "price")],
)
def test_upkeeps_measures_are_named_as_the_peers_are(measure: str, kind: str) -> None:
    """A slice counts as its parent."""
    assert judging.kind_of(measure) == kind


# ---------------------------------------------------------------- what travels


def small(path: Path) -> Path:
    """One model, two days of rows."""
    rows = np.arange(16.0).reshape(2, 2, 4)
    np.savez(
        path,
        measures=np.array(MEASURES),
        runs=np.array(RUNS),
        planted=np.array([40]),
        daily=np.zeros((len(RUNS), 1, DAYS, len(MEASURES))),
        columns=np.array(COLUMNS),
        entries=np.array([[QUIET, 0, 30], [TUNE, 0, 31]]),
        rows=rows,
        reference=np.stack([np.zeros((1, 4, 4)), np.ones((1, 4, 4))]),
    )
    return path


def test_an_answer_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Thresholds keep their order, tune rows their own reference, alarms their places."""
    data = small(tmp_path / "data.npz")
    given, found = exchange.Data(str(data)), exchange.Answer("rows", [1.0, 2.0], 2.0)
    for where, key, rows in given.days():
        assert given.reference[key].mean() == (where[0] == TUNE)
        found.judge(where, "quality", 1.0 + rows[0, 0])
        found.model_days += 1
    found.write(str(tmp_path / "answer.json"), "0.1")
    read_back = read(tmp_path / "answer.json", data)
    assert list(read_back.alarms) == ["1.0", "2.0"]
    assert read_back.alarms["1.0"] == [(TUNE, 0, 31, "quality")]
    assert read_back.judged == {(QUIET, 0): [30], (TUNE, 0): [31]}
    assert (read_back.peer, read_back.default) == ("rows 0.1", "2.0")
    assert json.loads((tmp_path / "answer.json").read_text())["model_days"] == 2


def test_rows_are_of_the_day_that_the_measures_are_of() -> None:
    """A drop of 0.6 moves the scores' mean upwards (harm) by it; other columns stay equal."""
    fleet = Fleet(1, 1)
    model, planted = fleet.model(QUIET, 0), fleet.planted[0]
    before, after = (rows_on(model, fleet.course(r, 0), planted) for r in (QUIET, LARGE))
    assert (after - before)[:, 0] == pytest.approx(0.6)
    assert np.array_equal(before[:, 1:], after[:, 1:])
    assert fleet.model(TUNE, 0).name != model.name
