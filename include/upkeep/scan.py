"""Has the level changed, since when, and how sure is that? Evidence that adds up over days. Pure.

*Evidence.* For each of the last W days as a possible beginning, the change of level since then is
estimated by generalised least squares on the whitened residuals (level before and after are both
unknown), divided by its standard error, and turned into a normal score. The largest score over
the W beginnings is the evidence: the window-limited generalised likelihood ratio of Willsky and
Jones (1976) and Lai (1995). One terrible day is evidence at once, many slightly worse days add up.

*Threshold.* The rate at which the evidence passes a threshold h by chance, on a quiet series, is

    r(h) = h phi(h) * integral of x nu(x)^2 dx from h / sqrt(W) to h,   nu(x) ~ exp(-0.583 x)

(Siegmund and Venkatraman 1995, *Using the generalized likelihood ratio statistic for sequential
detection of a change-point*, one side). x is the size of the change, in sd, that a beginning
stands for: a chart pages only where that is beyond its tolerance t too, so that its integral
begins at t / sd. Charts whose tolerance lies far outside their noise need none of the budget.
The threshold is the h at which the rates of all charts together are the budget. The rate is of
runs of days over the threshold, not of days.

*Tails.* A single day is judged by Student's t with the tails that were learnt and the degrees of
freedom of the standard deviation; in sums of days each counts at most CLIP standard deviations.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from upkeep.noise import Noise, Whitened
from upkeep.panel import Floats

CLIP = 3.0
OVERSHOOT = 2.0 * 0.583
GRID = np.linspace(2.0, 7.0, 251)
LEAST_DF = 2.2
ROOT_2 = math.sqrt(2.0)
NEVER = 38.0  # a normal score that chance does not reach: its tail is 0 in double precision


def scan(whitened: Whitened, level: Floats, noise: Noise, window: int) -> Floats:
    """Evidence for a change of level that began on one of the last ``window`` days.

    One row a possible beginning (the last day first), one column a chart: normal scores, NaN
    where the chart has no value on that day or its level before is not known.

    ``level`` is 1 on the days that say what the level was (baseline of this champion), else 0;
    days of the window itself are left out by the beginning that is looked at.
    """
    sd = noise.sd[:, None]
    clipped = np.clip(whitened.residuals, -CLIP * sd, CLIP * sd)
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
    t = effect * np.sqrt(information) / sd
    return np.asarray(_normal(t, noise, begin.size).T)


def _after(table: Floats, begin: Floats) -> Floats:
    """For each beginning the sum over the days after it."""
    total = np.cumsum(table, axis=1)
    return np.asarray(total[:, -1:] - total[:, begin])


def _normal(t: Floats, noise: Noise, window: int) -> Floats:
    """Normal scores with the same tail as these t; the first column has a single day's tails."""
    inverse = np.repeat((1.0 / noise.df)[:, None], window, axis=1)
    inverse[:, 0] += noise.inverse_tail
    return normal_scores(t, 1.0 / inverse)


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


def threshold(tolerances: Floats, rate_per_day: float, window: int) -> float:
    """The threshold at which charts with these tolerances, in sd, keep to ``rate_per_day``.

    7 where not even that is enough: an alarm then needs seven standard deviations.
    """
    rates = alarm_rate(GRID[:, None], window, np.minimum(tolerances, NEVER)[None, :]).sum(axis=1)
    fits = np.flatnonzero(rates <= rate_per_day)
    if not fits.size:
        return float(GRID[-1])
    place = int(fits[0])
    if place == 0:
        return float(GRID[0])
    high, low = math.log(rates[place]), math.log(rates[place - 1])
    share = (low - math.log(rate_per_day)) / (low - high) if low > high else 1.0
    return float(GRID[place - 1] + share * (GRID[place] - GRID[place - 1]))
