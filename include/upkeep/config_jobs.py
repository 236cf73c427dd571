"""What a model's file asks of its compression, as far as it can be known without a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from upkeep.config_fields import place
from upkeep.errors import ConfigError, ParamError
from upkeep.job_params import JobParams, read_params
from upkeep.search_params import ChainParams, SearchParams
from upkeep.spec import ModelSpec
from upkeep.yaml_strict import Loc, Node

PARAMS: Loc = ("jobs", "compress", "params")
SETTINGS: Mapping[str, type[JobParams]] = {"chain": ChainParams, "search": SearchParams}


def check_compress(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """The settings of a chain or a search are allowed, and its minutes end before its time-out."""
    asked = spec.jobs.compress
    if asked.method not in SETTINGS:
        return
    try:
        found = read_params(SETTINGS[asked.method], ".".join(map(str, PARAMS)), asked.params)
    except ParamError as error:
        loc = tuple(int(part) if part.isdigit() else part for part in error.where.split("."))
        where = place(root, tuple(part for part in loc if part != ""))
        yield ConfigError(where, error.value, error.rule, error.fix)
        return
    timeout_s = spec.jobs.resources.timeout_s
    minutes = found.minutes if isinstance(found, SearchParams) else None
    if minutes is not None and minutes * 60.0 >= timeout_s:
        rule = f"is over before its budget is: the job's time-out is {timeout_s} s"
        fix = "state fewer minutes, or raise jobs.resources.timeout_s"
        yield ConfigError(place(root, (*PARAMS, "minutes")), minutes, rule, fix)
