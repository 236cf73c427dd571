"""Selectors of series, as PromQL writes them: everything from outside is escaped.

A colon of a metric's name also matches an underscore, into which some scrapers turn it.
"""

from __future__ import annotations

import json
import re

from upkeep.spec_sources import PrometheusSource

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def selector(source: PrometheusSource) -> str:
    """The labels of the model's series as PromQL writes them, values escaped."""
    return ", ".join(
        f"{_label(name)}={json.dumps(value, ensure_ascii=False)}"
        for name, value in sorted(source.selector.items())
    )


def matchers(names: tuple[str, ...], where: str, own: str) -> str:
    """A selector of series by name, by a query's own matchers and by the model's labels."""
    return "{" + ", ".join(part for part in (named(names), where, own) if part) + "}"


def named(names: tuple[str, ...]) -> str:
    """The matcher of any of these metrics."""
    patterns = (re.escape(name).replace(":", "[:_]") for name in names)
    return f"__name__=~{json.dumps('|'.join(patterns))}"


def _label(name: str) -> str:
    return name if _LABEL.fullmatch(name) else json.dumps(name)
