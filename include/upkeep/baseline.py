"""One measure's baseline, its day-to-day noise, and the evidence that adds up over days.

The arithmetic behind :mod:`upkeep.drift`; its docstring says what is done and after whom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date
from statistics import NormalDist, median
from typing import NamedTuple

from upkeep import stats
from upkeep.records import DriftState, Interval
from upkeep.spec import BaselinePolicy, MeasurePolicy, Policy

ALLOWANCE = 1.0  # the CUSUM is tuned to shifts of two standard deviations
PRIOR_DAYS = 4.0
PRIOR_NOISE = 0.25  # of the tolerance: who sets a tolerance means it to lie beyond the noise
WILD = 3.5  # days beyond so many robust deviations tell nothing about ordinary noise
MEDIAN_VARIANCE = math.pi / 2.0  # of a median of n values: pi/2 * variance / n
JOIN_NOISE = 2.0  # days up to tolerance + 2 sd join, or the noise would be cut off and shrink
ALIKE = 2  # days of one kind (champion version, weekday class) that have a centre of their own
VANISHED = 1e-6  # logarithms of a value that fell to 0 stop here
SATURDAY = 5
CONFIDENCE = 0.95


class Point(NamedTuple):
    """One measure on one day; ``interval`` is the value's own within the day."""

    day: date
    value: float
    interval: Interval | None
    version: str
    signature: str = ""

    @property
    def weekend(self) -> bool:
        """Whether the day is a Saturday or Sunday in UTC."""
        return self.day.weekday() >= SATURDAY


class Judgement(NamedTuple):
    """A day against the baseline: effect and interval in the tolerance's own unit."""

    baseline: float
    days: int
    current: float
    effect: float
    interval: tuple[float, float]
    allowed: tuple[float, float]
    evidence: float
    state: DriftState
    note: str


class _Score(NamedTuple):
    """A day's deviation, noise and normal score, on the scale of the chart."""

    centre: float
    days: int
    deviation: float
    noise: float
    df: float
    score: float
    at_home: bool


def evidence_threshold(policy: Policy, watched: Iterable[MeasurePolicy]) -> float:
    """The CUSUM threshold at which all charts together keep to ``pages_per_model_month``.

    Each of the m one-sided charts (two for direction ``neither``) may alarm once in
    m * 30 / pages_per_model_month fault-free days.
    """
    charts = sum(2 if rule.direction == "neither" else 1 for rule in watched)
    return stats.cusum_threshold(30.0 / policy.pages_per_model_month * max(1, charts), ALLOWANCE)


