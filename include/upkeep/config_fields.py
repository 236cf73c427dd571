"""What pydantic found wrong with a model's file, said as file:line:field, value, rule and fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from upkeep.errors import ConfigError
from upkeep.yaml_strict import Loc, Node

NAME_RULE = "must be 1 to 63 characters of a-z, 0-9 and -, with a letter or digit at both ends"
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_FIX_OF_TYPE = {
    "bool_type": "write true or false",
    "date_from_datetime_parsing": "write the day as YYYY-MM-DD",
    "date_type": "write the day as YYYY-MM-DD",
    "dict_type": "write key: value lines",
    "float_type": "write a number, without quotes",
    "int_from_float": "write a whole number",
    "int_type": "write a whole number, without quotes",
    "model_type": "write key: value lines",
    "string_type": "put it in quotes",
    "tuple_type": "write a list, one '- ' line for each",
}


def dotted(loc: Sequence[str | int]) -> str:
    """A path as people write it: ``policy.rules[3].cause``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def place(root: Node, loc: Sequence[str | int]) -> str:
    """``file:line:field`` of a path; of the nearest part that is written, where it is missing."""
    mark = root.nearest(loc).mark
    return f"{mark.file}:{mark.line}:{dotted(loc) or mark.column}"


def suggestion(value: object, known: Iterable[str]) -> str:
    """The fix for a word that is not known: the near names, else all that are allowed."""
    names = sorted(set(known))
    near = get_close_matches(str(value), names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"allowed: {', '.join(names)}"


def errors_of(error: ValidationError, root: Node, schema: type[BaseModel]) -> Iterator[ConfigError]:
    """One ConfigError for each thing that pydantic found, in its order."""
    for found in error.errors(include_url=False):
        loc: Loc = found["loc"]
        value, rule, fix = _words(found, loc, schema)
        yield ConfigError(place(root, loc), value, rule, fix)


def _words(found: Any, loc: Loc, schema: type[BaseModel]) -> tuple[object, str, str]:
    kind, value = found["type"], found["input"]
    if kind == "extra_forbidden":
        return loc[-1], "unknown key", suggestion(loc[-1], _keys_at(schema, loc[:-1]))
    if kind == "missing":
        return None, "is missing", f"add {loc[-1]}: to {dotted(loc[:-1]) or 'the file'}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", found["ctx"]["expected"])
        return value, "is not one of the allowed words", suggestion(value, known)
    if kind == "string_pattern_mismatch":
        return value, NAME_RULE, "rename it"
    if kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        allowed = _range(_field_at(schema, loc)) or found["msg"]
        return value, f"must be {allowed}", "write a number in this range"
    fix = _FIX_OF_TYPE.get(kind, "see the fields of upkeep.spec")
    return value, _lower_first(found["msg"]), fix


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation speaks of: itself, or inside tuple, dict, Optional, Union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _models_in(part)


def _fields(models: Iterable[type[BaseModel]]) -> dict[str, FieldInfo]:
    return {name: info for model in models for name, info in model.model_fields.items()}


def _field_at(schema: type[BaseModel], loc: Sequence[str | int]) -> FieldInfo | None:
    """The field that a path ends in; indices and keys of dictionaries are stepped over."""
    models: list[type[BaseModel]] = [schema]
    found: FieldInfo | None = None
    for part in loc:
        known = _fields(models)
        if part in known:
            found = known[str(part)]
            models = list(_models_in(found.annotation))
    return found


def _keys_at(schema: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a path."""
    field = _field_at(schema, loc)
    return list(_fields(_models_in(field.annotation) if field else [schema]))


def _range(field: FieldInfo | None) -> str:
    """``> 0 and < 1``, from the field's own constraints."""
    if field is None:
        return ""
    stack: list[Any] = [*field.metadata, field.annotation]
    words: list[str] = []
    while stack:
        part = stack.pop(0)
        words += [f"{_SIGNS[n]} {getattr(part, n):g}" for n in _SIGNS if hasattr(part, n)]
        stack += [*getattr(part, "metadata", []), *get_args(part)]
    return " and ".join(words)
