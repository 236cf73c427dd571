"""Two image models beside the story: ``make run FLEET=all`` trains, serves and watches them too.

Their files lie in ``examples/digits/fleet``; with them the fleet is a folder of the state, so
that whoever runs the story alone has no model whose tools are not there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from examples.digits.traffic import DAYS, day_date
from examples.settings import REPOSITORY, own_fleet
from examples.stack import Stack
from examples.table import print_days
from upkeep import promotion
from upkeep.records import Decision
from upkeep.store import Store, get_record, record_key

MODELS = {"digits-gan": "gan", "digits-vae": "vae"}
BY_ONE_PROCESS = 9  # days; the rest, in which something happens, go through Airflow's scheduler
DAG_TIMEOUT_S = 420.0
Step = Callable[[str], AbstractContextManager[None]]


def prepare(state: Path) -> None:
    """Make the fleet of all models, and train what measures them; what is there is adopted."""
    command = [sys.executable, "-m", "examples.digits.train", "--out", str(tools(state))]
    subprocess.run(command, check=True)
    fleet = own_fleet(state)
    fleet.mkdir(parents=True, exist_ok=True)
    for folder in (REPOSITORY / "include" / "fleet", REPOSITORY / "examples" / "digits" / "fleet"):
        for file in folder.glob("*.yaml"):
            shutil.copyfile(file, fleet / file.name)


def tools(state: Path) -> Path:
    """Where the models, their feature extractor and the references lie."""
    return state.resolve() / "tools" / "digits"


def play(stack: Stack, store: Store, state: Path, step: Step) -> None:
    """Both models' twelve days: registered, served, watched."""
    from upkeep.onboarding import register_first

    for model, kind in MODELS.items():
        with step(f"{model}: register it, and let it serve {DAYS} days"):
            if promotion.champion(store, model) is None:
                register_first(model, tools(state) / kind, "safetensors")
            _serve(state, model, kind)
        with step(f"{model}: days 1-{BY_ONE_PROCESS} by upkeep day"):
            first, last = day_date(1).isoformat(), day_date(BY_ONE_PROCESS).isoformat()
            command = [sys.executable, "-m", "upkeep", "day", model, first, "--through", last]
            subprocess.run(command, check=True)
    with step(f"both image models: days {BY_ONE_PROCESS + 1}-{DAYS} by Airflow's scheduler"):
        for number in range(BY_ONE_PROCESS + 1, DAYS + 1):
            _scheduled(stack, store, number)
    for model in MODELS:
        print_days(store, model, [day_date(number) for number in range(1, DAYS + 1)])


def _serve(state: Path, model: str, kind: str) -> None:
    days = [str(n) for n in range(1, DAYS + 1)]
    out = state / "logs" / model
    command = [sys.executable, "-m", "examples.digits.serve", "--model", str(tools(state) / kind)]
    options = ["--kind", kind, "--version", "1", "--out", str(out), "--days", *days]
    subprocess.run([*command, *options], check=True)


def _scheduled(stack: Stack, store: Store, number: int) -> None:
    day = day_date(number)
    run_id = f"images-{day.isoformat()}"
    stack.trigger("daily_cycle", {"day": day.isoformat(), "models": list(MODELS)}, run_id)
    stack.wait("daily_cycle", run_id, DAG_TIMEOUT_S)
    for model in MODELS:
        made = get_record(store, record_key(model, day, "decision"), Decision)
        if made is None:
            raise SystemExit(f"{model} day {number} ended without a decision")
        sys.stdout.write(f"  {model} day {number}: {made.action} ({made.cause})\n")
