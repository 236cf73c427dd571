"""Each check of a day in words with its numbers: what was seen, short, and the whole finding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from upkeep.records import Quantiles, Quarantined
from upkeep.validation_day import MAX_UNIT_RATIO, Day
from upkeep.validation_measures import SHARES, SUMS, TIMES, UNITS, WHOLE

MAX_NAMED = 24
MAX_REASONS = 5
_HOURLY = re.compile(r"(?<![\w.])(\d\d)\.(?:jsonl|parquet)\b|\bhour (\d\d)\b")

Said = tuple[str, str]


@dataclass(frozen=True)
class Words:
    """The words of one day's checks: one method a check of the suites."""

    day: Day

    def of(self, check: str) -> Said:
        """What a check observed, short, and the whole finding in words."""
        said: Said = getattr(self, f"_{check}")()
        return said

    def _source(self) -> Said:
        missing = self.day.missing
        if not missing:
            return "0 missing", "every source has data of the day"
        named = named_first(q.what for q in missing)
        paths = ", ".join(s.path for s in self.day.spec.sources if s.kind == "request_log")
        words = f"no_source: there is no log folder for {named}; is path right ({paths})?"
        return f"{len(missing)} missing", words

    def _numbers(self) -> Said:
        count = self.day.row()["numbers_not_finite"] or 0
        words = f"{count:.0f} numbers are NaN or infinite" if count else "every number is finite"
        return f"{count:.0f}", words

    def _coverage(self) -> Said:
        least = self.day.spec.trust.min_coverage
        needed = f"coverage {self._covered}, at least {least:.2f} is needed"
        lost = sorted({*self._lost, *self.day.unknown_hours})
        if not lost:
            return self._covered, f"all hours could be read ({needed})"
        words = f"{len(lost)} of 24 hours could not be read ({needed})"
        return self._covered, words + _because(f"{q.what} {q.reason}" for q in self._causes())

    def _fresh(self) -> Said:
        last = self.day.row()["last_covered_hour"] or 0
        seen = f"hour {last:02.0f}" if last >= 0 else "no hour"
        if last == 23:  # noqa: PLR2004 - the last hour of a day
            return seen, "the data reaches the day's end"
        return seen, f"the data ends with {seen}: what is missing may still come"

    def _gaps(self) -> Said:
        hours = named_first(f"{hour:02d}" for hour in self._lost) or "none"
        return self._covered, f"hours that are not in the day's numbers as a whole: {hours}"

    def _bad_share(self) -> Said:
        m, most = self.day.metrics, f"at most {self.day.spec.trust.max_bad_share:.1%} is allowed"
        words = f"{m.rows_quarantined} of {m.rows_read} rows were set aside"
        bad = sorted((q for q in m.quarantined if q.rows), key=lambda q: (-q.rows, q.what))
        why = _because((f"{q.what} {q.reason}" for q in bad), MAX_REASONS)
        return f"{self.day.bad_share:.4f}", f"{words} ({self.day.bad_share:.1%}, {most}){why}"

    def _requests(self) -> Said:
        requests = self.day.metrics.requests
        if requests is None:
            return "unknown", "no_data: how many requests there were is not known"
        if self.day.no_traffic:
            return "0", "no_traffic: whole data says that nothing was requested"
        needed = f"at least {self.day.spec.trust.min_requests} are needed to judge a day"
        return str(requests), f"{requests} requests, {needed}"

    def _slices(self) -> Said:
        m = self.day.metrics
        by_slice, by_version = (
            sum(counts.values()) for counts in (m.requests_by_slice, m.requests_by_version)
        )
        seen = f"{by_slice} by slice, {by_version} by version"
        return seen, f"{seen}; the day has {m.requests or 0} requests"

    def _quantiles(self) -> Said:
        m = self.day.metrics
        seen = "; ".join((_quantiles("latency", m.latency_ms), _quantiles("ttft", m.ttft_ms)))
        named = (("latency", "latency_ms"), ("ttft", "ttft_ms"))
        falling = [name for name, field in named if _falls(getattr(m, field))]
        falling += [
            f"{name} of hour {hour.hour:02d} ({_quantiles(name, getattr(hour, field))})"
            for hour in m.hours
            for name, field in named
            if _falls(getattr(hour, field))
        ]
        more = f"; quantiles cannot fall: {named_first(falling, MAX_REASONS)}" if falling else ""
        return seen, seen + more

    def _utilisation(self) -> Said:
        used = self.day.metrics.utilisation
        known = {name: gauge for name in SHARES if (gauge := getattr(used, name)) is not None}
        seen = named_first(f"{n} {g.mean:.3g} (up to {g.high:.3g})" for n, g in known.items())
        over = [
            f"{name} {gauge.high:.6g} in hour {hour.hour:02d}"
            for hour in self.day.metrics.hours
            for name in SHARES
            if (gauge := getattr(hour.utilisation, name)) is not None and gauge.high > 1
        ]
        over += [f"{n} {g.high:.6g}" for n, g in known.items() if g.high > 1]
        more = f"; no share is over 1: {named_first(over, MAX_REASONS)}" if over else ""
        return seen or "not collected", (seen or "utilisation was not collected") + more

    def _error_rate(self) -> Said:
        rate = self.day.metrics.error_rate
        if rate is None:
            return "unknown", "the error rate is not known"
        words = f"{rate:.2%} of the requests failed"
        fine = 0 <= rate <= 1
        more = "" if fine else f": error_rate {rate:.6g} > 1; is it percent? set unit: percent"
        return f"{rate:.4f}", words + more

    def _error_unit(self) -> Said:
        rate, ratio = self.day.metrics.error_rate, self.day.unit_ratio("error_rate")
        if rate is None or ratio is None:
            return "unknown", "nothing to compare the error rate with"
        usual, days = self.day.usual["error_rate"]
        words = f"error rate {rate:.4g}, {ratio:.3g} times the {usual:.4g} of {days} earlier days"
        more = ": is it in percent?" if self.day.error_rate_is_percent else ""
        return f"{ratio:.6g}", words + more

    def _hours(self) -> Said:
        hours, row = self.day.metrics.hours, self.day.row()
        observed = f"{len(hours)} hours, {row['hours_requests']:.0f} requests"
        words = f"{observed}; the day has {row['requests_or_none']:.0f} requests"
        known = [h for h in hours if h.errors is not None and h.requests is not None]
        broken = [h.hour for h in known if (h.errors or 0) > (h.requests or 0)]
        more = f"; more errors than requests in {named_first(f'{h:02d}h' for h in broken)}"
        return observed, words + (more if broken else "")

    def _sums(self) -> Said:
        off = {name: d for name in SUMS if (d := self.day.differs_from_hours(name))}
        said = named_first(f"{name} of the day is {d:+g} off" for name, d in off.items())
        return f"{len(off)} differ", said or "each count that is known is the sum of its hours"

    def _partial(self) -> Said:
        known = {n: s for n in WHOLE if (s := self.day.known_share(n)) is not None}
        least = min(known.values(), default=None)
        words = (f"{n} is known for {s:.1%} of the requests" for n, s in known.items() if s < 1)
        said = named_first(words) or "what is known is known for every hour with requests"
        return "unknown" if least is None else f"{least:.4f}", said

    def _inconsistent(self) -> Said:
        m, row = self.day.metrics, self.day.row()
        p95, rate = row["latency_p95_ms"], row["error_rate"]
        seen = "unknown" if p95 is None else f"{p95:.6g} ms"
        observed = f"latency p95 {seen}, error rate {'unknown' if rate is None else f'{rate:.4f}'}"
        contradicts = m.requests and (p95 is None or rate is None)
        lead = f"inconsistent: {m.requests} requests, but " if contradicts else ""
        late = "; the first token comes later than the end" if row["first_token_late"] else ""
        fast = "; more tokens a second than any request has: is latency in seconds?"
        return observed, lead + observed + late + (fast if row["too_fast"] else "")

    def _unit_suspect(self) -> Said:
        ratios = {
            n: r for n in UNITS if n != "error_rate" and (r := self.day.unit_ratio(n)) is not None
        }
        if not ratios:
            return "unknown", "nothing to compare the measures with"
        odd = [n for n, r in ratios.items() if not 1 / MAX_UNIT_RATIO <= r <= MAX_UNIT_RATIO]
        seen = named_first(f"{name} {ratio:.4g} times" for name, ratio in ratios.items())
        said = (self._in_units(name, ratios[name]) for name in odd or ratios)
        return seen, named_first(said) + (": is it in another unit?" if odd else "")

    def _unit(self) -> Said:
        found = self.day.unit_changes
        said = named_first(
            f"{name} is {change.ratio:.4g} times that of {change.days} earlier days, its shape as "
            f"before: that is a unit's factor of {_factor(change.factor)}"
            for name, change in found.items()
        )
        fix = "; mend the source's unit, or set policy.baseline.since if it is to stay"
        return f"{len(found)} changed", said + fix if found else "no measure changed its unit"

    def _in_units(self, name: str, ratio: float) -> str:
        today, (usual, days) = UNITS[name](self.day.metrics), self.day.usual[name]
        what = f"median {name}" if name.endswith("_ms") else f"{name} a request"
        what = what if name in (*TIMES, "tokens_in", "tokens_out") else name
        return f"{what} is {today:.6g}, {ratio:.3g} times the {usual:.6g} of {days} earlier days"

    def _series(self) -> Said:
        rejected = self.day.metrics.rejected
        said = named_first((f"{r.what}: {r.reason}" for r in rejected), MAX_REASONS)
        return f"{len(rejected)} rejected", said or "no series was rejected"

    def _agreement(self) -> Said:
        found = self.day.metrics.disagreements
        said = named_first(
            (
                f"{d.measure}: {d.source} says {d.value:.6g}, {d.other_source} {d.other_value:.6g} "
                f"(more than {d.tolerance:.0%} apart)"
                for d in found
            ),
            MAX_REASONS,
        )
        return f"{len(found)} disagreements", said or "the sources agree"

    def _collected(self) -> Said:
        gone, half, never = (
            *(self.day.not_collected, self.day.half_collected, self.day.never_collected),
        )
        said = [f"{n} was not collected, earlier days have it" for n in gone]
        said += [f"{n} is known for {share:.1%} of the requests" for n, share in half.items()]
        said += [f"{n} was never collected" for n in never]
        words = named_first(said) or "what the policy watches was collected"
        return f"{len(gone) + len(half)} missing", words

    def _frozen(self) -> Said:
        frozen = [name for name in TIMES if self.day.is_frozen(name)]
        said = named_first(f"{name} says the same in every hour: stale" for name in frozen)
        return f"{len(frozen)} frozen", said or "no time is frozen"

    def _odd(self) -> Said:
        flags = self.day.metrics.flags
        return f"{len(flags)}", "; ".join(flags) or "nothing odd"

    # ------------------------------------------------------------------ the day's hours

    @property
    def _covered(self) -> str:
        coverage = self.day.coverage
        return "unknown" if coverage is None else f"{coverage:.2f}"

    @property
    def _lost(self) -> list[int]:
        return [hour.hour for hour in self.day.metrics.hours if not hour.covered]

    def _causes(self) -> Iterator[Quarantined]:
        """What was set aside that explains the lost hours: their files, or what stands for all."""
        lost = {f"{hour:02d}" for hour in self._lost}
        for aside in self.day.metrics.quarantined:
            named = {file or hour for file, hour in _HOURLY.findall(aside.what)}
            if not named or named & lost:
                yield aside


def _factor(factor: float) -> str:
    return f"{factor:.10g}" if factor >= 1.0 else f"1/{1.0 / factor:.10g}"


def _falls(found: Quantiles | None) -> bool:
    return found is not None and not found.p50 <= found.p90 <= found.p95 <= found.p99


def _quantiles(name: str, found: Quantiles | None) -> str:
    if found is None:
        return f"{name} unknown"
    values = {q: getattr(found, q) for q in ("p50", "p90", "p95", "p99")}
    return f"{name} " + ", ".join(f"{q} {value:.6g}" for q, value in values.items()) + " ms"


def _because(causes: Iterable[str], most: int = MAX_NAMED) -> str:
    named = named_first(causes, most)
    return f": {named}" if named else ""


def named_first(what: Iterable[str], most: int = MAX_NAMED) -> str:
    """The first of them with commas, and how many more there are."""
    names = list(what)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
