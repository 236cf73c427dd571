"""Pure numbers: intervals and robust noise. Python's own mathematics only.

Every function refuses empty input, lengths that differ and numbers that are not finite with a
ValueError that names the argument. Where the data cannot bound a value (one sample, too few
rounds), the interval is infinite rather than short: ``Estimate.bounded`` is then False.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from upkeep.student import check_confidence, student_t_quantile

MAD_TO_SD = 1.4826  # a normal sample's standard deviation per median absolute deviation
MAD_SMALL_N = (1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107)  # n = 2 .. 9
MAX_EXPONENT = 700.0  # math.exp overflows a double just above 709


class Estimate(NamedTuple):
    """A value with its two-sided interval, confidence (0.95 = 95 %) and number of samples."""

    value: float
    low: float
    high: float
    confidence: float
    n: int

    @property
    def half_width(self) -> float:
        """Half of the interval's width, in the value's unit; infinite if unbounded."""
        return (self.high - self.low) / 2.0

    @property
    def bounded(self) -> bool:
        """Whether both ends are finite: only then may the interval become a record."""
        return math.isfinite(self.low) and math.isfinite(self.high)


# ---------------------------------------------------------------- refusing what is no number


def finite(name: str, values: Sequence[float], at_least: int = 1) -> tuple[float, ...]:
    """The values as floats; ValueError if one is not a finite number or there are too few."""
    if len(values) < at_least:
        raise ValueError(f"{name}: {len(values)} values, at least {at_least} needed")
    for place, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name}[{place}] is {value!r}, not a number")  # noqa: TRY004
        if not math.isfinite(value):
            raise ValueError(f"{name}[{place}] is {value!r}, not finite")
    return tuple(float(v) for v in values)


def _same_length(**named: Sequence[float]) -> None:
    lengths = {name: len(values) for name, values in named.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lengths differ: {lengths}")


def _weights(name: str, values: Sequence[float]) -> tuple[float, ...]:
    weights = finite(name, values)
    if min(weights) < 0.0:
        raise ValueError(f"{name}: {min(weights)!r} is negative")
    if math.fsum(weights) <= 0.0:
        raise ValueError(f"{name}: the sum is zero")
    return weights


# ---------------------------------------------------------------- intervals


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean and Student's interval: mean +- t * s / sqrt(n) (Student 1908)."""
    check_confidence(confidence)
    numbers = finite("values", values)
    n = len(numbers)
    mean = math.fsum(numbers) / n
    if n == 1:
        return Estimate(mean, -math.inf, math.inf, confidence, n)
    variance = math.fsum((x - mean) ** 2 for x in numbers) / (n - 1)
    half = student_t_quantile(confidence, n - 1) * math.sqrt(variance / n)
    return Estimate(mean, mean - half, mean + half, confidence, n)


def _ratio(
    top: Sequence[float], bottom: Sequence[float], confidence: float
) -> tuple[float, float, int]:
    """Ratio of sums r and the half width of its interval.

    Linearisation: var(r) = n/(n-1) * sum (y - r x)^2 / (sum x)^2 (Cochran 1977, Sampling
    Techniques, chapter 6).
    """
    n, total = len(top), math.fsum(bottom)
    ratio = math.fsum(top) / total
    if n == 1:
        return ratio, math.inf, n
    squares = math.fsum((y - ratio * x) ** 2 for y, x in zip(top, bottom, strict=True))
    error = math.sqrt(squares * n / (n - 1)) / total
    return ratio, student_t_quantile(confidence, n - 1) * error, n


def _exp(x: float) -> float:
    return math.inf if x > MAX_EXPONENT else math.exp(x)


def weighted_ratio_interval(
    sums: Sequence[float], weights: Sequence[float], confidence: float = 0.95
) -> Estimate:
    """exp(sum of ``sums`` / sum of ``weights``): perplexity, with its interval.

    ``sums`` holds a sample's summed negative log-likelihood in nats, ``weights`` its number of
    tokens; the sample, not the token, is the unit of noise. The interval is the delta method's
    on the logarithmic scale (Cochran 1977, chapter 6), carried through exp. ValueError if the
    value itself would be infinite.
    """
    check_confidence(confidence)
    _same_length(sums=sums, weights=weights)
    mean, half, n = _ratio(finite("sums", sums), _weights("weights", weights), confidence)
    if mean > MAX_EXPONENT:
        raise ValueError(f"sums/weights is {mean:.4g}: its exponential is not finite")
    return Estimate(_exp(mean), _exp(mean - half), _exp(mean + half), confidence, n)


