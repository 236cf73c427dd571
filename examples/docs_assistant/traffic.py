"""Sixteen days of requests: who asks what, and when.

Days 1 to 10 are ordinary: about 96 requests on a weekday, 48 on a weekend day, most of them in
office hours, all of them documentation from the client ``docs``. Day 11 has four times the
traffic of its weekday. After day 12, half of the day's log files are damaged. From day 13 on,
half of the requests are source code from the client ``editor``. The same seed gives the same
requests, and no text is asked twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate

from examples.docs_assistant.corpus import Corpus
from upkeep.errors import ParamError

FIRST_DAY = date(2026, 3, 5)
DAYS = 16
RUSH_DAY, DAMAGED_DAY, FIRST_CODE_DAY = 11, 12, 13
WEEKDAY_REQUESTS, WEEKEND_REQUESTS = 96, 48
VARIATION = 0.05  # of a day's number of requests, to both sides
FRIDAY = 4
HOUR_WEIGHTS = (1, 1, 1, 1, 1, 2, 3, 5, 8, 9, 9, 8, 7, 8, 9, 9, 8, 6, 4, 3, 3, 2, 2, 1)
REFERENCE_EVERY = 2
REFERENCE_CHARS = 170


@dataclass(frozen=True)
class Request:
    """One request. ``reference`` is the text's true continuation, empty where nobody knows it."""

    id: str
    time: datetime
    client: str
    prompt: str
    reference: str


def day_date(number: int) -> date:
    """The date of day 1 .. 16.

    Raises:
        ParamError: there is no such day.

    """
    if not 1 <= number <= DAYS:
        raise ParamError("day", number, f"must be 1 to {DAYS}", "choose a day of the story")
    return FIRST_DAY + timedelta(number - 1)


def requests(corpus: Corpus, number: int, seed: int = 0) -> list[Request]:
    """All requests of day ``number``, in order of time."""
    rng = random.Random(f"{seed}/{number}")
    usual = _usual_requests(number)
    count = usual + rng.randint(-_spread(usual), _spread(usual))
    texts = _texts(corpus, number, count, seed)
    rng.shuffle(texts)
    times = sorted(_time(day_date(number), rng) for _ in texts)
    return [
        _request(f"{day_date(number)}-{place:04d}", moment, client, text, place)
        for place, (moment, (client, text)) in enumerate(zip(times, texts, strict=True))
    ]


def split_text(client: str, text: str) -> tuple[str, str]:
    """A text's prompt and the rest of about 170 characters: between words, code between lines."""
    border = "\n" if client == "editor" else " "
    end = text.rfind(border, 0, len(text) - REFERENCE_CHARS)
    end += client == "editor"  # the line's end belongs to the prompt
    return text[:end], text[end:]


def _request(name: str, moment: datetime, client: str, text: str, place: int) -> Request:
    prompt, reference = split_text(client, text)
    known = place % REFERENCE_EVERY == 0
    return Request(name, moment, client, prompt, reference if known else "")


def _usual_requests(number: int) -> int:
    weekday = day_date(number).weekday() <= FRIDAY
    usual = WEEKDAY_REQUESTS if weekday else WEEKEND_REQUESTS
    return usual * 4 if number == RUSH_DAY else usual


def _spread(usual: int) -> int:
    return int(usual * VARIATION)


def _texts(corpus: Corpus, number: int, count: int, seed: int) -> list[tuple[str, str]]:
    """The day's own part of the pools, so that days share no text whatever their numbers are."""
    code = count // 2 if number >= FIRST_CODE_DAY else 0
    prose = _part(corpus.production_prose, number, count - code, seed, 1)
    source = _part(corpus.production_code, number, code, seed, FIRST_CODE_DAY)
    return [("docs", text) for text in prose] + [("editor", text) for text in source]


def _part(pool: tuple[str, ...], number: int, count: int, seed: int, first: int) -> list[str]:
    rooms = [_room(day, first) for day in range(1, DAYS + 1)]
    starts = [0, *accumulate(rooms)]
    order = random.Random(seed).sample(pool, len(pool))
    return order[starts[number - 1] : starts[number - 1] + count]


def _room(number: int, first: int) -> int:
    """The most texts of a pool that a day can ask for; ``first`` is the pool's first day."""
    if number < first:
        return 0
    most = _usual_requests(number) + _spread(_usual_requests(number))
    return (most + 1) // 2 if number >= FIRST_CODE_DAY else most


def _time(day: date, rng: random.Random) -> datetime:
    hour = rng.choices(range(24), HOUR_WEIGHTS)[0]
    start = datetime.combine(day, time(hour), UTC)
    return start + timedelta(milliseconds=rng.randrange(3_600_000))
