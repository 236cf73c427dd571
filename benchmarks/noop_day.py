"""A no-op day of one model under the real scheduler, against a DAG of as many trivial tasks.

    make run && .venv/bin/python -m benchmarks.noop_day [ROUNDS]

The day is one that `make run` finished, so that every step adopts what is recorded. The two DAGs
run in turn; wall seconds are from a run's start to its end as Airflow records them, CPU seconds
are what the scheduler, its tasks and the API server used meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psutil

from examples.run import MODEL, STATE, calendar
from examples.stack import Stack

DAGS = Path(__file__).parents[1] / "dags"
TIMEOUT_S = 300.0
TRIVIAL = """
from datetime import datetime
from airflow.sdk import DAG, task, task_group

with DAG("trivial", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    def one():
        return [{"model": "a"}]

    def step(shard):
        return None

    @task_group
    def day(shard):
        a, b, c, d, e = (task(task_id=name)(step)(shard) for name in "abcde")
        a >> b >> c >> d >> e

    day.expand(shard=task(one)())
"""


def cpu_seconds(pids: list[int]) -> float:
    """CPU seconds of these processes, of their descendants, and of those that have ended."""
    total = 0.0
    for pid in pids:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            try:
                used = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += used.user + used.system + used.children_user + used.children_system
    return total


def measure(stack: Stack, dag_id: str, run_id: str, conf: dict[str, object]) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    known = json.loads((STATE / "processes.json").read_text())
    pids = [known[name]["pid"] for name in ("scheduler", "api-server")]
    before = cpu_seconds(pids)
    stack.trigger(dag_id, conf, run_id)
    stack.wait(dag_id, run_id, TIMEOUT_S)
    run = stack.client().run(dag_id, run_id)
    start, end = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (end - start).total_seconds(), cpu_seconds(pids) - before


def main(rounds: int) -> None:
    """Print both medians and the ratios of the pairs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "trivial.py").write_text(TRIVIAL)
        bundle = "airflow.dag_processing.bundles.local.LocalDagBundle"
        os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(
            [
                {"name": name, "classpath": bundle, "kwargs": {"path": str(path)}}
                for name, path in (("dags-folder", DAGS), ("trivial", folder))
            ]
        )
        stack = Stack(STATE)
        if stack.is_up():
            raise SystemExit("make down first: the servers must be started by this program")
        try:
            stack.start()
            deadline = time.monotonic() + TIMEOUT_S
            while "trivial" not in stack.client().dags():
                if time.monotonic() > deadline:
                    raise SystemExit(f"the trivial DAG is not parsed after {TIMEOUT_S:.0f} s")
                time.sleep(1)
            stack.unpause("trivial")
            _compare(stack, rounds)
        finally:
            stack.stop()


def _compare(stack: Stack, rounds: int) -> None:
    stamp, pairs = int(time.time()), []
    conf = {"day": calendar(2).isoformat(), "models": [MODEL]}
    for number in range(rounds + 1):
        ours = measure(stack, "daily_cycle", f"noop-{stamp}-{number}", dict(conf))
        trivial = measure(stack, "trivial", f"trivial-{stamp}-{number}", {})
        pairs.append((ours, trivial))
    for place, what in enumerate(("wall", "CPU")):
        counted = [(a[place], b[place]) for a, b in pairs[1:]]
        a, b = (statistics.median(side) for side in zip(*counted, strict=True))
        ratio = statistics.median(x / y for x, y in counted)
        print(f"{what:4}  no-op day {a:6.2f} s, trivial {b:6.2f} s, median ratio {ratio:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
