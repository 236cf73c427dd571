"""What a peer reads and writes. Needs numpy only: it runs in the peers' own environments.

The data is one ``.npz``; values are turned so that upwards is harmful.

- ``measures``, ``runs``: names. Run 0 is ``quiet``, 1 is ``tune`` (other fault-free models), the
  others have one change planted on day ``planted[model]``.
- ``daily``: shape (runs, models, days, measures); NaN where a day is missing.
- ``columns``, ``rows``: shape (entries, rows, columns); ``entries``: shape (entries, 3), each its
  run, model and day. ``reference``: shape (2, models, rows, columns), of the first 28 days; 1 is
  that of ``tune``.

An answer is JSON: ``thresholds`` from the laxest to the strictest, ``default`` one of them, and
for each its ``alarms`` as [run, model, day, measure]; ``seconds`` of CPU for ``model_days``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Where = tuple[int, int, int]
"""Run, model and day."""

REFERENCE_DAYS = 28
TUNE = 1
MEASURE_OF = {"score": "quality", "latency_ms": "latency"}


class Data:
    """The data of one file."""

    def __init__(self, path: str) -> None:
        """Read it."""
        with np.load(path) as found:
            self.measures: list[str] = found["measures"].tolist()
            self.columns: list[str] = found["columns"].tolist()
            self.daily, self.reference = found["daily"], found["reference"]
            self.entries, self.rows = found["entries"], found["rows"]

    def series(self) -> Iterator[tuple[int, int, str, Any]]:
        """Each run, model and measure with its daily values."""
        for run, model, measure in np.ndindex(*self.daily.shape[:2], self.daily.shape[3]):
            yield run, model, self.measures[measure], self.daily[run, model, :, measure]

    def days(self) -> Iterator[tuple[Where, tuple[int, int], Any]]:
        """Each day of rows, with its reference's key: (run, model, day), key, rows."""
        for place, rows in zip(self.entries, self.rows, strict=True):
            run, model, day = place.tolist()
            yield (run, model, day), (int(run == TUNE), model), rows


class Answer:
    """Alarms by threshold, and what they cost."""

    def __init__(self, peer: str, thresholds: Iterable[float], default: float) -> None:
        """``thresholds`` from the laxest to the strictest."""
        self.peer, self.thresholds, self.default = peer, list(thresholds), default
        self.alarms: dict[float, list[list[Any]]] = {t: [] for t in self.thresholds}
        self.started, self.model_days = time.process_time(), 0.0

    def add(self, threshold: float, where: Where, measure: str) -> None:
        """One alarm."""
        self.alarms[threshold].append([*where, measure])

    def judge(self, where: Where, measure: str, statistic: float) -> None:
        """Alarms of every threshold that the statistic exceeds."""
        for threshold in self.thresholds:
            if statistic > threshold:
                self.add(threshold, where, measure)

    def write(self, path: str, version: str) -> None:
        """Write the answer as JSON."""
        whole = {
            "peer": self.peer,
            "version": version,
            "python": sys.version.split()[0],
            "thresholds": [str(t) for t in self.thresholds],
            "default": str(self.default),
            "alarms": {str(t): found for t, found in self.alarms.items()},
            "seconds": time.process_time() - self.started,
            "model_days": self.model_days,
        }
        Path(path).write_text(json.dumps(whole), "utf-8")
