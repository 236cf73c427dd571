"""alibi-detect's KSDrift on the rows of a day against those of the first 28.

    python run_alibi_detect.py DATA.npz ANSWER.json

Default: p_val 0.05, Bonferroni over the two features. The statistic is -log10 of the p-value.
Its learned detectors need a deep learning framework and are not run.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from alibi_detect.cd import KSDrift
from exchange import MEASURE_OF, Answer, Data

DEFAULT = -np.log10(0.05 / len(MEASURE_OF))


def main(data: str, answer: str) -> None:
    """All days."""
    given = Data(data)
    places = [given.columns.index(name) for name in MEASURE_OF]
    grid = [1.0, DEFAULT, *(DEFAULT * n for n in (1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48))]
    found = Answer("alibi-detect KSDrift", grid, DEFAULT)
    detectors: dict[tuple[int, int], Any] = {}
    for where, key, rows in given.days():
        if key not in detectors:
            detectors[key] = KSDrift(given.reference[key][:, places])
        result = detectors[key].predict(rows[:, places], drift_type="feature")
        found.model_days += 1
        for measure, p in zip(MEASURE_OF.values(), result["data"]["p_val"], strict=True):
            found.judge(where, measure, -np.log10(max(float(p), 1e-300)))
    found.write(answer, version("alibi-detect"))


if __name__ == "__main__":
    main(*sys.argv[1:])
