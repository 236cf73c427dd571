"""Parse time of each DAG file against an equally small DAG that imports only airflow.sdk.

    .venv/bin/python -m benchmarks.parse_time [ROUNDS]

Each parse is a process of its own, as the DAG processor's is; the two are timed in turn and the
medians and the ratio of each pair are printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

DAGS = Path(__file__).parents[1] / "dags"
PLUGINS = Path(__file__).parents[1] / "plugins"
TINY = """
from datetime import datetime
from airflow.sdk import Param, dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1), params={"day": Param("", type="string")})
def tiny():
    @task
    def one() -> list[str]:
        return ["a"]

    @task
    def two(name: str) -> str:
        return name

    two.expand(name=one())

tiny()
"""
TIMER = """
import json, runpy, sys, time
wall, cpu = time.perf_counter(), time.process_time()
runpy.run_path(sys.argv[1])
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def parse(path: Path) -> tuple[float, float]:
    """Wall and CPU seconds of parsing one file in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TIMER), str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
    )
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu


def main(rounds: int) -> None:
    """Print one row a DAG file."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder) / "tiny.py"
        tiny.write_text(TINY)
        parse(tiny)
        for path in sorted(DAGS.glob("*.py")):
            pairs = [(parse(path), parse(tiny)) for _ in range(rounds)]
            ours, base = (statistics.median(p[i][1] for p in pairs) for i in (0, 1))
            ratio = statistics.median(p[0][1] / p[1][1] for p in pairs)
            print(f"{path.name:18} {ours:6.2f} s CPU, tiny {base:6.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
