"""Makes a model cheaper to serve: quantised by the method that its file of the fleet names.

Started by `daily_cycle` when a price over the cost objective is the cause, or by hand.
The run's name is `model--day--compress`: there is one such run, one such job and one such
promotion, however often somebody asks.

| task | what it does |
|---|---|
| `open_candidates` | checks the parameters strictly; one candidate a model |
| `job` | submits the job to the model's engine, or adopts it, and waits for the candidate |
| `gate` | champion and candidate in one run: faster as the file asks, quality inside the margin |
| `approval` | waits for a person, where the run or the model's file asks for one |
| `promote` | ledger, then alias: the candidate is champion; or the champion stays, and why |
| `report` | projects the candidate to MLflow; the button **MLflow run** leads there |

A killed task loses nothing: the job goes on by itself and the next try finds it by its key.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task, task_group

from upkeep_airflow import candidates
from upkeep_airflow.approval import AskApproval
from upkeep_airflow.forms import form

PATIENT = {
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 4.0,
    "execution_timeout": timedelta(hours=1),
}
NAMED: dict[str, Any] = {
    "map_index_template": "{{ upkeep_label or task.op_kwargs['asked']['model'] }}"
}
LONG = NAMED | {"execution_timeout": timedelta(days=8)}  # a job may take seven days

with DAG(
    dag_id="compress",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params=form("compress"),
    default_args=PATIENT,
    doc_md=__doc__,
    tags=["upkeep"],
) as dag:
    open_candidates = task(candidates.open_candidates)
    job = task(**LONG)(candidates.job)
    gate = task(**LONG)(candidates.gate)
    promote = task(**NAMED)(candidates.promote)
    report = task(trigger_rule="all_done", **NAMED)(candidates.report)

    def candidate(asked: Any) -> None:
        """One model's candidate, from the job to the champion."""
        verdict = gate(asked=asked)
        job(asked=asked) >> verdict
        answer = AskApproval(task_id="approval", verdict=verdict)
        promoted = promote(asked=asked, answer=answer.output)
        report(asked=asked, promoted=promoted)

    task_group(candidate).expand(asked=open_candidates())
