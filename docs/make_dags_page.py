"""Write docs/dags.md from the DAGs' docstrings and the one description of their parameters.

    python docs/make_dags_page.py           # write
    python docs/make_dags_page.py --check   # exit 1 where the page is stale

The DAG files are read, not run: no Airflow is needed.
"""

# ruff: noqa: INP001 - a program beside the pages, no package

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import get_args

from upkeep.trigger_form import DagName, ParamHelp, param_schema

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "dags.md"
HEAD = """# The DAGs

Generated from the docstrings of `dags/` by `make docs`; do not edit. Every parameter is checked
again, strictly, in the first task: an unknown name, a wrong type, a day that is not over or a
model that is not in the fleet ends the run before anything is done.
"""


def page(dags: Path = ROOT / "dags") -> str:
    """The whole page."""
    parts = [_section(path) for path in sorted(dags.glob("*.py"), key=_rank)]
    return "\n".join([HEAD, *parts])


def _rank(path: Path) -> tuple[bool, str]:
    return path.stem != "daily_cycle", path.stem


def _section(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise SystemExit(f"{path}: has no docstring; it is the DAG's page")
    parts = [f"## {path.stem}\n", f"{text}\n"]
    names = [name for name in get_args(DagName) if name == path.stem]
    parts += [_table(list(param_schema(name).values())) for name in names]
    return "\n".join(parts)


def _table(fields: list[ParamHelp]) -> str:
    rows = [
        f"| `{f['name']}` | {_kind(f)} | `{f['default']!r}` | {_cell(f['help'])} |" for f in fields
    ]
    return "\n".join(["| parameter | type | default | |", "|---|---|---|---|", *rows, ""])


def _kind(field: ParamHelp) -> str:
    if field["enum"]:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    return " or ".join(kind for kind in field["type"] if kind != "null")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(argv: list[str]) -> int:
    """Write the page, or with ``--check`` say whether it is what the DAGs say."""
    made = page()
    if argv != ["--check"]:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == made:
        return 0
    sys.stderr.write("docs/dags.md is stale; run: make docs\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
