"""A model's ordinary day-to-day change, learnt from its own history. Pure; numpy only.

Every function takes a table with a row a chart and a column a day, NaN where a day is missing.
``roles`` is a number a chart: charts of one number are of one kind.

- *season*: an effect of each day of the week, where the days of the week differ by more than
  chance (F of one-way analysis of variance), shrunk towards none (James and Stein 1961).
- *autocorrelation*: the first lag's, with Kendall's (1954) correction of its bias; residuals are
  whitened with it: e = (r - rho^g r_before) / sqrt(1 - rho^2g) over a gap of g days.
- *size and tails*: the scale of Student's t by maximum likelihood (Lange, Little and Taylor
  1989) for several degrees of freedom, weighed by their likelihood and a prior. A prior that is
  worth four days and expects a quarter of the tolerance may make it larger, never smaller
  (Smyth 2004), so that five quiet days do not promise silence.

*Empirical Bayes* (Efron and Morris 1973). Two months of one chart say little of its rho and
nearly nothing of its tails: what is usual among the model's charts of one role is learnt from
all of them, and each is drawn towards that. rho: a normal with the mean and the variance of the
role (Morris 1983), so that charts that differ keep their own. Tails: the mixture of degrees of
freedom of largest posterior (EM; Laird 1978), its prior worth TAIL_PRIOR_CHARTS. A chart that
never changes tells nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upkeep.panel import Flags, Floats

MAD_TO_SD = 1.4826022185056018
CLIP = 2.5  # robust standard deviations: what is further out tells nothing about season and rho
SATURDAY = 5
ALIKE = 2  # days of one class, at least, to have an effect of their own
WEEKEND_F = 6.0  # F(1, 8) passes it by chance in 4 % of cases
SEASON_DAYS, SEASON_F = 14, 3.0  # two weeks; F(6, 22) passes it by chance in 3 % of cases
RHO_USUAL, RHO_USUAL_SD = 0.15, 0.25  # of a model's charts of one role
RHO_APART, RHO_APART_CHARTS = 0.15, 2.0  # their standard deviation, and what that is worth
RHO_LEAST, RHO_MOST = -0.3, 0.85
TAILS = np.array([3.0, 5.0, 9.0, 20.0, 100.0])
TAIL_HEIGHT = (  # logarithm of the density at 0
    special.gammaln((TAILS + 1.0) / 2.0)
    - special.gammaln(TAILS / 2.0)
    - 0.5 * np.log(np.pi * TAILS)
)
TAIL_PRIOR = np.array([0.08, 0.17, 0.25, 0.25, 0.25])
TAIL_PRIOR_CHARTS = 0.5
TAIL_STEPS, POOL_STEPS = 5, 6
PRIOR_DAYS = 4.0


class Whitened(NamedTuple):
    """Residuals without their autocorrelation, and what a shift of 1 looks like in them.

    A shift of 1 that begins on a day adds ``first`` on that day and ``later`` on each day
    after. All are 0 where a day is missing (``seen`` says which).
    """

    residuals: Floats
    first: Floats
    later: Floats
    seen: Flags


class Noise(NamedTuple):
    """One number a chart: day-to-day sd, 1/df of the tails, df of the sd.

    Whitened residuals have the variance of the days themselves: sd is that of both.
    """

    sd: Floats
    inverse_tail: Floats
    df: Floats


def median_of(table: Floats) -> Floats:
    """Median of each row without its NaN; NaN where a row has nothing."""
    rows, days = table.shape
    if days == 0:
        return np.full(rows, np.nan)
    ranked = np.sort(table, axis=1).ravel()  # NaN last
    n = np.count_nonzero(table == table, axis=1)  # noqa: PLR0124 - NaN is not itself
    first = np.arange(0, rows * days, days)
    low, high = np.maximum(n - 1, 0) // 2, np.minimum(n // 2, np.maximum(n - 1, 0))
    return np.asarray((ranked[first + low] + ranked[first + high]) / 2.0)


def robust_sd(table: Floats, floor: Floats) -> Floats:
    """The median absolute value of each row as a standard deviation, at least ``floor``."""
    found = MAD_TO_SD * median_of(np.abs(table))
    return np.fmax(found, floor)


def season(residuals: Floats, weekdays: NDArray[np.int64], sd: Floats) -> Floats:
    """The effect of each column's day of the week, from the residuals of the baseline.

    First of weekends (UTC), then, of two weeks or more, of each day on top of that.
    """
    days = np.eye(7)[weekdays]
    weekend = days[:, SATURDAY:].sum(axis=1)
    found = _effects(residuals, np.stack([1.0 - weekend, weekend], axis=1), sd, WEEKEND_F)
    if int((~np.isnan(residuals)).sum(axis=1).max(initial=0)) < SEASON_DAYS:
        return found
    return found + _effects(residuals - found, days, sd, SEASON_F)


def _effects(residuals: Floats, classes: Floats, sd: Floats, least_f: float) -> Floats:
    """The mean of each column's class, shrunk by one-way analysis of variance.

    ``classes`` has a row a column of ``residuals`` and a column a class, 1 where it belongs.
    """
    seen = ~np.isnan(residuals)
    usual = _usual(residuals, classes)
    off = residuals - usual
    # A median of its own takes one day of each class to 0: those tell nothing of the size.
    sizes = np.sort(np.abs(off), axis=1)[:, classes.shape[1] :]
    bound = CLIP * np.minimum(robust_sd(sizes, 1e-9 * sd), sd)[:, None]
    clipped = np.where(seen, usual + np.clip(off, -bound, bound), 0.0)
    n, total = seen @ classes, clipped @ classes
    means = total / np.maximum(n, 1.0)
    days, kinds = np.maximum(n.sum(axis=1), 1.0), float(classes.shape[1])
    apart = means - (total.sum(axis=1) / days)[:, None]
    left = np.where(seen, clipped - means @ classes.T, 0.0)
    within = np.sum(left**2, axis=1) / np.maximum(days - kinds, 1.0)
    between = np.sum(n * apart**2, axis=1)
    tiny = np.finfo(np.float64).tiny
    few = (days < kinds + 3.0) | ((n > 0.0).sum(axis=1) < kinds) | (n.min(axis=1) < ALIKE)
    chance = few | (between / (kinds - 1.0) / np.maximum(within, tiny) <= least_f)
    spread = np.where(chance, 0.0, np.maximum(0.0, between - (kinds - 1.0) * within) / days)
    shrink = n * spread[:, None] / np.maximum(n * spread[:, None] + within[:, None], tiny)
    return np.asarray((shrink * apart) @ classes.T)


def _usual(residuals: Floats, classes: Floats) -> Floats:
    """The median of each column's class; 0 for a class that has no day."""
    columns = [np.flatnonzero(kind) for kind in classes.T]
    found = np.stack([median_of(residuals[:, c]) for c in columns], axis=1)
    return np.asarray(np.where(np.isnan(found), 0.0, found) @ classes.T)


