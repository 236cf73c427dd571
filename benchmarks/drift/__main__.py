"""Upkeep's drift engine on a simulated fleet.

    python -m benchmarks.drift [--worlds all] [--models 40] [--days 120] [--seed 1] [--quick]

Prints markdown: pages on fault-free days, delay and found share of planted faults, quality
alarms under harmless changes, CPU of a comparison; each world, the median and the worst one.
``--quick`` is three worlds of four models in under a minute on one core. Each model is a task of
its own, on all cores; equal arguments give equal figures, CPU aside.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from functools import partial

from benchmarks.drift import tables
from benchmarks.drift.faults import FAULTS, HARMLESS, Fault
from benchmarks.drift.figures import WorldScore, world_score
from benchmarks.drift.scoring import Plan, Score, score_model
from benchmarks.drift.worlds import WORLDS, World, said, worlds_of

QUICK_WORLDS = "calm,heavy-tailed,weekly"
QUICK_MODELS, QUICK_DAYS = 4, 75


def main(arguments: list[str] | None = None) -> None:
    """Simulate, judge, print."""
    asked = _asked(arguments)
    worlds = worlds_of(asked.worlds)
    plan = Plan(asked.days, _chosen(FAULTS, asked.only), _chosen(HARMLESS, asked.only))
    started = time.perf_counter()
    scores = run(worlds, asked.models, asked.seed, plan, asked.processes)
    print(
        f"{asked.models} models of {asked.days} days in each of {len(worlds)} worlds, "
        f"seed {asked.seed}; {time.perf_counter() - started:.0f} s on {asked.processes} processes\n"
    )
    for world in worlds:
        print(f"- {world.name}: {world.why} ({said(world)})")
    print()
    for part in tables.report(scores, plan):
        print(part)


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.drift", description=__doc__)
    parser.add_argument("--worlds", default="all", help=f"all, or of {', '.join(WORLDS)}")
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--days", type=int, default=120, help="at least 75")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--only", help="only faults whose name has this in it; - for none")
    parser.add_argument("--quick", action="store_true", help="three worlds, four models")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.worlds, asked.models, asked.days = QUICK_WORLDS, QUICK_MODELS, QUICK_DAYS
    if asked.days < QUICK_DAYS or asked.models < 1:
        sys.exit(f"days {asked.days}, models {asked.models}: at least {QUICK_DAYS} and 1")
    return asked


def _chosen(faults: tuple[Fault, ...], only: str | None) -> tuple[Fault, ...]:
    if only == "-":
        return ()
    return tuple(f for f in faults if only is None or only in f.name)


def run(
    worlds: tuple[World, ...], models: int, seed: int, plan: Plan, processes: int
) -> list[WorldScore]:
    """Every model of every world, each in a task of its own."""
    tasks = [(world.name, number) for world in worlds for number in range(models)]
    # The plan holds functions, which only a forked process knows; names travel instead.
    names = tuple(f.name for f in (*plan.faults, *plan.harmless))
    work = partial(_work, seed=seed, days=plan.days, names=names)
    if processes == 1:
        found = [work(task) for task in tasks]
    else:
        with multiprocessing.Pool(processes) as pool:
            found = pool.map(work, tasks, chunksize=1)
    return [
        world_score(world.name, [s for s in found if s.world == world.name], plan)
        for world in worlds
    ]


def _work(task: tuple[str, int], *, seed: int, days: int, names: tuple[str, ...]) -> Score:
    world, number = task
    plan = Plan(
        days,
        tuple(f for f in FAULTS if f.name in names),
        tuple(f for f in HARMLESS if f.name in names),
    )
    return score_model(WORLDS[world], number, seed, plan)


if __name__ == "__main__":
    main()
