"""Credentials by the name of an Airflow connection: never from YAML, never in a message.

Inside Airflow the plugins ask Airflow itself (``AIRFLOW_CONN_..``, its database, a secrets
backend). On a worker or the command line, where there is no Airflow, the same variables are
read here; a source without a ``connection`` uses its SDK's own chain.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from upkeep.errors import ConfigError

_SHELL_NAME = re.compile("[A-Z_][A-Z0-9_]*")  # others no shell can export


@dataclass(frozen=True)
class Secret:
    """One connection; what is secret in it never shows in a ``repr``."""

    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    host: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


Credentials = Callable[[str], Secret]
"""Gives the connection of a name; ConfigError if there is none."""


def from_environment(environ: Mapping[str, str] = os.environ) -> Credentials:
    """Connections as Airflow reads them from ``AIRFLOW_CONN_<NAME>``: JSON or a URI."""

    def secret(name: str) -> Secret:
        variable = f"AIRFLOW_CONN_{name.upper()}"
        text = environ.get(variable, "")
        if not text:
            rule = f"there is no connection of this name ({variable} is not set)"
            fix = "add it in Airflow, or set the variable"
            if not _SHELL_NAME.fullmatch(variable):
                fix = "add it in Airflow, or give it a name of letters, digits and _"
            raise ConfigError("connection", name, rule, fix)
        found = _parsed(text)
        if found is None:
            rule = f"{variable} is neither JSON nor a URI"
            raise ConfigError("connection", name, rule, "see Airflow's connections")
        return found

    return secret


def _parsed(text: str) -> Secret | None:
    """The connection, or None: an error of the parser would carry the text, which is secret."""
    try:
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)
    except (ValueError, RecursionError):
        return None


def _from_json(text: str) -> Secret:
    fields = json.loads(text)
    return Secret(
        login=str(fields.get("login") or ""),
        password=str(fields.get("password") or ""),
        host=str(fields.get("host") or ""),
        extra=_mapping(fields.get("extra") or {}),
    )


def _mapping(extra: Any) -> Mapping[str, Any]:
    """A connection's extra: a JSON object, or its text."""
    found = json.loads(extra) if isinstance(extra, str) else extra
    if not isinstance(found, dict):
        raise ValueError("extra is no JSON object")  # noqa: TRY004 - one kind
    return found


def _from_uri(text: str) -> Secret:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("no scheme")
    query = dict(parse_qsl(parts.query))
    extra = _mapping(query.get("__extra__", query))
    return Secret(
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        host=unquote(parts.hostname or ""),
        extra=extra,
    )
