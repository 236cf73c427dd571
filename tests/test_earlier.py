"""A search is told what earlier days found: of trials and gates, and of nothing that came later."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from test_gate import benchmark_of, candidate_of, judge, scores_of

from upkeep.earlier import earlier_of, put_earlier
from upkeep.records import Earlier, Measured, Prediction, Step, Trial
from upkeep.sealed import seal
from upkeep.store import Store, open_store, record_key

DAY = date(2026, 3, 17)
TARGET = "a machine, 2 threads"


def trial(number: int, **changes: Any) -> Trial:
    """A trial that was measured, 1.4 times as fast."""
    measured = Measured(
        quality_loss=0.004,
        speedup=1.4,
        size_bytes=25,
        size_share=0.25,
        precision="u8",
        rounds=6,
        samples=18,
    )
    known: dict[str, Any] = {
        "number": number,
        "route": "openvino-int8",
        "steps": (Step(method="openvino-int8"),),
        "suggested": {"route": "openvino-int8"},
        "target": TARGET,
        "predicted": Prediction(),
        "state": "measured",
        "measured": measured,
        "seconds": 3.0,
    }
    return Trial.model_validate(known | changes)


def put_trial(store: Store, made: Trial, day: date = DAY, model: str = "m") -> None:
    """Where the worker leaves it."""
    key = f"{model}/{day.isoformat()}/r1/jobs/compress/trials/{made.number:04d}.json"
    store.put_if_absent(key, seal(made))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return open_store(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "measured"),
        ({"measured": trial(0).measured.model_copy(update={"speedup": 0.9})}, "slower"),  # type: ignore[union-attr]
        ({"measured": None, "state": "failed", "reason": "no such layer"}, "failed"),
    ],
)
def test_a_trial_is_told_with_its_verdict(
    store: Store, changes: dict[str, Any], verdict: str
) -> None:
    """Measured, slower than the champion, or failed with its reason."""
    put_trial(store, trial(0, **changes))
    [found] = earlier_of(store, "m", date(2026, 3, 18))
    assert (found.verdict, found.target, found.day) == (verdict, TARGET, DAY)
    assert found.words == changes.get("reason", "")
    assert found.steps == (Step(method="openvino-int8"),)


def test_a_trial_that_only_ended_for_room_tells_nothing_of_its_family(store: Store) -> None:
    """A full disk is no fault of the method."""
    put_trial(store, trial(0, measured=None, state="stopped", reason="out of disk"))
    assert list(earlier_of(store, "m", date(2026, 3, 18))) == []


@pytest.mark.parametrize(("change", "verdict"), [(0.0, "passed"), (0.2, "refused")])
def test_a_gate_is_told_with_what_it_measured(store: Store, change: float, verdict: str) -> None:
    """Passed or refused, on the machine of the benchmark, of the steps that made the candidate."""
    steps = (Step(method="prune-mlp"), Step(method="openvino-int4"))
    made = candidate_of().model_copy(update={"steps": steps})
    measured = benchmark_of(scores_of(change), machine={"cpu": "a machine", "threads": "2"})
    for step, record in (
        ("candidate", made),
        ("benchmark", measured),
        ("gate", judge(made, measured)),
    ):
        store.put_if_absent(record_key("m", DAY, f"compress/{step}"), seal(record))
    [found] = earlier_of(store, "m", date(2026, 3, 18))
    assert (found.verdict, found.target, found.steps) == (verdict, TARGET, steps)
    assert found.speedup == pytest.approx(2.0, rel=0.05)
    assert found.size_share == 0.9
    assert ("quality perplexity" in found.words) == (verdict == "refused")


def test_the_day_itself_and_later_ones_are_not_told(store: Store) -> None:
    """A day that is done again gets what it got."""
    for number, day in enumerate((DAY, date(2026, 3, 18), date(2026, 3, 19))):
        put_trial(store, trial(number), day)
    assert [e.day for e in earlier_of(store, "m", date(2026, 3, 18))] == [DAY]


def test_the_file_of_a_job_is_written_once(store: Store) -> None:
    """JSON lines under the hash that the job names."""
    put_trial(store, trial(0))
    first = put_earlier(store, "m/x/earlier.jsonl", "m", date(2026, 3, 18))
    put_trial(store, trial(1))
    assert put_earlier(store, "m/x/earlier.jsonl", "m", date(2026, 3, 18)) == first
    data = store.get(first.path) or b""
    assert [Earlier.parse(line).verdict for line in data.splitlines()] == ["measured"]
