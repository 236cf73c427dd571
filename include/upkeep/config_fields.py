"""What pydantic found wrong with a model's file, said as file:line:field, value, rule and fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from upkeep.errors import ConfigError
from upkeep.yaml_strict import Loc, Node

NAME_RULE = "must be 1 to 63 characters of a-z, 0-9 and -, with a letter or digit at both ends"
_TAG_ERRORS = ("union_tag_invalid", "union_tag_not_found")
_RANGES = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
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
    every = error.errors(include_url=False)
    for found in every:
        if found["type"] == "too_short" and any(_below(found["loc"], e["loc"]) for e in every):
            continue  # the parts that were refused are all that it lacks
        value, rule, fix = _words(found, found["loc"], schema)
        yield ConfigError(place(root, _as_written(root, found)), value, rule, fix)


def _below(loc: Loc, other: Loc) -> bool:
    return len(other) > len(loc) and other[: len(loc)] == loc


def _as_written(root: Node, found: Any) -> Loc:
    """The path in the file: pydantic puts the kind of a source between its number and its field."""
    loc: Loc = found["loc"]
    kept: list[str | int] = []
    for part in loc:
        kind = root.nearest(tuple(kept)).child("kind") if isinstance(part, str) else None
        if kind is None or kind.content != part:
            kept.append(part)
    return (*kept, "kind") if found["type"] in _TAG_ERRORS else tuple(kept)


_Words = tuple[object, str, str]


def _words(found: Any, loc: Loc, schema: type[BaseModel]) -> _Words:
    """The value, the rule and the fix of one thing that pydantic found."""
    kind = found["type"]
    if kind == "extra_forbidden":
        return loc[-1], "unknown key", suggestion(loc[-1], _keys_at(schema, loc[:-1]))
    if kind in _RANGES:
        allowed = _range(_walk(schema, loc)[0]) or found["msg"]
        return found["input"], f"must be {allowed}", "write a number in this range"
    if kind in _SAID:
        return _SAID[kind](found, loc)
    fix = _FIX_OF_TYPE.get(kind, "see the fields of upkeep.spec")
    return found["input"], _lower_first(found["msg"]), fix


def _missing(_: Any, loc: Loc) -> _Words:
    return None, "is missing", f"add {loc[-1]}: to {dotted(loc[:-1]) or 'the file'}"


def _no_kind(_: Any, loc: Loc) -> _Words:
    return None, "is missing", f"add kind: to {dotted(loc)}"


def _no_choice(found: Any, _: Loc) -> _Words:
    """A word that is not one of those allowed, or a kind that there is not."""
    about = found["ctx"]
    known = re.findall(r"'([^']*)'", about.get("expected") or about["expected_tags"])
    value = about.get("tag", found["input"])
    return value, "is not one of the allowed words", suggestion(value, known)


def _no_match(found: Any, loc: Loc) -> _Words:
    if loc[-1] == "name":
        return found["input"], NAME_RULE, "rename it"
    return found["input"], f"must be of the form {found['ctx']['pattern']}", "correct it"


_SAID: Mapping[str, Callable[[Any, Loc], _Words]] = {
    "missing": _missing,
    "literal_error": _no_choice,
    "union_tag_invalid": _no_choice,
    "union_tag_not_found": _no_kind,
    "string_pattern_mismatch": _no_match,
}


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


def _keys_at(schema: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a path."""
    return list(_fields(_walk(schema, loc)[1]))


def _walk(
    schema: type[BaseModel], loc: Sequence[str | int]
) -> tuple[FieldInfo | None, list[type[BaseModel]]]:
    """The field that a path ends in, and the models that may stand there."""
    models: list[type[BaseModel]] = [schema]
    found: FieldInfo | None = None
    for part in loc:
        known = _fields(models)
        alike = [model for model in models if _kind(model) == part]
        if alike:
            models = alike
        elif part in known:
            found = known[str(part)]
            models = list(_models_in(found.annotation))
    return found, models


def _kind(model: type[BaseModel]) -> str | None:
    """The kind that a part of a union says it is."""
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field and get_args(field.annotation) else None


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
