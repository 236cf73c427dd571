"""Asks you what you think of a day's outputs: by hand, whenever you like.

Some of the outputs that the day's reviewers are asked about, each in a form of its own: the
prompt, what the model made of it, and the criteria of the model's file from 1 (bad) to 5 (good).
A field that you leave empty is no answer; *Skip* answers nothing. You find the forms under
*Required Actions* for seven days. Your answers count from the next decision on, under your name
in Airflow; they are recorded once, however often a task is tried.

This is the second door: the same outputs lie in the model's review queue in MLflow, where images
can be rated too. Answer an output at either door; where you answered twice, the later one counts.
"""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task, task_group

from upkeep_airflow import rating
from upkeep_airflow.forms import form
from upkeep_airflow.patience import PATIENT

NAMED: dict[str, Any] = {
    "map_index_template": "{{ upkeep_label or task.op_kwargs['asked']['place'] }}"
}

with DAG(
    dag_id="rate_outputs",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params=form("rate_outputs"),
    default_args=PATIENT,
    doc_md=__doc__,
    tags=["upkeep"],
) as dag:
    open_ratings = task(rating.open_ratings)
    record = task(**NAMED)(rating.record)

    def one_output(asked: Any) -> None:
        """Ask about one output, and record the answer."""
        said = rating.AskRating(task_id="ask", asked=asked)
        record(asked=asked, said=said.output)

    task_group(group_id="rating")(one_output).expand(asked=open_ratings())
