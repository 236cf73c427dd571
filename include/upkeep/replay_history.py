"""Facts of consecutive days read from their bytes: what two days have in common is parsed once.

A day's history is that of the day before, without its first days and with new ones at the end.
Of each column, the bytes that the day before had too are taken as the values that they were
parsed to then. All other bytes go through the records' own validation, in one call, as facts
whose history has the new days alone. A day that does not go on where the last one ended is
parsed whole, and so is one that is not of the canonical form: what comes out is the same record.

The hash of the bytes is none of this module's business: it was verified before.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import NamedTuple

from upkeep.records import History, PastDecision, Series, canonical_json
from upkeep.replay_hashed import HashedFacts
from upkeep.sealed import parsed

# The marks of canonical facts. A quote within a JSON string is escaped: none can stand in one.
_DAYS, _SERIES = b',"history":{"days":[', b'],"series":['
_TRUSTED, _VERSIONS, _MODEL = b'],"trusted":[', b'],"versions":[', b']},"model":"'
_PAST, _PEOPLE = b',"past_decisions":[', b'],"people":'
_ERRORS, _N, _NAME = b'{"errors":[', b'],"n":[', b'],"name":"'
_VALUES, _END, _NEXT_ERRORS = b'","values":[', b"]}", b"," + _ERRORS
_ENDS = (b",", b"]")


class _Columns(NamedTuple):
    """One series in bytes; ``label`` is its name and signature."""

    label: bytes
    errors: bytes
    n: bytes
    values: bytes


class _Bytes(NamedTuple):
    """A history in bytes, without the marks between its lists."""

    days: bytes
    series: tuple[_Columns, ...]
    trusted: bytes
    versions: bytes


class FactsReader:
    """Reads the facts of one model's days, one after the other."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: tuple[History, _Bytes] | None = None
        self._past: dict[bytes, PastDecision] = {}

    def read(self, key: str, body: bytes) -> HashedFacts:
        """The facts in their canonical bytes; CorruptRecord naming ``key`` if they are none."""
        known, self._known = self._known, None
        with suppress(ValueError):  # they do not go on from there, or are no facts: see below
            if known:
                return self._continued(body, *known)
        facts = parsed(key, body, HashedFacts)
        with suppress(ValueError):  # not of the canonical form: the next day is read whole too
            self._known = facts.history, _Cutter(body, _unread(facts.history), 0).history()
        return facts

    def _continued(self, body: bytes, past: History, known: _Bytes) -> HashedFacts:
        """The facts, their history made of the known one and of new days.

        Raises:
            ValueError: they do not go on where the known ones end, or are no facts.

        """
        start = body.index(_DAYS) + len(_DAYS)
        gone = past.days.index(date.fromisoformat(body[start + 1 : start + 11].decode()))
        cutter = _Cutter(body, _without(past, known, gone), 1)
        found, decisions = cutter.history(), cutter.past_decisions()
        facts = HashedFacts.parse(cutter.rest())
        made = facts.history
        if made.days and made.days[0] <= past.days[-1]:
            raise ValueError("a day of the history comes twice")
        for new, old in zip(made.series, past.series, strict=True):
            _prepend(new, old, gone, ("values", "errors", "n"))
        _prepend(made, past, gone, ("days", "trusted", "versions"))
        vars(facts)["past_decisions"] = self._decisions(decisions)
        self._known = made, found
        return facts

    def _decisions(self, text: bytes) -> tuple[PastDecision, ...]:
        """Past decisions, each parsed when it is first seen."""
        known = self._past
        pieces = text[1:-1].split(b"},{") if text else []
        for piece in pieces:
            if piece not in known:
                known[piece] = PastDecision.parse(b"{%b}" % piece)
        return tuple([known[piece] for piece in pieces])


def _prepend(
    made: Series | History, known: Series | History, gone: int, names: tuple[str, ...]
) -> None:
    """Put what is known of earlier days before the new ones of a record that nobody has yet."""
    columns, earlier = vars(made), vars(known)
    for name in names:
        columns[name] = earlier[name][gone:] + columns[name]


# ---------------------------------------------------------------- the bytes


class _Cutter:
    """Cuts what is known out of the bytes of facts.

    The lists of a history must begin with the entries of ``kept``, ``separator`` bytes before
    the entries that come after them. Whatever else is found is a ValueError.
    """

    def __init__(self, body: bytes, kept: _Bytes, separator: int) -> None:
        self._body, self._kept, self._separator = body, kept, separator
        self._at = body.index(_DAYS)
        self._rest = [body[: self._at]]

    def history(self) -> _Bytes:
        """The whole history in bytes."""
        kept = self._kept
        days = self._list(_DAYS, kept.days)
        self._skip(_SERIES)
        columns, first = [], _ERRORS
        for label, errors, n, values in kept.series:
            found = (
                self._list(first, errors),
                self._list(_N, n),
                self._list(b"".join((_NAME, label, _VALUES)), values),
            )
            columns.append(_Columns(label, *found))
            self._skip(_END)
            first = _NEXT_ERRORS
        return _Bytes(
            days,
            tuple(columns),
            self._list(_TRUSTED, kept.trusted),
            self._list(_VERSIONS, kept.versions),
        )

    def past_decisions(self) -> bytes:
        """The list of past decisions in bytes."""
        past = self._body.index(_PAST, self._at) + len(_PAST)
        people = self._body.index(_PEOPLE, past)
        self._rest += (self._body[self._at : past], self._body[people:])
        return self._body[past:people]

    def rest(self) -> bytes:
        """The facts without what was cut out."""
        return b"".join(self._rest)

    def _skip(self, mark: bytes) -> None:
        if not self._body.startswith(mark, self._at):
            raise ValueError("another form than the one expected")
        self._at += len(mark)
        self._rest.append(mark)

    def _list(self, mark: bytes, kept: bytes) -> bytes:
        """The entries of a list behind a mark."""
        self._skip(mark)
        body, start = self._body, self._at
        new = start + len(kept)
        end = body.index(b"]", new)
        if not body.startswith(kept, start) or (
            self._separator and body[new : new + 1] not in _ENDS
        ):
            raise ValueError("a list that does not go on from what is known")
        self._rest.append(body[new + self._separator : end])
        self._at = end
        return body[start:end]


def _unread(history: History) -> _Bytes:
    """Nothing but the labels of a history's series."""
    named = ([canonical_json(text)[1:-1] for text in (s.name, s.signature)] for s in history.series)
    labels = (b'%b","signature":"%b' % (name, signature) for name, signature in named)
    return _Bytes(b"", tuple(_Columns(label, b"", b"", b"") for label in labels), b"", b"")


def _without(past: History, known: _Bytes, gone: int) -> _Bytes:
    """A history in bytes without its first days."""
    versions = sum(len(canonical_json(version)) + 1 for version in past.versions[:gone])
    return _Bytes(
        _behind(known.days, gone),
        tuple(
            _Columns(c.label, *(_behind(column, gone) for column in c[1:])) for c in known.series
        ),
        _behind(known.trusted, gone),
        known.versions[versions:],
    )


def _behind(entries: bytes, gone: int) -> bytes:
    start = 0
    for _ in range(gone):
        start = entries.index(b",", start) + 1
    return entries[start:]
