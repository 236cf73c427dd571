"""Shards of the fleet: what one mapped task works on, one bad model never stopping the others."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import TypedDict, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from upkeep.errors import InputError

LOG = logging.getLogger(__name__)
MOST_SHARDS = 1000
"""Airflow maps a task at most 1,024 times (``core.max_map_length``)."""

T = TypeVar("T")


class Shard(TypedDict):
    """Models of one day that one task works on, or one file of the fleet that was refused."""

    day: str
    models: list[str]
    owner: str
    refused: str


def shards_of(
    day: str, models: Sequence[str], owner: str, refused: Mapping[str, str]
) -> list[Shard]:
    """Cut the models into shards; every refused file is a shard of its own, so that it shows."""
    size = max(_models_per_task(), ceil(len(models) / MOST_SHARDS))
    cut = [list(models[i : i + size]) for i in range(0, len(models), size)]
    shards = [Shard(day=day, models=names, owner=owner, refused="") for names in cut]
    return shards + [
        Shard(day=day, models=[], owner=owner, refused=f"{file}: {why}")
        for file, why in list(refused.items())[: MOST_SHARDS // 50]
    ]


def _models_per_task() -> int:
    return max(1, int(os.environ.get("UPKEEP_MODELS_PER_TASK", "1")))


def each(shard: Shard, step: Callable[[str], T]) -> Iterator[tuple[str, T]]:
    """Run a step for every model of the shard, yield what it gave, then raise what failed.

    Raises:
        AirflowFailException: the fleet's file, or every input that failed, is not allowed;
            a retry would not help.
        AirflowException: some models failed; the others are done and are adopted by a retry.

    """
    if shard["refused"]:
        raise AirflowFailException(shard["refused"])
    failed: dict[str, Exception] = {}
    for model in shard["models"]:
        try:
            result = step(model)
        except Exception as error:
            LOG.exception("%s failed; the other models go on", model)
            failed[model] = error
        else:
            yield model, result
    if failed:
        _raise(failed, len(shard["models"]))


def _raise(failed: Mapping[str, Exception], models: int) -> None:
    words = "; ".join(f"{model}: {error}" for model, error in failed.items())
    final = all(isinstance(error, InputError | AirflowFailException) for error in failed.values())
    kind: type[Exception] = AirflowFailException if final else AirflowException
    raise kind(f"{len(failed)} of {models} models failed: {words}") from next(iter(failed.values()))


def names(shard: Shard) -> str:
    """The shard's name in the UI."""
    return ", ".join(shard["models"]) or shard["refused"]
