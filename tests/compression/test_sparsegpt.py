"""SparseGPT: what it chooses, and that what stays is mended."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.compression import sparsegpt as module
from upkeep.compression.masks import Sparsity, keep_largest
from upkeep.compression.sparsegpt import sparsegpt
from upkeep.errors import ArtifactError


def problem(rows: int = 12, columns: int = 24, seed: int = 0) -> tuple[Any, Any]:
    """A matrix, and X^T X of inputs that hang together."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator)
    mixed = torch.randn(columns, columns, generator=generator, dtype=torch.float64) / columns**0.5
    mixed += torch.eye(columns, dtype=torch.float64)
    inputs = torch.randn(400, columns, generator=generator, dtype=torch.float64) @ mixed
    return weight, inputs.T @ inputs


def output_error(weight: Any, pruned: Any, gram: Any) -> float:
    """||(W - W') X||_F^2."""
    lost = (weight - pruned).double()
    return float(((lost @ gram) * lost).sum())


@pytest.mark.parametrize("asked", [Sparsity(sparsity=0.4), Sparsity(pattern="2:4")])
def test_independent_inputs_of_one_size_leave_plain_magnitude(asked: Sparsity) -> None:
    """H = identity: nothing can be mended, and a weight costs its square."""
    weight, _ = problem()
    found = sparsegpt(weight, 7.0 * torch.eye(24, dtype=torch.float64), asked, "m")
    stayed = found != 0
    assert torch.allclose(found[stayed], weight[stayed])
    assert weight[~stayed].abs().max() <= weight[stayed].abs().min() or asked.pattern == "2:4"
    if asked.pattern == "2:4":
        assert torch.equal(stayed, keep_largest(weight.abs(), asked, "m"))


def mended_slowly(weight: Any, mask: Any, gram: Any) -> Any:
    """Equation 3 of the paper, with the inverse of what is left taken anew at each column."""
    size = len(gram)
    damped = gram + module.DAMPING * gram.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    found = weight.double().clone()
    for column in range(size):
        inverse = torch.linalg.inv(damped[column:, column:])
        owed = found[:, column].where(~mask[:, column], 0.0) / inverse[0, 0]
        found[:, column:] -= owed[:, None] * inverse[0]
        found[:, column] = found[:, column].where(mask[:, column], 0.0)
    return found


ASKED = st.sampled_from([Sparsity(sparsity=0.5), Sparsity(pattern="2:4")])


@given(st.integers(0, 50), ASKED, st.sampled_from([8, 128]))
@settings(max_examples=20)
def test_what_stays_is_mended_by_the_equation(seed: int, asked: Sparsity, columns: int) -> None:
    """Whatever the width of the blocks; without the Cholesky factor."""
    weight, gram = problem(seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COLUMNS", columns)
        found = sparsegpt(weight, gram, asked, "m")
    assert torch.allclose(found.double(), mended_slowly(weight, found != 0, gram), atol=1e-4)


@pytest.mark.parametrize("asked", [Sparsity(sparsity=0.5), Sparsity(pattern="2:4")])
def test_the_outputs_change_less_than_without_mending_and_than_by_wanda(asked: Sparsity) -> None:
    """Over thirty matrices together."""
    sums = {"mended": 0.0, "unmended": 0.0, "wanda": 0.0}
    for seed in range(30):
        weight, gram = problem(seed=seed)
        found = sparsegpt(weight, gram, asked, "m")
        scores = weight.abs() * gram.diagonal().sqrt()
        by_wanda = weight * keep_largest(scores, asked, "m")
        sums["mended"] += output_error(weight, found, gram)
        sums["unmended"] += output_error(weight, weight * (found != 0), gram)
        sums["wanda"] += output_error(weight, by_wanda, gram)
    assert sums["mended"] < 0.8 * sums["unmended"]
    assert sums["mended"] < sums["wanda"]


def test_a_single_column_that_goes_is_mended_as_the_optimal_brain_surgeon_does() -> None:
    """The last column but those right of it: least squares of the rest, to the damping."""
    weight, gram = problem(rows=3, columns=4)
    weight[:, 0] *= 1e-4  # so that each row's first weight is the cheapest
    found = sparsegpt(weight, gram, Sparsity(sparsity=0.25), "m")
    assert torch.equal(found == 0, torch.eye(4)[:1].bool().expand(3, 4))
    damped = gram + module.DAMPING * gram.diagonal().mean() * torch.eye(4, dtype=torch.float64)
    inverse = torch.linalg.inv(damped)
    owed = weight[:, :1].double() / inverse[0, 0] * inverse[0]
    assert torch.allclose(found.double(), weight.double() - owed, atol=1e-5)


def test_blocks_of_columns_owe_their_errors_to_the_columns_right_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With n in m the choice is made group by group: blocks change nothing."""
    weight, gram = problem()
    whole = sparsegpt(weight, gram, Sparsity(pattern="2:4"), "m")
    monkeypatch.setattr(module, "COLUMNS", 8)
    assert torch.allclose(sparsegpt(weight, gram, Sparsity(pattern="2:4"), "m"), whole, atol=1e-5)
    unstructured = sparsegpt(weight, gram, Sparsity(sparsity=0.37), "m")
    assert int((unstructured == 0).sum()) == round(0.37 * weight.numel())


def test_inputs_that_are_never_seen_are_pruned_first() -> None:
    """They cost nothing, and leave the inverse finite."""
    weight, gram = problem()
    gram[5], gram[:, 5] = 0.0, 0.0
    found = sparsegpt(weight, gram, Sparsity(sparsity=0.2), "m")
    assert found[:, 5].eq(0).all()
    assert found.isfinite().all()
    assert int((found == 0).sum()) == round(0.2 * weight.numel())


def test_a_pattern_that_does_not_divide_the_columns_is_refused() -> None:
    """Before anything is computed."""
    with pytest.raises(ArtifactError, match="rows of 6 weights are not divided by 8"):
        sparsegpt(torch.ones(2, 6), torch.eye(6), Sparsity(pattern="4:8"), "m")
