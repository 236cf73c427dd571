"""The calendar of the sixteen days, and the requests on it."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from examples.docs_assistant import traffic
from examples.docs_assistant.corpus import PRODUCTION_CODE, PRODUCTION_PROSE, Corpus
from examples.docs_assistant.traffic import Request, day_date, requests, split_text
from upkeep.errors import ParamError

PROSE = tuple(f"{i} " + " ".join(f"word{j}" for j in range(80)) for i in range(PRODUCTION_PROSE))
CODE = tuple(f"{i}\n" + "".join(f"  x = {j}\n" for j in range(99)) for i in range(PRODUCTION_CODE))
CORPUS = Corpus(training=(), production_prose=PROSE, production_code=CODE)
ALL_DAYS = range(1, 17)


@pytest.fixture(scope="module")
def days() -> dict[int, list[Request]]:
    """All sixteen days."""
    return {number: requests(CORPUS, number) for number in ALL_DAYS}


def test_day_one_is_a_thursday_and_day_eleven_a_sunday() -> None:
    """Weekends are where the calendar has them."""
    assert day_date(1) == date(2026, 3, 5)
    assert [n for n in ALL_DAYS if day_date(n).weekday() > 4] == [3, 4, 10, 11]
    assert day_date(16) == date(2026, 3, 20)


@pytest.mark.parametrize("number", [0, 17, -1])
def test_there_is_no_other_day(number: int) -> None:
    """A wrong number is refused, not wrapped."""
    with pytest.raises(ParamError, match="must be 1 to 16"):
        requests(CORPUS, number)


def test_weekdays_have_twice_the_requests_of_weekends(days: dict[int, list[Request]]) -> None:
    """Within the ordinary variation of a twentieth."""
    for number in set(ALL_DAYS) - {11}:
        usual = 48 if day_date(number).weekday() > 4 else 96
        assert abs(len(days[number]) - usual) <= 0.05 * usual
    assert len({len(days[n]) for n in (1, 2, 5, 6, 7, 8, 9)}) > 1


def test_day_eleven_has_four_times_its_usual_traffic(days: dict[int, list[Request]]) -> None:
    """And is otherwise the same: documentation only."""
    assert abs(len(days[11]) - 4 * 48) <= 0.05 * 4 * 48
    assert {r.client for r in days[11]} == {"docs"}


def test_code_comes_on_day_thirteen_and_stays_half(days: dict[int, list[Request]]) -> None:
    """From the client ``editor``; not one request of it before."""
    for number in ALL_DAYS:
        clients = Counter(r.client for r in days[number])
        assert clients["editor"] == (len(days[number]) // 2 if number >= 13 else 0)


def test_clients_send_their_own_kind_of_text(days: dict[int, list[Request]]) -> None:
    """Prose from ``docs``, code from ``editor``."""
    for request in (r for day in days.values() for r in day):
        pool = CODE if request.client == "editor" else PROSE
        assert any(text.startswith(request.prompt) for text in pool)


def test_no_text_is_asked_twice(days: dict[int, list[Request]]) -> None:
    """A model trained on one day's texts gets no gift on the next."""
    prompts = [r.prompt for day in days.values() for r in day]
    assert len(set(prompts)) == len(prompts)


@pytest.mark.parametrize("seed", range(30))
def test_the_pools_are_large_enough_for_every_seed(seed: int) -> None:
    """No day runs out of texts, however the numbers fall."""
    for number in (11, 16):
        found = requests(CORPUS, number, seed)
        usual = 192 if number == 11 else 96
        assert abs(len(found) - usual) <= 0.05 * usual


def test_the_same_seed_gives_the_same_requests(days: dict[int, list[Request]]) -> None:
    """Another seed, others; and a day does not depend on which days were made before."""
    assert requests(CORPUS, 14) == days[14]
    assert requests(CORPUS, 14, seed=1) != days[14]


def test_requests_are_in_order_of_time_within_their_day(days: dict[int, list[Request]]) -> None:
    """With names that sort the same way."""
    for number, day in days.items():
        assert {r.time.date() for r in day} == {day_date(number)}
        assert [r.time for r in day] == sorted(r.time for r in day)
        assert [r.id for r in day] == sorted(r.id for r in day)
        assert len({r.id for r in day}) == len(day)


def test_office_hours_are_busier_than_nights(days: dict[int, list[Request]]) -> None:
    """Over all days, by a lot."""
    hours = Counter(r.time.hour for day in days.values() for r in day)
    assert sum(hours[h] for h in range(8, 18)) > 5 * sum(hours[h] for h in range(6))


def test_every_second_request_has_the_true_continuation(days: dict[int, list[Request]]) -> None:
    """Prompt and reference together are the text, as it stands in the pool."""
    pool = set(PROSE) | set(CODE)
    for day in days.values():
        known = [r for r in day if r.reference]
        assert abs(len(known) - len(day) / 2) <= 1
        assert all(r.prompt + r.reference in pool for r in known)


def test_both_clients_have_references(days: dict[int, list[Request]]) -> None:
    """Otherwise one kind of text would go unmeasured."""
    known = Counter(r.client for r in days[13] if r.reference)
    assert known["docs"] > 10
    assert known["editor"] > 10


def test_prose_is_split_between_words_and_code_between_lines() -> None:
    """The rest has about 170 characters."""
    prompt, rest = split_text("docs", PROSE[0])
    assert rest.startswith(" ")
    assert 170 <= len(rest) < 185
    prompt, rest = split_text("editor", CODE[0])
    assert prompt.endswith("\n")
    assert 150 <= len(rest) < 185
    assert prompt + rest == CODE[0]


def test_ordinary_days_differ_a_little(days: dict[int, list[Request]]) -> None:
    """Hours are drawn, not copied from day to day."""
    first, second = (Counter(r.time.hour for r in days[n]) for n in (5, 6))
    assert first != second


def test_the_calendar_names_its_special_days() -> None:
    """What the story tells about them."""
    assert (traffic.RUSH_DAY, traffic.DAMAGED_DAY, traffic.FIRST_CODE_DAY) == (11, 12, 13)
