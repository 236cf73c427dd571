"""Packing loses nothing, and takes the bytes that it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from upkeep.packed_weights import (
    Packed,
    expand,
    hashed_places,
    pack_hashed,
    pack_palette,
    pack_sparse,
    pack_sparse_palette,
    size_bytes,
)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 13))


def random_of(shape: tuple[int, int], seed: int) -> Any:
    """Draw a matrix."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(SHAPES, st.integers(0, 99), st.floats(0.0, 1.0))
def test_a_sparse_matrix_comes_back_as_it_was(
    shape: tuple[int, int], seed: int, share: float
) -> None:
    """Its size: a bit a weight, in whole bytes, and the values."""
    weight = random_of(shape, seed)
    weight[random_of(shape, seed + 1).abs() < share * 3] = 0.0
    small = pack_sparse(weight)
    assert torch.equal(expand(small), weight)
    stored = int((weight != 0).sum())
    assert size_bytes(small) == -(-weight.numel() // 8) + 4 * stored


@given(SHAPES, st.integers(1, 8), st.integers(1, 9), st.integers(0, 99))
def test_a_palette_gives_each_weight_the_value_of_its_index_in_its_rows_codebook(
    shape: tuple[int, int], bits: int, rows: int, seed: int
) -> None:
    """Every group of rows has a codebook of its own."""
    groups = -(-shape[0] // rows)
    book = random_of((groups, 2**bits), seed)
    index = torch.randint(2**bits, shape, generator=torch.Generator().manual_seed(seed))
    small = pack_palette(book, index, bits, rows)
    found = expand(small)
    for row in range(shape[0]):
        assert torch.equal(found[row], book[row // rows][index[row]])
    assert size_bytes(small) == 4 * groups * 2**bits + -(-shape[0] * shape[1] * bits // 8)


@given(SHAPES, st.integers(1, 8), st.integers(0, 99))
def test_a_sparse_palette_has_zeros_where_the_mask_has_none(
    shape: tuple[int, int], bits: int, seed: int
) -> None:
    """Indices are stored of the others only."""
    book = random_of((1, 2**bits), seed)[0]
    index = torch.randint(2**bits, shape, generator=torch.Generator().manual_seed(seed))
    mask = random_of(shape, seed) > 0
    small = pack_sparse_palette(book, index, mask, bits)
    assert torch.equal(expand(small), book[index] * mask)
    kept = int(mask.sum())
    assert size_bytes(small) == 4 * 2**bits + -(-mask.numel() // 8) + -(-kept * bits // 8)


@given(SHAPES, st.integers(1, 50), st.integers(0, 2**31))
def test_a_hashed_matrix_holds_its_values_with_their_signs(
    shape: tuple[int, int], count: int, seed: int
) -> None:
    """No index is stored."""
    values = random_of((1, count), 3)[0]
    small = pack_hashed(values, shape, seed)
    index, sign = hashed_places(shape, count, seed)
    assert torch.equal(expand(small), values[index] * sign)
    assert set(sign.flatten().tolist()) <= {-1, 1}
    assert size_bytes(small) == 4 * count


def test_the_hash_is_fixed_for_ever() -> None:
    """Stored models hang on it."""
    index, sign = hashed_places((2, 4), 10, 7)
    assert (index * sign).tolist() == [[0, -9, 5, 0], [3, -1, -5, -8]]


def test_the_hash_is_even_and_its_signs_are_independent_of_its_places() -> None:
    """Within four standard deviations, for 100,000 weights and 100 values."""
    index, sign = hashed_places((250, 400), 100, 1)
    counts = index.flatten().bincount(minlength=100).double()
    assert (counts - 1000).abs().max() < 4 * 1000**0.5
    sums = torch.zeros(100).index_add_(0, index.flatten(), sign.flatten().float())
    assert sums.abs().max() < 4.5 * 1000**0.5
    assert abs(int(sign.sum())) < 4 * 100_000**0.5


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_sixteen_bits_stay_sixteen_bits(kind: torch.dtype) -> None:
    """Whatever the form."""
    weight = random_of((4, 6), 1).to(kind)
    weight[0] = 0
    small: Packed = pack_sparse(weight)
    assert expand(small).dtype == kind
    assert torch.equal(expand(small), weight)
    assert expand(pack_hashed(weight[1], (4, 6), 0)).dtype == kind
