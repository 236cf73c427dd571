"""Peers beside Upkeep on the same simulated fleet.

    python -m benchmarks.drift.peers [--models 2] [--seed 1] [--folder .upkeep/peers] [--rate 0.1]

Control charts run here, libraries each in an environment of its own under the folder, made with
``venv`` and ``pip install`` on the first run; one that fails is said with its last line. All see
the whole's quality, latency, time to first token, cost and errors; libraries that compare rows
see scores and latencies of 200 rows a day against those of the first 28 days, on one model each
of three worlds. A page is the first day of a run of alarm days on any measure. *Matched* is the
laxest threshold of a grid that keeps to ``--rate`` pages a model-month on other fault-free
models (seeds that nothing else is reported on); its own rate is printed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.drift.peers import judging
from benchmarks.drift.peers.charts import CHARTS, Chart
from benchmarks.drift.peers.dataset import (
    HORIZON,
    MEASURES,
    REFERENCE_DAYS,
    RUNS,
    Fleet,
    write,
)
from benchmarks.drift.peers.judging import Alarm, Answer, Judged, Result
from benchmarks.drift.scoring import Judge, Score
from benchmarks.drift.simulator import Floats
from benchmarks.drift.tables import number, table
from benchmarks.drift.worlds import WORLDS

HERE = Path(__file__).parent
LIMIT_S = 1800
INSTALLED = "installed"  # a file that says that pip ended well
# name of the environment: what pip installs, and the scripts' arguments after data and answer
LIBRARIES: Mapping[str, tuple[tuple[str, ...], str, tuple[tuple[str, ...], ...]]] = {
    "river": (("river",), "run_river.py", (("adwin",), ("page-hinkley",))),
    "alibi-detect": (("alibi-detect",), "run_alibi_detect.py", ((),)),
    "whylogs": (("whylogs[viz]", "pandas<3"), "run_whylogs.py", ((),)),
    "nannyml": (("nannyml", "statsmodels"), "run_nannyml.py", ((),)),
    "evidently": (("evidently", "pandas<3"), "run_evidently.py", ((),)),
}


def main() -> None:
    """Write the data, run everybody, print."""
    parser = argparse.ArgumentParser(prog="benchmarks.drift.peers", description=__doc__)
    parser.add_argument("--models", type=int, default=2, help="of each world")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".upkeep/peers"))
    parser.add_argument("--rate", type=float, default=0.1, help="pages a model-month, matched")
    parser.add_argument("--libraries", default=",".join(LIBRARIES), help="- for none")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    fleet, data = Fleet(asked.models, asked.seed), asked.folder / "data.npz"
    write(fleet, data)
    answers = [upkeep(asked.models, asked.seed), *charts(data)]
    wanted = [n for n in asked.libraries.split(",") if n in LIBRARIES]
    for name in wanted:
        answers += library(asked.folder, name, data)
    report(answers, fleet.planted, asked.rate)


# ---------------------------------------------------------------- who is compared


def upkeep(a_world: int, seed: int) -> Answer:
    """Upkeep's own alarms on the same models."""
    tasks = [
        (a_world, seed, run, n) for run in range(len(RUNS)) for n in range(a_world * len(WORLDS))
    ]
    with multiprocessing.Pool() as pool:
        found = pool.starmap(_upkeep, tasks, chunksize=4)
    return Answer(
        "Upkeep",
        "policy",
        {"policy": [alarm for alarms, _, _ in found for alarm in alarms]},
        {(run, n): days for (_, _, run, n), (_, days, _) in zip(tasks, found, strict=True)},
        1e3 * sum(s for _, _, s in found) / sum(len(d) for _, d, _ in found),
    )


@cache
def _fleet(a_world: int, seed: int) -> Fleet:
    return Fleet(a_world, seed)


def _upkeep(
    a_world: int, seed: int, run: int, number_: int
) -> tuple[list[Alarm], list[int], float]:
    fleet = _fleet(a_world, seed)
    course, planted = fleet.course(run, number_), fleet.planted[number_]
    judge = Judge(fleet.model(run, number_), Score("peers"))
    timeline = judge.timeline(course)
    days = _to_judge(run, course.days, planted)
    known = [t for t in days if t in timeline and course.trusted[t]]
    drifted = {t: judge.alarms(timeline, t)[0] for t in known}
    return list(judging.by_day(drifted, run, number_)), known, judge.score.compare_s


def _to_judge(run: int, days: int, planted: int) -> range:
    """All days from day 28 on without a change, the 14 days of one with it."""
    fault_free = RUNS[run] in ("quiet", "tune")
    return range(REFERENCE_DAYS, days) if fault_free else range(planted, planted + HORIZON)


