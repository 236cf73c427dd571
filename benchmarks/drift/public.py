"""Upkeep and a robust z-score on public series that people labelled.

    python -m benchmarks.drift.public [--data ../shared/data] [--tolerance 0.25]

- NAB (Numenta, MIT): a day's mean, 95th percentile and maximum; positive if a labelled window
  touches it.
- Microsoft cloud monitoring (MIT): the same; positive if one of its points is labelled.
- PetShop, low traffic (CC-BY-4.0): 49 hours without an issue and 26 injected ones of 25 minutes.
  A "day" is one step of 5 minutes of PetSite's mean latency or availability; an issue's five
  steps follow the fault-free ones of its own time of day and are positive.

Series of fewer than 14 days are left out and counted. Both detectors see the same numbers, each
value judged by what came before it, and alarm if any of a day's values does: Upkeep with measures
of direction ``neither`` and a relative tolerance, the robust z-score by median and 1.4826 MAD of
the 28 days before (at least 10), over 3.5 either way. Judged are days from the 11th on. A month
of false alarms is 30 judged negative days.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.drift.peers.charts import LEAST, MAD_TO_SD, WINDOW
from benchmarks.drift.rendering import Timeline
from benchmarks.drift.simulator import START, shipped_policy
from benchmarks.drift.tables import number, table
from upkeep.cycle import HISTORY_EXTRA_DAYS
from upkeep.drift import compare
from upkeep.records import DayMeasures, MeasureValue
from upkeep.spec import MeasurePolicy

DATA = Path(__file__).parents[2] / "../shared/data"
SHORTEST = 14
ROBUST_LIMIT = 3.5
MONTH = 30.0
STEP_S = 300
PETSHOP_LEAD = 120  # fault-free steps before an issue's


@dataclass(frozen=True)
class Labelled:
    """A daily series; ``days`` rise, gaps allowed; a day has a value of each of ``measures``."""

    name: str
    measures: tuple[str, ...]
    days: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]
    positive: tuple[bool, ...]


@dataclass
class Count:
    """Judged days by what was said and what is so."""

    hits: int = 0
    misses: int = 0
    false: int = 0
    quiet: int = 0

    def add(self, *, alarm: bool, positive: bool) -> None:
        """One day."""
        if positive:
            self.hits, self.misses = self.hits + alarm, self.misses + (not alarm)
        else:
            self.false, self.quiet = self.false + alarm, self.quiet + (not alarm)

    @property
    def precision(self) -> float:
        """Share of the alarms that are right; NaN without an alarm."""
        said = self.hits + self.false
        return self.hits / said if said else math.nan

    @property
    def recall(self) -> float:
        """Share of the positive days that were found."""
        there = self.hits + self.misses
        return self.hits / there if there else math.nan

    @property
    def f1(self) -> float:
        """2 hits / (2 hits + false + missed)."""
        whole = 2 * self.hits + self.false + self.misses
        return 2 * self.hits / whole if whole else math.nan

    @property
    def false_a_month(self) -> float:
        """False alarm days in 30 negative days."""
        negative = self.false + self.quiet
        return MONTH * self.false / negative if negative else math.nan


# ---------------------------------------------------------------- the data sets


def daily(name: str, points: Sequence[tuple[datetime, float, bool]]) -> Labelled:
    """Mean, 95th percentile and maximum of each UTC day that has points."""
    found: dict[date, list[tuple[float, bool]]] = {}
    for instant, value, label in points:
        found.setdefault(instant.date(), []).append((value, label))
    first = min(found)
    return Labelled(
        name,
        ("mean", "p95", "max"),
        tuple((day - first).days for day in sorted(found)),
        tuple(_summary([v for v, _ in found[day]]) for day in sorted(found)),
        tuple(any(label for _, label in found[day]) for day in sorted(found)),
    )


def _summary(values: Sequence[float]) -> tuple[float, ...]:
    return float(np.mean(values)), float(np.percentile(values, 95)), max(values)


def nab(folder: Path) -> Iterator[Labelled]:
    """Each file of NAB; a point is positive within a labelled window."""
    labels = next((folder / "labels").glob("combined_windows*.json"))
    for name, spans in sorted(json.loads(labels.read_text("utf-8")).items()):
        windows = [(_time(first), _time(last)) for first, last in spans]
        with (folder / "data" / name).open(encoding="utf-8") as file:
            points = [
                (t := _time(row["timestamp"]), float(row["value"]), _inside(t, windows))
                for row in csv.DictReader(file)
            ]
        yield daily(name, points)


def _inside(instant: datetime, windows: Sequence[tuple[datetime, datetime]]) -> bool:
    return any(first <= instant <= last for first, last in windows)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def cloud_monitoring(folder: Path) -> Iterator[Labelled]:
    """Each series of Microsoft's set."""
    for path in sorted(folder.glob("*/*.csv")):
        with path.open(encoding="utf-8-sig") as file:
            points = [
                (_time(row["TimeStamp"]), float(row["Value"]), row["Label"] == "1")
                for row in csv.DictReader(file)
                if row["Value"]
            ]
        yield daily(path.stem, points)


