"""The whole story in one script: sixteen days of a real model, from drift to a better champion.

``make run`` calls it; ``make run FLEET=all`` plays two image models beside it. Each step looks
for what is already there and adopts it, so that a second run, or one after a kill, makes nothing
twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from examples import image_models
from examples.stack import Stack, environment
from examples.table import print_days
from upkeep import promotion
from upkeep.records import Decision, GateResult, LedgerEntry
from upkeep.store import Store, get_record, open_store, record_key

STATE = Path(".upkeep")
BASE = STATE / "base"
MODEL = "docs-assistant"
FIRST_DAY = date(2026, 3, 5)
QUIET_DAYS, LAST_DAY = 10, 16
# Days that one champion serves for certain before the next decision that can replace it.
SERVED_TOGETHER = ((*range(1, 14),), (14, 15), (16,))
DAG_TIMEOUT_S = 420.0


def calendar(number: int) -> date:
    """The date of day 1 .. 16."""
    return FIRST_DAY + timedelta(number - 1)


class Steps:
    """Progress lines with the seconds that each step took."""

    def __init__(self) -> None:
        """Start the clock."""
        self.begun = time.monotonic()
        self.taken: list[tuple[str, float]] = []

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        """Announce a step, and say how long it took."""
        sys.stdout.write(f"· {words}\n")
        sys.stdout.flush()
        begun = time.monotonic()
        yield
        self.taken.append((words, time.monotonic() - begun))
        sys.stdout.write(f"  {self.taken[-1][1]:.0f} s\n")

    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun


def begin(module: str, *args: str) -> subprocess.Popen[bytes]:
    """Start one of the example's programs on one core; its own words go to the terminal."""
    command = [sys.executable, "-m", module, *args]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def finish(program: subprocess.Popen[bytes]) -> None:
    """Wait for a program; it must have ended well."""
    if program.wait():
        raise SystemExit(f"{' '.join(map(str, program.args))} failed")  # type: ignore[arg-type]


def register(steps: Steps) -> None:
    """Version 1: registered, alias ``champion``."""
    from upkeep.onboarding import register_first

    with steps.step("register it as version 1, alias champion"):
        register_first(MODEL, BASE / "model", "safetensors", BASE / "training" / "prose.jsonl")


def serve(store: Store, days: tuple[int, ...], steps: Steps) -> None:
    """Let the champion answer the prompts of the days; a day that was served is left alone."""
    champion = promotion.champion(store, MODEL)
    if champion is None:
        raise SystemExit(f"{MODEL} has no champion")
    folder = store.local_folder(champion.folder, STATE / "cache")
    words = f"{days[0]}-{days[-1]}" if len(days) > 1 else str(days[0])
    with steps.step(f"production, day {words}: version {champion.version} answers"):
        program = begin(
            "examples.docs_assistant.serve",
            *("--model", str(folder), "--format", champion.format, "--version", champion.version),
            *("--out", str(STATE / "logs" / MODEL), "--days", *map(str, days)),
        )
        finish(program)


def quiet_days(steps: Steps) -> None:
    """Days 1 to 10 through ``upkeep day``: the same code, one process."""
    with steps.step(f"the daily cycle, days 1-{QUIET_DAYS}: upkeep day"):
        first, last = calendar(1).isoformat(), calendar(QUIET_DAYS).isoformat()
        command = [sys.executable, "-m", "upkeep", "day", MODEL, first, "--through", last]
        subprocess.run(command, check=True)


def scheduled_days(stack: Stack, store: Store, days: tuple[int, ...], steps: Steps) -> None:
    """Run days as DAG runs of the real scheduler, and what their decisions started."""
    words = f"{days[0]}-{days[-1]}" if len(days) > 1 else str(days[0])
    with steps.step(f"the daily cycle, day {words}: Airflow's scheduler"):
        runs = {n: f"day-{calendar(n).isoformat()}" for n in days}
        for n, run_id in runs.items():
            conf = {"day": calendar(n).isoformat(), "models": [MODEL]}
            stack.trigger("daily_cycle", conf, run_id)
        for n, run_id in runs.items():
            stack.wait("daily_cycle", run_id, DAG_TIMEOUT_S)
            decided = get_record(store, record_key(MODEL, calendar(n), "decision"), Decision)
            if decided is None:
                raise SystemExit(f"day {n} ended without a decision; see {STATE}/logs")
            sys.stdout.write(f"  day {n}: {decided.action} ({decided.cause})\n")
    for n in days:
        follow_up(stack, store, n, steps)


def follow_up(stack: Stack, store: Store, number: int, steps: Steps) -> None:
    """Wait for the compression or retraining that a day's decision started."""
    day = calendar(number)
    decided = get_record(store, record_key(MODEL, day, "decision"), Decision)
    if decided is None or decided.action not in ("compress", "retrain"):
        return
    with steps.step(f"day {number}: {decided.action} > benchmark > gate > promote"):
        stack.wait(decided.action, f"{MODEL}--{day.isoformat()}--{decided.action}", DAG_TIMEOUT_S)
        step = record_key(MODEL, day, f"{decided.action}/gate")
        verdict = get_record(store, step, GateResult)
        for row in verdict.rows if verdict else ():
            sys.stdout.write(f"  {'passed ' if row.passed else 'REFUSED'} {row.words}\n")
        step = record_key(MODEL, day, f"{decided.action}/promotion")
        entry = get_record(store, step, LedgerEntry)
        sys.stdout.write(f"  champion: version {entry.version}\n" if entry else "  not promoted\n")


def main() -> None:
    """Play the story."""
    steps = Steps()
    os.environ["UPKEEP_SCHEDULE"] = ""  # the story triggers its own days; make up has @daily
    everything = os.environ.get("FLEET") == "all"
    if everything:
        with steps.step("train digits-gan, digits-vae and what looks at their images"):
            image_models.prepare(STATE)
    os.environ.update(environment(STATE))
    stack = Stack(STATE)
    adopted = stack.is_up()
    training = begin("examples.docs_assistant.train", "--out", str(BASE))
    try:
        with steps.step("start MLflow and Airflow on 127.0.0.1; docs-assistant is being trained"):
            stack.start(lambda words: print(f"    {words}", flush=True))
        os.environ.update(environment(STATE))
        store = open_store(os.environ["UPKEEP_STORE"])
        with steps.step("wait for the training on Python's own documentation"):
            finish(training)
        if promotion.champion(store, MODEL) is None:
            register(steps)
        for group in SERVED_TOGETHER:
            serve(store, group, steps)
            if group[0] == 1:
                quiet_days(steps)
            scheduled_days(stack, store, tuple(n for n in group if n > QUIET_DAYS), steps)
        print_days(store, MODEL, [calendar(n) for n in range(1, LAST_DAY + 1)])
        if everything:
            image_models.play(stack, store, STATE, steps.step)
        stack.say_where()
    finally:
        training.kill()  # nothing, if it has ended
        if not adopted:
            with steps.step("stop the servers (make up starts them again)"):
                stack.stop()
    for words, seconds in steps.taken:
        sys.stdout.write(f"{seconds:7.1f} s  {words}\n")
    sys.stdout.write(f"{steps.total():7.1f} s  in all\n")


if __name__ == "__main__":
    main()
