"""The loader of fleet/: one YAML a model over defaults.yaml, and every error by file:line:field.

``budget.yaml`` is the whole fleet's and no model's. A model's file is laid over
``defaults.yaml`` key by key; lists and values replace, ``null`` takes a default away. ``spec``
holds the shape, ``yaml_strict`` reads the text, ``config_fields`` words what does not fit,
``config_rules`` checks what a shape cannot say.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from upkeep.config_fields import errors_of, place
from upkeep.config_rules import CHECKS, check_secrets
from upkeep.errors import ConfigError
from upkeep.spec import ModelSpec, Policy
from upkeep.spec_payback import Budget
from upkeep.yaml_strict import Node, parse_yaml, read_yaml

DEFAULTS, BUDGET = "defaults.yaml", "budget.yaml"
UNLIMITED = Budget()
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Fleet:
    """The models that can be worked on, by name and sorted, and what is wrong with the others.

    ``errors`` maps the name of each file that was refused to its first error; ``problems``
    has all errors of all files, in the order of the files. ``budget`` is the fleet's for a day:
    one without limits where there is no budget.yaml, None where it was refused.
    """

    models: Mapping[str, ModelSpec]
    errors: Mapping[str, ConfigError] = field(default_factory=dict)
    problems: tuple[ConfigError, ...] = ()
    budget: Budget | None = UNLIMITED


@dataclass
class _Read:
    """One file on its way to a ModelSpec."""

    file: str
    root: Node | None = None
    spec: ModelSpec | None = None
    problems: list[ConfigError] = field(default_factory=list)


def load_fleet(
    folder: Path, environ: Mapping[str, str] = os.environ, *, strict: bool = True
) -> Fleet:
    """Read every model of a folder.

    With ``strict`` any problem raises; without, a file with a problem is left out, named in
    ``Fleet.errors``, and stops no other. A folder without models is a fleet of none.

    Raises:
        ConfigError: the folder cannot be read; with ``strict``, the first problem of all,
            with the others as its notes.

    """
    files = _files(folder)
    base, base_error = _defaults(folder, files)
    budget, budget_error = _budget(folder, files)
    models = [file for file in files if file not in (DEFAULTS, BUDGET)]
    reads = [_read(folder, file, base, base_error, environ) for file in models]
    _refuse_same_names(reads)
    whole = {DEFAULTS: base_error, BUDGET: budget_error}
    errors = {file: error for file, error in whole.items() if error}
    own = list(errors.values())
    problems = _distinct([*own, *(p for read in reads for p in read.problems)])
    if strict and problems:
        raise _with_notes(problems)
    errors |= {read.file: read.problems[0] for read in reads if read.problems}
    good = {read.spec.name: read.spec for read in reads if read.spec and not read.problems}
    return Fleet(
        models=MappingProxyType(dict(sorted(good.items()))),
        errors=MappingProxyType(errors),
        problems=problems,
        budget=budget,
    )


def load_policy(path: Path) -> Policy:
    """A policy on its own, or the ``policy`` of a model's file laid over its defaults.yaml.

    Raises:
        ConfigError: the file cannot be read, or is not a policy.

    """
    root = _mapping(path.parent, path.name)
    own = root.child("policy") or root
    below = path.parent / DEFAULTS
    if own is not root and path.name != DEFAULTS and below.exists():
        base = _mapping(path.parent, DEFAULTS).child("policy")
        own = _laid_over(base, own) if base else own
    return _policy(own)


def load_budget(path: Path) -> Budget:
    """What all models' jobs of a day may use together, from a file like ``fleet/budget.yaml``.

    Raises:
        ConfigError: the file cannot be read, or is not a budget.

    """
    root = _mapping(path.parent, path.name)
    try:
        return Budget.model_validate(root.plain())
    except ValidationError as error:
        raise _with_notes(_distinct(list(errors_of(error, root, Budget)))) from error


def parse_policy(text: str, file: str) -> Policy:
    """A policy from YAML text, on its own or under ``policy``; ``file`` is how messages name it.

    Raises:
        ConfigError: the text is not a policy.

    """
    root = _checked(parse_yaml(text, file))
    return _policy(root.child("policy") or root)


def _policy(own: Node) -> Policy:
    try:
        return Policy.model_validate(own.plain())
    except ValidationError as error:
        raise _with_notes(_distinct(list(errors_of(error, own, Policy)))) from error


def _files(folder: Path) -> list[str]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names only, thousands of them
    except OSError as error:
        fix = "set UPKEEP_FLEET to the folder of the models' YAML files"
        raise ConfigError(
            str(folder), folder.name, f"cannot be read ({error.strerror})", fix
        ) from error
    return sorted(n for n in names if n.endswith(SUFFIXES) and not n.startswith("."))


def _defaults(folder: Path, files: list[str]) -> tuple[Node | None, ConfigError | None]:
    if DEFAULTS not in files:
        return None, None
    try:
        return _mapping(folder, DEFAULTS), None
    except ConfigError as error:
        return None, error


def _budget(folder: Path, files: list[str]) -> tuple[Budget | None, ConfigError | None]:
    if BUDGET not in files:
        return UNLIMITED, None
    try:
        return load_budget(folder / BUDGET), None
    except ConfigError as error:
        return None, error


def _mapping(folder: Path, file: str) -> Node:
    """The nodes of one file: a mapping, without secrets."""
    return _checked(read_yaml(folder / file, f"{folder.name}/{file}"))


def _checked(root: Node) -> Node:
    if not isinstance(root.content, dict):
        raise ConfigError(
            str(root.mark), root.plain(), "is not a mapping at the top", "write key: value lines"
        )
    secrets = _distinct(list(check_secrets(root)))
    if secrets:
        raise _with_notes(secrets)
    return root


def _read(
    folder: Path,
    file: str,
    base: Node | None,
    base_error: ConfigError | None,
    environ: Mapping[str, str],
) -> _Read:
    read = _Read(file)
    try:
        own = _mapping(folder, file)
    except ConfigError as error:
        read.problems.append(error)
        return read
    read.root = _laid_over(base, own) if base else own
    if base_error is not None:
        rule, fix = f"{DEFAULTS} is refused, so no model can be read", f"mend {DEFAULTS}"
        read.problems.append(ConfigError(place(own, ()), file, rule, fix))
        return read
    read.spec, problems = _spec(read.root, environ)
    read.problems.extend(problems)
    return read


def _laid_over(base: Node, own: Node) -> Node:
    """``own`` over ``base``: mappings key by key, anything else replaced, null removed."""
    if not (isinstance(base.content, dict) and isinstance(own.content, dict)):
        return own
    merged = dict(base.content)
    for key, node in own.content.items():
        below = merged.get(key)
        if below is not None and node.content is None:
            del merged[key]
        else:
            merged[key] = _laid_over(below, node) if below else node
    return Node(own.mark, merged)


def _spec(root: Node, environ: Mapping[str, str]) -> tuple[ModelSpec | None, list[ConfigError]]:
    try:
        spec = ModelSpec.model_validate(root.plain())
    except ValidationError as error:
        return None, list(errors_of(error, root, ModelSpec))
    return spec, [problem for check in CHECKS for problem in check(root, spec, environ)]


def _refuse_same_names(reads: list[_Read]) -> None:
    """A name that two files have, also if only by upper and lower case, refuses both."""
    by_name: dict[str, list[tuple[_Read, Node]]] = defaultdict(list)
    for read in reads:
        name = read.root.child("name") if read.root else None
        if name is not None and isinstance(name.content, str):
            by_name[name.content.lower()].append((read, name))
    for group in by_name.values():
        for read, name in group:
            others = ", ".join(f"{n.mark.file}:{n.mark.line}" for r, n in group if r is not read)
            if others:
                where = f"{name.mark.file}:{name.mark.line}:name"
                rule = f"another model has this name ({others})"
                read.problems.append(ConfigError(where, name.content, rule, "rename one of them"))


def _distinct(problems: list[ConfigError]) -> tuple[ConfigError, ...]:
    """Each problem once: one of defaults.yaml shows in every model."""
    return tuple({str(problem): problem for problem in problems}.values())


def _with_notes(problems: tuple[ConfigError, ...]) -> ConfigError:
    first = problems[0]
    for other in problems[1:]:
        first.add_note(str(other))
    return first
