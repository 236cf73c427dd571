"""A day's prompts are held against a reference that is made once and stays."""

from __future__ import annotations

import pydoc_data.topics
import random
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.sixteen_days import MODEL, validated

from upkeep.comparing import MOST_PROMPTS, compare_prompts
from upkeep.facts import day_measures
from upkeep.prompt_distance import distance, profile
from upkeep.records import DailyMetrics, PromptDistance, PromptReference, Sample
from upkeep.samples import put_samples, samples_key
from upkeep.spec import ModelSpec
from upkeep.store import Store, get_record, open_store, put_record, record_key

FIRST = date(2026, 3, 5)
HISTORY = 88
TEXT = "\n".join(pydoc_data.topics.topics[name] for name in ("compound", "specialnames"))
MANUAL = [TEXT[at : at + 200] for at in range(0, len(TEXT) - 200, 200)]
OTHER = ["def f(x):\n    return self.x[{}] if x else None".replace("{}", str(n)) for n in range(60)]


def day_of(number: int) -> date:
    """The days count from 1."""
    return FIRST + timedelta(number - 1)


def prompts_of(number: int, n: int = 60) -> list[str]:
    """Prompts from the manual."""
    return random.Random(number).choices(MANUAL, k=n)


def spec_of(**baseline: Any) -> ModelSpec:
    """A model whose baseline needs five days."""
    return ModelSpec.model_validate(
        {
            "name": MODEL,
            "sources": [{"kind": "request_log", "path": "/logs"}],
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {
                "version": "test",
                "baseline": {"days": 56, "min_days": 5, **baseline},
                "measures": {},
                "rules": [],
            },
        }
    )


def observed(store: Store, number: int, prompts: Sequence[str], *, trusted: bool = True) -> date:
    """A day whose data lies in the store."""
    day = day_of(number)
    samples = [Sample(id=f"r{n:04d}", slice="a", prompt=p) for n, p in enumerate(prompts)]
    put_samples(store, samples_key(MODEL, day), samples)
    metrics = DailyMetrics(
        model=MODEL, day=day, source="made up", coverage=1.0, rows_read=60, rows_quarantined=0
    )
    put_record(store, record_key(MODEL, day, "metrics"), metrics)
    put_record(store, record_key(MODEL, day, "validation"), validated(day, trusted=trusted))
    return day


def played(
    store: Store, number: int, prompts: Sequence[str] | None = None, **other: Any
) -> PromptDistance:
    """One day, observed and compared."""
    found = prompts_of(number) if prompts is None else prompts
    day = observed(store, number, found, trusted=other.pop("trusted", True))
    return compare_prompts(store, spec_of(**other), day, HISTORY)


def reference(store: Store, name: str = "first") -> PromptReference:
    """What the days are held against."""
    key = f"{MODEL}/prompts/chars3-hashed4096-cosine/{name}.json"
    found = get_record(store, key, PromptReference)
    assert found is not None
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def learnt(store: Store) -> Store:
    """Five days have gone by, and a sixth that is held against them."""
    for number in range(1, 7):
        played(store, number)
    return store


def test_the_first_days_are_gathered_and_then_days_are_measured(store: Store) -> None:
    """As many days as a baseline needs; until then the record says how far it is."""
    found = [played(store, number) for number in range(1, 8)]
    assert [f.value is None for f in found] == [True] * 5 + [False] * 2
    assert found[2].why == "the reference prompts are being gathered: 2 of 5 days"
    assert reference(store).days == tuple(day_of(n) for n in range(1, 6))
    assert reference(store).n == 300
    assert found[5].signature == found[6].signature
    assert found[5].signature.endswith(f"|reference:{reference(store).digest()[:12]}")
    assert abs(found[6].value or 1.0) < 0.005


def test_the_value_is_the_distance_from_all_reference_prompts(learnt: Store) -> None:
    """To nine digits; another topic is far away."""
    texts = [p for number in range(1, 6) for p in prompts_of(number)]
    found = played(learnt, 7, OTHER)
    exact = distance(OTHER, profile(texts))
    assert found.value == pytest.approx(exact.value, rel=1e-8)
    assert found.error == pytest.approx(exact.error, rel=1e-8)
    assert (found.value or 0.0) > 0.05
    assert found.n == 60


