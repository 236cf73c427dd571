"""Tables of the day's page, as HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape


def table(title: str, head: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table of cells that are HTML already; ``#`` marks a column of numbers. No rows: nothing."""
    numeric = [name.startswith("#") for name in head]
    body = [_row("td", row, numeric) for row in rows]
    if body:
        heading = f"<h2>{escape(title)}</h2>" if title else ""
        names = _row("th", (escape(name.lstrip("#")) for name in head), numeric)
        yield f"{heading}<table><thead>{names}</thead><tbody>{''.join(body)}</tbody></table>"


def _row(tag: str, cells: Iterable[str], numeric: Sequence[bool]) -> str:
    made = (
        f"<{tag}{' class=n' if right else ''}>{cell}</{tag}>"
        for cell, right in zip(cells, numeric, strict=True)
    )
    return f"<tr>{''.join(made)}</tr>"
