"""The shares of groups among things that were counted, with intervals. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Share(NamedTuple):
    """A group's share of the texts (0 to 1) with its 95 % interval."""

    value: float
    low: float
    high: float


def shares(groups: Iterator[str]) -> Mapping[str, Share]:
    """The share of each group, sorted by name."""
    counts = Counter(groups)
    total = counts.total()
    return {name: share_of(counts[name], total) for name in sorted(counts)}


def share_of(count: int, total: int) -> Share:
    """A share with Wilson's interval (1927)."""
    from scipy.stats import binomtest

    found = binomtest(count, total).proportion_ci(0.95, method="wilson")
    return Share(count / total, float(found.low), float(found.high))
