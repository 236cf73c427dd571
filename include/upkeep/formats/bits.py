"""Small whole numbers packed without gaps: ``count`` numbers of ``bits`` bits in U8 words.

The highest bit of a number comes first, as ``numpy.packbits`` has it; the last byte is filled
up with zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def packed_size(count: int, bits: int) -> int:
    """Bytes that ``count`` numbers of ``bits`` bits take."""
    return -(-count * bits // 8)


def pack(numbers: Bytes, bits: int) -> Bytes:
    """``numbers``, each below 2 ** ``bits``, in ``packed_size`` bytes.

    >>> pack(np.array([1, 2, 3, 0, 1], dtype=np.uint8), 2).tolist()
    [108, 64]
    """
    planes = np.unpackbits(numbers.reshape(-1, 1), axis=1)[:, 8 - bits :]
    return np.packbits(planes.reshape(-1))


def unpack(packed: Bytes, bits: int, count: int) -> Bytes:
    """What ``pack`` packed.

    >>> unpack(np.array([108, 64], dtype=np.uint8), 2, 5).tolist()
    [1, 2, 3, 0, 1]
    """
    planes = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    return np.packbits(np.pad(planes, ((0, 0), (8 - bits, 0))), axis=1)[:, 0]
