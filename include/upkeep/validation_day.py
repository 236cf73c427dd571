"""One day as the suites see it: the rows of three frames.

``day`` has one row, ``hours`` one an hour, ``measures`` one a measure. What is unknown is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from upkeep.records import DailyMetrics, HourMetrics, Quarantined, Utilisation
from upkeep.spec import ModelSpec
from upkeep.validation_measures import (
    MEASURES,
    SHARES,
    SUMS,
    TIMES,
    UNITS,
    WATCHED,
    WHOLE,
    Row,
    Value,
    believable,
    finite,
    highest_share,
    numbers,
    step_ms,
    usual,
)
from upkeep.validation_units import SCALES, UnitChange, unit_change

ROWS = tuple(dict.fromkeys((*MEASURES, *SCALES)))
MAX_UNIT_RATIO = 200  # between s and ms lie 1000, between a good and a bad day never 200
PERCENT_RATIOS = (50.0, 200.0)  # an error rate in percent is 100 times as large
FROZEN_HOURS = 12
MOST_TOKENS_PER_S = 20_000.0  # of one request; ms that are seconds say more than any server


# ---------------------------------------------------------------- the frames


@dataclass(frozen=True)
class Day:
    """One day as the frames and the words need it; ``history`` holds earlier days."""

    spec: ModelSpec
    metrics: DailyMetrics
    history: Sequence[DailyMetrics] = ()

    @cached_property
    def sound(self) -> list[DailyMetrics]:
        """The earlier days that look sound by themselves, none before a baseline's ``since``."""
        since = self.spec.policy.baseline.since
        days = [day for day in self.history if since is None or day.day >= since]
        return [day for day in days if believable(self.spec.trust, day)]

    @cached_property
    def usual(self) -> dict[str, tuple[float, int]]:
        """What sound days say; see :func:`usual`."""
        return usual(self.sound)

    @cached_property
    def unit_changes(self) -> dict[str, UnitChange]:
        """The measures that are in another unit than on sound days; see :func:`unit_change`."""
        needed = self.spec.policy.baseline.min_days
        found = {name: unit_change(name, self.metrics, self.sound, needed) for name in SCALES}
        return {name: change for name, change in found.items() if change is not None}

    def parameters(self) -> dict[str, float]:
        """The thresholds that the suites name."""
        trust = self.spec.trust
        return {
            "min_coverage": trust.min_coverage,
            "max_bad_share": trust.max_bad_share,
            "min_requests": trust.min_requests,
            "max_unit_ratio": MAX_UNIT_RATIO,
            "min_unit_ratio": 1 / MAX_UNIT_RATIO,
        }

    def frames(self) -> dict[str, list[Row]]:
        """The rows of each frame."""
        return {
            "day": [self.row()],
            "hours": [_hour_row(hour) for hour in self.metrics.hours],
            "measures": [self._measure_row(name) for name in ROWS],
        }

    def row(self) -> Row:
        """The one row of the day's frame."""
        m = self.metrics
        return {
            "sources_missing": len(self.missing),
            "numbers_not_finite": sum(not math.isfinite(n) for n in numbers(m.model_dump())),
            "coverage": self.coverage,
            "last_covered_hour": max((h.hour for h in m.hours if h.covered), default=-1),
            "bad_share": self.bad_share,
            "requests": m.requests,
            "requests_or_none": m.requests or 0,
            "hours_requests": sum(hour.requests or 0 for hour in m.hours),
            "requests_without_name": self.requests_without_name,
            "no_traffic": float(self.no_traffic),
            "error_rate": finite(m.error_rate),
            "error_rate_is_percent": float(self.error_rate_is_percent),
            "latency_p95_ms": finite(WATCHED["latency_p95_ms"](m)),
            "first_token_late": float(_first_token_late(m)),
            "too_fast": float(self.is_too_fast),
            "flags": len(m.flags),
            "series_rejected": len(m.rejected),
            "disagreements": len(m.disagreements),
            "not_collected": len(self.not_collected) + len(self.half_collected),
        }

    def _measure_row(self, name: str) -> Row:
        return {
            "step_ms": step_ms(getattr(self.metrics, name, None)) if name in TIMES else None,
            "share": highest_share(self._alone(name)) if name in SHARES else None,
            "differs_from_hours": self.differs_from_hours(name),
            "known_share": self.known_share(name) if name in WHOLE else None,
            "unit_ratio": self.unit_ratio(name) if name in UNITS else None,
            "unit_changed": float(name in self.unit_changes) if name in SCALES else None,
            "frozen": float(self.is_frozen(name)) if name in TIMES else None,
        }

    def _alone(self, name: str) -> Utilisation:
        return Utilisation().model_copy(update={name: getattr(self.metrics.utilisation, name)})

    # ------------------------------------------------------------------ what rows are made of

    @property
    def missing(self) -> tuple[Quarantined, ...]:
        """The sources without anything of the day."""
        return tuple(q for q in self.metrics.quarantined if q.reason == "no_source")

    @property
    def bad_share(self) -> float:
        """Rows set aside, as a share of the rows that were there; 0 where there were none."""
        read, bad = self.metrics.rows_read, self.metrics.rows_quarantined
        return min(1.0, bad / read) if read else float(bad > 0)

    @property
    def requests_without_name(self) -> float:
        """How far the requests by slice or by version are from all requests."""
        m = self.metrics
        named = (m.requests_by_slice, m.requests_by_version)
        return max(abs((m.requests or 0) - sum(counts.values())) for counts in named)

    @property
    def unknown_hours(self) -> list[int]:
        """The hours that are covered and do not know their requests."""
        return [h.hour for h in self.metrics.hours if h.covered and h.requests is None]

    @property
    def coverage(self) -> Value:
        """The covered share of the day, less the hours that do not know their requests."""
        found = finite(self.metrics.coverage)
        if found is None or self.metrics.requests is None:
            return found
        return max(0.0, found - len(self.unknown_hours) / 24)

    @property
    def no_traffic(self) -> bool:
        """Whether whole data says that nothing was requested in any hour.

        A row of a log that was set aside may have been a request; a point of a series was not:
        an hour without enough of them is not covered.
        """
        m = self.metrics
        rows_are_requests = self.spec.sources[0].kind == "request_log"
        quiet = all(h.covered and h.requests == 0 for h in m.hours)
        whole = m.requests == 0 and m.coverage == 1.0 and quiet
        return whole and not (rows_are_requests and m.rows_quarantined)

    def unit_ratio(self, name: str) -> Value:
        """Today's value over the usual one, or None where either is not known."""
        today, known = UNITS[name](self.metrics), self.usual.get(name)
        return finite(today / known[0]) if known and known[0] and today is not None else None

    @property
    def is_too_fast(self) -> bool:
        """Whether a request gives more tokens a second than any server of texts."""
        per_s = self.metrics.tokens_out_per_s or 0.0
        return self.spec.quality.modality == "text" and per_s > MOST_TOKENS_PER_S

    @property
    def error_rate_is_percent(self) -> bool:
        """Whether the error rate is about 100 times the usual one."""
        ratio = self.unit_ratio("error_rate")
        return ratio is not None and PERCENT_RATIOS[0] <= ratio <= PERCENT_RATIOS[1]

    @property
    def not_collected(self) -> tuple[str, ...]:
        """What the policy watches and earlier days have, and this day with traffic has not."""
        return tuple(
            n for n in self._unknown() if any(WATCHED[n](d) is not None for d in self.history)
        )

    @property
    def never_collected(self) -> tuple[str, ...]:
        """What the policy watches and no day has."""
        return tuple(n for n in self._unknown() if n not in self.not_collected)

    def _unknown(self) -> list[str]:
        if self.metrics.requests == 0:
            return []
        watched = (name for name in self.spec.policy.measures if name in WATCHED)
        return [name for name in watched if WATCHED[name](self.metrics) is None]

    @property
    def half_collected(self) -> dict[str, float]:
        """Times that are known for less of the requests than a day must be covered."""
        least = self.spec.trust.min_coverage
        shares = {"ttft_ms": self.known_share("ttft_ms")}
        return {
            name: share for name, share in shares.items() if share is not None and share < least
        }

    def known_share(self, name: str) -> Value:
        """The share of the requests that fell into hours which know the measure.

        None where the day or every hour is without it. Requests that failed have no latency.
        """
        of_day = SUMS[name](self.metrics) if name in SUMS else getattr(self.metrics, name)
        hours = self.metrics.hours
        if of_day is None or all(getattr(h, name) is None for h in hours):
            return None
        weights = [(h.requests or 0) - (h.errors or 0 if name in TIMES else 0) for h in hours]
        total = sum(weights)
        known = sum(w for w, h in zip(weights, hours, strict=True) if getattr(h, name) is not None)
        return known / total if total > 0 else None

    def differs_from_hours(self, name: str) -> Value:
        """The day's count less the sum of its hours; None where either is not known."""
        of_day = SUMS[name](self.metrics) if name in SUMS else None
        known = [
            v for h in self.metrics.hours if name in SUMS and (v := getattr(h, name)) is not None
        ]
        return finite(of_day - sum(known)) if of_day is not None and known else None

    def is_frozen(self, name: str) -> bool:
        """Whether all hours of at least half a day have one and the same quantiles and mean."""
        found = [getattr(h, name) for h in self.metrics.hours]
        said = [(q.p50, q.p90, q.p95, q.p99, q.mean) for q in found if q is not None and q.n]
        return len(said) >= FROZEN_HOURS and len(set(said)) == 1


def _hour_row(hour: HourMetrics) -> Row:
    return {
        "hour": hour.hour,
        "requests": hour.requests,
        "errors": hour.errors,
        "least_step_ms": min(
            (step for name in TIMES if (step := step_ms(getattr(hour, name))) is not None),
            default=None,
        ),
        "highest_share": highest_share(hour.utilisation),
    }


HOUR_COLUMNS = tuple(_hour_row(HourMetrics(hour=0, covered=False)))


def _first_token_late(metrics: DailyMetrics) -> bool:
    """Whether the median first token comes after the median end: one is in another unit.

    Medians of coarse buckets may change places, so that twice as late is late.
    """
    latency, first = metrics.latency_ms, metrics.ttft_ms
    return latency is not None and first is not None and first.p50 > 2 * latency.p50
