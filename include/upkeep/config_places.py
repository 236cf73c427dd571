"""Where a model's file may point to: folders inside their root, buckets, allowed hosts."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from upkeep.config_fields import place
from upkeep.errors import ConfigError
from upkeep.spec import ModelSpec
from upkeep.spec_sources import PrometheusSource
from upkeep.urls import url_fault
from upkeep.yaml_strict import Node

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[\w!*'().=-]+)*")


def check_sources(root: Node, spec: ModelSpec, environ: Mapping[str, str]) -> Iterator[ConfigError]:
    """Places are allowed ones, each named once, and something is asked for there."""
    for index, source in enumerate(spec.sources):
        where = place(root, ("sources", index))
        if source in spec.sources[:index]:
            rule = "is a source that is named twice: it would be counted twice"
            yield ConfigError(where, source.kind, rule, "remove one of them")
        for name, fault_of in PLACES.items():
            value = getattr(source, name, None)
            fault = fault_of(value, environ) if value else None
            if fault:
                yield ConfigError(place(root, ("sources", index, name)), value, *fault)
        if isinstance(source, PrometheusSource) and not (source.queries or source.metrics):
            yield ConfigError(where, source.kind, "asks for nothing", "add queries: [vllm]")


def check_tools(root: Node, spec: ModelSpec, environ: Mapping[str, str]) -> Iterator[ConfigError]:
    """What measures an image model lies where it is said to lie."""
    for name in ("references", "features", "clip"):
        path = getattr(spec.quality, name)
        fault = _path_fault(path, environ) if path else None
        if fault is None and path and not Path(expanded(path, environ)).exists():
            fault = "is not there", "give the file or folder, or correct the path"
        if fault:
            yield ConfigError(place(root, ("quality", name)), path, *fault)


def check_serving(root: Node, spec: ModelSpec, environ: Mapping[str, str]) -> Iterator[ConfigError]:
    """The lock of the serving environment lies where it is said to lie."""
    lock = spec.serving.lock if spec.serving else None
    fault = _path_fault(lock, environ) if lock else None
    if fault is None and lock and not Path(expanded(lock, environ)).is_file():
        fault = "is not there", "give the requirements file, or correct the path"
    if fault:
        yield ConfigError(place(root, ("serving", "lock")), lock, *fault)


def expanded(path: str, environ: Mapping[str, str] = os.environ) -> str:
    """The path with each ``${VAR}`` taken from the environment.

    Raises:
        ConfigError: a variable is not set.

    """

    def value(match: re.Match[str]) -> str:
        found = environ.get(match[1])
        if not found:
            raise ConfigError("path", path, f"{match[1]} is not set", f"export {match[1]}")
        return found

    return _VARIABLE.sub(value, path)


def _path_fault(path: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    names = _VARIABLE.findall(path)
    unset = [name for name in names if not environ.get(name)]
    if _SCHEME.match(path):
        fix = "write a folder such as ${UPKEEP_LOGS}/name, or s3://bucket/prefix"
        return "names a scheme that is not read, or no bucket", fix
    if unset:
        return f"${{{unset[0]}}} is not set", f"set {unset[0]} in the environment, or correct it"
    if "$" in _VARIABLE.sub("", path):
        return "holds a $ that is no ${NAME}", "write ${NAME}"
    full = _VARIABLE.sub(lambda m: environ[m.group(1)], path)
    if ".." in Path(full).parts:
        return "leads out of its folder (..)", "write the path without .."
    if not full.startswith("/"):
        return "is not absolute", "start it with / or ${UPKEEP_LOGS}"
    return _outside(path, full, environ)


def _outside(path: str, full: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """A fault if the path, links followed, leaves the root that the deployment allows."""
    first = _VARIABLE.match(path)
    allowed = environ.get(first.group(1) if first else "UPKEEP_LOGS", "")
    try:
        os.stat(full)  # noqa: PTH116 - Path.exists hides what is wrong
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a loop of symbolic links", "mend the link"
    real = Path(os.path.realpath(full))
    if allowed and not real.is_relative_to(os.path.realpath(allowed)):
        return f"lies outside {allowed}", "write a folder inside it"
    return None


def _bucket_or_folder(path: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    return None if _BUCKET.fullmatch(path) else _path_fault(path, environ)


PLACES: Mapping[str, Callable[[str, Mapping[str, str]], tuple[str, str] | None]] = {
    "path": _bucket_or_folder,
    "url": url_fault,
    "endpoint": url_fault,
}
