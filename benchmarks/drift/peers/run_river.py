"""river's ADWIN and PageHinkley on daily values, standardised by the first 28 days.

    python run_river.py DATA.npz ANSWER.json adwin | page-hinkley

Defaults: ADWIN delta 0.002, clock 32; PageHinkley threshold 50, delta 0.005, min_instances 30,
here upwards only. Both see every day, but may alarm from day 28 on only. Detectors start anew
after an alarm, as river's do by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
from exchange import REFERENCE_DAYS, Answer, Data
from river import drift

GRIDS = {
    "adwin": ([0.5, 0.2, 0.05, 0.01, 0.002, 1e-3, 1e-4, 1e-5, 1e-7, 1e-9], 0.002),
    "page-hinkley": ([2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0, 50.0], 50.0),
}


def detector(name: str, threshold: float) -> Any:
    """A new detector."""
    if name == "adwin":
        return drift.ADWIN(delta=threshold)
    return drift.PageHinkley(threshold=threshold, mode="up")


def alarms(name: str, threshold: float, values: Any) -> Iterator[int]:
    """Days on which the detector reports a drift upwards."""
    known = values[:REFERENCE_DAYS]
    centre, spread = np.nanmean(known), np.nanstd(known, ddof=1)
    found = detector(name, threshold)
    for day, value in enumerate(values):
        if np.isnan(value):
            continue
        found.update((value - centre) / spread)
        if found.drift_detected and day >= REFERENCE_DAYS:
            yield day


def main(data: str, answer: str, name: str) -> None:
    """All series at all thresholds."""
    thresholds, default = GRIDS[name]
    found, given = Answer(f"river {name}", thresholds, default), Data(data)
    for run, model, measure, values in given.series():
        found.model_days += len(values) / len(given.measures)
        for threshold in thresholds:
            for day in alarms(name, threshold, values):
                found.add(threshold, (run, model, day), measure)
    found.write(answer, version("river"))


if __name__ == "__main__":
    main(*sys.argv[1:])
