"""What a trigger may say: the strict check of the first task (``trigger_form`` describes them).

Airflow's API lets unknown keys, ``8.0`` for 8, a trailing newline and a conf of 20 MB pass, so
what a form promises is checked here again, before anything is done. Texts are texts: nothing
in them is ever a template, a command or a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict

from upkeep.errors import ParamError
from upkeep.trigger_form import (
    MAX_NOTE_CHARS,
    MAX_POLICY_CHARS,
    MOST_ASKED,
    PARAMS_OF,
    DagName,
    TriggerAction,
    param_schema,
)

MAX_CONF_BYTES = 64 * 1024
ONE_MODEL: frozenset[DagName] = frozenset({"rollback", "rate_outputs"})
# Where nobody names a model, all are meant.
FOR_ALL: frozenset[DagName] = frozenset({"daily_cycle", "replay", "review"})

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class TriggerParams(BaseModel):
    """The effective parameters of a run, after every default. Days are UTC.

    ``override`` says that a person's action stands over the policy's; it needs a note.
    ``to_version`` is the version that a rollback goes to; None is the champion before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    day: date
    models: tuple[str, ...]
    action: TriggerAction = "auto"
    dry_run: bool = False
    require_approval: bool = False
    override: bool = False
    to_version: str | None = None
    note: str = ""


class RatingParams(TriggerParams):
    """The parameters of ``rate_outputs``: how many outputs a person is asked about."""

    how_many: int


class ReplayParams(TriggerParams):
    """The parameters of ``replay``: days decided again, both included; None does not bound.

    ``policy`` is YAML text that was not parsed yet; empty is each day's recorded policy.
    """

    from_day: date | None = None
    to_day: date | None = None
    policy: str = ""


SHAPES: Mapping[DagName, type[TriggerParams]] = {
    "rate_outputs": RatingParams,
    "replay": ReplayParams,
}


def effective_params(
    conf: Mapping[str, Any],
    fleet_names: Sequence[str],
    today: date,
    first_day: date | None = None,
    *,
    dag: DagName = "daily_cycle",
) -> TriggerParams:
    """What a run will do: ``conf`` over the defaults, every value checked strictly.

    Args:
        conf: what the trigger gave; a missing or null value is its default.
        fleet_names: the models there are.
        today: the current UTC day; only days before it are over.
        first_day: the first day that has data, if known.
        dag: whose parameters these are; keys of other DAGs are unknown.

    Raises:
        ParamError: the first value that is not allowed.

    """
    _check_conf(conf, dag)
    given = {key: value for key, value in conf.items() if value is not None}
    values = {
        name: _CHECKS[name](given.get(name, field["default"]))
        for name, field in param_schema(dag).items()
    }
    values["day"] = _over(values.get("day"), today, first_day)
    named = values["models"]
    values["models"] = _in_fleet(named, fleet_names)
    params = SHAPES.get(dag, TriggerParams).model_validate(values)
    _check_together(params, named, dag)
    return params


