"""Find NaN and infinity in raw weights by their bits, for number types that numpy lacks too.

IEEE 754 and its short forms mark both by an exponent of ones; the 8-bit forms follow
Micikevicius et al. 2022, "FP8 formats for deep learning" (arXiv:2209.05433), the ``FNUZ``
ones have a single NaN, the sign bit alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

CHUNK_BYTES = 8 * 2**20


class Bits(NamedTuple):
    """A number of ``size`` bytes is not finite where ``bits & mask == value``."""

    size: int
    mask: int
    value: int
    minus_infinity: int | None = None


NON_FINITE: Mapping[str, Bits] = {
    "F64": Bits(8, 0x7FF0_0000_0000_0000, 0x7FF0_0000_0000_0000, 0xFFF0_0000_0000_0000),
    "F32": Bits(4, 0x7F80_0000, 0x7F80_0000, 0xFF80_0000),
    "C64": Bits(4, 0x7F80_0000, 0x7F80_0000),
    "F16": Bits(2, 0x7C00, 0x7C00, 0xFC00),
    "BF16": Bits(2, 0x7F80, 0x7F80, 0xFF80),
    "F8_E5M2": Bits(1, 0x7C, 0x7C, 0xFC),
    "F8_E4M3": Bits(1, 0x7F, 0x7F),
    "F8_E8M0": Bits(1, 0xFF, 0xFF),
    "F8_E4M3FNUZ": Bits(1, 0xFF, 0x80),
    "F8_E5M2FNUZ": Bits(1, 0xFF, 0x80),
}
"""Number types that can be not finite, by their names in safetensors."""

ALWAYS_FINITE = frozenset(
    {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F4", "F6_E2M3", "F6_E3M2"}
)


def first_non_finite(
    file: Path, kind: str, start: int, end: int, *, masks: bool = False
) -> int | None:
    """Index of the first number in bytes [start, end) of ``file`` that is NaN or infinite.

    ``masks`` lets minus infinity pass: graphs hold it as a constant of attention masks.
    Memory stays within a few times 8 MiB. Raises KeyError for a kind that is not known.
    """
    import numpy as np

    if kind in ALWAYS_FINITE or start >= end:
        return None
    bits = NON_FINITE[kind]
    data = np.memmap(file, dtype=np.uint8, mode="r", offset=start, shape=(end - start,))
    for first in range(0, end - start, CHUNK_BYTES):
        words = data[first : first + CHUNK_BYTES].view(f"<u{bits.size}")
        bad = (words & words.dtype.type(bits.mask)) == bits.value
        if masks and bits.minus_infinity is not None:
            bad &= words != bits.minus_infinity
        if bad.any():
            return first // bits.size + int(bad.argmax())
    return None
