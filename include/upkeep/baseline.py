"""What a model's days usually are: which days count, the level, and quality within slices. Pure.

*Days that count.* A day whose value is worse than the level so far by more than the tolerance
and three standard deviations does not join the baseline: a bad level does not become normal
because nobody acted. Better days join; a better level that lasts is a new baseline, and measures
without a worse (``neither``) follow what comes. What nobody mended for the whole memory (half of
it, for slices) is the new normal.

*Champions.* A level is that of the champion that serves, once it has days enough of its own;
until then its predecessors'. Noise is learnt around each champion's own level.

*Slices.* A measure that has slices is compared within them: the day's value is replaced by the
baseline's level plus the mean deviation of its slices from their own levels, with the weights of
Cochran (1954) and Mantel and Haenszel (1959), n N / (n + N), n samples of the day, N of the
baseline. A slice that the baseline does not know is compared with the whole: nobody has shown
that its questions are harder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from upkeep import measures
from upkeep.noise import MAD_TO_SD, median_of
from upkeep.panel import Chart, Flags, Floats, Panel

JOIN_SD = 3.0
FOLLOW_DAYS = 28.0
WINDOW = 14  # days that a change may go back
QUARTER = 4  # a window is never longer than a quarter of the days known
DERIVED = ("length:", "script:")  # slices that every sample has beside the log's own
PRIOR_NOISE = 0.25  # of the tolerance: who sets a tolerance means it to lie beyond the noise


def comparable(panel: Panel, needed: int) -> tuple[Floats, Floats, Flags]:
    """Values with the mix taken out, what the mix did to the day, and the days that count.

    First with every day as baseline, so that a changed mix does not look like a bad day; then
    with the days that joined.
    """
    past = ~np.isnan(panel.values)
    past[:, -1] = False
    parts = slices_of(panel.charts)
    values, _ = within_slices(panel, parts, settled(past, needed), needed)
    days = joined(values, panel.charts, needed)
    values, mix = within_slices(panel, parts, settled(days, needed), needed)
    return values, mix, days


def settled(days: Flags, needed: int) -> Flags:
    """Those of a chart's days that are older than any change that is looked for."""
    n = days.sum(axis=1)
    kept = np.maximum(needed, n - np.minimum(WINDOW, n // QUARTER))
    return np.asarray(days & (np.cumsum(days, axis=1) <= kept[:, None]))


def joined(values: Floats, charts: Sequence[Chart], needed: int) -> Flags:
    """Which earlier days are the baseline, a row a chart; the day under review never is."""
    ok = ~np.isnan(values)
    ok[:, -1] = False
    start = median_of(np.where(ok & (np.cumsum(ok, axis=1) <= needed), values, np.nan))
    tolerances = np.array([chart.tolerance for chart in charts])
    # The median step between days: a change of level is one step of many.
    steps = MAD_TO_SD * median_of(np.abs(np.diff(values[:, :-1], axis=1))) / math.sqrt(2.0)
    rooms = tolerances + JOIN_SD * np.fmax(steps, PRIOR_NOISE * tolerances)
    off = np.array([chart.sign for chart in charts])[:, None] * (values - start[:, None])
    for row in np.flatnonzero(np.any(ok & (np.abs(off) > rooms[:, None]), axis=1)).tolist():
        context = charts[row].role == "context"
        ok[row] = _day_by_day(np.where(ok[row], off[row], np.nan), rooms[row], context, needed)
    return ok


def _day_by_day(harm: Floats, room: float, context: bool, needed: int) -> Flags:  # noqa: FBT001
    """Does each day join what joined before? The first ``needed`` days always do.

    ``harm`` is how much worse each day is than the start. ``needed`` days in a row further away
    than ``room`` on the side that is not worse begin anew: from then on they are the baseline,
    and what was before is not.
    """
    values = harm.tolist()
    days = [n for n, value in enumerate(values) if not math.isnan(value)]
    joins = [False] * len(values)
    for day in days[:needed]:
        joins[day] = True
    level, n, run = median([values[day] for day in days[:needed]]), needed, list[int]()
    for day in days[needed:]:
        off = values[day] - level
        joins[day] = context or off <= room
        beyond = off < -room or (context and off > room)
        same = not run or (values[run[-1]] > level) == (off > 0.0)
        run = ([*run, day] if same else [day]) if beyond else []
        if len(run) >= needed:
            joins[: run[0]] = [False] * run[0]
            level, n, run = median([values[day] for day in run]), needed, []
        elif joins[day] and not beyond:
            n += 1
            level += off / min(n, FOLLOW_DAYS)
    return np.array(joins)


class Levels(NamedTuple):
    """``residuals``: each cell's distance from its champion's level, NaN where that is not known.

    ``days`` is 1 on the days that today's level comes from, else 0; ``centre`` is that level.
    ``pooled`` charts know no champion's own level.
    """

    residuals: Floats
    days: Floats
    centre: Floats
    pooled: Flags


def levels(values: Floats, days: Flags, old: Flags, versions: Sequence[str], needed: int) -> Levels:
    """The level that today's champion is held to, and every day's distance from its own.

    Of a champion with fewer than ``needed`` days the level is not known: today's is held to the
    last one that is known, and days of others tell nothing. Where no champion has days enough,
    all days are taken together.
    """
    names = list(dict.fromkeys(versions))
    of = {name: np.array([v == name for v in versions]) for name in names}
    centres = np.array([median_of(np.where(old & of[name], values, np.nan)) for name in names])
    enough = np.array([(old & of[name]).sum(axis=1) >= needed for name in names])
    centres = np.where(enough, centres, np.nan)
    pooled = median_of(np.where(old, values, np.nan))
    newest_first = [names.index(versions[-1]), *_latest(names, versions)]
    chosen = np.array(newest_first)[np.argmax(enough[newest_first], axis=0)]
    any_ = np.asarray(enough.any(axis=0))
    centre = np.where(any_, centres[chosen, np.arange(len(values))], pooled)
    place = np.array([names.index(v) for v in versions])
    own = centres[place].T
    today = (place == names.index(versions[-1]))[None, :] | ~any_[:, None]
    residuals = values - np.where(today, centre[:, None], own)
    level_days = days & ((place[None, :] == chosen[:, None]) | ~any_[:, None])
    return Levels(residuals, level_days.astype(np.float64), centre, ~any_)


def _latest(names: Sequence[str], versions: Sequence[str]) -> list[int]:
    """Places of the champions, the one that served last first."""
    last = {version: n for n, version in enumerate(versions)}
    return sorted(range(len(names)), key=lambda n: -last[names[n]])


def within_slices(
    panel: Panel, parts: Mapping[int, Sequence[int]], old: Flags, needed: int
) -> tuple[Floats, Floats]:
    """Values with the mix of known slices taken out, and what that mix did to the day.

    ``parts`` is :func:`slices_of` the panel's charts. Returns a table like ``panel.values`` and
    one number a chart (NaN: has no slices).
    """
    values, mix = panel.values.copy(), np.full(len(panel.charts), np.nan)
    for row, rows in parts.items():
        centre = float(median_of(np.where(old[row], panel.values[row], np.nan)[None, :])[0])
        deviation = _deviation(panel, rows, old[row], centre, needed)
        adjusted = np.where(np.isnan(deviation), panel.values[row], centre + deviation)
        adjusted = np.where(np.isnan(panel.values[row]), np.nan, adjusted)
        mix[row] = panel.values[row, -1] - adjusted[-1]
        values[row] = adjusted
    return values, mix


def slices_of(charts: Sequence[Chart]) -> dict[int, list[int]]:
    """Row of each measure that has slices -> their rows.

    Of several partitions it is the log's own, else the first by name.
    """
    found: dict[str, dict[str, list[int]]] = {}
    for row, chart in enumerate(charts):
        if chart.slice is not None:
            kind = chart.slice.partition(":")[0] if chart.slice.startswith(DERIVED) else ""
            found.setdefault(chart.parent, {}).setdefault(kind, []).append(row)
    return {
        row: found[chart.name][min(found[chart.name])]
        for row, chart in enumerate(charts)
        if chart.role != "slice" and chart.name in found and chart.name != measures.SHARE
    }


def _deviation(panel: Panel, rows: Sequence[int], old: Flags, whole: float, needed: int) -> Floats:
    """The mean deviation of the slices from their own levels, by day; NaN where none is known."""
    part, n = panel.values[rows], np.maximum(panel.counts[rows], 1.0)
    seen = ~np.isnan(part)
    early = np.arange(part.shape[1]) < max(needed, (part.shape[1] - 1) // 2)
    known = (seen & early).sum(axis=1) >= needed
    use = seen & old[None, :]
    known &= use.any(axis=1)
    level = np.where(known, median_of(np.where(use, part, np.nan)), whole)
    base = np.sum(np.where(use, n, 0.0), axis=1)[:, None]
    weight = np.where(known[:, None], n * base / np.maximum(n + base, 1.0), n)
    weight = np.where(seen, weight, 0.0)
    total = weight.sum(axis=0)
    moved = np.sum(weight * np.where(seen, part - level[:, None], 0.0), axis=0)
    return np.where(total > 0.0, moved / np.where(total > 0.0, total, 1.0), np.nan)
