"""Matrices in smaller forms, and back: what :mod:`upkeep.formats.packed` declares, in PyTorch.

A :class:`Packed` weight is its form and the tensors that are stored for it. Expanding gives the
very numbers that were packed; what is lost is lost before, where a method chooses the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upkeep.formats.bits import pack, unpack
from upkeep.formats.packed import Bitmask, Form, Hashed, Palette, SparsePalette

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


class Packed(NamedTuple):
    """A matrix in another form: the form, and its stored tensors by suffix."""

    form: Form
    parts: Mapping[str, Any]


def pack_sparse(weight: Any) -> Packed:
    """``weight`` [out, in] as a bit a weight and the values that are not zero."""
    mask = weight != 0
    form = Bitmask(shape=tuple(weight.shape), values=int(mask.sum()))
    return Packed(form, {"mask": _pack_mask(mask), "values": weight[mask].clone()})


def pack_palette(codebook: Any, indices: Any, bits: int, group_rows: int) -> Packed:
    """``codebook`` [groups, codes] and an index for each weight, ``indices`` [out, in]."""
    import torch

    form = Palette(
        shape=tuple(indices.shape), bits=bits, codes=codebook.shape[1], group_rows=group_rows
    )
    packed = torch.from_numpy(pack(indices.to(torch.uint8).reshape(-1).numpy(), bits))
    return Packed(form, {"codebook": codebook.clone(), "indices": packed})


def pack_sparse_palette(codebook: Any, indices: Any, mask: Any, bits: int) -> Packed:
    """``codebook`` [codes] and ``indices`` [out, in], which count where ``mask`` is true."""
    import torch

    form = SparsePalette(
        shape=tuple(mask.shape), values=int(mask.sum()), bits=bits, codes=len(codebook)
    )
    packed = torch.from_numpy(pack(indices[mask].to(torch.uint8).numpy(), bits))
    parts = {"codebook": codebook.clone(), "indices": packed, "mask": _pack_mask(mask)}
    return Packed(form, parts)


def pack_hashed(values: Any, shape: tuple[int, int], seed: int) -> Packed:
    """``values`` [n] that a hash with ``seed`` shares among the weights of a matrix."""
    form = Hashed(shape=shape, values=len(values), seed=seed)
    return Packed(form, {"values": values.clone()})


def expand(packed: Packed) -> Any:
    """The matrix [out, in], in the number type of its stored values."""
    import torch

    form, parts = packed
    if isinstance(form, Bitmask):
        return _spread(form.shape, parts["mask"], parts["values"])
    if isinstance(form, Palette):
        return _expand_palette(form, parts)
    if isinstance(form, SparsePalette):
        index = unpack(parts["indices"].numpy(), form.bits, form.values)
        values = parts["codebook"][torch.from_numpy(index).long()]
        return _spread(form.shape, parts["mask"], values)
    places, sign = hashed_places(form.shape, form.values, form.seed)
    return parts["values"][places] * sign.to(parts["values"].dtype)


def size_bytes(packed: Packed) -> int:
    """Bytes that the stored tensors take."""
    return sum(part.numel() * part.element_size() for part in packed.parts.values())


def hashed_places(shape: tuple[int, int], values: int, seed: int) -> tuple[Any, Any]:
    """Index [out, in] of the value that each weight takes, and its sign, 1 or -1.

    The hash is SplitMix64's finaliser (Steele et al. 2014, "Fast splittable pseudorandom number
    generators") of the weight's place; a bit of it is the sign, as in Chen et al. 2015,
    "Compressing neural networks with the hashing trick" (arXiv:1504.04788).
    """
    import torch

    mixed = _splitmix(np.arange(shape[0] * shape[1], dtype=np.uint64), seed)
    index = ((mixed >> np.uint64(1)) % np.uint64(values)).astype(np.int64)
    sign = 1 - 2 * (mixed & np.uint64(1)).astype(np.int8)
    return torch.from_numpy(index.reshape(shape)), torch.from_numpy(sign.reshape(shape))


def _splitmix(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        mixed = (numbers + np.uint64(seed + 1)) * _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        return mixed ^ (mixed >> np.uint64(31))


def _pack_mask(mask: Any) -> Any:
    import torch

    return torch.from_numpy(pack(mask.to(torch.uint8).reshape(-1).numpy(), 1))


def _spread(shape: tuple[int, int], packed: Any, values: Any) -> Any:
    """``values`` at the places that the packed mask marks, zeros elsewhere."""
    import torch

    mask = torch.from_numpy(unpack(packed.numpy(), 1, shape[0] * shape[1])).bool()
    whole = torch.zeros(len(mask), dtype=values.dtype)
    whole[mask] = values
    return whole.view(shape)


def _expand_palette(form: Palette, parts: Mapping[str, Any]) -> Any:
    import torch

    unpacked = unpack(parts["indices"].numpy(), form.bits, form.count)
    index = torch.from_numpy(unpacked).long().view(form.shape)
    group = torch.arange(form.shape[0]) // form.group_rows
    return parts["codebook"][group[:, None], index]
