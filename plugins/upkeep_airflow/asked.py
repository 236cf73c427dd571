"""What a run was asked to do: its day, its strictly checked parameters, its name as an owner.

A scheduled or backfilled run reviews the UTC day before its logical date; a run by hand that
names no day reviews the day before it was asked for. Neither reads the clock for that, so a
retry a day later means the same day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from upkeep.errors import ParamError

if TYPE_CHECKING:
    from upkeep.params import TriggerParams
    from upkeep.trigger_form import DagName

MAX_LABEL_CHARS = 250
"""Airflow's database holds no longer map index."""


def day_under_review(run: Any) -> date:
    """The UTC day before the run's logical date, or before it was asked for."""
    at: datetime = run.logical_date or run.run_after
    return (at.astimezone(UTC) - timedelta(days=1)).date()


def effective(run: Any, dag: DagName, fleet_names: Sequence[str]) -> TriggerParams:
    """The parameters of a run, after defaults and every check.

    Raises:
        AirflowFailException: a parameter is not allowed; trying again would not help.

    """
    from upkeep.params import effective_params
    from upkeep.trigger_form import PARAMS_OF

    conf = run.conf or {}
    try:
        if isinstance(conf, dict) and not conf.get("day") and "day" in PARAMS_OF[dag]:
            conf = {**conf, "day": day_under_review(run).isoformat()}
        return effective_params(conf, fleet_names, datetime.now(UTC).date(), dag=dag)
    except ParamError as error:
        raise AirflowFailException(str(error)) from error


def owner_of(run: Any) -> str:
    """The name under which a run holds leases: ``airflow:<dag>/<run>``."""
    return f"airflow:{run.dag_id}/{run.run_id}"


def run_of(owner: str) -> tuple[str, str] | None:
    """The (dag, run) behind an owner's name; None if it is no run of Airflow."""
    kind, _, rest = owner.partition(":")
    dag, slash, run = rest.partition("/")
    return (dag, run) if kind == "airflow" and slash else None


def name_map_index(label: str) -> None:
    """Show ``label`` in place of the number of a mapped task."""
    from airflow.sdk import get_current_context

    get_current_context()["upkeep_label"] = label[:MAX_LABEL_CHARS]
