"""Puts ``fakes.cycle`` in the place of ``upkeep.cycle`` in every Python of a test's stack.

A test puts this folder on PYTHONPATH, so that Airflow's own processes run the real DAGs over
made-up steps; the product has no switch for it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from pathlib import Path
from typing import Any

FAKE = str(Path(__file__).parents[1] / "cycle.py")


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "upkeep.cycle":
            return None
        loader = importlib.machinery.SourceFileLoader(fullname, FAKE)
        return importlib.machinery.ModuleSpec(fullname, loader, origin=FAKE)


sys.meta_path.insert(0, _Finder())
