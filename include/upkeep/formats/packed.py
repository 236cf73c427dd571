"""Weights that a ``safetensors`` folder holds in a smaller form, as its config.json declares them.

config.json of such a folder says ``"model_type": "upkeep"``, so that a loader that does not know
the forms refuses the folder instead of filling the missing weights with random numbers, and::

    "upkeep": {
      "model_type": "llama",
      "low_rank": {"model.layers.0.mlp.up_proj": 12},
      "packed": {"model.layers.0.mlp.down_proj.weight":
                 {"kind": "palette", "shape": [64, 32], "bits": 4, "codes": 16, "group_rows": 64}}
    }

A form names no code: each kind is read by lines of :mod:`upkeep.packed_weights`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from upkeep.formats import refuse
from upkeep.formats.bits import packed_size, unpack

KEY = "upkeep"
MODEL_TYPE = "upkeep"
FLOATS = frozenset({"F16", "BF16", "F32"})
BYTES = frozenset({"U8"})
MAX_SHARING = 1024
CHUNK = 2**20
LOW_RANK = ("narrow", "wide")
"""Names of the two sides of a matrix of low rank."""

Count = Annotated[int, Field(ge=1, le=2**40)]
Bits = Annotated[int, Field(ge=1, le=8)]
Codes = Annotated[int, Field(ge=1, le=256)]
Shape = Annotated[tuple[Count, Count], Field(strict=False)]


class Part(NamedTuple):
    """One stored tensor of a form: the number types that it may have, and its shape."""

    kinds: frozenset[str]
    shape: tuple[int, ...]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shape: Shape

    @property
    def count(self) -> int:
        """Numbers of the whole matrix."""
        return prod(self.shape)


class Bitmask(_Form):
    """A sparse matrix: a bit for each weight, row by row, and the ``values`` where it is 1."""

    kind: Literal["bitmask"] = "bitmask"
    values: Annotated[int, Field(ge=0, le=2**40)]

    def parts(self) -> dict[str, Part]:
        """Suffix -> stored tensor."""
        mask = Part(BYTES, (packed_size(self.count, 1),))
        return {"mask": mask, "values": Part(FLOATS, (self.values,))}


class Palette(_Form):
    """``group_rows`` rows share a codebook of ``codes`` values; an index of ``bits`` a weight."""

    kind: Literal["palette"] = "palette"
    bits: Bits
    codes: Codes
    group_rows: Count

    def parts(self) -> dict[str, Part]:
        """Suffix -> stored tensor."""
        groups = -(-self.shape[0] // self.group_rows)
        indices = Part(BYTES, (packed_size(self.count, self.bits),))
        return {"codebook": Part(FLOATS, (groups, self.codes)), "indices": indices}


class SparsePalette(_Form):
    """A palette of the weights that are not zero: a bit a weight, an index where it is 1."""

    kind: Literal["sparse-palette"] = "sparse-palette"
    values: Annotated[int, Field(ge=0, le=2**40)]
    bits: Bits
    codes: Codes

    def parts(self) -> dict[str, Part]:
        """Suffix -> stored tensor."""
        mask = Part(BYTES, (packed_size(self.count, 1),))
        indices = Part(BYTES, (packed_size(self.values, self.bits),))
        return {"codebook": Part(FLOATS, (self.codes,)), "indices": indices, "mask": mask}


class Hashed(_Form):
    """``values`` shared by a fixed hash of a weight's place; ``seed`` chooses the hash."""

    kind: Literal["hashed"] = "hashed"
    values: Count
    seed: Annotated[int, Field(ge=0, le=2**31)]

    def parts(self) -> dict[str, Part]:
        """Suffix -> stored tensor."""
        return {"values": Part(FLOATS, (self.values,))}


Form = Bitmask | Palette | SparsePalette | Hashed


