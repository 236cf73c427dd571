"""What a reviewer reads: the criteria's scales, and a production text that only shows itself.

The pages of MLflow and of Airflow render Markdown. A text of production is untrusted: as it is,
``![](http://..)`` would be fetched by each reviewer's browser, and a heading would hide what was
written. Escaped, every character is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from upkeep.records import Criterion

SCALE: Mapping[Criterion, str] = {
    "coherence": "Does it hang together? 1: it makes no sense. 5: every part follows from the "
    "one before.",
    "relevance": "Does it answer the prompt? 1: it is about something else. 5: exactly what was "
    "asked for.",
    "diversity": "Is it varied in itself? 1: it repeats the same thing. 5: nothing repeats without "
    "a reason.",
    "realism": "Could it be real? 1: clearly made by a machine. 5: a person's work, or a real "
    "picture.",
}
NBSP = "\u00a0"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_ACTIVE = re.compile(r"[\\`*_\[\]<>&~|$@]|!(?=\[)|:(?=//)|(?<=[wW]{3})\.")
_AT_START = re.compile(r"^([#+=-])|^([0-9]{1,9})(?=[.)])")
_INDENT = re.compile(r"^[ \t\u00a0]+")


def inert(text: str) -> str:
    r"""Markdown that shows ``text`` line by line, and does nothing with it.

    >>> inert("# ![a](http://b)")
    '\\# !\\[a\\](http\\://b)'
    """
    clean = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    return "  \n".join(_line(line) for line in _UNPRINTABLE.sub("\ufffd", clean).split("\n"))


def _line(line: str) -> str:
    indent = _INDENT.match(line)
    width = indent.end() if indent else 0
    kept = NBSP * len(line[:width].expandtabs(4))
    body = _ACTIVE.sub(r"\\\g<0>", line[width:])
    if not body:
        return NBSP  # an empty line would end the paragraph
    return kept + _AT_START.sub(_escaped_start, body)


def _escaped_start(found: re.Match[str]) -> str:
    return f"\\{found[1]}" if found[1] else f"{found[2]}\\"


def inert_within(text: str, limit: int, more: str) -> str:
    """``inert(text)`` in at most ``limit`` characters; one that is cut ends with ``more``."""
    whole = inert(text)
    if len(whole) <= limit:
        return whole
    room = limit - len(more) - 2
    kept = text[:room]
    while len(inert(kept)) > room:  # each turn takes what is too much: few turns are needed
        kept = kept[: len(kept) - max(1, (len(inert(kept)) - room) // 4)]
    return f"{inert(kept)}… {more}"