def charts(data: Path) -> Iterator[Answer]:
    """The control charts."""
    with np.load(data) as found:
        daily, planted = found["daily"], found["planted"]
    judged = _judged(daily, planted)
    for chart in CHARTS:
        started = time.process_time()
        alarms = {str(t): list(_chart_alarms(chart, t, daily)) for t in chart.thresholds}
        spent = (time.process_time() - started) / len(chart.thresholds)
        days = daily.shape[0] * daily.shape[1] * daily.shape[2]
        yield Answer(chart.name, str(chart.default), alarms, judged, 1e3 * spent / days)


def _judged(daily: Floats, planted: Sequence[int]) -> Judged:
    return {
        (run, n): [
            t
            for t in _to_judge(run, daily.shape[2], int(planted[n]))
            if not np.isnan(daily[run, n, t, 0])
        ]
        for run, n in np.ndindex(*daily.shape[:2])
    }


def _chart_alarms(chart: Chart, threshold: float, daily: Floats) -> Iterator[Alarm]:
    for run, model in np.ndindex(*daily.shape[:2]):
        for m, measure in enumerate(MEASURES):
            for day in chart.alarms(daily[run, model, :, m], threshold):
                yield run, model, day, measure


def library(folder: Path, name: str, data: Path) -> Iterator[Answer]:
    """A library's answers; what fails is said and left out."""
    packages, script, calls = LIBRARIES[name]
    home = folder / name
    python = home / "bin" / "python"
    try:
        if not (home / INSTALLED).exists():
            venv.create(home, with_pip=True)
            _call([str(python), "-m", "pip", "install", "-q", *packages])
            (home / INSTALLED).touch()
        for n, arguments in enumerate(calls):
            answer = folder / f"{name}-{n}.json"
            _call([str(python), str(HERE / script), str(data), str(answer), *arguments])
            yield read(answer, data)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"{name} is left out: {_last_line(error)}", file=sys.stderr)


def _call(command: list[str]) -> None:
    # A library must not find the packages of this environment.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S, env=env)


def _last_line(error: subprocess.CalledProcessError | subprocess.TimeoutExpired) -> str:
    said = (error.stderr or b"").decode(errors="replace").strip()
    return said.splitlines()[-1] if said else str(error)


def read(answer: Path, data: Path) -> Answer:
    """An answer file; days are those that the library could see."""
    found = json.loads(answer.read_text("utf-8"))
    with np.load(data) as given:
        judged = _judged(given["daily"], given["planted"])
        by_rows = not found["peer"].startswith("river")
        if by_rows:
            judged = _entries(given["entries"])
    return Answer(
        peer=f"{found['peer']} {found['version']}",
        default=found["default"],
        alarms={t: [tuple(a) for a in found["alarms"][t]] for t in found["thresholds"]},
        judged=judged,
        ms_a_day=1e3 * found["seconds"] / found["model_days"],
    )


def _entries(entries: Floats) -> Judged:
    judged: dict[tuple[int, int], list[int]] = {}
    for run, model, day in entries.tolist():
        judged.setdefault((run, model), []).append(day)
    return judged


# ---------------------------------------------------------------- tables


def report(answers: Sequence[Answer], planted: Sequence[int], rate: float) -> None:
    """Two tables: defaults and matched thresholds."""
    print("## At documented defaults\n")
    _print([(a, judging.result(a, a.default, planted)) for a in answers])
    print(f"\n## At thresholds that give at most {rate} pages a model-month on other models\n")
    chosen = [(a, judging.matched(a, rate) or a.default) for a in answers]
    _print([(a, judging.result(a, threshold, planted)) for a, threshold in chosen])


def _print(results: Sequence[tuple[Answer, Result]]) -> None:
    faults = list(dict.fromkeys(f for _, r in results for f in (*r.found, *r.false_quality)))
    rows = []
    for answer, r in results:
        cells = [answer.peer, r.threshold[:5], number(r.pages), number(r.alarm_days, ".1f")]
        cells += [_cell(r, fault) for fault in faults]
        rows.append([*cells, number(answer.ms_a_day)])
    head = ["detector", "threshold", "pages a model-month", "alarm days"]
    print(table([*head, *faults, "CPU ms a model-day"], rows))


def _cell(result: Result, fault: str) -> str:
    """Share found and mean delay; or false quality pages a model-month."""
    if fault in result.found:
        share, delay = result.found[fault]
        return f"{number(share, '.0%')}, {number(delay, '.1f')} d"
    if fault in result.false_quality:
        return f"{number(result.false_quality[fault], '.1f')} pages"
    return "-"


if __name__ == "__main__":
    main()
