"""The button "MLflow run" on every task of Upkeep."""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.operatorlink import BaseOperatorLink

URL_KEY = "mlflow_run_url"


class MLflowRunLink(BaseOperatorLink):  # type: ignore[misc]  # airflow is Any to mypy
    """Leads to the MLflow run of the model that a task works on.

    The reporting task of the run leaves the address; a task without a map index of its own
    gets it where the run has one model only.
    """

    @property
    def name(self) -> str:
        """The button's text."""
        return "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address, or an empty one where none was left yet."""
        del operator
        known = _urls(ti_key.dag_id, ti_key.run_id)
        if ti_key.map_index in known:
            return known[ti_key.map_index]
        return next(iter(known.values())) if len(known) == 1 else ""


def _urls(dag_id: str, run_id: str) -> dict[int, str]:
    """The addresses that a run's tasks left, by map index; runs in the API server."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.scalars(XComModel.get_many(key=URL_KEY, run_id=run_id, dag_ids=dag_id))
        return {row.map_index: str(XComModel.deserialize_value(row)) for row in rows}
