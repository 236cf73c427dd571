"""The order of a candidate's tasks: one for everything that makes a candidate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task, task_group

from upkeep_airflow import candidates
from upkeep_airflow.approval import AskApproval
from upkeep_airflow.forms import form
from upkeep_airflow.patience import PATIENT

NAMED: dict[str, Any] = {
    "map_index_template": "{{ upkeep_label or task.op_kwargs['asked']['model'] }}"
}
LONG = NAMED | {"execution_timeout": timedelta(days=8)}  # a job may take seven days


def candidate_dag(kind: candidates.Kind, doc: str | None) -> DAG:
    """The DAG ``kind``: job > gate > (approval) > promote > report, mapped over the models."""
    with DAG(
        dag_id=kind,
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        params=form(kind),
        default_args=PATIENT,
        doc_md=doc,
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
    return dag
