"""What consecutive days have in common is parsed once; records come out as if it were not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta

import pytest
from fakes.replayed_store import told
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep import replay_history
from upkeep.errors import CorruptRecord
from upkeep.records import (
    DayFacts,
    DayMeasures,
    History,
    Interval,
    MeasureValue,
    PastDecision,
    canonical_json,
)
from upkeep.replay_hashed import HashedFacts
from upkeep.replay_history import FactsReader

FIRST = date(2026, 1, 1)
TEXTS = st.sampled_from(["", "a", 'q"u', "comma,", "b]", "é", '","values":[', "\\"])
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.just(-0.0))


@st.composite
def measures_of(draw: st.DrawFn, number: int) -> DayMeasures:
    """A day with any of three measures, in any of two ways, and awkward names."""
    names = draw(st.lists(st.sampled_from(["m", "m[b]", 'n"]}', "o,"]), unique=True))
    found = [
        MeasureValue(
            name=name,
            value=draw(NUMBERS),
            interval=draw(st.sampled_from([None, Interval(low=-1.5, high=1e-9)])),
            n=draw(st.integers(0, 10)),
            signature=draw(st.sampled_from(["", 'sig"nature', "]},"])),
        )
        for name in names
    ]
    return DayMeasures(
        day=FIRST + timedelta(number),
        trusted=draw(st.booleans()),
        champion_version=draw(TEXTS),
        measures=tuple(found),
    )


@st.composite
def stories(draw: st.DrawFn) -> list[DayFacts]:
    """Days with the history before each, of which days drop out, come late or are lost."""
    numbers = sorted(draw(st.sets(st.integers(0, 12), min_size=2, max_size=8)))
    days = [draw(measures_of(n)) for n in numbers]
    story, longest = [], draw(st.integers(1, 6))
    for place, today in enumerate(days):
        lost = draw(st.sets(st.integers(0, place), max_size=draw(st.integers(0, 1))))
        before = [day for n, day in enumerate(days[:place]) if n not in lost][-longest:]
        story.append(facts_of(today, before))
    return story


def facts_of(today: DayMeasures, before: Sequence[DayMeasures]) -> DayFacts:
    """The facts of a day with these days for its history."""
    plain = told().days[9].facts
    past = [PastDecision(day=d.day, action="keep", outcome="none", saving=None) for d in before]
    changed = {"history": History.of(before), "past_decisions": tuple(past), "current": today}
    return plain.model_copy(update={**changed, "day": today.day})


def lived(n: int, values: Callable[[int, int], float] = lambda a, b: a + b / 7) -> list[DayFacts]:
    """So many days, each with the last five for its history; ``values`` of day and measure."""
    days = [
        DayMeasures(
            day=FIRST + timedelta(number),
            trusted=True,
            champion_version="1",
            measures=tuple(
                MeasureValue(name=f"m{k}", value=values(number, k), n=number) for k in range(3)
            ),
        )
        for number in range(n)
    ]
    return [facts_of(day, days[max(0, place - 5) : place]) for place, day in enumerate(days)]


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the records that are parsed whole."""
    keys: list[str] = []
    real = replay_history.parsed

    def seen(key: str, body: bytes, cls: type[HashedFacts]) -> HashedFacts:
        keys.append(key)
        return real(key, body, cls)

    monkeypatch.setattr(replay_history, "parsed", seen)
    return keys


def read(bodies: Sequence[bytes]) -> Iterator[HashedFacts]:
    """The facts as one reader gives them, their keys being their numbers."""
    reader = FactsReader()
    return (reader.read(str(n), body) for n, body in enumerate(bodies))


def same(found: HashedFacts, body: bytes) -> bool:
    """Whether nothing tells them from those that are parsed whole."""
    parsed = HashedFacts.parse(body)
    return found == parsed and found.canonical_bytes() == body and repr(found) == repr(parsed)


@settings(max_examples=60, deadline=None)
@given(stories())
def test_whatever_the_days_are_they_come_out_as_if_parsed_whole(story: list[DayFacts]) -> None:
    """Missing days, days lost from the middle, measures that come, go and are measured anew."""
    bodies = [facts.canonical_bytes() for facts in story]
    assert all(same(found, body) for found, body in zip(read(bodies), bodies, strict=True))


def test_of_days_in_a_row_the_first_alone_is_parsed_whole(whole: list[str]) -> None:
    """The first has no history; every other one goes on from the one before."""
    bodies = [facts.canonical_bytes() for facts in lived(12)[1:]]
    assert all(same(found, body) for found, body in zip(read(bodies), bodies, strict=True))
    assert whole == ["0"]