class Autocorrelation(NamedTuple):
    """The correlation of neighbouring days, and the standard error of that."""

    rho: Floats
    error: Floats


def autocorrelation(
    residuals: Floats, ordinals: NDArray[np.int64], sd: Floats, roles: NDArray[np.int64]
) -> Autocorrelation:
    """The correlation of neighbouring days, drawn towards that of all charts of the role."""
    bound = CLIP * sd[:, None]
    seen = ~np.isnan(residuals)
    clipped = np.where(seen, np.clip(residuals, -bound, bound), 0.0)
    both = seen[:, 1:] & seen[:, :-1] & (np.diff(ordinals) == 1)
    pairs = np.sum(both, axis=1)
    moment = np.sum(np.where(both, clipped[:, 1:] * clipped[:, :-1], 0.0), axis=1)
    variance = np.sum(clipped**2, axis=1) / np.maximum(seen.sum(axis=1), 1)
    found = moment / np.maximum(pairs, 1) / np.maximum(variance, np.finfo(np.float64).tiny)
    found = found + (1.0 + 3.0 * found) / np.maximum(pairs, 4)
    known = np.where(variance > 0.0, pairs, 0).astype(np.float64)
    found = np.where(known > 0.0, found, 0.0)
    usual, apart = _usual_rho(found, known, roles)
    drawn = (known * found + usual / apart) / (known + 1.0 / apart)
    rho = np.clip(drawn, RHO_LEAST, RHO_MOST)
    return Autocorrelation(rho, np.sqrt((1.0 - rho**2) / (known + 1.0 / apart)))


