"""The bodies of the tasks of ``compress``, ``retrain`` and ``rollback``."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from upkeep_airflow import daily
from upkeep_airflow.asked import effective, name_map_index
from upkeep_airflow.links import URL_KEY
from upkeep_airflow.notes import SAID_KEY, plain
from upkeep_airflow.shards import Shard, each

if TYPE_CHECKING:
    from upkeep.records import GateResult

LOG = logging.getLogger(__name__)
Kind = Literal["compress", "retrain"]


class Asked(TypedDict):
    """One candidate that a run makes."""

    model: str
    day: str
    kind: Kind
    require_approval: bool


class Verdict(TypedDict):
    """What the gate said, and whether a person is asked; small enough for XCom."""

    model: str
    passed: bool
    ask: bool
    words: list[str]


def open_candidates(dag_run: Any = None) -> list[Asked]:
    """Check the parameters strictly; one candidate a model."""
    kind: Kind = dag_run.dag_id
    route = daily.cycle()
    params = effective(dag_run, kind, route.fleet_names())
    if params.dry_run:
        raise AirflowSkipException(f"dry run: {kind} of {', '.join(params.models)}, no job")
    return [
        Asked(
            model=model,
            day=params.day.isoformat(),
            kind=kind,
            require_approval=params.require_approval,
        )
        for model in params.models
    ]


def job(asked: Asked) -> None:
    """Make the candidate on the cluster, or adopt the one that is there."""
    name_map_index(asked["model"])
    route, day = daily.cycle(), date.fromisoformat(asked["day"])
    for model, made in each(_alone(asked), lambda m: route.run_job(m, day, asked["kind"])):
        LOG.info("%s: %s by %s from version %s", model, made.kind, made.method, made.parent_version)


def gate(asked: Asked, ti: Any = None) -> Verdict:
    """Measure the candidate against the champion in one run, and judge."""
    name_map_index(asked["model"])
    route, day = daily.cycle(), date.fromisoformat(asked["day"])
    [(model, judged)] = each(_alone(asked), lambda m: route.gate(m, day, asked["kind"]))
    words = "passed the gate" if judged.passed else "refused by the gate"
    name_map_index(f"{model}: {words}")
    ti.xcom_push(key=SAID_KEY, value=[f"{model}: {words}: {plain(_first_words(judged))}"])
    ask = asked["require_approval"] or route.asks_approval(model, day)
    rows = [f"{'✓' if row.passed else '✗'} {row.check}: {row.words}" for row in judged.rows]
    return Verdict(model=model, passed=judged.passed, ask=ask, words=rows)


def _first_words(judged: GateResult) -> str:
    """The row that decided: the first one that failed, else the first one."""
    rows = [row for row in judged.rows if not row.passed] or list(judged.rows)
    return rows[0].words if rows else "no row"


def promote(asked: Asked, answer: dict[str, Any] | None, ti: Any = None) -> str:
    """Make the candidate champion, unless the gate or a person said no; what came of it."""
    from upkeep.records import Approval

    name_map_index(asked["model"])
    route, day = daily.cycle(), date.fromisoformat(asked["day"])
    approval = Approval.model_validate(answer) if answer else None
    [(model, entry)] = each(
        _alone(asked),
        lambda m: route.promote(
            m, day, asked["kind"], approval, require_approval=asked["require_approval"]
        ),
    )
    words = f"version {entry.version} is champion" if entry else "the champion stays"
    if approval is not None:
        words += f" ({'approved' if approval.approved else 'rejected'} by {approval.by})"
    name_map_index(f"{model}: {words}")
    ti.xcom_push(key=SAID_KEY, value=[f"{model}: **{plain(words)}**"])
    return words


def report(asked: Asked, promoted: str | None, ti: Any = None) -> None:
    """Project the candidate to the MLflow run of its day; fails where no end was reached."""
    name_map_index(asked["model"])
    route, day = daily.cycle(), date.fromisoformat(asked["day"])
    for model, _ in each(_alone(asked), lambda m: route.report(m, day)):
        if url := route.mlflow_run_url(model, day, asked["kind"]):
            ti.xcom_push(key=URL_KEY, value=url)
    if promoted is None:
        raise AirflowFailException(f"{asked['model']}: not judged; see the task that failed")


def roll_back(dag_run: Any = None, ti: Any = None) -> str:
    """Put an earlier champion back: one write of the alias, recorded in the ledger."""
    from upkeep.past_jobs import decided_on, rollback_key

    route = daily.cycle()
    params = effective(dag_run, "rollback", route.fleet_names())
    [model] = params.models
    key = rollback_key(model, dag_run.run_id)
    day = decided_on(model, dag_run.run_id, "rollback")
    entry = route.rollback(model, params.to_version, params.note, key, day)
    words = f"version {entry.version} is champion again, in place of {entry.replaced_version}"
    ti.xcom_push(key=SAID_KEY, value=[f"{model}: **{words}**: {plain(params.note)}"])
    return entry.version


def _alone(asked: Asked) -> Shard:
    return Shard(day=asked["day"], models=[asked["model"]], owner="", refused="")
