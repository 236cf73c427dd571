"""The bodies of the tasks of ``review``: open, inspect on the cluster, project."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from upkeep.errors import InputError
from upkeep_airflow import daily
from upkeep_airflow.asked import effective, name_map_index
from upkeep_airflow.links import URL_KEY
from upkeep_airflow.notes import SAID_KEY, plain
from upkeep_airflow.shards import Shard, each

if TYPE_CHECKING:
    from upkeep.records import Review

LOG = logging.getLogger(__name__)
MOST_TOLD = 3


class AskedReview(TypedDict):
    """One model that is reviewed, and the day whose records are read."""

    model: str
    day: str


def open_review(dag_run: Any = None, ti: Any = None) -> list[AskedReview]:
    """Check the parameters strictly; each model with its last decided day.

    The day is settled here once, so that a retry of a later task means the same one. A model
    without a decided day, and one that makes images, is left out, and the note says why; one that
    a person named fails the run instead.
    """
    route = daily.cycle()
    params = effective(dag_run, "review", route.fleet_names())
    named = bool((dag_run.conf or {}).get("models"))
    asked: list[AskedReview] = []
    said: list[str] = []
    for model in params.models:
        try:
            day = route.reviewed_day(model, params.day)
        except InputError as error:
            if named:
                raise AirflowFailException(str(error)) from error
            said.append(f"{model}: not reviewed: {plain(str(error))}")
        else:
            asked.append(AskedReview(model=model, day=day.isoformat()))
    ti.xcom_push(key=SAID_KEY, value=said)
    if not asked:
        raise AirflowSkipException("; ".join(said) or "the fleet has no model")
    return asked


def inspect(asked: AskedReview, ti: Any = None) -> str:
    """Inspect the model on its engine, or adopt the review that is there; its findings counted."""
    from upkeep.review_page import headline

    name_map_index(asked["model"])
    route, day = daily.cycle(), date.fromisoformat(asked["day"])
    [(model, made)] = each(_alone(asked), lambda m: route.review(m, day))
    words = headline(made)
    name_map_index(f"{model}: {words}")
    ti.xcom_push(key=SAID_KEY, value=[f"{model} {day}: **{plain(words)}**", *_told(made)])
    return words


def report(asked: AskedReview, inspected: str | None, ti: Any = None) -> None:
    """Project the review to the MLflow run of its day; fails where there is none."""
    name_map_index(asked["model"])
    route, day = daily.cycle(), date.fromisoformat(asked["day"])
    for model, _ in each(_alone(asked), lambda m: route.report(m, day)):
        if url := route.mlflow_run_url(model, day, "review"):
            ti.xcom_push(key=URL_KEY, value=url)
    if inspected is None:
        raise AirflowFailException(f"{asked['model']}: not reviewed; see the task that failed")


def _told(made: Review) -> list[str]:
    """The gravest findings, one line each."""
    graver = [*made.of("warning"), *made.of("advice")]
    return [f"{f.severity}: {plain(f.what)}" for f in graver[:MOST_TOLD]]


def _alone(asked: AskedReview) -> Shard:
    return Shard(day=asked["day"], models=[asked["model"]], owner="", refused="")