class Chart:
    """The chart of one measure: ``learn`` its earlier days in order, then ``judge`` the day."""

    def __init__(
        self, rule: MeasurePolicy, baseline: BaselinePolicy, threshold: float, *, weekly: bool
    ) -> None:
        """``weekly``: weekends are compared with weekends once there are two of them."""
        self.rule, self.needed, self.threshold = rule, baseline.min_days, threshold
        self._window, self._weekly, self.since = baseline.days, weekly, baseline.since
        self._joined: list[Point] = []
        self._up = self._down = 0.0
        self._version: str | None = None

    @property
    def days(self) -> int:
        """How many days the baseline has."""
        return len(self._joined)

    @property
    def ready(self) -> bool:
        """Whether there are days enough to judge another one."""
        return self.days >= self.needed

    def learn(self, point: Point) -> None:
        """Take one trusted earlier day into the evidence and, if it is ordinary, the baseline."""
        if not self.ready:
            self._join(point)
            return
        score = self._score(point)
        self._add(score, point.version)
        harm = self._harm(score.deviation)
        ordinary = harm <= self._tolerance + JOIN_NOISE * score.noise
        if self.rule.direction == "neither" or (ordinary and self._state(score) != "drifted"):
            self._join(point)

    def judge(self, point: Point) -> Judgement:
        """The day against the baseline. Call once, after the last ``learn``."""
        score = self._score(point)
        self._add(score, point.version)
        spread = stats.student_t_quantile(CONFIDENCE, score.df) * score.noise
        ends = (score.deviation - spread, score.deviation + spread)
        state = self._state(score)
        note = ""
        if self._weekly and not score.at_home and state == "drifted":
            state, note = "watch", "too few days of this weekday class to judge by"
        return Judgement(
            baseline=self._raw(score.centre),
            days=score.days,
            current=point.value,
            effect=self._effect(point.value, score.centre),
            interval=(self._shift(ends[0]), self._shift(ends[1])),
            allowed=(
                self._raw(score.centre - self._tolerance),
                self._raw(score.centre + self._tolerance),
            ),
            evidence=self._up if score.deviation >= 0.0 else self._down,
            state=state,
            note=note,
        )

    # ------------------------------------------------------------ the scale of the chart

    @property
    def _relative(self) -> bool:
        return self.rule.kind == "relative"

    @property
    def _tolerance(self) -> float:
        return math.log1p(self.rule.tolerance) if self._relative else self.rule.tolerance

    def _scaled(self, value: float) -> float:
        return math.log(value) if self._relative else value

    def _raw(self, scaled: float) -> float:
        return math.exp(scaled) if self._relative else scaled

    def _shift(self, deviation: float) -> float:
        return math.expm1(min(deviation, stats.MAX_EXPONENT)) if self._relative else deviation

    def _effect(self, value: float, centre: float) -> float:
        return value / math.exp(centre) - 1.0 if self._relative else value - centre

    def _error(self, point: Point) -> float:
        """The value's own standard error within the day, on the chart's scale; 0 if unknown."""
        interval = point.interval
        if interval is None or not 0.0 < interval.confidence < 1.0:
            return 0.0
        width = interval.high - interval.low
        if self._relative and interval.low > 0.0:
            width = math.log(interval.high / interval.low)
        elif self._relative:
            width = width / max(point.value, VANISHED)
        return width / (2.0 * NormalDist().inv_cdf((1.0 + interval.confidence) / 2.0))

    # ------------------------------------------------------------ baseline and noise

    def _join(self, point: Point) -> None:
        if not self._relative or point.value > 0.0:
            self._joined = [*self._joined, point][-self._window :]

    def _centre(self, point: Point) -> tuple[float, int, bool]:
        """Median of the days to compare with, how many they are, and whether they are alike."""
        alike = [p for p in self._joined if not self._weekly or p.weekend == point.weekend]
        at_home = len(alike) >= ALIKE
        days = alike if at_home else self._joined
        return median(self._scaled(p.value) for p in days), len(days), at_home

    def _noise(self) -> tuple[float, float]:
        """Day-to-day standard deviation and its degrees of freedom.

        Over the days' distances from the median of their kind (champion version, or weekday
        class), without those that the MAD calls wild. The prior only ever makes it larger.
        """
        kinds: dict[object, list[float]] = {}
        for point in self._joined:
            kind = point.weekend if self._weekly else point.version
            kinds.setdefault(kind, []).append(self._scaled(point.value))
        alike = [days for days in kinds.values() if len(days) >= ALIKE]
        rest = [x - median(days) for days in alike for x in days]
        prior = PRIOR_NOISE * self._tolerance
        if not rest:
            return prior, PRIOR_DAYS
        centre, scale = stats.robust_location_scale(rest, floor=prior)
        kept = [x for x in rest if abs(x - centre) <= WILD * scale]
        seen = max(1.0, float(len(kept) - len(alike)))
        variance = math.fsum(x * x for x in kept) / seen
        if variance > prior**2:
            return math.sqrt(variance), seen
        moderated = (PRIOR_DAYS * prior**2 + seen * variance) / (PRIOR_DAYS + seen)
        return math.sqrt(moderated), PRIOR_DAYS + seen

    def _score(self, point: Point) -> _Score:
        centre, n, at_home = self._centre(point)
        noise, df = self._noise()
        usual = median(self._error(p) for p in self._joined)
        extra = max(0.0, self._error(point) ** 2 - usual**2)
        noise = math.sqrt(noise**2 * (1.0 + MEDIAN_VARIANCE / n) + extra)
        least = self._raw(centre) * VANISHED if self._relative else -math.inf
        deviation = self._scaled(max(point.value, least)) - centre
        score = stats.normal_score(deviation / noise, df)
        return _Score(centre, n, deviation, noise, df, score, at_home)

    # ------------------------------------------------------------ evidence and state

    def _add(self, score: _Score, version: str) -> None:
        """Add the day to both sums; another champion, or an alarm that is over, starts anew."""
        if version != self._version:
            self._up = self._down = 0.0
        self._version = version
        self._up = self._next(self._up, score.score)
        self._down = self._next(self._down, -score.score)

    def _next(self, total: float, score: float) -> float:
        if total >= self.threshold and score < ALLOWANCE:
            return 0.0
        return stats.cusum([score], ALLOWANCE, total)[0]

    def _harm(self, deviation: float) -> float:
        """The deviation counted in the harmful direction; both ways for ``neither``."""
        if self.rule.direction == "neither":
            return abs(deviation)
        return deviation if self.rule.direction == "lower_is_better" else -deviation

    def _state(self, score: _Score) -> DriftState:
        harm = self._harm(score.deviation)
        proven = (self._up if score.deviation >= 0.0 else self._down) >= self.threshold
        if harm < 0.0:
            return "improved" if proven and -harm > self._tolerance else "stable"
        beyond = harm > self._tolerance
        if beyond and proven:
            return "drifted"
        return "watch" if beyond or proven else "stable"
