"""A replay as Markdown for a pull request: what a change of the policy flips, and what it costs.

Words of the store are escaped, and nobody is mentioned: GitHub looks for ``@name`` and ``#1``
in the text that it shows, so that a backslash before them does not help.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upkeep.replay_page import NAMES, counted, headline, number, ordered, problems, span
from upkeep.replay_records import Estimate, FleetReplay, ModelReplay, ReplayedDay
from upkeep.review_text import inert

MAX_CHARS = 65_536  # of a comment on GitHub
LEFT_FOR_COUNT = 200
MAX_WORDS = 300
MAX_PROBLEMS = 20
WORD_JOINER = "\u2060"


def markdown(fleet: FleetReplay, replays: Sequence[ModelReplay]) -> str:
    """A comment of at most 65,536 characters; flips that do not fit are counted."""
    top, end = "\n".join([*_top(fleet, replays), ""]), "\n".join(_taken(replays))
    room = MAX_CHARS - len(top) - len(end) - LEFT_FOR_COUNT
    parts, cut = [], 0
    for replay in ordered(replays):
        rows = [_row(day) for day in replay.days if _told(day, fleet)]
        fitting = _fitting(rows, room - len(_block(replay, rows, [])))
        cut += len(rows) - len(fitting)
        if fitting:
            parts.append(_block(replay, rows, fitting))
            room -= len(parts[-1])
    more = f"{counted(cut, 'day')} more: not shown, a comment holds {MAX_CHARS:,} characters.\n"
    return "\n".join([top, *parts, *([more] if cut else []), end])


def _top(fleet: FleetReplay, replays: Sequence[ModelReplay]) -> Iterator[str]:
    tried = fleet.what_if
    yield "### What another policy would have decided" if tried else "### The decisions again"
    yield ""
    yield f"**{_cell(headline(fleet, replays))}**"
    yield ""
    if tried:
        yield "| over these days | stored | this policy | change | 95 % interval | model-days |"
        yield "|---|--:|--:|--:|--:|--:|"
        yield from (_quantity(e) for e in fleet.estimates)
        yield ""
    found = problems(replays)
    yield from (f"- not replayed: {_cell(words)}" for words in found[:MAX_PROBLEMS])
    if len(found) > MAX_PROBLEMS:
        yield f"- and {len(found) - MAX_PROBLEMS} more"


def _quantity(found: Estimate) -> str:
    name = NAMES[found.quantity]
    cells = (
        f"{name} ({_cell(found.words)})" if found.words else name,
        number(found.stored),
        number(found.other),
        number(found.change, sign=True),
        span(found),
        str(found.n_days),
    )
    return f"| {' | '.join(cells)} |"


def _told(day: ReplayedDay, fleet: FleetReplay) -> bool:
    """Flips of another policy; with the recorded one, every day that is not byte for byte."""
    return day.told if fleet.what_if else bool(day.differs)


def _row(day: ReplayedDay) -> str:
    carried = day.carried or ""
    why = f"{_cell(day.before)} → {_cell(day.after)}"
    if day.before == day.after:
        why = "; ".join(map(_cell, day.changed)) or f"other bytes: {', '.join(day.differs)}"
    if day.budget:
        why = _cell(day.budget) if not day.flips else f"{why}; {_cell(day.budget)}"
    return f"| {day.day} | {day.stored} | {day.replayed} | {carried} | {why} |"


def _fitting(rows: Sequence[str], room: int) -> list[str]:
    kept = []
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        kept.append(row)
    return kept


def _block(replay: ModelReplay, rows: Sequence[str], fitting: Sequence[str]) -> str:
    cut = f", {len(fitting)} of them shown" if len(fitting) < len(rows) else ""
    lines = [
        f"<details><summary>{replay.question.model}: {counted(len(rows), 'day')}{cut}</summary>",
        "",
        "| day | stored | this policy | carried on | why |",
        "|---|---|---|---|---|",
        *fitting,
        "",
        "</details>",
        "",
    ]
    return "\n".join(lines)


def _taken(replays: Sequence[ModelReplay]) -> Iterator[str]:
    """What the estimates take for granted."""
    taken = sorted({words for replay in replays for words in replay.assumptions})
    if not taken:
        return
    some = taken[:MAX_PROBLEMS]
    yield "<details><summary>What the estimates take for granted</summary>"
    yield ""
    yield from (f"- {_cell(words)}" for words in some)
    if len(taken) > len(some):
        yield f"- and {len(taken) - len(some)} more, of other models"
    yield ""
    yield "</details>"
    yield ""


def _cell(text: str) -> str:
    """One line that only shows itself, at most ``MAX_WORDS`` characters of it."""
    line = " ".join(text.split())
    if len(line) > MAX_WORDS:
        line = f"{line[: MAX_WORDS - 1]}…"
    shown = inert(line) if line else ""
    return shown.replace("@", f"@{WORD_JOINER}").replace("#", f"#{WORD_JOINER}")
