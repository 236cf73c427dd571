"""NannyML's UnivariateDriftCalculator, a day a chunk, fitted on the first 28 days.

    python run_nannyml.py DATA.npz ANSWER.json

Default: Jensen-Shannon distance, alarm beyond mean + 3 standard deviations of the reference's
chunks. The statistic is the value over that threshold.
"""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version
from typing import Any

import nannyml
import pandas as pd
from exchange import MEASURE_OF, Answer, Data

GRID = [0.8, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0]


def fitted(given: Data, key: tuple[int, int]) -> Any:
    """A calculator that knows the reference's days."""
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(MEASURE_OF), chunk_size=given.rows.shape[1]
    )
    return calculator.fit(pd.DataFrame(given.reference[key], columns=given.columns))


def main(data: str, answer: str) -> None:
    """All days."""
    warnings.simplefilter("ignore")  # that one chunk is few chunks
    given = Data(data)
    calculators: dict[tuple[int, int], Any] = {}
    found = Answer("NannyML univariate drift", GRID, 1.0)
    for where, key, rows in given.days():
        if key not in calculators:
            calculators[key] = fitted(given, key)
        result = calculators[key].calculate(pd.DataFrame(rows, columns=given.columns))
        table = result.filter(period="analysis").to_df()
        found.model_days += 1
        for column, measure in MEASURE_OF.items():
            value, limit = (
                float(table[(column, "jensen_shannon", name)].iloc[0])
                for name in ("value", "upper_threshold")
            )
            found.judge(where, measure, value / limit)
    found.write(answer, version("nannyml"))


if __name__ == "__main__":
    main(*sys.argv[1:])
