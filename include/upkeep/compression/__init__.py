"""Ways to make a champion smaller and faster: one file a family of methods.

Every file has one function ``compress``, a :class:`Compress`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from upkeep.compression_methods import image_module, method_of
from upkeep.networks import is_generator
from upkeep.records import Sample


class Compress(Protocol):
    """What each file of this folder offers as ``compress``."""

    def __call__(
        self,
        champion: Path,
        samples: Sequence[Sample],
        method: str,
        params: Mapping[str, Any],
        out: Path,
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Write a smaller model than ``champion`` into the new folder ``out``.

        Gives measurements (units in their names) and notes for a reviewer. Raises ParamError
        for params that the method does not have, before anything is read or written.
        """


def compression(method: str) -> Compress:
    """The function for ``method``; ParamError for a name that there is not.

    An image generator is compressed by a module of its own, under the same name.
    """
    of_decoders: Compress = import_module(method_of(method).module).compress

    def by_model(
        champion: Path,
        samples: Sequence[Sample],
        method: str,
        params: Mapping[str, Any],
        out: Path,
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        if not is_generator(champion):
            return of_decoders(champion, samples, method, params, out)
        of_images: Compress = import_module(image_module(method)).compress
        return of_images(champion, samples, method, params, out)

    return by_model
