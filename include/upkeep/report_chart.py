"""One measure over the days, as a small SVG: values, intervals, baseline, tolerance. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from upkeep.report_words import number

WIDTH, HEIGHT = 360, 168
LEFT, RIGHT, TOP, BOTTOM = 46, 22, 30, 24
INK, GRID, LINE = "#1f2933", "#e4e7eb", "#2563a8"
ALARM, PALE = "#c2410c", "#9aa5b1"
TICKS = 4
SHORTENED = 10_000  # ticks from here on are written in thousands
MOST_DATE_LABELS = 5


@dataclass(frozen=True)
class Point:
    """One day's value with its interval; ``trusted`` is False for a day on hold."""

    day: date
    value: float
    low: float | None = None
    high: float | None = None
    trusted: bool = True


@dataclass(frozen=True)
class Series:
    """What a chart shows. ``band`` is the tolerated range, ``baseline`` its middle."""

    title: str
    points: Sequence[Point]
    baseline: float | None = None
    band: tuple[float, float] | None = None
    drifted: bool = False


def svg(series: Series) -> str:
    """The chart; ``""`` where there is no point."""
    if not series.points:
        return ""
    frame = _Frame(series)
    parts = [
        *_opening(series),
        *_grid(frame),
        *_tolerance(frame, series),
        *_line(frame, series),
        *_dots(frame, series),
        *_dates(frame, series),
        "</svg>",
    ]
    return "".join(parts)


def _opening(series: Series) -> Iterator[str]:
    title = escape(series.title)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="10" fill="{INK}"><title>{title}</title>'
    )
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield f'<text x="{LEFT - 38}" y="16" font-size="12" font-weight="600">{title}</text>'


class _Frame:
    """Where values and days lie on the picture."""

    def __init__(self, series: Series) -> None:
        values = [v for p in series.points for v in (p.value, p.low, p.high) if v is not None]
        values += [*(series.band or ()), *([] if series.baseline is None else [series.baseline])]
        self.ticks = ticks(min(values), max(values))
        self.low, self.high = self.ticks[0], self.ticks[-1]
        self.first = min(p.day for p in series.points)
        self.days = max(1, (max(p.day for p in series.points) - self.first).days)

    def x(self, day: date) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (day - self.first).days / self.days

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that hold [low, high]; from 0 on where that wastes little room."""
    low = 0.0 if 0.0 < low < 0.6 * high else low
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power * TICKS >= span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]


def _grid(frame: _Frame) -> Iterator[str]:
    for tick in frame.ticks:
        y = frame.y(tick)
        yield (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 5}" y="{y + 3:.1f}" text-anchor="end" fill="#52606d">'
            f"{_tick_label(tick)}</text>"
        )


def _tick_label(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= SHORTENED else f"{round(value, 6):g}"


def _tolerance(frame: _Frame, series: Series) -> Iterator[str]:
    wide = WIDTH - LEFT - RIGHT
    if series.band is not None:
        top, bottom = frame.y(max(series.band)), frame.y(min(series.band))
        yield (
            f'<rect x="{LEFT}" y="{top:.1f}" width="{wide}" height="{bottom - top:.1f}" '
            f'fill="{LINE}" fill-opacity="0.09"/>'
        )
    if series.baseline is not None:
        y = frame.y(series.baseline)
        yield (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{LINE}" stroke-dasharray="4 3" stroke-opacity="0.6"/>'
        )


def _line(frame: _Frame, series: Series) -> Iterator[str]:
    path = " ".join(f"{frame.x(p.day):.1f},{frame.y(p.value):.1f}" for p in series.points)
    yield f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'


def _dots(frame: _Frame, series: Series) -> Iterator[str]:
    last = series.points[-1]
    for point in series.points:
        x, y = frame.x(point.day), frame.y(point.value)
        color = PALE if not point.trusted else ALARM if point is last and series.drifted else LINE
        if point.low is not None and point.high is not None:
            low, high = frame.y(point.low), frame.y(point.high)
            ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"'
            yield f'<line {ends} stroke="{color}"/>'
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 if point is last else 2.4}" '
            f'fill="{color if point.trusted else "#ffffff"}" stroke="{color}">'
            f"<title>{point.day.isoformat()}: {number(point.value)}</title></circle>"
        )


def _dates(frame: _Frame, series: Series) -> Iterator[str]:
    every = max(1, math.ceil(len(series.points) / MOST_DATE_LABELS))
    for point in reversed(series.points[::-1][::every]):
        yield (
            f'<text x="{frame.x(point.day):.1f}" y="{HEIGHT - 7}" text-anchor="middle" '
            f'fill="#52606d">{point.day.strftime("%m-%d")}</text>'
        )