def paired_ratio_interval(
    champion: Sequence[float],
    candidate: Sequence[float],
    weights: Sequence[float],
    confidence: float = 0.95,
) -> Estimate:
    """Relative change of exp(sum/weights) from champion to candidate on the same samples.

    value = exp(sum(candidate - champion) / sum(weights)) - 1, so 0.02 means 2 % higher
    perplexity. The interval is the delta method's over the samples' differences: what both
    find hard cancels (paired design; Cochran 1977, chapter 6).
    """
    check_confidence(confidence)
    _same_length(champion=champion, candidate=candidate, weights=weights)
    before, after = finite("champion", champion), finite("candidate", candidate)
    differences = [b - a for a, b in zip(before, after, strict=True)]
    change, half, n = _ratio(differences, _weights("weights", weights), confidence)
    if change > MAX_EXPONENT:
        raise ValueError(f"the change of the logarithm is {change:.4g}: not finite in ratio")
    low, high = _exp(change - half) - 1.0, _exp(change + half) - 1.0
    return Estimate(_exp(change) - 1.0, low, high, confidence, n)


def paired_change_interval(
    champion: Sequence[float], candidate: Sequence[float], confidence: float = 0.95
) -> Estimate:
    """Relative change of a summed score: sum(candidate) / sum(champion) - 1, paired.

    For scores that are means (BLEU, ROUGE, error counts), all >= 0; the interval is the ratio
    estimator's (Cochran 1977, chapter 6). ValueError if the champion's sum is zero.
    """
    check_confidence(confidence)
    _same_length(champion=champion, candidate=candidate)
    ratio, half, n = _ratio(
        finite("candidate", candidate), _weights("champion", champion), confidence
    )
    return Estimate(ratio - 1.0, ratio - half - 1.0, ratio + half - 1.0, confidence, n)


def _sign_test_rank(n: int, confidence: float) -> int:
    """How many order statistics may be cut from each end; 0 if even all n do not suffice."""
    cut, tail = 0, 0.0
    while cut < n // 2:
        tail += math.comb(n, cut) / 2**n
        if 2.0 * tail > 1.0 - confidence:
            break
        cut += 1
    return cut


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Median with the sign test's interval between order statistics (Thompson 1936).

    Holds for every continuous distribution; its real confidence is at least ``confidence``.
    Under six values at 95 % no such interval exists and the ends are infinite.
    """
    check_confidence(confidence)
    ordered = sorted(finite("values", values))
    n = len(ordered)
    cut = _sign_test_rank(n, confidence)
    low, high = (ordered[cut - 1], ordered[n - cut]) if cut else (-math.inf, math.inf)
    return Estimate(median(ordered), low, high, confidence, n)


def median_ratio_interval(
    champion: Sequence[float], candidate: Sequence[float], confidence: float = 0.95
) -> Estimate:
    """Median over rounds of champion / candidate: 1.5 says that the candidate is 1.5x faster.

    Both hold one time a round (any unit, > 0), measured in turn in that round, so that a
    machine which slows down slows both. Interval: sign test on the rounds' ratios; see
    :func:`median_interval`.
    """
    _same_length(champion=champion, candidate=candidate)
    before, after = finite("champion", champion), finite("candidate", candidate)
    for name, times in (("champion", before), ("candidate", after)):
        if min(times) <= 0.0:
            raise ValueError(f"{name}: {min(times)!r} is not a positive time")
    ratios = [a / b for a, b in zip(before, after, strict=True)]
    result = median_interval(finite("champion/candidate", ratios), confidence)
    return result._replace(low=max(0.0, result.low))


# ---------------------------------------------------------------- noise


def robust_location_scale(values: Sequence[float], floor: float = 0.0) -> tuple[float, float]:
    """Median, and 1.4826 * median absolute deviation, never under ``floor``.

    The scale estimates a normal sample's standard deviation and ignores up to half of the
    values gone wild (Hampel 1974); small samples are corrected by the factors of Croux &
    Rousseeuw 1992. One value has scale ``floor``.
    """
    numbers = finite("values", values)
    (least,) = finite("floor", (floor,))
    centre = median(numbers)
    scale = MAD_TO_SD * mad_correction(len(numbers)) * median(abs(x - centre) for x in numbers)
    return centre, max(scale, least)


def mad_correction(n: int) -> float:
    """Factor that makes the MAD of ``n`` normal values unbiased (Croux & Rousseeuw 1992)."""
    if n < 2:  # noqa: PLR2004 - one value has no spread
        return 1.0
    return MAD_SMALL_N[n - 2] if n < 2 + len(MAD_SMALL_N) else n / (n - 0.8)
