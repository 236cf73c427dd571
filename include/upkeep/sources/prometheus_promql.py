"""Selectors of series, as PromQL writes them: everything from outside is escaped.

A colon of a metric's name also matches an underscore, into which some scrapers turn it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from upkeep.errors import shown
from upkeep.sources.log_aside import named_few
from upkeep.spec_sources import PrometheusSource

MODEL_LABELS = ("model_name", "model", "model_id")  # of vLLM and Triton; of others by custom
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


def several_models(labels: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """What to say where a selector catches series of more than one model: they are added up."""
    every = list(labels)
    for label in MODEL_LABELS:
        models = sorted({shown(one[label]) for one in every if label in one})
        if len(models) > 1:
            yield (
                f"added up over {len(models)} values of {label} ({named_few(models)}); if they are "
                "other models, name one in selector"
            )


def _label(name: str) -> str:
    return name if _LABEL.fullmatch(name) else json.dumps(name)
