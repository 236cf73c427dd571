"""Evidently's DataDriftPreset on the rows of a day against those of the first 28.

    python run_evidently.py DATA.npz ANSWER.json

Default: Evidently chooses the test by the data (normed Wasserstein distance over 0.1 for this
many numbers). The statistic is the value over Evidently's threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
from exchange import MEASURE_OF, Answer, Data

GRID = [0.7, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0]


def frame(columns: list[str], rows: Any) -> pd.DataFrame:
    """The rows with their types: the topic is a category."""
    made = pd.DataFrame(rows, columns=columns)
    return made.assign(topic=made["topic"].astype(int).astype(str))


def statistics(result: Any) -> Iterator[tuple[str, float]]:
    """Value over threshold of each column that is harmful; p-values the other way round."""
    for metric in result["metrics"]:
        config = metric["config"]
        if config["type"].endswith("ValueDrift") and config["column"] in MEASURE_OF:
            value, threshold = float(metric["value"]), float(config["threshold"])
            p_value = "p_value" in config["method"]
            ratio = threshold / max(value, 1e-300) if p_value else value / threshold
            yield MEASURE_OF[config["column"]], ratio


def main(data: str, answer: str) -> None:
    """All days."""
    given, found = Data(data), Answer("Evidently DataDriftPreset", GRID, 1.0)
    for where, key, rows in given.days():
        current = frame(given.columns, rows)
        reference = frame(given.columns, given.reference[key])
        result = Report([DataDriftPreset()]).run(current, reference).dict()
        found.model_days += 1
        for measure, statistic in statistics(result):
            found.judge(where, measure, statistic)
    found.write(answer, version("evidently"))


if __name__ == "__main__":
    main(*sys.argv[1:])
