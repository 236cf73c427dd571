"""Kernel distance between the features of a day's images and of real ones: 0 is best.

KID = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)

with k(x, y) = (x'y / D + 1)^3: the squared maximum mean discrepancy, without bias at any n
(Binkowski, Sutherland, Arbel & Gretton 2018, "Demystifying MMD GANs"). torchmetrics' kernel, in
float64. Being without bias, it may be negative near 0. Unit: 1.

All pairs count, of at most 5,000 images of a kind (drawn at random, seeded): that bounds the
cost, which grows as n^2. The interval is the delete-a-group jackknife's over 20 random groups
of the outputs and of the references (:mod:`upkeep.quality.jackknife`).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ParamError
from upkeep.quality import Material, Score, Settings, by_slice, finite
from upkeep.quality.features import FeatureSets
from upkeep.quality.intervals import bounded_interval
from upkeep.quality.jackknife import extrapolated, shuffled_groups
from upkeep.records import SliceScore

NAME = "kid"
GROUPS = 20
MOST = 5_000

Table = NDArray[np.float64]


class _Sums(NamedTuple):
    """Sums of the kernel between groups, shape [G, G], and the groups' sizes, shape [G]."""

    xx: Table
    yy: Table
    xy: Table
    x: Table
    y: Table


def measure(material: Material, name: str) -> Score:  # noqa: ARG001 - the file has one
    """KID of the day's images against the references, in all and a slice.

    Slices of fewer images than groups, or than ``min_samples``, are left out. Raises ParamError
    where images, references or an extractor are missing, or too few.
    """
    sets, settings = material.features, material.settings
    sets.require(NAME, settings)
    real, made = sets.references, sets.outputs
    _check(sets, settings)
    whole = _slice("all", real, made, settings)
    return Score(
        measure=NAME,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="1",
        direction="lower_is_better",
        signature=(
            f"kid|poly:3|most:{MOST}|jackknife:{GROUPS}|{sets.signature}"
            f"|torchmetrics:{version('torchmetrics')}|seed:{settings.seed}"
        ),
        slices=tuple(
            _slice(part, real, made[places], settings)
            for part, places in by_slice(sets.samples, settings).items()
            if len(places) >= max(GROUPS, settings.min_samples)
        ),
    )


def kernel_distance(real: Table, made: Table) -> float:
    """KID of features [M, D] and [N, D], M and N at least 2."""
    groups = [np.arange(len(real))], [np.arange(len(made))]
    return _distance(_sums(real, made, *groups))


def _check(sets: FeatureSets, settings: Settings) -> None:
    needed = max(GROUPS, settings.min_samples)
    for where, n in (
        ("quality.references", len(sets.references)),
        ("kid: samples with an image", len(sets.outputs)),
    ):
        if n < needed:
            rule = f"n < min_n = {needed} ({GROUPS} groups, min_samples = {settings.min_samples})"
            raise ParamError(where, n, rule, "collect more")


def _slice(where: str, real: Table, made: Table, settings: Settings) -> SliceScore:
    real, made = _drawn(real, settings.seed), _drawn(made, settings.seed)
    sums = _sums(
        real,
        made,
        shuffled_groups(len(real), GROUPS, settings.seed),
        shuffled_groups(len(made), GROUPS, settings.seed + 1),
    )
    whole = finite(NAME, where, _distance(sums))
    without = [finite(NAME, where, _distance(_left(sums, group))) for group in range(GROUPS)]
    found = extrapolated(whole, without, settings.confidence)
    # The mean of the pseudo-values is the same number but for groups of unequal size.
    interval = bounded_interval(
        found._replace(low=found.low - found.value + whole, high=found.high - found.value + whole)
    )
    return SliceScore(name=where, score=whole, interval=interval, n=len(made))


def _drawn(rows: Table, seed: int) -> Table:
    if len(rows) <= MOST:
        return rows
    return rows[np.random.default_rng(seed).choice(len(rows), MOST, replace=False)]


def _sums(
    real: Table, made: Table, x: list[NDArray[np.int64]], y: list[NDArray[np.int64]]
) -> _Sums:
    # A pair of one image with itself says nothing about a distance: it is taken off at once.
    own_x, own_y = _self_kernel(real), _self_kernel(made)
    return _Sums(
        _between(real, x, real, x) - np.diag([own_x[g].sum() for g in x]),
        _between(made, y, made, y) - np.diag([own_y[g].sum() for g in y]),
        _between(real, x, made, y),
        np.array([len(g) for g in x], dtype=np.float64),
        np.array([len(g) for g in y], dtype=np.float64),
    )


def _between(rows: Table, row_groups: list[Any], columns: Table, column_groups: list[Any]) -> Table:
    """Sums of the kernel over each pair of groups; one row group's kernel is held at a time."""
    import torch
    from torchmetrics.image.kid import poly_kernel

    others = torch.from_numpy(np.concatenate([columns[g] for g in column_groups]))
    starts = np.cumsum([0, *(len(g) for g in column_groups)])[:-1]
    found = [
        np.add.reduceat(poly_kernel(torch.from_numpy(rows[g]), others).numpy().sum(axis=0), starts)
        for g in row_groups
    ]
    return np.array(found)


def _self_kernel(rows: Table) -> Table:
    return np.asarray(((rows**2).sum(axis=1) / rows.shape[1] + 1.0) ** 3)


def _left(sums: _Sums, group: int) -> _Sums:
    """The sums without one group of each side."""

    def cut(table: Table) -> Table:
        for axis in range(table.ndim):
            table = np.delete(table, group, axis)
        return table

    return _Sums(*(cut(table) for table in sums))


def _distance(sums: _Sums) -> float:
    n, m = sums.x.sum(), sums.y.sum()
    alike = sums.xx.sum() / (n * (n - 1.0)) + sums.yy.sum() / (m * (m - 1.0))
    return float(alike - 2.0 * sums.xy.sum() / (n * m))
