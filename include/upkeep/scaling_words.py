"""The week's hours as people say them: ``Mon-Fri 08-18``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from upkeep.records import ScalingHint

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_HOURS = 24
LEAST_SAVED = 0.05


def hint_words(hint: ScalingHint, machines: int | None) -> str:
    """What the schedule is, or why none is proposed."""
    seen = f"{hint.weeks_seen:.1f} weeks of hours are known"
    if hint.pattern_share is None:
        return f"too little history for a schedule: {seen}, each hour of the week is needed twice"
    if hint.saved_share is None:
        told = f"the hour of the week foretells {max(0.0, hint.pattern_share):.0%} of the load"
        return f"no schedule is proposed: {seen}, {told}"
    plan = f"quiet {hours_words(hint.quiet_hours)}; full {hours_words(hint.full_hours)}"
    saved = f"{hint.saved_share:.0%} of the machine-hours of the fullest hour's machines"
    if hint.machines:
        few, many = min(hint.machines), max(hint.machines)
        now = f" ({machines} now)" if machines is not None else ""
        plan += f"; {few} to {many} machines at {hint.target_share:.0%} in use{now}"
    verb = "would save" if hint.saved_share >= LEAST_SAVED else "would save hardly anything:"
    return f"a schedule by the hour (UTC) {verb} {saved}: {plan}; {seen}"


def hours_words(hours: Sequence[int]) -> str:
    """Hours of the week in words; days with the same hours are named together.

    >>> hours_words([*range(8, 18), *range(24 + 8, 24 + 18), 6 * 24])
    'Mon-Tue 08-18, Sun 00-01'
    """
    by_day = [sorted(h % DAY_HOURS for h in hours if h // DAY_HOURS == n) for n in range(7)]
    said = []
    for spans, days in groupby(range(7), key=lambda n: _spans(by_day[n])):
        named = list(days)
        if spans:
            last = f"-{DAYS[named[-1]]}" if len(named) > 1 else ""
            said.append(f"{DAYS[named[0]]}{last} {' and '.join(spans)}")
    return ", ".join(said) or "never"


def _spans(hours: Sequence[int]) -> tuple[str, ...]:
    """``("08-18",)`` for the hours 8 to 17: half-open."""
    runs = [[h for _, h in run] for _, run in groupby(enumerate(hours), key=lambda p: p[1] - p[0])]
    return tuple(f"{run[0]:02d}-{run[-1] + 1:02d}" for run in runs)