def test_days_that_cannot_be_trusted_or_say_too_little_are_no_reference(store: Store) -> None:
    """The reference is made of the first five good days."""
    played(store, 1, trusted=False)
    played(store, 2, prompts_of(2, n=19))
    played(store, 3, [" "] * 60)
    for number in range(4, 10):
        played(store, number)
    assert reference(store).days == tuple(day_of(n) for n in range(4, 9))


@pytest.mark.parametrize(
    ("prompts", "why"),
    [
        pytest.param([], "0 prompts, 20 are needed", id="no-prompts"),
        pytest.param(["", " "] * 30, "0 prompts, 20 are needed", id="nothing-in-them"),
        pytest.param(MANUAL[:19], "19 prompts, 20 are needed", id="too-few"),
    ],
)
def test_a_day_without_prompts_says_so(learnt: Store, prompts: list[str], why: str) -> None:
    """An image model of latents, a source of series: never a number of nothing."""
    found = played(learnt, 7, prompts)
    assert (found.value, found.error, found.why) == (None, None, why)
    measured = day_measures(learnt, MODEL, day_of(7))
    assert measured is not None
    assert measured.measure("prompt_mmd") is None


def test_what_is_measured_is_a_measure_of_the_day(learnt: Store) -> None:
    """With its error, its prompts and the reference that it is held against."""
    found = played(learnt, 7)
    measured = day_measures(learnt, MODEL, day_of(7))
    assert measured is not None
    value = measured.measure("prompt_mmd")
    assert value is not None
    assert (value.value, value.n, value.signature) == (found.value, 60, found.signature)
    assert value.error == pytest.approx(found.error)


def test_a_second_try_adopts_the_first(learnt: Store) -> None:
    """Whatever lies in the store by then."""
    known = played(learnt, 7)
    other = spec_of(since=day_of(7))
    assert compare_prompts(learnt, other, day_of(7), HISTORY) == known


def test_a_backfilled_day_before_the_reference_is_held_against_it(store: Store) -> None:
    """And a day of the reference is not held against itself."""
    for number in range(2, 8):
        played(store, number)
    assert played(store, 1).signature.endswith(reference(store).digest()[:12])
    learnt = reference(store).days
    again = open_store(store.root + "-again")
    put_record(again, f"{MODEL}/prompts/chars3-hashed4096-cosine/first.json", reference(store))
    observed(again, 3, prompts_of(3))
    found = compare_prompts(again, spec_of(), day_of(3), HISTORY)
    assert day_of(3) in learnt
    assert found.why == "the day's own prompts are part of the reference"


def test_a_new_baseline_has_a_new_reference(learnt: Store) -> None:
    """``policy.baseline.since``: the earlier days are not what today should be like."""
    since = day_of(7)
    found = [played(learnt, number, OTHER, since=since) for number in range(7, 14)]
    assert found[4].why == "the reference prompts are being gathered: 4 of 5 days"
    assert reference(learnt, since.isoformat()).days[0] == since
    assert found[6].signature != played(learnt, 14).signature
    assert (found[6].value or 1.0) < 0.005


def test_of_a_large_day_the_same_prompts_are_taken_every_time(store: Store) -> None:
    """By the hash of their ids, however the log is sorted."""
    observed(store, 1, prompts_of(1, n=MOST_PROMPTS + 500))
    found = compare_prompts(store, spec_of(), day_of(1), HISTORY)
    assert found.n == MOST_PROMPTS


def test_two_stores_with_the_same_days_hold_the_same_bytes(tmp_path: Path) -> None:
    """A day re-run elsewhere is equal to the byte."""
    made = []
    for name in ("one", "other"):
        store = open_store(str(tmp_path / name))
        made.append([played(store, number).canonical_bytes() for number in range(1, 8)])
    assert made[0] == made[1]