def test_the_sixteen_days_are_parsed_whole_where_something_new_was_measured(
    whole: list[str],
) -> None:
    """Day 14 is the first with a history of the new topic's slices."""
    bodies = [judged.facts.canonical_bytes() for judged in told().days.values()]
    assert all(same(found, body) for found, body in zip(read(bodies), bodies, strict=True))
    assert len(whole) < 5


@pytest.mark.parametrize("place", range(5))
def test_a_number_of_the_past_that_is_another_one_is_seen(whole: list[str], place: int) -> None:
    """Late data changed one day of the history: that day's facts are parsed whole."""
    before, after = lived(9)[-2:]
    series = after.history.series[1]
    text = repr(series.values[place])
    other = float(f"{text[:-1]}{(int(text[-1]) + 4) % 9 + 1}")
    assert (len(repr(other)), repr(other) != text) == (len(text), True)  # as many bytes
    values = (*series.values[:place], other, *series.values[place + 1 :])
    changed = series.model_copy(update={"values": values})
    history = after.history.model_copy(
        update={"series": (after.history.series[0], changed, after.history.series[2])}
    )
    bodies = [f.canonical_bytes() for f in (before, after.model_copy(update={"history": history}))]
    last = list(read(bodies))[-1]
    assert same(last, bodies[-1])
    assert last.history.series[1].values[place] == other
    assert whole == (["0"] if place == 4 else ["0", "1"])  # the newest day was not known before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"trusted":[true', b'"trusted":[maybe'),
        (b'"versions":["1","1","1","1","1"]', b'"versions":["1","1","1","1",1]'),
        (b'"versions":["1","1","1","1","1"]', b'"versions":["1","1","1","1"]'),
        (b'"2026-01-08"],"series"', b'"2026-01-07"],"series"'),
        (b'"n":[3,4,5,6,7]', b'"n":[3,4,5,6,7,8]'),
        (b'"n":[3,4,5,6,7]', b'"n":[3,4,5,6,"x"]'),
        (b'"n":[3,4,5,6,7]', b'"n":[3,4,5,67]'),
        (b'"n":[3,4,5,6,7]', b'"n":[3,4,5,6,7],"m":[1]'),
        (b'"name":"m1"', b'"name":"m1","unit":"s"'),
        (b'"errors":[null,null,null,null,null]', b'"errors":[null,null,null,null,NaN]'),
        (b'"outcome":"none"', b'"outcome":"nonsense"'),
        (b'"past_decisions":[{', b'"past_decisions":[{"x":1,'),
        (b'"people":null', b'"people":nul'),
        (b'"revision":1', b'"revision":0'),
        (b'"history"', b'"histories"'),
    ],
)
def test_what_is_no_record_is_refused_as_if_parsed_whole(old: bytes, new: bytes) -> None:
    """A hash may fit what another program wrote: the form is judged by the record's own rules."""
    before, after = (facts.canonical_bytes() for facts in lived(9)[-2:])
    assert old in after
    bad = after.replace(old, new, 1)
    with pytest.raises(CorruptRecord) as told_whole:
        FactsReader().read("k", bad)
    reader = FactsReader()
    reader.read("j", before)
    with pytest.raises(CorruptRecord) as told_shared:
        reader.read("k", bad)
    assert str(told_shared.value) == str(told_whole.value)
    assert same(reader.read("k", after), after), "the next day is read all the same"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b'"n":[3,4,5,6,7]', b'"n":[3, 4, 5, 6, 7]'),
        lambda body: body.replace(b'"trusted":[true,', b'"trusted":[true ,'),
        lambda body: b"{" + body[1:-1].replace(b'"revision":1,', b"") + b',"revision":1}',
        lambda body: body.replace(b'"people":null,', b""),
    ],
)
def test_another_form_of_the_same_record_is_read_too(change: Callable[[bytes], bytes]) -> None:
    """JSON that is not canonical, or lacks a field that has a default."""
    before, after = (facts.canonical_bytes() for facts in lived(9)[-2:])
    changed = change(after)
    assert changed != after
    assert list(read([before, changed]))[-1] == HashedFacts.parse(changed)


def test_a_read_day_does_not_change_when_the_next_one_is_read() -> None:
    """Columns are shared, never written into."""
    bodies = [facts.canonical_bytes() for facts in lived(12)]
    kept = list(read(bodies))
    assert [found.canonical_bytes() for found in kept] == bodies


def test_the_bytes_are_those_that_records_write() -> None:
    """A new field between those that are looked for would make every day be parsed whole."""
    body = lived(3)[-1].canonical_bytes()
    for mark in (b',"history":{"days":[', b',"past_decisions":[', b'],"people":'):
        assert body.count(mark) == 1
    assert canonical_json({"a": 'x,"history":{"days":['}).count(b',"history":{"days":[') == 0