def _check_conf(conf: object, dag: DagName) -> None:
    if not isinstance(conf, Mapping):
        raise ParamError("conf", conf, "is not a JSON object", 'write {"day": ..}')
    try:
        size = len(json.dumps(dict(conf), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        rule = f"is not JSON ({type(error).__name__})"
        raise ParamError("conf", sorted(map(str, conf)), rule, "give JSON values only") from error
    if size > MAX_CONF_BYTES:
        rule = f"is larger than {MAX_CONF_BYTES} bytes"
        raise ParamError("conf", f"{size} bytes", rule, "give only the parameters")
    known = PARAMS_OF[dag]
    for key in conf:
        if key not in known:
            raise ParamError(str(key), conf[key], "unknown parameter", _near(key, known))


def _near(value: object, known: Sequence[str]) -> str:
    near = get_close_matches(str(value), known, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    some = ", ".join(known[:20]) + (" .." if len(known) > 20 else "")  # noqa: PLR2004
    return f"known: {some or 'none'}"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ParamError(name, value, "must be text", "put it in quotes")
    if _CONTROL.search(value):
        raise ParamError(name, value, "holds an unprintable character", "remove it")
    return value


def _day(name: str) -> Callable[[object], date | None]:
    def check(value: object) -> date | None:
        if value is None or value == "":
            return None
        text = _text(name, value)
        fix = "write the UTC day as YYYY-MM-DD"
        if not _DAY.fullmatch(text):
            raise ParamError(name, text, "is not an ISO day", fix)
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise ParamError(name, text, "is no day of the calendar", fix) from error

    return check


def _over(day: date | None, today: date, first_day: date | None) -> date:
    chosen = today - timedelta(days=1) if day is None else day
    if chosen >= today:
        fix = f"choose {today - timedelta(days=1)} or earlier"
        raise ParamError("day", chosen.isoformat(), "is not over yet in UTC", fix)
    if first_day is not None and chosen < first_day:
        rule, fix = "is before the first day with data", f"choose {first_day} or later"
        raise ParamError("day", chosen.isoformat(), rule, fix)
    return chosen


def _models(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ParamError("models", value, "must be a list of names", 'write ["name"]')
    names = tuple(_text("models", name) for name in value)
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ParamError("models", name, "is named twice", "name each model once")
    return names


def _in_fleet(names: tuple[str, ...], fleet: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in fleet:
            raise ParamError("models", name, "is not in the fleet", _near(name, tuple(fleet)))
    return names or tuple(fleet)


def _action(value: object) -> str:
    known = get_args(TriggerAction)
    if value not in known:
        raise ParamError("action", value, "is not an action", _near(value, known))
    return str(value)


def _version(value: object) -> str | None:
    if value is None or value == "":
        return None
    text = _text("to_version", value)
    if not _VERSION.fullmatch(text):
        rule = "is not a version number of the registry"
        raise ParamError("to_version", text, rule, 'write a number such as "3"')
    return text


def _at_most(name: str, chars: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = _text(name, value)
        if len(text) > chars:
            raise ParamError(name, text, f"is longer than {chars} characters", "shorten it")
        return text

    return check


def _flag(name: str) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        if not isinstance(value, bool):
            raise ParamError(name, value, "must be true or false", "write true or false")
        return value

    return check


def _how_many(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_ASKED:
        rule = f"must be a whole number from 1 to {MOST_ASKED}"
        raise ParamError("how_many", value, rule, "write such a number")
    return value


_CHECKS: Mapping[str, Callable[[object], Any]] = {
    "day": _day("day"),
    "from_day": _day("from_day"),
    "to_day": _day("to_day"),
    "policy": _at_most("policy", MAX_POLICY_CHARS),
    "models": _models,
    "action": _action,
    "dry_run": _flag("dry_run"),
    "require_approval": _flag("require_approval"),
    "override": _flag("override"),
    "to_version": _version,
    "note": _at_most("note", MAX_NOTE_CHARS),
    "how_many": _how_many,
}


def _check_together(params: TriggerParams, named: tuple[str, ...], dag: DagName) -> None:
    """Rules between parameters."""
    ordered = params.action in ("compress", "retrain")
    if (ordered or params.override) and not params.note.strip():
        fix = "say why in note: it is kept with the records"
        raise ParamError("note", params.note, "a person's own action needs a reason", fix)
    if params.override and not ordered:
        rule = "override needs an action to put in the policy's place"
        raise ParamError("action", params.action, rule, "choose compress or retrain")
    if isinstance(params, ReplayParams):
        _check_order(params.from_day, params.to_day)
    if not named and (ordered or dag not in FOR_ALL):
        rule = "what a person orders is never for the whole fleet unasked"
        raise ParamError("models", [], rule, "name the models")
    if dag in ONE_MODEL and len(named) != 1:
        raise ParamError("models", list(named), f"{dag} is for one model", "name one model")


def _check_order(first: date | None, last: date | None) -> None:
    if first is not None and last is not None and last < first:
        rule, fix = f"is before from_day, {first}", "give the earlier day first"
        raise ParamError("to_day", last.isoformat(), rule, fix)