def _usual_rho(found: Floats, pairs: Floats, roles: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean and variance among the charts of each chart's role, drawn towards what is usual."""
    usual, apart = np.full(found.size, RHO_USUAL), np.full(found.size, RHO_APART**2)
    for rows in _alike(roles, pairs > 0.0):
        rho, chance = found[rows], 1.0 / pairs[rows]
        more = np.sum((rho - rho.mean()) ** 2) - np.sum(chance) * (1.0 - 1.0 / rows.size)
        apart[rows] = (RHO_APART_CHARTS * RHO_APART**2 + max(0.0, float(more))) / (
            RHO_APART_CHARTS + rows.size - 1.0
        )
        weight, prior = 1.0 / (chance + apart[rows]), 1.0 / RHO_USUAL_SD**2
        usual[rows] = (weight @ rho + prior * RHO_USUAL) / (weight.sum() + prior)
    return usual, apart


def _alike(roles: NDArray[np.int64], known: Flags) -> Iterator[NDArray[np.int64]]:
    """The rows of each role of which something is known."""
    for role in np.unique(roles[known]):
        yield np.flatnonzero(known & (roles == role))


def whiten(residuals: Floats, ordinals: NDArray[np.int64], rho: Floats) -> Whitened:
    """Take each day's expectation from the last observed day before it away."""
    seen = ~np.isnan(residuals)
    filled = np.where(seen, residuals, 0.0)
    columns = np.arange(residuals.shape[1])
    last = np.maximum.accumulate(np.where(seen, columns, -1), axis=1)
    before = np.concatenate([np.full((len(last), 1), -1), last[:, :-1]], axis=1)
    gap = ordinals[None, :] - ordinals[np.maximum(before, 0)]
    carried = np.where(before >= 0, rho[:, None] ** gap, 0.0)
    root = np.sqrt(1.0 - carried**2)
    previous = np.take_along_axis(filled, np.maximum(before, 0), axis=1)
    mask = seen.astype(np.float64)
    return Whitened(
        residuals=mask * (filled - carried * previous) / root,
        first=mask / root,
        later=mask * (1.0 - carried) / root,
        seen=seen,
    )


def noise_of(whitened: Floats, prior: Floats, roles: NDArray[np.int64]) -> Noise:
    """Size and tails of the whitened residuals of the baseline (NaN elsewhere)."""
    n = np.sum(~np.isnan(whitened), axis=1).astype(np.float64)
    scales = _scales(whitened, robust_sd(whitened, prior))
    weights = _tail_weights(whitened, scales, roles)
    inverse_tail = np.sum(weights / TAILS[:, None], axis=0)
    logs = 2.0 * np.log(scales) + np.log(TAILS / (TAILS - 2.0))[:, None]
    variance = np.exp(np.sum(weights * logs, axis=0)) * n / np.maximum(n - 1.5, 1.0)
    drawn = (PRIOR_DAYS * prior**2 + n * variance) / (PRIOR_DAYS + n)
    variance = np.where(variance > prior**2, variance, drawn)
    return Noise(np.sqrt(variance), inverse_tail, df=np.maximum(n - 1.0, 2.0))


def _scales(table: Floats, start: Floats) -> Floats:
    """Scale of Student's t for each of TAILS (rows of the result), charts in columns."""
    seen = ~np.isnan(table)
    squares = np.where(seen, table, 0.0) ** 2
    n = np.maximum(seen.sum(axis=1), 1)
    floor = (1e-3 * start) ** 2 + np.finfo(np.float64).tiny
    found = np.broadcast_to(start**2, (TAILS.size, len(table)))
    tails = TAILS[:, None, None]
    for _ in range(TAIL_STEPS):
        weighted = (tails + 1.0) / (tails + squares / found[:, :, None]) * squares
        found = np.maximum(np.sum(weighted, axis=2) / n, floor)
    return np.sqrt(found)


def _tail_weights(table: Floats, scales: Floats, roles: NDArray[np.int64]) -> Floats:
    """How likely each of TAILS is for each chart: likelihood x prior, adding up to 1.

    The prior is learnt from all charts of the role.
    """
    squares = np.where(np.isnan(table), 0.0, table) ** 2
    n = np.sum(~np.isnan(table), axis=1)
    tails = TAILS[:, None]
    body = np.sum(np.log1p(squares / (scales**2 * tails)[:, :, None]), axis=2)
    log = n * (TAIL_HEIGHT[:, None] - np.log(scales)) - (tails + 1.0) / 2.0 * body
    likely = np.exp(log - log.max(axis=0))
    prior = np.repeat(TAIL_PRIOR[:, None], len(table), axis=1)
    for rows in _alike(roles, squares.sum(axis=1) > 0.0):
        prior[:, rows] = _usual_tails(likely[:, rows])[:, None]
    weights = likely * prior
    return np.asarray(weights / weights.sum(axis=0))


def _usual_tails(likely: Floats) -> Floats:
    """How common each of TAILS is among charts, one a column of their likelihoods."""
    usual = TAIL_PRIOR
    for _ in range(POOL_STEPS):
        weights = likely * usual[:, None]
        total = (weights / weights.sum(axis=0)).sum(axis=1)
        usual = (TAIL_PRIOR_CHARTS * TAIL_PRIOR + total) / (TAIL_PRIOR_CHARTS + likely.shape[1])
    return usual


def scores(whitened: Floats, noise: Noise) -> Floats:
    """Each day z with P(Z > z) = P(T > day), T of Student's t with the chart's sd and tails.

    By Wallace's (1959) approximation, which is within 0.04 up to four sd.
    """
    tail = 1.0 / noise.inverse_tail[:, None]
    t2 = (whitened / noise.sd[:, None]) ** 2 * (tail / (tail - 2.0))
    size = (8.0 * tail + 1.0) / (8.0 * tail + 3.0) * np.sqrt(tail * np.log1p(t2 / tail))
    return np.asarray(np.sign(whitened) * size)
