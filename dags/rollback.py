"""Puts an earlier champion of one model back: by hand, or when the policy decides so.

One write of the alias `champion`, recorded in the ledger with your note; without a version, the
champion before the present one. The version that is replaced stays in the registry. Running it
again under the same run does nothing twice.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from upkeep_airflow import candidates
from upkeep_airflow.forms import form

with DAG(
    dag_id="rollback",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params=form("rollback"),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["upkeep"],
) as dag:
    task(execution_timeout=timedelta(minutes=15))(candidates.roll_back)()
