"""The chain of a day's allotments as it lies in the store, and the answers that stand in it.

``fleet/<day>/r1/allotment.json`` is the first; a number is written once and names the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Protocol

from upkeep.errors import CorruptRecord
from upkeep.records import Allotment, Allotted, Wish
from upkeep.sealed import unseal
from upkeep.store import record_key

FLEET = "fleet"  # stands where a model's name stands in other keys; no model may be called so
ALLOTMENTS = re.compile(rf"{FLEET}/(\d{{4}}-\d{{2}}-\d{{2}})/r[0-9]+/allotment\.json")


class _Reads(Protocol):
    def get(self, key: str) -> bytes | None: ...


def allotment_key(day: date, revision: int) -> str:
    """Where the day's allotment of that number lies, counted from 1."""
    return record_key(FLEET, day, "allotment", revision)


def read_chain(store: _Reads, day: date) -> tuple[Allotment, ...]:
    """The day's allotments, oldest first; CorruptRecord if one does not follow the one before."""
    found: list[Allotment] = []
    while (data := store.get(key := allotment_key(day, len(found) + 1))) is not None:
        made = unseal(key, data, Allotment)
        before = found[-1].digest() if found else None
        if (made.day, made.revision, made.previous_sha256) != (day, len(found) + 1, before):
            raise CorruptRecord(f"{key}: does not follow the allotment before it")
        found.append(made)
    return tuple(found)


def answer(chain: Iterable[Allotment], wish: Wish) -> Allotted | None:
    """The answer to a wish; a later one stands over an earlier one, None if there is none.

    An order of a person is answered by an answer to an order, or by what was granted anyway.
    """
    found = [a for a in answers(chain) if (a.wish.model, a.wish.kind) == (wish.model, wish.kind)]
    if wish.ordered_by is not None:
        found = [a for a in found if a.verdict != "refused"]
    return found[-1] if found else None


def answers_of(store: _Reads, model: str, day: date) -> tuple[Allotted, ...]:
    """The standing answers to a model's wishes of a day, one a kind."""
    last = {a.wish.kind: a for a in answers(read_chain(store, day)) if a.wish.model == model}
    return tuple(last[kind] for kind in sorted(last))


def answers(chain: Iterable[Allotment]) -> Iterator[Allotted]:
    """Every answer, oldest first."""
    return (answered for made in chain for answered in made.allotted)
