"""whylogs' drift scores of a day's profile against that of the first 28 days.

    python run_whylogs.py DATA.npz ANSWER.json

Default: Kolmogorov-Smirnov on the profiles' quantiles, drift under p = 0.05. The statistic is
-log10 of the p-value.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import whylogs
from exchange import MEASURE_OF, Answer, Data
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

DEFAULT = -np.log10(0.05)


def profile(given: Data, rows: Any) -> Any:
    """Whylogs' profile of the harmful columns."""
    return whylogs.log(pd.DataFrame(rows, columns=given.columns)[list(MEASURE_OF)]).view()


def main(data: str, answer: str) -> None:
    """All days."""
    given = Data(data)
    profiles: dict[tuple[int, int], Any] = {}
    grid = [1.0, DEFAULT, *(DEFAULT * n for n in (1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48))]
    found = Answer("whylogs KS", grid, DEFAULT)
    for where, key, rows in given.days():
        if key not in profiles:
            profiles[key] = profile(given, given.reference[key])
        scores = calculate_drift_scores(profile(given, rows), profiles[key], with_thresholds=True)
        found.model_days += 1
        for column, measure in MEASURE_OF.items():
            found.judge(where, measure, -np.log10(max(scores[column]["pvalue"], 1e-300)))
    found.write(answer, version("whylogs"))


if __name__ == "__main__":
    main(*sys.argv[1:])