def petshop(folder: Path) -> Iterator[Labelled]:
    """Each injected issue after fault-free steps of PetSite."""
    for target in sorted(folder.glob("t*/issue_*/target.json")):
        asked = json.loads(target.read_text("utf-8"))["target"]
        column = (asked["node"], asked["metric"], asked["agg"])
        calm = _column(folder / "noissue" / "metrics.csv", column)
        issue = _column(target.parent / "metrics.csv", column)
        if not calm or not issue:
            continue
        phase = next(iter(issue)) % 86_400
        ends = [i for i, t in enumerate(calm) if t % 86_400 < phase]
        before = list(calm.values())[max(0, ends[-1] + 1 - PETSHOP_LEAD) : ends[-1] + 1]
        values = tuple((v,) for v in (*before, *issue.values()))
        positive = (*[False] * len(before), *[True] * len(issue))
        name = f"{target.parent.parent.name}/{target.parent.name}"
        yield Labelled(name, (asked["metric"],), tuple(range(len(values))), values, positive)


def _column(path: Path, column: tuple[str, str, str]) -> dict[int, float]:
    """One column by unix time, without empty cells."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    heads = list(zip(*rows[:3], strict=True))
    place = heads.index(column)
    return {int(float(r[0])): float(r[place]) for r in rows[3:] if r[0].strip() and r[place]}


# ---------------------------------------------------------------- the detectors


def robust_alarms(series: Labelled) -> dict[int, bool]:
    """Each judged day: a value beyond 3.5 robust standard deviations, either way."""
    found, values = {}, np.array(series.values)
    for place, day in enumerate(series.days):
        known = values[:place][np.array(series.days[:place], dtype=int) >= day - WINDOW]
        if len(known) < LEAST:
            continue
        centre = np.median(known, axis=0)
        spread = MAD_TO_SD * np.median(abs(known - centre), axis=0)
        found[day] = bool((abs(values[place] - centre) > ROBUST_LIMIT * spread).any())
    return found


def upkeep_alarms(series: Labelled, tolerance: float) -> dict[int, bool]:
    """Each judged day: drifted, as a fact that may move either way."""
    rule = MeasurePolicy(direction="neither", tolerance=tolerance)
    policy = shipped_policy().model_copy(update={"measures": dict.fromkeys(series.measures, rule)})
    timeline = Timeline(_days(series), policy.baseline.days + HISTORY_EXTRA_DAYS)
    found = {}
    for place, day in enumerate(series.days):
        if place >= LEAST:
            results = compare(timeline.facts(day), policy).results
            found[day] = any(r.state == "drifted" for r in results)
    return found


def _days(series: Labelled) -> list[DayMeasures]:
    return [
        DayMeasures(
            day=START + timedelta(day),
            trusted=True,
            champion_version="1",
            measures=tuple(
                MeasureValue(name=n, value=v) for n, v in zip(series.measures, values, strict=True)
            ),
        )
        for day, values in zip(series.days, series.values, strict=True)
    ]


def counted(series: Labelled, alarms: dict[int, bool], into: Count) -> None:
    """Add a series' judged days."""
    for day, positive in zip(series.days, series.positive, strict=True):
        if day in alarms:
            into.add(alarm=alarms[day], positive=positive)


# ---------------------------------------------------------------- the page


def main() -> None:
    """Print a table of both detectors on each set."""
    parser = argparse.ArgumentParser(prog="benchmarks.drift.public", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tolerance", type=float, default=0.25)
    asked = parser.parse_args()
    sets = {
        "NAB": nab(asked.data / "nab"),
        "Microsoft cloud monitoring": cloud_monitoring(asked.data / "ms-cloud-monitoring"),
        "PetShop, steps of 5 minutes": petshop(asked.data / "petshop-low-traffic"),
    }
    rows = []
    for name, found in sets.items():
        whole = list(found)
        rows += list(_rows(name, whole, asked.tolerance))
    head = ["data", "detector", "series (too short)", "positive of judged days", "precision"]
    print(table([*head, "recall", "F1", "false alarm days a month"], rows))


def _rows(name: str, whole: Sequence[Labelled], tolerance: float) -> Iterator[list[str]]:
    series = [s for s in whole if len(s.days) >= SHORTEST]
    counts = {"Upkeep": Count(), "robust z-score": Count()}
    for one in series:
        mine, robust = upkeep_alarms(one, tolerance), robust_alarms(one)
        both = mine.keys() & robust.keys()
        counted(one, {d: mine[d] for d in both}, counts["Upkeep"])
        counted(one, {d: robust[d] for d in both}, counts["robust z-score"])
    for detector, c in counts.items():
        positive, judged = c.hits + c.misses, c.hits + c.misses + c.false + c.quiet
        yield [
            name,
            detector,
            f"{len(series)} ({len(whole) - len(series)})",
            f"{positive} of {judged}",
            *(number(x) for x in (c.precision, c.recall, c.f1)),
            number(c.false_a_month, ".1f"),
        ]


if __name__ == "__main__":
    main()
