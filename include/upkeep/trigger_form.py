"""The fields of the trigger forms: one description for Airflow's forms, the checks and the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, get_args

MAX_NOTE_CHARS = 2_000

TriggerAction = Literal["auto", "evaluate_only", "compress", "retrain"]
DagName = Literal[
    "daily_cycle", "compress", "retrain", "rollback", "rate_outputs", "replay", "review"
]
MOST_ASKED = 50
MAX_POLICY_CHARS = 32 * 1024
WHOLE_FLEET = " Empty: the whole fleet."


class ParamHelp(TypedDict):
    """One field of a trigger form: JSON Schema types, the default, a title, help, the choices."""

    name: str
    type: list[str]
    default: Any
    title: str
    help: str
    enum: list[str] | None


def _field(
    name: str, types: str, title: str, text: str, *, default: Any, enum: list[str] | None = None
) -> ParamHelp:
    return ParamHelp(
        name=name, type=types.split(), default=default, title=title, help=text, enum=enum
    )


_FIELDS: tuple[ParamHelp, ...] = (
    _field(
        "day",
        "null string",
        "Day under review",
        "The UTC day as YYYY-MM-DD. Empty: yesterday. A day must be over.",
        default=None,
    ),
    _field(
        "models",
        "null array",
        "Models",
        f"Names of models of the fleet, one a line.{WHOLE_FLEET}",
        default=[],
    ),
    _field(
        "action",
        "string",
        "Action",
        "auto: what the policy decides. evaluate_only: measure and decide, do nothing. "
        "compress, retrain: do this, whatever the policy decides; needs a note.",
        default="auto",
        enum=list(get_args(TriggerAction)),
    ),
    _field(
        "dry_run",
        "boolean",
        "Dry run",
        "Decide and record, but submit no job and promote nothing.",
        default=False,
    ),
    _field(
        "require_approval",
        "boolean",
        "Ask before promoting",
        "A candidate that passed the gate waits for a person, even where its file does not ask.",
        default=False,
    ),
    _field(
        "override",
        "boolean",
        "Override the policy",
        "Your action stands over the policy's decision. Needs an action and a note.",
        default=False,
    ),
    _field(
        "to_version",
        "null string",
        "Version to go back to",
        "A version number of the registry. Empty: the champion before this one.",
        default=None,
    ),
    _field(
        "how_many",
        "integer",
        "How many",
        f"How many of the day's offered outputs you are asked about, 1 to {MOST_ASKED}.",
        default=5,
    ),
    _field(
        "from_day",
        "null string",
        "First day",
        "The first UTC day, as YYYY-MM-DD. Empty: the first one that was decided.",
        default=None,
    ),
    _field(
        "to_day",
        "null string",
        "Last day",
        "The last UTC day, as YYYY-MM-DD. Empty: the last one that was decided.",
        default=None,
    ),
    _field(
        "policy",
        "null string",
        "Policy",
        "Another policy, as the YAML of a model's file or of its policy part, at most "
        f"{MAX_POLICY_CHARS} characters. Empty: each day's recorded one, byte for byte.",
        default="",
    ),
    _field(
        "note",
        "null string",
        "Note",
        f"Why. Kept with the records, at most {MAX_NOTE_CHARS} characters, taken as plain text.",
        default="",
    ),
)

_COMMON = ("day", "models", "dry_run", "require_approval", "note")
PARAMS_OF: Mapping[DagName, tuple[str, ...]] = {
    "daily_cycle": ("day", "models", "action", "dry_run", "require_approval", "override", "note"),
    "compress": _COMMON,
    "retrain": _COMMON,
    "rollback": ("models", "to_version", "note"),
    "rate_outputs": ("day", "models", "how_many"),
    "replay": ("models", "from_day", "to_day", "policy", "note"),
    "review": ("day", "models"),
}
# Airflow's form lets nobody trigger while a field that may not be null is empty.
NEEDED: Mapping[DagName, tuple[str, ...]] = {
    "daily_cycle": (),
    "compress": ("models",),
    "retrain": ("models",),
    "rollback": ("models", "note"),
    "rate_outputs": ("models",),
    "replay": (),
    "review": (),
}


def param_schema(dag: DagName = "daily_cycle") -> dict[str, ParamHelp]:
    """The fields of a DAG's trigger form, by name and in order; DAG files build their Params."""
    fields = {field["name"]: field for field in _FIELDS}
    return {
        name: _needed(fields[name]) if name in NEEDED[dag] else fields[name]
        for name in PARAMS_OF[dag]
    }


def _needed(field: ParamHelp) -> ParamHelp:
    """The same field, which must be filled in."""
    types = [kind for kind in field["type"] if kind != "null"]
    return {**field, "type": types, "help": field["help"].removesuffix(WHOLE_FLEET)}
