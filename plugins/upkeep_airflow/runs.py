"""Start another DAG's run from inside a task, once.

Airflow's ``TriggerDagRunOperator`` does the same for one run, templates its ``conf`` (a text
with ``{{ .. }}`` would be run), and ends its task; a shard may have several runs to start. This
sends the same message to the task's supervisor.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowException

MAX_NOTE_CHARS = 1000


def start_run(dag_id: str, run_id: str, conf: dict[str, Any], note: str) -> bool:
    """Start the run; False where a run of that name exists already.

    Raises:
        AirflowException: the API server refuses, for another reason than that it exists.

    """
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    answer = task_runner.SUPERVISOR_COMMS.send(
        TriggerDagRun(
            dag_id=dag_id, run_id=run_id, conf=conf, logical_date=None, note=note[:MAX_NOTE_CHARS]
        )
    )
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error == ErrorType.DAGRUN_ALREADY_EXISTS:
        return False
    raise AirflowException(f"{dag_id} {run_id} was not started: {answer.error} {answer.detail}")
