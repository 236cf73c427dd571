"""The singular values of a matrix, or of what it makes of its inputs, and its best thin factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DAMPING = 1e-6


@dataclass(frozen=True)
class Spectrum:
    """W = left diag(values) right: [out, k], [k] descending, [k, in], in 64 bits."""

    left: Any
    values: Any
    right: Any

    @property
    def size(self) -> int:
        """Weights of the whole matrix."""
        return int(self.left.shape[0] * self.right.shape[1])

    @property
    def step(self) -> int:
        """Weights that one more rank costs."""
        return int(self.left.shape[0] + self.right.shape[1])

    @property
    def paying(self) -> int:
        """The highest rank whose pair is smaller than the matrix; 0 if there is none."""
        return (self.size - 1) // self.step

    def errors(self) -> Any:
        """Relative error [k + 1] in the Frobenius norm at ranks 0, 1, .., k."""
        import torch

        energy = self._energy()
        lost = energy.flip(0).cumsum(0).flip(0)
        return torch.cat([lost, lost.new_zeros(1)]).sqrt()

    def gains(self) -> Any:
        """Share of the matrix' energy that each rank adds, for each weight that it costs [k]."""
        return self._energy() / self.step

    def factors(self, rank: int) -> tuple[Any, Any]:
        """A [rank, in] and B [out, rank] with B A the best of that rank; alike in scale."""
        root = self.values[:rank].sqrt()
        return root[:, None] * self.right[:rank], self.left[:, :rank] * root

    def _energy(self) -> Any:
        import torch

        squares = self.values.square()
        return squares / squares.sum().clamp_min(torch.finfo(squares.dtype).tiny)


def spectrum_of(weight: Any, gram: Any | None) -> Spectrum:
    """The SVD of ``weight`` [out, in], or of its outputs where ``gram`` = X^T X [in, in] is given.

    The Gram matrix gets a millionth of its mean diagonal, so that inputs that were never seen,
    or always together, leave it invertible.
    """
    import torch

    whole = weight.double()
    if gram is None:
        left, values, right = torch.linalg.svd(whole, full_matrices=False)
        return Spectrum(left, values, right)
    damped = gram.double().clone()
    damped.diagonal().add_(DAMPING * damped.diagonal().mean().clamp_min(1e-12))
    root = torch.linalg.cholesky(damped)
    left, values, turned = torch.linalg.svd(whole @ root, full_matrices=False)
    right = torch.linalg.solve_triangular(root, turned, upper=False, left=False)
    return Spectrum(left, values, right)
