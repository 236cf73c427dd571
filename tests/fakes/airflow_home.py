"""An empty Airflow home for tests: set before anything imports airflow, gone at the end."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = "UPKEEP_TEST_AIRFLOW_HOME"


def prepare() -> Path:
    """Point Airflow at a temporary home with our DAGs and plugins; the same one every time."""
    if MARK in os.environ:
        return Path(os.environ[MARK])
    home = Path(tempfile.mkdtemp(prefix="airflow-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.update(
        {
            MARK: str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
    )
    os.environ.pop("UPKEEP_SCHEDULE", None)
    return home
