"""Published correlations and means of people's ratings come out of Upkeep's own functions.

The data lies beside the repository (shared/data) and is not part of it: skipped without it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upkeep.agreement import over_prompts, over_systems, system_means
from upkeep.records.people import Statistic

DATA = Path(__file__).parents[2] / "shared" / "data"
HANNA, REALSUMM, TED = DATA / "hanna", DATA / "realsumm", DATA / "mqm-ted-ende"


def needs(folder: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not folder.is_dir(), reason=f"{folder} is not here")


# ---------------------------------------------------------------- HANNA


@cache
def hanna() -> tuple[list[str], dict[str, np.ndarray]]:
    """The 10 systems (not the human stories), and each column as [systems, prompts]."""
    with (HANNA / "hanna_metric_scores.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Model"] != "Human"]
    systems = [row.pop("Model") for row in rows]
    columns = {name: np.array([json.loads(row[name]) for row in rows]) for name in rows[0]}
    return systems, columns


def published(level: str, statistic: str) -> Iterator[tuple[str, str, float]]:
    """Metric, criterion and absolute correlation of each cell of a table."""
    path = HANNA / "rankings" / f"{level}_{statistic}.csv"
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            metric = row.pop("Model")
            for name, value in row.items():
                yield metric, name.removesuffix(f"_{level}_{statistic}"), float(value)


@needs(HANNA)
@pytest.mark.parametrize("statistic", ["pearson", "spearman", "kendall"])
@pytest.mark.parametrize("level", ["story", "system"])
def test_hannas_table_is_reproduced(level: str, statistic: Statistic) -> None:
    """All 432 published values of the table, 72 metrics by 6 criteria, come out to 1e-6."""
    systems, columns = hanna()
    prompts = next(iter(columns.values())).shape[1]
    labels = [system for system in systems for _ in range(prompts)]
    cells = list(published(level, statistic))
    worst = 0.0
    for metric, criterion, expected in cells:
        mine, people = columns[metric], columns[criterion]
        found = (
            over_prompts(mine.T, people.T, statistic)
            if level == "story"
            else over_systems(mine.ravel(), people.ravel(), labels, statistic)
        )
        assert found.value is not None, (metric, criterion)
        worst = max(worst, abs(abs(found.value) - expected))
    assert len(cells) == 72 * 6
    assert worst < 1e-6


# ---------------------------------------------------------------- REALSumm


@cache
def realsumm(kind: str) -> list[dict[str, Any]]:
    lines = (REALSUMM / f"{kind}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@needs(REALSUMM)
@pytest.mark.parametrize(
    ("kind", "systems", "measure", "expected"),
    [
        ("abs", 14, "rouge_1_recall", 0.9130),
        ("abs", 14, "rouge_2_recall", 0.9827),
        ("abs", 14, "rouge_l_recall", 0.8318),
        ("ext", 11, "rouge_1_recall", 0.7027),
        ("ext", 11, "rouge_2_recall", 0.7390),
        ("ext", 11, "rouge_l_recall", 0.6691),
    ],
)
def test_realsumms_systems_correlate_as_published(
    kind: str, systems: int, measure: str, expected: float
) -> None:
    """Pearson's r of the systems' means with people's pyramid recall, to four decimals."""
    rows = realsumm(kind)
    found = over_systems(
        [row["scores"][measure] for row in rows],
        [row["scores"]["litepyramid_recall"] for row in rows],
        [row["system"] for row in rows],
        "pearson",
    )
    assert found.n == systems
    assert found.value == pytest.approx(expected, abs=5e-5)


@needs(REALSUMM)
def test_realsumm_has_2500_rated_summaries() -> None:
    """All 2,500 summaries are there, each with people's score within 0 to 1."""
    rows = realsumm("abs") + realsumm("ext")
    assert len(rows) == 2500
    assert all(0.0 <= row["scores"]["litepyramid_recall"] <= 1.0 for row in rows)


# ---------------------------------------------------------------- MQM of the TED talks


def ted_table() -> dict[str, float]:
    """The README's table: system and expert-based MQM, of English to German TED talks."""
    text = (TED / "README.source.md").read_text()
    part = text.split("## TED talks ##")[1].split("### Chinese")[0]
    rows = re.findall(r"^\| (\S+) \| ([\d.]+)\(\d+\) \|$", part, re.MULTILINE)
    return {name.replace("ref.A", "ref-A"): float(value) for name, value in rows}


@needs(TED)
def test_the_ted_talks_table_is_reproduced() -> None:
    """The means of the 14 systems' segments are the README's, to its two decimals.

    eTranslation's mean is 1.9688: the README cuts it to 1.96 where it rounds all others.
    """
    path = TED / "mqm_ted_ende.avg_seg_scores.tsv"
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    rated = [(system, -float(score)) for system, score, _ in rows if score != "None"]
    means = system_means([score for _, score in rated], [system for system, _ in rated])
    expected = ted_table()
    assert means["eTranslation"] == pytest.approx(1.9688, abs=5e-5)
    assert expected.pop("eTranslation") == 1.96
    assert means.pop("eTranslation") < 1.97
    assert len(rows) == 8484
    assert len(expected) == 13
    assert means == {name: pytest.approx(value, abs=5e-3) for name, value in expected.items()}
