"""``safetensors``: one file or indexed shards, checked by the format's own library.

The library refuses truncated files, headers that are too large, holes and overlaps. Beyond
it: no name twice, an index that leads nowhere else, no NaN or infinity in any weight, and every
weight that config.json declares in a smaller form (:mod:`upkeep.formats.packed`) is whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from upkeep.formats import beside, refuse
from upkeep.formats.finite import first_non_finite
from upkeep.formats.packed import Declared, check_declared, declared, parts_of

SUFFIXES = frozenset({".safetensors"})
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_LENGTH_BYTES = 8


class Tensor(NamedTuple):
    """One weight: its number type, its shape and its bytes [start, end) in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


def check(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights by name, all of them finite; a packed one has the shape it stands for.

    Raises:
        ArtifactError: a file is missing, broken, superfluous, holds a number that is not finite,
            or is not what config.json declares.

    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file, tensors in _weights(folder).items():
        for name, tensor in tensors.items():
            shapes[name] = tensor.shape
            at = first_non_finite(file, tensor.kind, tensor.start, tensor.end)
            if at is not None:
                refuse(file, name, f"value {at} is NaN or infinite", "train or export it again")
    return shapes | packed_shapes(folder, declared(folder))


def packed_shapes(folder: Path, found: Declared | None) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights that config.json declares in a smaller form, each one whole.

    Raises:
        ArtifactError: a part is missing, of another shape, or holds an index out of range.

    """
    if found is None:
        return {}
    stored = _weights(folder).items()
    tensors = {name: (file, one) for file, many in stored for name, one in many.items()}
    return check_declared(folder, found, tensors)


def files(folder: Path) -> list[Path]:
    """The files that hold the weights.

    Raises:
        ArtifactError: one is missing, broken or superfluous.

    """
    return sorted(_weights(folder))


def signature(folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Number type and shape of every weight by name, expanded: what two versions must share."""
    weights = _weights(folder).values()
    found = {name: (t.kind, t.shape) for tensors in weights for name, t in tensors.items()}
    said = declared(folder)
    for name, form in said.packed.items() if said else ():
        kinds = [found.pop(full)[0] for _, full in parts_of(name, form) if full in found]
        found[name] = (min(kinds, default=""), form.shape)
    return found


def _weights(folder: Path) -> dict[Path, dict[str, Tensor]]:
    index, single = folder / INDEX, folder / SINGLE
    if index.exists() and single.exists():
        refuse(index, SINGLE, "stands beside an index: which one counts?", "remove one of them")
    if index.exists():
        found = _indexed(index)
    elif single.exists():
        found = {single: read_header(single)}
    else:
        refuse(single, SINGLE, "is missing, and so is its index", "add the weights")
    for file in folder.rglob("*.safetensors"):
        if file not in found:
            refuse(file, file.name, "belongs to no index and would not be read", "remove it")
    return found


def _indexed(index: Path) -> dict[Path, dict[str, Tensor]]:
    shard_of = _weight_map(index)
    shards = {beside(index, shard) for shard in shard_of.values()}
    found = {shard: read_header(shard) for shard in sorted(shards)}
    for name, shard in shard_of.items():
        if name not in found[index.parent / shard]:
            refuse(index, name, f"is not in {shard}", "write the index again")
    for file, tensors in found.items():
        for name in tensors:
            if shard_of.get(name) != file.name:
                refuse(file, name, "is not in the index", "write the index again")
    return found


def _weight_map(index: Path) -> Mapping[str, str]:
    try:
        found = json.loads(index.read_bytes())["weight_map"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        refuse(index, "weight_map", f"cannot be read ({type(error).__name__})", "write it again")
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        refuse(index, "weight_map", "does not map weights to files", "write the index again")
    if not found:
        refuse(index, "weight_map", "names no weight", "write the index again")
    return found


def read_header(file: Path) -> dict[str, Tensor]:
    """The weights that a file holds.

    Raises:
        ArtifactError: the file is truncated, its header is broken, or it holds no weight.

    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass  # opening checks lengths, types, shapes, holes and overlaps
    except (SafetensorError, OSError) as error:
        refuse(file, file.name, f"is broken ({error})", "restore the recorded file")
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        pairs = json.loads(stream.read(length), object_pairs_hook=_once(file))
    tensors = {
        name: Tensor(
            entry["dtype"],
            tuple(entry["shape"]),
            _LENGTH_BYTES + length + entry["data_offsets"][0],
            _LENGTH_BYTES + length + entry["data_offsets"][1],
        )
        for name, entry in pairs.items()
        if name != "__metadata__"
    }
    if not tensors:
        refuse(file, file.name, "holds no weight", "export the model again")
    return tensors


def _once(file: Path) -> Any:
    """A hook for json that refuses a name that stands twice in one object."""

    def hook(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(k for i, (k, _) in enumerate(pairs) if k in dict(pairs[:i]))
            refuse(file, twice, "stands twice in the header", "restore the recorded file")
        return found

    return hook
