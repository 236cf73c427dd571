"""Student's t: its tail and its quantiles, for any degrees of freedom. Pure.

Python's own mathematics only: what decides must not wait for the import of a library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache


def check_confidence(confidence: float) -> None:
    """ValueError for a confidence that is not between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence!r}, not between 0 and 1")


def _bisect(low: float, high: float, rises: Callable[[float], bool]) -> float:
    """The point of [low, high] where ``rises`` turns from False to True."""
    for _ in range(200):
        middle = (low + high) / 2.0
        if rises(middle):
            high = middle
        else:
            low = middle
        if high - low <= 1e-12 * max(1.0, abs(high)):
            break
    return (low + high) / 2.0


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of the incomplete beta function (DLMF 8.17.22), Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    result = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for numerator in (even, odd):
            d = 1.0 + numerator * d
            c = 1.0 + numerator / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            step = c * d
            result *= step
        if abs(step - 1.0) < 1e-14:  # noqa: PLR2004 - the precision of a double
            break
    return result


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _beta_fraction(a, b, x) / a


def student_t_tail(t: float, df: float) -> float:
    """P(T > t) of Student's t with ``df`` > 0 degrees of freedom, fractions allowed.

    For t >= 0: I_x(df/2, 1/2) / 2 with x = df / (df + t^2) (Abramowitz & Stegun 26.7.1).
    """
    if not (math.isfinite(t) and math.isfinite(df)):
        raise ValueError(f"t, df: {t!r}, {df!r} must be finite")
    if df <= 0.0:
        raise ValueError(f"df is {df!r}, not positive")
    upper = 0.5 * _incomplete_beta(df / 2.0, 0.5, df / (df + t * t))
    return upper if t >= 0.0 else 1.0 - upper


@lru_cache(maxsize=1024)
def student_t_quantile(confidence: float, df: float) -> float:
    """The t with P(-t < T < t) = ``confidence``; infinite for no degrees of freedom."""
    check_confidence(confidence)
    if df <= 0.0:
        return math.inf
    tail = (1.0 - confidence) / 2.0
    high = 1.0
    while student_t_tail(high, df) > tail:
        high *= 2.0
    return _bisect(0.0, high, lambda t: student_t_tail(t, df) <= tail)
