"""The trigger forms of the DAGs, made from the one description in ``upkeep.params``."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from upkeep.trigger_form import MOST_ASKED, DagName, ParamHelp, param_schema

FORMATS = {"day": "date", "from_day": "date", "to_day": "date", "policy": "multiline"}


def form(dag: DagName) -> dict[str, Param]:
    """The Params of a DAG; what they let pass is checked again, strictly, in the first task."""
    return {name: Param(field["default"], **_schema(field)) for name, field in _fields(dag)}


def _fields(dag: DagName) -> list[tuple[str, ParamHelp]]:
    return list(param_schema(dag).items())


def _schema(field: ParamHelp) -> dict[str, Any]:
    types = field["type"]
    schema: dict[str, Any] = {
        "type": types[0] if len(types) == 1 else types,
        "title": field["title"],
        "description": field["help"],
    }
    if field["enum"]:
        schema["enum"] = field["enum"]
    if field["name"] == "how_many":
        schema |= {"minimum": 1, "maximum": MOST_ASKED}
    if field["name"] in FORMATS:
        schema["format"] = FORMATS[field["name"]]
    if "array" in field["type"]:
        schema["items"] = {"type": "string"}
    return schema
