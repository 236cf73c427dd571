"""The trials of a search as a small SVG: speed against quality loss, size as area. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from upkeep.day_records import JobRecords
from upkeep.projection_search import place_of
from upkeep.records import Measured, Trial
from upkeep.report_chart import ALARM, GRID, INK, LINE, PALE, ticks

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 44, 46
LARGEST = 13.0  # radius of a model of the champion's size
COLORS = {"chosen": ALARM, "nearest": ALARM, "finalist": LINE, "front": LINE}


class _Frame(NamedTuple):
    """Where a speed-up and a quality loss lie on the picture."""

    across: list[float]
    up: list[float]

    def x(self, speedup: float) -> float:
        share = (speedup - self.across[0]) / (self.across[-1] - self.across[0])
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def y(self, loss: float) -> float:
        share = (loss - self.up[0]) / (self.up[-1] - self.up[0])
        return TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)


def front_svg(job: JobRecords) -> str:
    """The picture; ``""`` where no trial was measured.

    The champion is the cross at 1 and 0. Filled dots are on the front: no other trial is better
    in speed, loss and size at once. The red one was chosen, or is the nearest to the goal.
    """
    known = [(trial, trial.measured) for trial in job.trials if trial.measured is not None]
    if not known:
        return ""
    limit = job.search.goal.get("max_quality_loss") if job.search else None
    losses = [0.0, *(m.quality_loss for _, m in known)]
    losses += [float(limit)] if limit is not None else []
    speeds = [1.0, *(m.speedup for _, m in known)]
    frame = _Frame(ticks(min(speeds), max(speeds)), ticks(min(losses), max(losses)))
    parts = [*_opening(job), *_grid(frame), *_limit(frame, limit), *_champion(frame)]
    return "".join([*parts, *_dots(frame, job, known), "</svg>"])


def _opening(job: JobRecords) -> Iterator[str]:
    measured = sum(trial.measured is not None for trial in job.trials)
    title = f"Trials: {measured} measured of {len(job.trials)}, speed-up against quality loss"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="{INK}">'
        f"<title>{escape(title)}</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f'<text x="{LEFT - 46}" y="18" font-size="13" font-weight="600">{escape(title)}</text>'
        f'<text x="{LEFT - 46}" y="33" fill="#52606d">filled: on the Pareto front; area: size on '
        f"disk; dashed: largest loss allowed</text>"
    )


def _grid(frame: _Frame) -> Iterator[str]:
    for tick in frame.up:
        y = frame.y(tick)
        yield (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#52606d">'
            f"{round(tick * 100, 6):g} %</text>"
        )
    for tick in frame.across:
        yield (
            f'<text x="{frame.x(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" '
            f'fill="#52606d">{round(tick, 6):g}x</text>'
        )
    yield (
        f'<text x="{(WIDTH + LEFT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"times as fast as the champion (right is better; lower is better)</text>"
    )


def _limit(frame: _Frame, limit: float | str | None) -> Iterator[str]:
    if limit is not None:
        y = frame.y(float(limit))
        yield (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{ALARM}" stroke-dasharray="5 4" stroke-opacity="0.7"/>'
        )


def _champion(frame: _Frame) -> Iterator[str]:
    x, y = frame.x(1.0), frame.y(0.0)
    yield (
        f'<path d="M{x - 6:.1f} {y:.1f}H{x + 6:.1f}M{x:.1f} {y - 6:.1f}V{y + 6:.1f}" '
        f'stroke="{INK}" stroke-width="1.5"><title>the champion</title></path>'
    )


def _dots(frame: _Frame, job: JobRecords, known: Sequence[tuple[Trial, Measured]]) -> Iterator[str]:
    for trial, found in known:
        place = place_of(job, trial)
        is_front = job.search is not None and trial.number in job.search.front
        x, y = frame.x(found.speedup), frame.y(found.quality_loss)
        radius = max(3.0, LARGEST * math.sqrt(min(found.size_share, 2.0)))
        color = COLORS.get(place, LINE if is_front else PALE)
        words = f"trial {trial.number}, {trial.route}: {place}; {found.words}"
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" stroke="{color}" '
            f'fill="{color if is_front else "#ffffff"}" fill-opacity="0.55">'
            f"<title>{escape(words)}</title></circle>"
        )
        if place in ("chosen", "nearest", "finalist") or is_front:
            yield (
                f'<text x="{x + radius + 3:.1f}" y="{y + 4:.1f}" font-size="10">'
                f"{trial.number}</text>"
            )
