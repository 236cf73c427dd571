"""The run's note: what was decided, visible without opening a log.

Airflow 3 gives tasks no way to write a note. The scheduler does it when the run ends, from what
the tasks said: a listener runs there, inside the session that saves the run.
"""

from __future__ import annotations

import re
from typing import Any

from airflow.listeners import hookimpl

SAID_KEY = "said"
MAX_NOTE_CHARS = 1000
OURS = frozenset(
    {"daily_cycle", "compress", "retrain", "rollback", "rate_outputs", "replay", "review"}
)
_DAY = re.compile(r"\*\*\d{4}-\d{2}-\d{2}\*\*")
_LINK = re.compile(r"\[")
_KEEP = ": **keep** "
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~])")


def plain(text: str) -> str:
    """Text from outside, so that Markdown shows it and does nothing with it."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


class DecisionNotes:
    """Writes the note of a run of Upkeep when it ends, whatever its end."""

    @hookimpl  # type: ignore[untyped-decorator]
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        """Write the note of a run that went well."""
        del msg
        _note(dag_run)

    @hookimpl  # type: ignore[untyped-decorator]
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """Write the note of a run that failed for some of its models."""
        del msg
        _note(dag_run)


def _note(dag_run: Any) -> None:
    if dag_run.dag_id not in OURS:
        return
    if said := _said(dag_run):
        dag_run.note = compose(dag_run.note, headline(said))


def headline(said: list[str]) -> list[str]:
    """The day and the most telling decision in one line: the UI shows no more of a closed note."""
    if len(said) < 2 or not _DAY.fullmatch(said[0]):  # noqa: PLR2004 - a day and a decision
        return said
    day, *rest = said
    first, *others = sorted(rest, key=lambda line: (_LINK.match(line) is not None, _KEEP in line))
    return [f"{day} {first}", *others]


def compose(before: str | None, said: list[str]) -> str:
    """The note: what a person or the starter of the run wrote stays, what was said follows."""
    lines = [line for line in (before or "").split("\n") if line]
    lines += [line for line in said if line not in lines]
    text = "\n\n".join(lines)
    return text if len(text) <= MAX_NOTE_CHARS else text[: MAX_NOTE_CHARS - 1] + "…"


def _said(dag_run: Any) -> list[str]:
    from airflow.models.xcom import XComModel
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return []
    query = XComModel.get_many(key=SAID_KEY, run_id=dag_run.run_id, dag_ids=dag_run.dag_id)
    rows = sorted(session.scalars(query), key=lambda row: (row.timestamp, row.map_index))
    return [str(line) for row in rows for line in XComModel.deserialize_value(row)]
