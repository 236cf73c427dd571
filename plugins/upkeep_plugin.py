"""Registers what Upkeep adds to Airflow's pages."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from upkeep_airflow.links import MLflowRunLink
from upkeep_airflow.notes import DecisionNotes


class UpkeepPlugin(AirflowPlugin):  # type: ignore[misc]  # airflow is Any to mypy
    """The button "MLflow run" on every task, and the decision in the run's note."""

    name = "upkeep"
    global_operator_extra_links: ClassVar = [MLflowRunLink()]
    listeners: ClassVar = [DecisionNotes()]
