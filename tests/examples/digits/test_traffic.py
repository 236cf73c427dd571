"""The calendar of the twelve days, and the requests on it."""

from __future__ import annotations

from collections import Counter

import pytest

from examples.digits import traffic
from examples.digits.painter import Kind
from examples.digits.traffic import day_date, requests
from upkeep.errors import ParamError

KINDS: tuple[Kind, ...] = ("gan", "vae")
DAYS = range(1, 13)
WEEKEND = (3, 4, 10, 11)


def share_of_forms(kind: Kind, number: int) -> float:
    clients = Counter(r.client for r in requests(kind, number))
    assert set(clients) == {"forms", "postal"}
    return clients["forms"] / clients.total()


def test_weekends_are_where_the_calendar_has_them() -> None:
    """Day 1 is a Thursday, as the other example's is."""
    assert [n for n in DAYS if day_date(n).weekday() > 4] == list(WEEKEND)
    assert day_date(1).isoformat() == "2026-03-05"


@pytest.mark.parametrize("number", [0, 13, -1])
def test_there_is_no_other_day(number: int) -> None:
    """A wrong number is refused, not wrapped."""
    with pytest.raises(ParamError, match="must be 1 to 12"):
        requests("gan", number)


@pytest.mark.parametrize("kind", KINDS)
def test_weekdays_have_more_requests_than_weekends(kind: Kind) -> None:
    """Within a twentieth, and no two weekdays need be alike."""
    counts = {number: len(requests(kind, number)) for number in DAYS}
    for number, count in counts.items():
        usual = 240 if number in WEEKEND else 320
        assert abs(count - usual) <= 0.05 * usual
    assert len(set(counts.values())) > 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_mix_moves_once_and_for_the_vae_alone(kind: Kind) -> None:
    """On day 9; everything else is three in five, to within a deck."""
    for number in DAYS:
        usual = 0.9 if (kind, number) == ("vae", 9) else 0.6
        assert share_of_forms(kind, number) == pytest.approx(usual, abs=0.02)


def test_clients_ask_for_their_own_digits() -> None:
    """``forms`` for all alike, ``postal`` three times as often for 0 to 5."""
    counts: dict[str, Counter[int]] = {"forms": Counter(), "postal": Counter()}
    for request in (r for n in DAYS for r in requests("gan", n)):
        counts[request.client][request.digit] += 1
    forms, postal = counts["forms"], counts["postal"]
    assert max(forms.values()) < 1.1 * min(forms.values())
    often, seldom = (sum(postal[d] for d in part) / len(part) for part in (range(6), range(6, 10)))
    assert often / seldom == pytest.approx(3.0, rel=0.1)


def test_the_same_seed_gives_the_same_requests_and_another_others() -> None:
    """A day does not depend on which days were made before, nor the models on each other."""
    assert requests("gan", 5) == requests("gan", 5)
    assert requests("gan", 5) != requests("gan", 5, seed=1)
    assert [r.digit for r in requests("gan", 5)] != [r.digit for r in requests("vae", 5)]


@pytest.mark.parametrize("kind", KINDS)
def test_requests_are_in_order_of_time_within_their_day(kind: Kind) -> None:
    """With names that sort the same way, and of no other day."""
    for number in DAYS:
        day = requests(kind, number)
        assert {r.time.date() for r in day} == {day_date(number)}
        assert [r.time for r in day] == sorted(r.time for r in day)
        assert [r.id for r in day] == sorted(r.id for r in day)


def test_every_request_has_a_handwriting_of_its_own() -> None:
    """Seeds come from ids; none is shared, none is negative."""
    seeds = [r.seed for kind in KINDS for n in DAYS for r in requests(kind, n)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0
    assert max(seeds) < 2**31


def test_office_hours_are_busier_than_nights() -> None:
    """Over all days, by a lot."""
    hours = Counter(r.time.hour for n in DAYS for r in requests("gan", n))
    assert sum(hours[h] for h in range(8, 18)) > 5 * sum(hours[h] for h in range(6))
    assert traffic.HOUR_WEIGHTS[3] < traffic.HOUR_WEIGHTS[10]
