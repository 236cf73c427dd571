"""What the command line says: lines, tables and progress for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from upkeep.errors import UpkeepError

out, err = Console(), Console(stderr=True)


def complain(word: str, error: UpkeepError) -> None:
    """One line an error; what else was found with it follows."""
    for line in (f"{word}: {error}", *getattr(error, "__notes__", ())):
        err.print(line, highlight=False, markup=False, soft_wrap=True)


def say(line: str) -> None:
    """One line that holds text from outside: no markup, nothing highlighted, never wrapped."""
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """A value as JSON that people can read."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_rows(
    rows: Sequence[Mapping[str, Any]], *, as_json: bool, hide: tuple[str, ...] = ()
) -> None:
    """Rows of the same columns as a table, or as JSON with those that a table hides."""
    if as_json:
        print_json(rows)
        return
    names = [name for name in (rows[0] if rows else {}) if name not in hide]
    table = Table(*names)
    for row in rows:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in names))
    out.print(table if rows else "nothing yet")


class progress:  # noqa: N801 - reads as a function where it is used
    """A progress bar whose ``step(words)`` moves it by one."""

    def __init__(self, title: str, total: int) -> None:
        """Show ``title`` over ``total`` steps."""
        from rich.progress import Progress

        self._bar = Progress(console=err, transient=True)
        self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> Callable[[str], None]:
        """Show the bar."""
        self._bar.start()
        return lambda words: self._bar.update(self._task, advance=1, description=words)

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()
