"""Twelve days of requests for digits: who asks for which, and when.

About 320 requests on a weekday and 240 on a weekend day. The client ``forms`` asks for all
digits evenly, ``postal`` three times as often for 0 to 5 as for the others; three in five
requests are of ``forms``. On day 9, of ``digits-vae`` alone, nine in ten are: a change that harms
nothing. The same model and seed get the same requests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from examples.digits.data import CLASSES
from examples.digits.painter import Kind
from upkeep.errors import ParamError
from upkeep.records import sha256_hex

CardT = TypeVar("CardT")

FIRST_DAY = date(2026, 3, 5)
DAYS = 12
FORMS_DAY = 9
WEEKDAY_REQUESTS, WEEKEND_REQUESTS = 320, 240
VARIATION = 0.05  # of a day's number of requests, to both sides
FRIDAY = 4
# Decks to be dealt from: what is asked for varies from day to day in its order, not its shares.
CLIENTS = ("forms",) * 6 + ("postal",) * 4
CLIENTS_OF_FORMS_DAY = ("forms",) * 9 + ("postal",)
DIGITS = {"forms": tuple(range(CLASSES)), "postal": (*range(6), *range(6), *range(CLASSES))}
HOUR_WEIGHTS = (1, 1, 1, 1, 1, 2, 3, 5, 8, 9, 9, 8, 7, 8, 9, 9, 8, 6, 4, 3, 3, 2, 2, 1)


@dataclass(frozen=True)
class Request:
    """One request for an image of a digit; ``seed`` is what its handwriting comes from."""

    id: str
    time: datetime
    client: str
    digit: int

    @property
    def seed(self) -> int:
        """31 bits of a hash of the id."""
        return int(sha256_hex(self.id.encode())[:8], 16) >> 1


def day_date(number: int) -> date:
    """The date of day 1 .. 12.

    Raises:
        ParamError: there is no such day.

    """
    if not 1 <= number <= DAYS:
        raise ParamError("day", number, f"must be 1 to {DAYS}", "choose a day of the story")
    return FIRST_DAY + timedelta(number - 1)


def requests(kind: Kind, number: int, seed: int = 0) -> list[Request]:
    """All requests of day ``number``, in order of time."""
    day = day_date(number)
    rng = random.Random(f"{kind}/{seed}/{number}")
    usual = WEEKDAY_REQUESTS if day.weekday() <= FRIDAY else WEEKEND_REQUESTS
    spread = int(usual * VARIATION)
    times = sorted(_time(day, rng) for _ in range(usual + rng.randint(-spread, spread)))
    forms_day = (kind, number) == ("vae", FORMS_DAY)
    clients = _dealt(CLIENTS_OF_FORMS_DAY if forms_day else CLIENTS, rng)
    digits = {client: _dealt(deck, rng) for client, deck in DIGITS.items()}
    return [
        Request(f"{kind}-{day}-{place:04d}", moment, client, next(digits[client]))
        for place, (moment, client) in enumerate(zip(times, clients, strict=False))
    ]


def _dealt(deck: Sequence[CardT], rng: random.Random) -> Iterator[CardT]:
    """Cards without end: the whole deck in a random order, again and again."""
    while True:
        yield from rng.sample(deck, len(deck))


def _time(day: date, rng: random.Random) -> datetime:
    hour = rng.choices(range(24), HOUR_WEIGHTS)[0]
    start = datetime.combine(day, time(hour), UTC)
    return start + timedelta(milliseconds=rng.randrange(3_600_000))
