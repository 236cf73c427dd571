"""Has the level changed, since when, and how sure is that? Evidence that adds up over days. Pure.

*Evidence.* Each whitened day is the normal score of its own tails (:func:`upkeep.noise.scores`),
so that sums of days are normal however heavy the tails of one. For each of the last W days as a
possible beginning, the change of level since then is estimated by generalised least squares
(level before and after are both unknown), divided by its standard error, and turned into a
normal score once more. The largest over the W beginnings is the evidence: the window-limited
generalised likelihood ratio of Willsky and Jones (1976) and Lai (1995). One terrible day is
evidence at once, many slightly worse days add up; in a sum a day counts at most CLIP.

*Sureness.* Size and autocorrelation are estimates. The sd of a sum of k days grows with rho, so
that its relative error is c (k - 1) / k, c = error(rho) / (1 - rho^2), beside 1 / sqrt(2 df) of
the sd itself. Both together are the degrees of freedom of Student's t (Satterthwaite 1946):

    1 / df_k = 1 / df + 2 (c (k - 1) / k)^2

*Rate.* The rate at which the evidence passes a threshold h by chance, on a quiet series, is

    r(h) = h phi(h) * integral of x nu(x)^2 dx from h / sqrt(W) to h,  nu(x) ~ exp(-0.583 x)

(Siegmund and Venkatraman 1995, *Using the generalized likelihood ratio statistic for sequential
detection of a change-point*, one side; where the noise is known it is 0.65 to 1.15 times that,
and learning the noise makes up for it). x is the size of the change, in sd, that a beginning
stands for: a chart pages only where that is beyond its tolerance t too, so that its integral
begins at t / sd. The rate is of runs of days over the threshold, not of days.

*Thresholds.* A change of size x is found after about h^2 / x^2 days. The least sum of these
delays over all charts, each for a change as large as its tolerance, at a given sum of rates, has
rates in proportion to (sd / tolerance)^2 (Lagrange; h' r = -r / h): that is each chart's part of
the budget. Charts whose tolerance lies far outside their noise take none of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from upkeep.noise import Whitened
from upkeep.panel import Floats

CLIP = 4.0
OVERSHOOT = 2.0 * 0.583
GRID = np.linspace(2.0, 7.0, 101)
LEAST_DF = 2.2
LEAST_REACH = 1.0  # in sd: a tolerance deep within the noise does not take all of the budget
ROOT_2 = math.sqrt(2.0)
NEVER = 38.0  # a normal score that chance does not reach: its tail is 0 in double precision


class Sureness(NamedTuple):
    """How well each chart's noise is known: df of its sd, c of its autocorrelation (above)."""

    df: Floats
    c: Floats


def scan(whitened: Whitened, level: Floats, sureness: Sureness, window: int) -> Floats:
    """Evidence for a change of level that began on one of the last ``window`` days.

    One row a possible beginning (the last day first), one column a chart: normal scores, NaN
    where the chart has no value on that day or its level before is not known.

    ``whitened.residuals`` are normal scores; ``level`` is 1 on the days that say what the level
    was (baseline of this champion), else 0; days of the window itself are left out by the
    beginning that is looked at.
    """
    clipped = np.clip(whitened.residuals, -CLIP, CLIP)
    later, first = whitened.later, whitened.first
    known = np.cumsum(level * later * later, axis=1), np.cumsum(level * later * clipped, axis=1)
    days = later.shape[1]
    begin = np.arange(days - 1, days - 1 - window, -1)
    tail_aa = _after(later * later, begin)
    tail_ae = _after(later * clipped, begin)
    e = clipped[:, begin]
    e[:, 0] = whitened.residuals[:, -1]  # alone, the day stands for all that it is
    a, b = later[:, begin], first[:, begin]
    bb, ba, be = b * b + tail_aa, b * a + tail_aa, b * e + tail_ae
    aa = known[0][:, begin - 1] + a * a + tail_aa
    ae = known[1][:, begin - 1] + a * e + tail_ae
    seen = whitened.seen[:, begin]
    usable = seen & (known[0][:, begin - 1] > 0.0)
    information = np.where(usable, bb - ba**2 / np.where(aa > 0.0, aa, 1.0), np.nan)
    effect = (be - ba * ae / np.where(aa > 0.0, aa, 1.0)) / information
    together = np.arange(window) / np.arange(1, window + 1)
    inverse = 1.0 / sureness.df[:, None] + 2.0 * (sureness.c[:, None] * together) ** 2
    return np.asarray(normal_scores(effect * np.sqrt(information), 1.0 / inverse).T)


def _after(table: Floats, begin: Floats) -> Floats:
    """For each beginning the sum over the days after it."""
    total = np.cumsum(table, axis=1)
    return np.asarray(total[:, -1:] - total[:, begin])


def normal_scores(t: Floats, df: Floats) -> Floats:
    """Z with P(Z > z) = P(T > t), T of Student's t with ``df``, scaled to unit variance."""
    df = np.maximum(df, LEAST_DF)
    tail = special.stdtr(df, -np.abs(t) * np.sqrt(df / (df - 2.0)))
    return np.asarray(-special.ndtri(np.maximum(tail, 1e-300)) * np.sign(t))


def alarm_rate(h: Floats, window: int, reach: Floats) -> Floats:
    """False alarms a day of one chart, one side, at threshold ``h``, tolerance ``reach`` in sd."""
    density = np.exp(-0.5 * h * h) / math.sqrt(2.0 * math.pi)
    lowest = np.minimum(np.maximum(h / math.sqrt(window), reach), h)
    scanned = h * density * (_integral(h) - _integral(lowest))
    # One day alone has no integral over beginnings: it is a single test a day.
    return np.asarray(np.maximum(scanned, 0.5 * special.erfc(np.maximum(h, reach) / ROOT_2)))


def _integral(x: Floats) -> Floats:
    """Indefinite integral of x exp(-2 * 0.583 x)."""
    return np.asarray(-np.exp(-OVERSHOOT * x) * (x / OVERSHOOT + 1.0 / OVERSHOOT**2))


def parts(reach: Floats, rate_per_day: float) -> Floats:
    """Each chart's part of a rate of false alarms; ``reach`` are the tolerances in sd."""
    able = reach < NEVER
    part = np.where(able, 1.0 / np.maximum(reach, LEAST_REACH) ** 2, 0.0)
    whole = math.fsum(part.tolist())  # exact: a chart more that takes nothing changes nothing
    return np.where(able, rate_per_day * part / (whole or 1.0), 1.0)


def thresholds(reach: Floats, rates_per_day: Floats, window: int) -> Floats:
    """The threshold at which each chart keeps to its rate.

    2 where any would do, and for charts that chance does not reach. 7 where the rate is too
    small for any less: an alarm then needs seven standard deviations.
    """
    tiny = np.finfo(np.float64).tiny
    rates = np.log(alarm_rate(GRID[:, None], window, np.minimum(reach, NEVER)[None, :]) + tiny)
    allowed = np.log(rates_per_day)
    over = np.sum(rates > allowed, axis=0)
    high, low = np.minimum(over, GRID.size - 1), np.clip(over - 1, 0, GRID.size - 1)
    charts = np.arange(reach.size)
    fall = rates[low, charts] - rates[high, charts]
    share = (rates[low, charts] - allowed) / np.where(fall > 0.0, fall, 1.0)
    return np.asarray(GRID[low] + np.clip(share, 0.0, 1.0) * (GRID[high] - GRID[low]))
