"""How much of a block's output each part makes, from the statistics of calibration texts.

A part's share of what a matrix W adds to the residual stream is ||X_part W_part^T||_F^2, from the
Gram matrix G = X^T X alone: the sum over W_part of W G_part,part * W. For one neuron it is
G_jj ||W_:,j||^2, the norm of Wanda summed over a column (Sun et al. 2023, arXiv:2306.11695).
"""

from __future__ import annotations

from typing import Any


def group_scores(weight: Any, gram: Any, groups: int) -> Any:
    """Scores [groups] of equal runs of the inputs of ``weight`` [out, in]; ``gram`` [in, in]."""
    import torch

    size = weight.shape[1] // groups
    found = []
    for start in range(0, groups * size, size):
        part = weight[:, start : start + size].double()
        inner = gram[start : start + size, start : start + size].double()
        found.append(((part @ inner) * part).sum())
    return torch.stack(found)


def neuron_scores(weight: Any, gram: Any) -> Any:
    """Scores [in] of the single inputs of ``weight`` [out, in]; ``gram`` [in, in]."""
    return gram.diagonal().double() * weight.double().square().sum(dim=0)


def highest(scores: Any, count: int) -> list[int]:
    """Places of the ``count`` highest scores, ascending; of equal ones the first."""
    ranked = sorted(range(len(scores)), key=lambda place: (-float(scores[place]), place))
    return sorted(ranked[:count])
