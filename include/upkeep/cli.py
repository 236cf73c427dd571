"""The command line: ``upkeep --help``.

Exit codes: 0 done, 1 something failed, 2 what was asked is not allowed (nothing was done).
"""

from __future__ import annotations

import os
import socket
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from upkeep.cli_review import review
from upkeep.errors import InputError, ParamError, UpkeepError
from upkeep.terminal import complain, out, print_json, print_rows, progress, say

if TYPE_CHECKING:
    from upkeep.replay_records import FleetReplay, ModelReplay

Format = Literal["safetensors", "openvino"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keeps a fleet of production generative models good and cheap.",
)

app.command()(review)

Model = Annotated[str, typer.Argument(help="Name of a model of the fleet.")]
Day = Annotated[str, typer.Argument(help="Day under review, UTC, YYYY-MM-DD.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Run the command line; errors that Upkeep raises on purpose are one line on stderr."""
    try:
        app()
    except InputError as error:
        complain("refused", error)
        sys.exit(2)
    except UpkeepError as error:
        complain(type(error).__name__, error)
        sys.exit(1)


def _owner() -> str:
    return f"cli:{socket.gethostname()}:{os.getpid()}"


def _day(text: str) -> date:
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != text:
        raise ParamError("day", text, "is not a day in the form YYYY-MM-DD", "write 2026-03-05")
    return parsed


@app.command()
def check(
    *, connect: Annotated[bool, typer.Option("--connect", help="Try each source too.")] = False
) -> None:
    """Validate every file of fleet/ and say what is wrong with each."""
    from upkeep.looking import connections, fleet_from_env

    fleet = fleet_from_env()
    for error in fleet.problems:
        complain("refused", error)
    out.print(f"{len(fleet.models)} models, {len(fleet.errors)} files refused")
    silent = 0
    for model, source, answers, words in connections() if connect else ():
        silent += not answers
        say(f"{model} {source}: {'ok' if answers else 'NO ANSWER'}: {words}")
    if fleet.errors or silent:
        raise typer.Exit(2)


@app.command()
def collect(
    model: Model,
    day: Day,
    *,
    hours: Annotated[bool, typer.Option("--hours", help="Each hour as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what production did on a day, and what was not collected; writes nothing."""
    from upkeep.looking import asides, collect_day, day_rows, disagreement, hour_rows, not_collected

    metrics = collect_day(model, _day(day))
    if as_json:
        sys.stdout.write(metrics.model_dump_json(indent=2) + "\n")
        return
    print_rows([row for row in day_rows(metrics) if row["value"] is not None], as_json=False)
    if hours:
        print_rows(hour_rows(metrics), as_json=False)
    say(f"read from: {metrics.source}")
    say(f"not collected: {', '.join(not_collected(metrics)) or 'nothing'}")
    for rejected in metrics.rejected:
        say(f"rejected: {rejected.what}: {rejected.reason}")
    for words in asides(metrics):
        say(f"set aside: {words}")
    for found in metrics.disagreements:
        say(disagreement(found))
    for flag in metrics.flags:
        say(f"odd: {flag}")


@app.command()
def register(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="Folder with safetensors or OpenVINO files.")],
    file_format: Annotated[Format, typer.Option("--format", help="What the files are.")] = (
        "safetensors"
    ),
    training: Annotated[
        Path | None,
        typer.Option(help="JSON lines of the texts it was trained on; mixed into retraining."),
    ] = None,
) -> None:
    """Make the first champion of a model from a folder of files."""
    from upkeep.onboarding import register_first

    entry = register_first(model, folder, file_format, training)
    out.print(f"{model}: version {entry.version} is champion")


@app.command()
def day(
    model: Model,
    first: Day,
    through: Annotated[
        str | None, typer.Option(help="Last day, for several days in one process.")
    ] = None,
    action: Annotated[str, typer.Option(help="auto, evaluate_only, compress or retrain.")] = "auto",
    note: Annotated[str, typer.Option(help="Why; needed with an action of your own.")] = "",
    *,
    dry_run: Annotated[bool, typer.Option(help="Decide, but start no job.")] = False,
) -> None:
    """Run the daily cycle of one model for one day or several."""
    from upkeep.days import run_days

    start, end = _day(first), _day(through or first)
    asked = {"action": action, "note": note, "dry_run": dry_run}
    if action in ("compress", "retrain"):
        asked["override"] = True
    days = [start + timedelta(n) for n in range((end - start).days + 1)]
    with progress(f"{model}: {start} .. {end}", len(days)) as step:
        decided = run_days(model, days, asked, _owner(), step)
    for made in decided:
        out.print(f"{made.day} [bold]{made.action}[/bold] ({made.cause}): {made.reasons[0].words}")


@app.command()
def decisions(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List what was decided, day by day, and why."""
    from upkeep.listing import decision_rows

    print_rows(decision_rows(model), as_json=as_json, hide=("reasons",))


@app.command()
def ledger(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List every champion there ever was; the chain of hashes is verified."""
    from upkeep.listing import ledger_rows

    print_rows(ledger_rows(model), as_json=as_json)


@app.command()
def rollback(
    model: Model,
    to: Annotated[str | None, typer.Option(help="Version; default: the one before.")] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "by hand",
) -> None:
    """Put an earlier champion back: one entry in the ledger, one move of the alias."""
    from upkeep.cycle import Cycle

    cycle = Cycle.from_env()
    entry = cycle.rollback(model, to, note, key=f"{model}/rollback/{_owner()}")
    out.print(f"{model}: version {entry.version} is champion, in place of {entry.replaced_version}")


@app.command()
def sync(model: Model, day: Day) -> None:
    """Rebuild the MLflow run of a day from the store."""
    from upkeep.cycle import Cycle

    out.print(f"MLflow run {Cycle.from_env().report(model, _day(day), force=True)}")


@app.command()
def replay(  # noqa: PLR0913 - the options of a command
    models: Annotated[list[str] | None, typer.Argument(help="Models; or --all.")] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="Another policy: a YAML, or a fleet's folder. Default: the recorded."),
    ] = None,
    budget: Annotated[
        Path | None,
        typer.Option(help="Another budget: a YAML. Default: that of --policy FOLDER, or recorded."),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First day, UTC.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day, UTC.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every model of the store.")] = False,
    as_json: AsJson = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a pull request.")
    ] = False,
    fail_on_flip: Annotated[
        bool, typer.Option("--fail-on-flip", help="Exit 1 where a decision flips.")
    ] = False,
) -> None:
    """Recompute stored decisions: byte for byte, or by another policy. Writes nothing.

    Exit code 1: a day could not be replayed, or is not byte for byte what the recorded policy
    decided.
    """
    from upkeep.listing import models_of, store_from_env
    from upkeep.replay_fleet import replay_all, summary_of
    from upkeep.replay_question import budget_from, policy_from, questions

    if bool(models) == every:
        raise ParamError("models", models or [], "name models, or --all", "upkeep replay MODEL")
    store = store_from_env()
    bounds = (_day(first) if first else None, _day(last) if last else None)
    shared = budget_from(budget, policy)
    asked = questions(models or (), models_of(store), policy_from(policy), *bounds, shared)
    with progress(f"{len(asked)} models", len(asked)) as step:
        replays = replay_all(store, asked, jobs, lambda done: step(done.question.model))
    fleet = summary_of(replays)
    _print_replay(fleet, replays, as_json=as_json, as_markdown=as_markdown)
    if fleet.failed or (fail_on_flip and fleet.flipped):
        raise typer.Exit(1)


def _print_replay(
    fleet: FleetReplay, replays: list[ModelReplay], *, as_json: bool, as_markdown: bool
) -> None:
    from upkeep import replay_page
    from upkeep.replay_markdown import markdown

    if as_json:
        answer = replay_page.answer(fleet, replays)
        print_json(answer)
        return
    if as_markdown:
        sys.stdout.write(markdown(fleet, replays))
        return
    told = replay_page.flip_rows(replays)
    print_rows(told or replay_page.model_rows(fleet), as_json=False)
    if fleet.estimates:
        print_rows(replay_page.estimate_rows(fleet.estimates), as_json=False)
    say(replay_page.headline(fleet, replays))
    for words in replay_page.problems(replays):
        say(f"not replayed: {words}")
