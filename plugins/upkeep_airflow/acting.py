"""What follows from the day's decisions: the fleet's budget shared out, then the runs it allows."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from upkeep_airflow import daily
from upkeep_airflow.asked import name_map_index
from upkeep_airflow.notes import SAID_KEY, plain
from upkeep_airflow.runs import start_run
from upkeep_airflow.shards import Shard, each, names

if TYPE_CHECKING:
    from upkeep.cycle import JobPlan
    from upkeep.records import Allotted, Wish

LOG = logging.getLogger(__name__)


def allot(shards: list[Shard] | None, dag_run: Any = None, ti: Any = None) -> list[str]:
    """Share the day's budget out among all models that wish for a job; every answer in words.

    A model that was not decided has no wish. What was answered counts, even where another
    model's wish cannot be read. A backfill starts no run, so nothing is asked for.
    """
    if not shards:
        raise AirflowSkipException("no day was opened")
    if _only_looks(dag_run):
        return []
    route, day = daily.cycle(), date.fromisoformat(shards[0]["day"])
    fleet = Shard(
        day=shards[0]["day"],
        models=[model for shard in shards for model in shard["models"]],
        owner=shards[0]["owner"],
        refused="",
    )
    wishes: list[Wish] = []
    failed: AirflowException | None = None
    try:
        for _, wish in each(fleet, lambda model: route.wish(model, day, fleet["owner"])):
            wishes += [wish] if wish is not None else []
    except AirflowException as error:  # raised once all were asked; the others go on
        failed = error
    answered = route.allot(day, wishes)
    told = [_words(answer) for answer in answered if answer.verdict != "granted"]
    ti.xcom_push(key=SAID_KEY, value=told)
    if failed is not None:
        raise failed
    return [_words(answer) for answer in answered]


def _words(answer: Allotted) -> str:
    wish = answer.wish
    return f"{wish.model}: {wish.kind} wished, {plain(answer.words)}"


def act(shard: Shard, dag_run: Any = None) -> list[str]:
    """Start the runs that follow from the decisions, or adopt them; their names.

    What was granted counts, even where another model of the shard failed. A backfill decides
    about past days and starts no run.
    """
    name_map_index(f"{names(shard)}: nothing to do")
    if shard["refused"] or _only_looks(dag_run):
        LOG.info("nothing follows: a file that was refused, or a backfill, starts no run")
        return []
    route, day = daily.cycle(), date.fromisoformat(shard["day"])

    def step(model: str) -> str | None:
        plan = route.act(model, day, shard["owner"])
        if plan is None:
            return None
        why = daily.sentence(route.decide(model, day))
        made = start_run(plan.kind, plan.run_id, _conf(plan, dag_run), why)
        LOG.info("%s %s", plan.run_id, "started" if made else "adopted: it exists")
        return plan.run_id

    started: list[str] = []
    for _, run_id in each(shard, step):
        started += [run_id] if run_id is not None else []
        name_map_index(", ".join(started) or f"{names(shard)}: nothing to do")
    return started


def _only_looks(dag_run: Any) -> bool:
    return bool(dag_run.run_type == "backfill")


def _conf(plan: JobPlan, dag_run: Any) -> dict[str, Any]:
    day = plan.day.isoformat()
    if plan.kind == "rollback":
        return {"models": [plan.model], "note": f"decided by the policy on {day}"}
    ask = bool((dag_run.conf or {}).get("require_approval", False))
    return {"models": [plan.model], "day": day, "require_approval": ask}
