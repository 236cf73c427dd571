"""Registers what Upkeep adds to Airflow's pages."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from upkeep_airflow.links import MLflowRunLink
from upkeep_airflow.notes import DecisionNotes
from upkeep_airflow.preload import Preload


class UpkeepPlugin(AirflowPlugin):  # type: ignore[misc]  # airflow is Any to mypy
    """The button "MLflow run" on every task, the decision in the run's note, imports paid once."""

    name = "upkeep"
    global_operator_extra_links: ClassVar = [MLflowRunLink()]
    listeners: ClassVar = [DecisionNotes(), Preload()]