class Declared(BaseModel):
    """What config.json says of weights in other forms; ``model_type`` is the real one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model_type: Annotated[str, Field(min_length=1)]
    low_rank: dict[str, Annotated[int, Field(ge=1)]] = {}
    packed: dict[str, Annotated[Form, Field(discriminator="kind")]] = {}


def declared(folder: Path) -> Declared | None:
    """What ``folder``'s config.json declares; None for a folder whose weights are plain.

    Raises:
        ArtifactError: the declaration is broken, or stands in one of its two places only.

    """
    file = folder / "config.json"
    if not file.is_file():
        return None
    config = json.loads(file.read_bytes())
    said = config.get(KEY) if isinstance(config, dict) else None
    if said is None and config.get("model_type") != MODEL_TYPE:
        return None
    if said is None or config.get("model_type") != MODEL_TYPE:
        rule = f"model_type {MODEL_TYPE!r} and the key {KEY!r} belong together"
        refuse(file, config.get("model_type"), rule, "restore the recorded file")
    try:
        return Declared.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in (KEY, *first["loc"]))
        refuse(file, where, first["msg"], "restore the recorded file")


def check_declared(
    folder: Path, found: Declared, tensors: Mapping[str, tuple[Path, Any]]
) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights that ``found`` declares, each with all of its parts.

    ``tensors`` are the stored ones by name: their file and their header entry.

    Raises:
        ArtifactError: a part is missing, of another type or shape, or holds what it may not.

    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, form in found.packed.items():
        _whole(folder, name, tensors)
        for suffix, part in form.parts().items():
            _same(folder, f"{name}.{suffix}", part, tensors)
        _check_content(folder, name, form, tensors)
        shapes[name] = form.shape
    stored = {name: tensor.shape for name, (_, tensor) in tensors.items()}
    for name, rank in found.low_rank.items():
        _whole(folder, f"{name}.weight", stored | shapes)
        _check_pair(folder, name, rank, stored | shapes)
    return shapes


def parts_of(name: str, form: Form) -> Iterator[tuple[str, str]]:
    """Suffix and full name of each stored tensor of the weight ``name``."""
    return ((suffix, f"{name}.{suffix}") for suffix in form.parts())


def _check_pair(folder: Path, name: str, rank: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    found = [shapes.get(f"{name}.{side}.weight", ()) for side in LOW_RANK]
    if list(map(len, found)) != [2, 2] or {found[0][0], found[1][1]} != {rank}:
        rule = f"are not [{rank}, in] and [out, {rank}]"
        refuse(folder / "config.json", f"{name}: {found}", rule, "restore the recorded files")


def _whole(folder: Path, name: str, stored: Mapping[str, object]) -> None:
    if name in stored:
        rule = "is stored whole and declared in another form: which one counts?"
        refuse(folder / "config.json", name, rule, "restore the recorded files")


def _same(folder: Path, name: str, part: Part, tensors: Mapping[str, tuple[Path, Any]]) -> None:
    if name not in tensors:
        refuse(folder / "config.json", name, "is declared and not stored", "restore the files")
    file, tensor = tensors[name]
    if tensor.kind not in part.kinds or tensor.shape != part.shape:
        rule = f"is not {'/'.join(sorted(part.kinds))} {list(part.shape)}, as config.json says"
        found = f"{name}: {tensor.kind} {list(tensor.shape)}"
        refuse(file, found, rule, "restore the recorded files")


def _check_content(
    folder: Path, name: str, form: Form, tensors: Mapping[str, tuple[Path, Any]]
) -> None:
    # Memory of the loader would be what anybody writes into config.json.
    if isinstance(form, Hashed) and form.count > MAX_SHARING * form.values:
        rule = f"has more than {MAX_SHARING} weights a value"
        refuse(folder / "config.json", f"{name}: {form.shape}", rule, "restore the files")
    if isinstance(form, Bitmask | SparsePalette):
        file, tensor = tensors[f"{name}.mask"]
        ones, _ = _scan(file, tensor.start, 1, form.count)
        if ones != form.values:
            rule = f"marks {ones} weights, and {form.values} are stored"
            refuse(file, f"{name}.mask", rule, "restore the recorded files")
    if isinstance(form, Palette | SparsePalette):
        file, tensor = tensors[f"{name}.indices"]
        count = form.count if isinstance(form, Palette) else form.values
        _, highest = _scan(file, tensor.start, form.bits, count)
        if highest >= form.codes:
            rule = f"leads out of a codebook of {form.codes}"
            refuse(file, f"{name}.indices: {highest}", rule, "restore the recorded files")


def _scan(file: Path, start: int, bits: int, count: int) -> tuple[int, int]:
    """Sum and maximum of packed numbers; memory stays within some MiB."""
    if count == 0:
        return 0, 0
    data = np.memmap(file, np.uint8, "r", offset=start, shape=(packed_size(count, bits),))
    total = highest = 0
    for first in range(0, count, CHUNK):
        size = min(CHUNK, count - first)
        begin = first * bits // 8  # CHUNK is a multiple of 8: chunks begin on whole bytes
        numbers = unpack(data[begin : begin + packed_size(size, bits)], bits, size)
        total += int(numbers.sum(dtype=np.int64))
        highest = max(highest, int(numbers.max()))
    return total, highest
