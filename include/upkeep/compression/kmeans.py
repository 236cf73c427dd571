"""Lloyd's k-means of single numbers, exact at each step and quick for millions of them.

On a line the nearest centre is found by halving: clusters are runs of the sorted numbers and their
means are differences of prefix sums. After one sort, a step costs k log n; scikit-learn's, made
for points of any dimension, costs n k. Centres begin evenly over the range, which keeps the few
large weights apart (Han et al. 2016, "Deep Compression", arXiv:1510.00149, section 3.2).
"""

from __future__ import annotations

from typing import Any

MAX_STEPS = 100


def codebook_of(numbers: Any, codes: int) -> Any:
    """At most ``codes`` centres, ascending, for ``numbers`` [n]; [codes], the last one repeated.

    Numbers of no more than ``codes`` values keep their very values; of no numbers all are zero.
    """
    import torch

    exact = torch.unique(numbers)
    if len(exact) <= codes:
        last = exact[-1:] if len(exact) else exact.new_zeros(1)
        return torch.cat([exact, last.repeat(codes - len(exact))])
    ordered = numbers.double().sort().values
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    centres = torch.linspace(float(ordered[0]), float(ordered[-1]), codes, dtype=torch.float64)
    for _ in range(MAX_STEPS):
        middles = (centres[1:] + centres[:-1]) / 2
        ends = torch.cat([torch.searchsorted(ordered, middles), torch.tensor([len(ordered)])])
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
        counts = ends - starts
        means = (sums[ends] - sums[starts]) / counts.clamp_min(1)
        moved = torch.where(counts > 0, means, centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.to(numbers.dtype)


def nearest(numbers: Any, codebook: Any) -> Any:
    """Place in the ascending ``codebook`` of the centre nearest to each of ``numbers``."""
    import torch

    middles = (codebook[1:].double() + codebook[:-1].double()) / 2
    # A middle of equal centres leads to the first of them, which is as near.
    return torch.searchsorted(middles, numbers.double().contiguous())
