"""SparseGPT (Frantar & Alistarh 2023, arXiv:2301.00774): prune a matrix, mend what stays.

Minimises ||W X - W' X||_F over the weights that stay, column by column: with H = X X^T and U the
upper Cholesky factor of H^-1, a weight w_j that goes costs w_j^2 / U_jj^2, and its row gets
-w_j / U_jj * U_j,: on the columns to its right (Hassibi et al. 1993, "Optimal brain surgeon").
Which weights go is chosen for blocks of columns at once.
"""

from __future__ import annotations

from typing import Any

from upkeep.compression.masks import PATTERNS, Sparsity, check_divides

COLUMNS = 128
DAMPING = 0.01


def sparsegpt(weight: Any, gram: Any, settings: Sparsity, name: str) -> Any:
    """``weight`` [out, in], pruned and mended for inputs with X^T X = ``gram`` [in, in].

    Raises:
        ArtifactError: the pattern does not divide a row.

    """
    import torch

    check_divides(weight.shape[1], settings, name)
    whole = weight.double().clone()
    upper = _inverse_factor(gram)
    whole[:, gram.diagonal() == 0] = 0.0  # nothing ever comes in there
    columns = whole.shape[1]
    for start in range(0, columns, COLUMNS):
        end = min(start + COLUMNS, columns)
        part, errors = _block(whole[:, start:end], upper[start:end, start:end], start, settings)
        whole[:, start:end] = part
        whole[:, end:] -= errors @ upper[start:end, end:]
    return whole.to(torch.float32)


def _inverse_factor(gram: Any) -> Any:
    """Upper U with U^T U = (H + damping)^-1."""
    import torch

    damped = gram.double().clone()
    diagonal = damped.diagonal()
    diagonal[diagonal == 0] = 1.0
    diagonal += DAMPING * diagonal.mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)


def _block(part: Any, upper: Any, start: int, settings: Sparsity) -> tuple[Any, Any]:
    """One block of columns pruned, and what its rows owe to the columns right of it."""
    import torch

    part, errors = part.clone(), torch.zeros_like(part)
    scale = upper.diagonal()
    keep, of = PATTERNS.get(settings.pattern, (0, part.shape[1]))
    gone = torch.zeros_like(part, dtype=torch.bool)
    for column in range(part.shape[1]):
        if column % of == 0:
            group = slice(column, column + of)
            gone[:, group] = _choose(part[:, group] / scale[group], start, settings, of - keep)
        owed = part[:, column].where(gone[:, column], 0.0) / scale[column]
        part[:, column:] -= owed[:, None] * upper[column, column:]
        part[:, column].masked_fill_(gone[:, column], 0.0)
        errors[:, column] = owed
    return part, errors


def _choose(costs: Any, start: int, settings: Sparsity, fewest: int) -> Any:
    """The cheapest weights: ``fewest`` of each row, or the share of the whole block."""
    import torch

    rows, columns = costs.shape
    gone = torch.zeros_like(costs, dtype=torch.bool)
    if settings.pattern in PATTERNS:
        return gone.scatter_(1, costs.abs().topk(fewest, dim=1, largest=False).indices, value=True)
    # Rounded over all columns so far: the whole matrix gets its share to one weight.
    share = settings.share * rows
    count = round(share * (start + columns)) - round(share * start)
    cheapest = costs.abs().flatten().topk(count, largest=False).indices
    return gone.flatten().scatter_(0, cheapest, value=True).view(rows, columns)
