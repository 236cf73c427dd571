"""``upkeep review``: inspect a model now, and say what was found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from upkeep.terminal import complain, print_json, say


def review(
    model: Annotated[str, typer.Argument(help="Name of a model of the fleet.")],
    day: Annotated[
        str | None,
        typer.Argument(help="UTC day, YYYY-MM-DD; its last decided day counts. Default: yesterday"),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Review a model: architecture, training, inference code, infrastructure, dependencies.

    The five are inspected on the model's engine, once a day that was decided; the same day again
    shows the same review.
    """
    from upkeep.cycle import Cycle
    from upkeep.errors import TrackingError
    from upkeep.params import effective_params
    from upkeep.review_page import headline, rows

    cycle, today = Cycle.from_env(), datetime.now(UTC).date()
    yesterday = (today - timedelta(days=1)).isoformat()
    asked = {"models": [model], "day": day if day is not None else yesterday}
    params = effective_params(asked, cycle.fleet_names(), today, dag="review")
    reviewed = cycle.reviewed_day(model, params.day)
    made = cycle.review(model, reviewed)
    if as_json:
        print_json(made.model_dump(mode="json"))
    else:
        say(f"{model}, version {made.model_version}, {reviewed}: {headline(made)}")
        for row in rows(made):
            _say_row(row)
    try:
        cycle.report(model, reviewed)
    except TrackingError as error:  # the store has it; MLflow is only told later
        complain(f"run: upkeep sync {model} {reviewed}", error)


def _say_row(row: Mapping[str, str]) -> None:
    say(f"{row['severity']}: {row['area']}: {row['what']}")
    for name in ("evidence", "expected gain", "action"):
        if row[name]:
            say(f"    {name}: {row[name]}")
