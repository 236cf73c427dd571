"""Import once in the scheduler what every task needs.

LocalExecutor's workers are forks of the scheduler, and tasks are forks of those: a module that
the scheduler has imported costs a task nothing. ``UPKEEP_PRELOAD`` names the modules, separated
by commas; the default is the cycle itself. Great Expectations costs 5 CPU seconds and MLflow 3,
a day and a model each: the example names them. Executors on other machines ignore it.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

from airflow.listeners import hookimpl

SCHEDULER = "airflow.jobs.scheduler_job_runner"
LOG = logging.getLogger(__name__)


class Preload:
    """Imports the modules when the scheduler starts, before it forks its workers."""

    @hookimpl  # type: ignore[untyped-decorator]
    def on_starting(self, component: Any) -> None:
        """Called by every component of Airflow; only the scheduler imports.

        A job does not know its type yet when it starts, but only the scheduler's command has
        imported the scheduler's runner; its forks, the tasks, start no job.
        """
        if type(component).__name__ == "Job" and SCHEDULER in sys.modules:
            preload(os.environ.get("UPKEEP_PRELOAD", "upkeep.cycle").split(","))


def preload(names: list[str]) -> list[str]:
    """Import the modules; the names of those that are there now."""
    done = []
    for name in filter(None, map(str.strip, names)):
        try:
            importlib.import_module(name)
        except ImportError as error:  # a task that needs it says so itself
            LOG.warning("UPKEEP_PRELOAD: %s cannot be imported: %s", name, error)
        else:
            done.append(name)
    return done
