"""The Vendi score counts what is different, by its definition and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from upkeep.errors import ArtifactError
from upkeep.quality.vendi import kernel_vendi, vendi


def by_definition(rows: NDArray[np.float64]) -> float:
    """Exp of the entropy of K/n, whose eigenvalues are the squared singular values over n."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shares = np.linalg.svd(unit, compute_uv=False) ** 2 / len(rows)
    return math.exp(-sum(s * math.log(s) for s in shares if s > 1e-15))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.eye(7), 7.0),  # all at right angles
        (np.ones((9, 3)), 1.0),  # all the same
        (np.array([[1.0, 2.0]]), 1.0),  # one alone
        (np.repeat(np.eye(4), 5, axis=0), 4.0),  # four kinds, five of each
        (np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]]), 3 / 2 ** (2 / 3)),  # shares 2/3, 1/3
        (np.zeros((3, 2)), 1.0),  # nothing, three times: one kind
        (np.array([[0.0, 0.0], [1.0, 0.0]]), 2.0),  # nothing is another kind than something
        (np.array([[1.0, 0.0], [-1.0, 0.0]]), 1.0),  # K = [[1, -1], [-1, 1]]
        (np.eye(3) * 1e-200, 3.0),  # no square is representable
        (np.eye(3) * 1e200, 3.0),
    ],
)
def test_cases_worked_by_hand(rows: NDArray[np.float64], expected: float) -> None:
    """Cases worked by hand."""
    assert vendi(rows) == pytest.approx(expected, rel=1e-9)


def test_two_at_an_angle_have_the_entropy_of_their_eigenvalues() -> None:
    """Cosine c: eigenvalues (1 + c)/2 and (1 - c)/2."""
    c = 0.6
    rows = np.array([[1.0, 0.0], [c, math.sqrt(1 - c * c)]])
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert vendi(rows) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("shape", [(50, 8), (8, 50), (30, 30), (1, 5), (5, 1)])
def test_kernel_and_covariance_give_the_same(shape: tuple[int, int]) -> None:
    """Whichever is smaller is used: both have the definition's value, at any length of rows."""
    rows = np.random.default_rng(1).normal(size=shape)
    assert vendi(rows) == pytest.approx(by_definition(rows), rel=1e-9)
    scale = np.random.default_rng(2).uniform(0.1, 9.0, (shape[0], 1))
    assert vendi(rows * scale) == pytest.approx(vendi(rows), rel=1e-9)
    assert vendi(rows.astype(np.float32)) == pytest.approx(vendi(rows), rel=1e-4)


@pytest.mark.parametrize("shape", [(300, 4), (4, 300)])
def test_the_smaller_table_is_the_one_that_is_solved(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 by 4 needs the eigenvalues of a table of 5 at most, either way round."""
    seen = []
    solve = np.linalg.eigvalsh

    def remembered(table: NDArray[np.float64]) -> NDArray[np.float64]:
        seen.append(table.shape)
        return solve(table)

    monkeypatch.setattr(np.linalg, "eigvalsh", remembered)
    vendi(np.random.default_rng(6).normal(size=shape))
    assert max(seen) <= (5, 5)


def test_a_kernel_that_is_known_gives_the_same() -> None:
    """A kernel that is known gives the same as the embeddings it comes from."""
    rows = np.random.default_rng(3).normal(size=(12, 5))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert kernel_vendi(unit @ unit.T) == pytest.approx(vendi(rows))


def test_a_set_twice_over_is_no_more_diverse() -> None:
    """A set twice over is no more diverse."""
    rows = np.random.default_rng(4).normal(size=(20, 6))
    assert vendi(np.vstack([rows, rows])) == pytest.approx(vendi(rows))


@pytest.mark.parametrize(
    "rows",
    [
        np.array([[1.0, math.nan]]),
        np.array([[1.0], [math.inf]]),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.zeros(3),
    ],
)
def test_what_is_no_table_of_finite_numbers_is_an_error(rows: NDArray[np.float64]) -> None:
    """What is no table of finite numbers is an error."""
    with pytest.raises(ArtifactError, match="embeddings"):
        vendi(rows)
