"""The fleet as the peers read it; :mod:`benchmarks.drift.peers.exchange` says the shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.drift.faults import FAULTS, HARMLESS, Fault
from benchmarks.drift.rendering import LATENCY_MS, PROMPT_CHARS, measures_on
from benchmarks.drift.simulator import Course, Floats, Model, course_of, model_of
from benchmarks.drift.worlds import WORLDS

MEASURES = ("quality", "latency", "ttft", "cost", "errors")
COLUMNS = ("score", "latency_ms", "prompt_chars", "topic")
DAYS, PLANTED, HORIZON = 90, 60, 14
REFERENCE_DAYS = 28
ROW_DAYS = range(REFERENCE_DAYS, REFERENCE_DAYS + 30)
ROWS_A_DAY = 200
TUNE_OFFSET = 1000
ROW_WORLDS = ("calm", "weekly", "everything")
ROW_FAULTS = (
    "quality -0.60 SD",
    "quality -0.30 SD",
    "quality -0.15 SD",
    "latency x1.25",
    "harder mix of topics",
)

CHANGES: tuple[Fault, ...] = tuple(
    f for f in (*FAULTS, *HARMLESS) if f.horizon == HORIZON and f.name != "price x1.5"
)
RUNS = ("quiet", "tune", *(f.name for f in CHANGES))


class Fleet:
    """Some models of every world, each in every run."""

    def __init__(self, a_world: int, seed: int) -> None:
        """``a_world`` models of each world."""
        made = [(world, n) for world in WORLDS.values() for n in range(a_world)]
        self.models = [model_of(world, n, seed) for world, n in made]
        self._tune = [model_of(world, TUNE_OFFSET + n, seed) for world, n in made]
        self.planted = [_planted(course_of(m, DAYS)) for m in self.models]

    def model(self, run: int, number: int) -> Model:
        """The model of a run: other ones for ``tune``."""
        return self._tune[number] if RUNS[run] == "tune" else self.models[number]

    def course(self, run: int, number: int) -> Course:
        """The truth of a model in a run."""
        model = self.model(run, number)
        course = course_of(model, DAYS)
        if run < 2:  # noqa: PLR2004 - quiet and tune
            return course
        return CHANGES[run - 2].change(model, course, self.planted[number])


def _planted(course: Course) -> int:
    """The first day from day 60 on that is recorded and trusted."""
    sound = course.present & course.trusted
    return next(t for t in range(PLANTED, DAYS) if sound[t])


def write(fleet: Fleet, path: Path) -> None:
    """Everything in one file."""
    daily = np.array([_run_daily(fleet, run) for run in range(len(RUNS))])
    entries, rows = zip(*_rows(fleet), strict=True)
    np.savez_compressed(
        path,
        measures=np.array(MEASURES),
        runs=np.array(RUNS),
        planted=np.array(fleet.planted),
        daily=daily,
        columns=np.array(COLUMNS),
        entries=np.array(entries),
        rows=np.array(rows),
        reference=_references(fleet),
    )


def _run_daily(fleet: Fleet, run: int) -> list[Floats]:
    numbers = range(len(fleet.models))
    return [daily_of(fleet.model(run, n), fleet.course(run, n)) for n in numbers]


def daily_of(model: Model, course: Course) -> Floats:
    """The whole's measures of each day, turned so that upwards is harmful."""
    found = np.full((course.days, len(MEASURES)), np.nan)
    quality = model.qualities[0]
    names = (quality, "latency_p95_ms", "ttft_p95_ms", "cost_usd_per_1k", "error_rate")
    for t in range(course.days):
        if course.present[t] and course.trusted[t]:
            found[t] = [measures_on(model, course, t).value(name) for name in names]
    if quality == "rouge_l":
        found[:, 0] *= -1.0
    return found


def rows_on(model: Model, course: Course, t: int) -> Floats:
    """Rows of one day: shape (200, 4). Scores are turned so that upwards is harmful."""
    rng, shape = model.rng("rows", t), ROWS_A_DAY
    topics = rng.choice(course.shares.shape[1], shape, p=course.shares[t])
    scores = model.topics[topics] + course.quality[t][topics] + rng.normal(size=shape)
    slow = LATENCY_MS * course.latency[t] * rng.lognormal(-1.645 * 0.5, 0.5, shape)
    chars = PROMPT_CHARS * course.prompt[t] * rng.lognormal(0.0, 0.6, shape)
    return np.stack([-scores, slow, chars, topics.astype(np.float64)], axis=1)


def _row_models(fleet: Fleet) -> Iterator[int]:
    """The first model of each of a few worlds."""
    names = [m.world.name for m in fleet.models]
    return (names.index(name) for name in ROW_WORLDS)


def _rows(fleet: Fleet) -> Iterator[tuple[tuple[int, int, int], Floats]]:
    runs = [r for r, name in enumerate(RUNS) if r < 2 or name in ROW_FAULTS]  # noqa: PLR2004
    for run in runs:
        for number in _row_models(fleet):
            model, course = fleet.model(run, number), fleet.course(run, number)
            planted = fleet.planted[number]
            days = ROW_DAYS if run < 2 else range(planted, planted + HORIZON)  # noqa: PLR2004
            for t in days:
                if course.present[t] and course.trusted[t]:
                    yield (run, number, t), rows_on(model, course, t)


def _references(fleet: Fleet) -> Floats:
    """The rows of the first 28 days; zeros for models without rows."""
    size = (2, len(fleet.models), REFERENCE_DAYS * ROWS_A_DAY, len(COLUMNS))
    found = np.zeros(size)
    for run in (0, 1):
        for number in _row_models(fleet):
            model, course = fleet.model(run, number), fleet.course(run, number)
            days = [rows_on(model, course, t) for t in range(REFERENCE_DAYS)]
            found[run, number] = np.concatenate(days)
    return found


def row_models(fleet: Fleet) -> Sequence[int]:
    """Which models have rows."""
    return tuple(_row_models(fleet))
