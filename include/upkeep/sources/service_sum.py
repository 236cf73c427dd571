"""Several resources of one kind, each read into its own hours, add up to one model's day. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from upkeep.records import Quantiles
from upkeep.sources.hourly import COUNTS, GAUGES, TIMES, Buckets, Hour, Hours, merged
from upkeep.sources.points import Window
from upkeep.sources.service_metrics import ServiceDay

S = TypeVar("S")


def each_resource(kind: str, sources: Sequence[S], window: Window) -> list[tuple[S, ServiceDay]]:
    """Every source of a kind with the day that it is read into; of several, by their number."""
    prefixes = (f"source {n}: " if len(sources) > 1 else "" for n in range(1, len(sources) + 1))
    days = (ServiceDay(Hours(kind), window, prefix) for prefix in prefixes)
    return list(zip(sources, days, strict=True))


def added(source: str, days: Sequence[ServiceDay]) -> Hours:
    """Several resources of one model add up to one day.

    An hour is covered where each resource that counts requests covers it. What one of them does
    not know of its traffic is not known of the sum, and quantiles of two cannot be added up: such
    measures are not collected, and a flag says so.
    """
    whole = Hours(source)
    counting = [d for d in days if "requests" in d.asked] or list(days)
    counts = [name for name in COUNTS if _all_know(name, counting, _counts, whole)]
    times = [name for name in TIMES if _all_know(name, counting, _times, whole)]
    for number, hour in enumerate(whole.hours):
        hour.covered = all(d.into.hours[number].covered for d in counting)
        parts = [d.into.hours[number] for d in days]
        for count in counts:
            known = [part.counts[count] for part in parts if count in part.counts]
            hour.counts |= {count: math.fsum(known)} if known else {}
        for gauge in GAUGES:
            values = [value for part in parts for value in part.gauges.get(gauge, ())]
            hour.gauges |= {gauge: values} if values else {}
        for name in times:
            found = _one([part.times[name] for part in parts if name in part.times])
            hour.times |= {name: found} if found else {}
    for name in times:
        known_days = [d.into.times[name] for d in days if name in d.into.times]
        if len(known_days) == 1:
            whole.times[name] = known_days[0]
        elif known_days:
            whole.flag(f"{name}: quantiles of several resources cannot be added up; not collected")
    for into in (d.into for d in days):
        whole.points_read += into.points_read
        whole.quarantined += into.quarantined
        whole.rejected += into.rejected
        for words in into.flags:
            whole.flag(words)
    return whole


def _counts(hour: Hour) -> Mapping[Any, Any]:
    return hour.counts


def _times(hour: Hour) -> Mapping[Any, Any]:
    return hour.times


def _all_know(
    name: str, days: Sequence[ServiceDay], of: Callable[[Hour], Mapping[Any, Any]], whole: Hours
) -> bool:
    """Whether every resource that had traffic knows the measure; a flag if only some do."""
    knows = [any(name in of(hour) for hour in d.into.hours) for d in days]
    busy = [any(hour.counts.get("requests") for hour in d.into.hours) for d in days]
    lacking = sum(b and not k for k, b in zip(knows, busy, strict=True))
    if lacking and any(knows):
        whole.flag(f"{name}: {lacking} of {len(days)} resources do not say it; not collected")
    return not lacking


def _one(parts: Sequence[Buckets | Quantiles]) -> Buckets | Quantiles | None:
    """Histograms together, or the only quantiles that there are."""
    histograms = [part for part in parts if isinstance(part, Buckets)]
    if len(parts) == 1:
        return parts[0]
    return merged(histograms) if len(histograms) == len(parts) else None
