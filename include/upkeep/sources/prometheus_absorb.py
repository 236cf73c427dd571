"""One measure's part of a day, added to the day."""

from __future__ import annotations

from upkeep.sources.hourly import Buckets, Hours, merged

MAX_SAID = 5  # flags, and series set aside, that are named for one measure


def absorb(measure: str, notes: Hours, into: Hours) -> None:
    """Add what ``notes`` hold of a measure to the day, with the first few flags and asides."""
    into.points_read += notes.points_read
    aside = sorted(notes.quarantined, key=lambda q: (-q.rows, q.what, q.reason))
    into.quarantined.extend(aside[:MAX_SAID])
    more = sum(q.rows for q in aside[MAX_SAID:])
    into.set_aside(f"{measure}: {len(aside) - MAX_SAID} more", "as the others", more)
    for flag in notes.flags[:MAX_SAID]:
        into.flag(flag)
    if len(notes.flags) > MAX_SAID:
        into.flag(f"{measure}: {len(notes.flags) - MAX_SAID} more of such flags")
    for own, hour in zip(notes.hours, into.hours, strict=True):
        for count, value in own.counts.items():
            hour.counts[count] = hour.counts.get(count, 0.0) + value
        for time, part in own.times.items():
            whole = merged(b for b in (hour.times.get(time), part) if isinstance(b, Buckets))
            if whole is not None:
                hour.times[time] = whole
        for gauge, values in own.gauges.items():
            hour.gauges.setdefault(gauge, []).extend(values)
