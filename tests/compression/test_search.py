"""A search finds the best that its budget allows, forgets nothing, and says why."""

from __future__ import annotations

import json
import multiprocessing
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes.compressing import fake_champion, fake_methods
from fakes.tiny_model import make_samples

from upkeep import benchmark
from upkeep.compression import search
from upkeep.compression.search_records import Trials
from upkeep.errors import ParamError
from upkeep.records import Earlier, SearchResult, Step, Trial
from upkeep.store import open_store

__all__ = ["fake_methods"]

pytestmark = pytest.mark.usefixtures("fake_methods")

SAMPLES = make_samples(60)
QUICK = {"prompts": 1, "new_tokens": 4, "final_rounds": 8}
INT = {"method": "fake-int", "params": {"bits": [8, 4, 2], "group_size": [32, 64]}}
PRUNE = {"method": "prune-mlp", "params": {"share": {"low": 0.1, "high": 0.6}}}
ROUTES = [{"steps": [INT]}, {"steps": [PRUNE]}, {"steps": [PRUNE, INT]}]


def params_of(**changes: Any) -> dict[str, Any]:
    """A search of a dozen trials over three routes."""
    return {"trials": 12, "routes": ROUTES, **QUICK, **changes}


def kept(folder: Path, earlier: tuple[Earlier, ...] = ()) -> Trials:
    """Where this test's search keeps its trials."""
    return Trials(open_store(str(folder / "store")), "m/jobs/compress", earlier=earlier)


def run(
    folder: Path, records: Trials | None = None, **changes: Any
) -> tuple[SearchResult, list[Trial], dict[str, float], tuple[str, ...]]:
    """Search, and what was kept of it."""
    folder.mkdir(exist_ok=True)
    champion, out = fake_champion(folder / "champion"), folder / "out"
    records = records or kept(folder)
    measured, notes = search.compress(
        champion, SAMPLES, "search", params_of(**changes), out, records
    )
    result = records.result()
    assert result is not None
    return result, records.known(), measured, notes


def timeless(trials: list[Trial]) -> list[dict[str, Any]]:
    """What must be the same whenever it was done."""
    return [t.model_dump(exclude={"seconds": True, "measurements": {"seconds"}}) for t in trials]


def test_every_route_is_tried_once_then_the_sampler_asks_and_each_trial_is_kept(
    tmp_path: Path,
) -> None:
    """Twelve trials, none twice, all measured, predicted beside measured."""
    result, known, measured, notes = run(tmp_path)
    assert [t.number for t in known] == list(range(12))
    assert {t.route for t in known[:3]} == {"fake-int", "prune-mlp", "prune-mlp > fake-int"}
    tried = [json.dumps([s.model_dump() for s in t.steps], sort_keys=True) for t in known]
    assert len(set(tried)) == 12
    assert all(t.measured is not None and t.predicted.words for t in known)
    assert result.trials == 12
    assert result.ended == "the budget of 12 trials is spent"
    assert measured["trials"] == 12.0
    assert result.why == notes[0]


def test_the_chosen_one_is_the_best_that_meets_the_goal(tmp_path: Path) -> None:
    """On the front, within the loss, and no other trial within the loss is better."""
    result, known, measured, _ = run(tmp_path, goal={"max_quality_loss": 0.003})
    assert result.chosen == result.nearest
    assert result.chosen in result.front
    within = [t.measured for t in known if t.measured and t.measured.quality_loss <= 0.003]
    best = known[result.chosen].measured
    assert best is not None
    assert best.speedup / best.size_share == max(m.speedup / m.size_share for m in within)
    assert len(within) < 12
    assert measured["dev_quality_loss"] <= 0.003
    written = json.loads((tmp_path / "out" / "fake.json").read_text())
    assert written["step_ms"] == pytest.approx(10.0 / best.speedup)


@pytest.mark.parametrize(
    ("prefer", "score"),
    [("speed", lambda m: m.speedup), ("size", lambda m: 1 / m.size_share)],
)
def test_what_is_preferred_decides_among_those_that_meet_the_goal(
    tmp_path: Path, prefer: str, score: Any
) -> None:
    """The fastest, or the smallest."""
    result, known, _, _ = run(tmp_path, goal={"max_quality_loss": 0.5, "prefer": prefer})
    assert result.chosen is not None
    found = {t.number: score(t.measured) for t in known if t.measured}
    assert found[result.chosen] == pytest.approx(max(found.values()))
    assert {"speed": "the fastest", "size": "the smallest"}[prefer] in result.why


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ({"min_speedup": 100.0}, "times as fast of at least 100.00"),
        ({"max_size_share": 0.001}, "of the size of at most 0.001"),
        ({"max_quality_loss": 1e-6}, "quality loss"),
    ],
)
def test_a_goal_that_cannot_be_met_ends_in_no_candidate_with_the_nearest(
    tmp_path: Path, goal: dict[str, float], said: str
) -> None:
    """Said in words, with the number that was missed; the nearest one's files are written."""
    result, _, _, notes = run(tmp_path, goal=goal)
    assert result.chosen is None
    assert result.nearest is not None
    assert result.why.startswith("no candidate, because no trial meets the goal; nearest is trial")
    assert said in result.why.split("missed: ")[1]
    assert notes[0] == result.why
    assert (tmp_path / "out" / "fake.json").is_file()


def test_finalists_are_measured_longer(tmp_path: Path) -> None:
    """Three of them, over more rounds, each on record under its number."""
    trials = kept(tmp_path)
    result, known, _, _ = run(tmp_path, trials, finalists=3)
    assert len(result.finalists) == 3
    for number in result.finalists:
        last = trials.finalist(number)
        assert last is not None
        assert last.measured is not None
        assert last.measured.rounds == 8
        assert last.steps == known[number].steps


# ---------------------------------------------------------------- killed and resumed


_UNDISTURBED: list[tuple[SearchResult, list[Trial]]] = []


@pytest.fixture
def undisturbed(tmp_path: Path) -> tuple[SearchResult, list[Trial]]:
    """What the search ends with when nobody kills it; searched once a process."""
    if not _UNDISTURBED:
        result, known, _, _ = run(tmp_path / "whole")
        _UNDISTURBED.append((result, known))
    return _UNDISTURBED[0]


def searched_until(folder: Path, point: str, **changes: Any) -> int | None:
    """Search in a process that ends at the point, as kill -9 would; its exit code."""

    def child() -> None:
        os.environ["UPKEEP_CRASH_AT"] = point
        run(folder, **changes)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.parametrize(
    ("point", "finished"),
    [
        ("search.before_trial_0", 0),
        ("search.after_trial_0", 1),
        ("search.before_trial_7", 7),
        ("search.after_trial_7", 8),
        ("search.after_trial_11", 12),
        ("search.after_finalist", 12),
        ("search.after_result", 12),
    ],
)
def test_a_search_killed_anywhere_ends_with_the_same_study(
    tmp_path: Path, undisturbed: tuple[SearchResult, list[Trial]], point: str, finished: int
) -> None:
    """The same trials in the same order with the same numbers, the same choice, the same words."""
    whole, known = undisturbed
    assert searched_until(tmp_path / "killed", point) == 137
    again = kept(tmp_path / "killed").known()
    assert len(again) == finished
    resumed, after, _, _ = run(tmp_path / "killed")
    assert timeless(after) == timeless(known)
    assert [t.seconds for t in after[: len(again)]] == [t.seconds for t in again]
    assert resumed == whole


def test_a_trial_that_kills_the_process_twice_is_not_begun_again(tmp_path: Path) -> None:
    """Out of memory by the kernel's hand: the third worker records it as failed and goes on."""
    routes = [{"steps": [{"method": "fake-trouble", "params": {"kind": "die"}}]}, *ROUTES]
    for _ in range(2):
        assert searched_until(tmp_path, "never", routes=routes) == 137
    result, known, _, _ = run(tmp_path, routes=routes)
    dead = [t for t in known if t.state == "failed"]
    assert [t.route for t in dead] == ["fake-trouble"]
    assert "the process ended 2 times in this trial" in dead[0].reason
    assert result.trials == len(known) == 12


# ---------------------------------------------------------------- what goes wrong


def test_a_trial_that_fails_is_on_record_and_the_search_goes_on(tmp_path: Path) -> None:
    """With its reason; it is neither on the front nor a finalist."""
    routes = [{"steps": [{"method": "fake-trouble"}]}, *ROUTES]
    result, known, _, notes = run(tmp_path, routes=routes)
    failed = [t for t in known if t.state == "failed"]
    assert len(failed) == 1
    assert failed[0].reason == "ValueError: this architecture has no such layer"
    assert failed[0].measured is None
    assert failed[0].number not in {*result.front, *result.finalists}
    assert "1 trials failed" in notes[1]
    assert len(known) == 12


@pytest.mark.parametrize("kind", ["memory", "torch", "disk"])
def test_the_end_of_disk_or_memory_ends_the_search_with_what_was_measured(
    tmp_path: Path, kind: str
) -> None:
    """The trials before it count, and a restart does not begin it again."""
    trouble = {"steps": [{"method": "fake-trouble", "params": {"kind": kind}}]}
    worse = {
        "steps": [{"method": "fake-slow"}, {"method": "fake-trouble", "params": {"kind": kind}}]
    }
    result, known, _, _ = run(tmp_path, routes=[*ROUTES, trouble, worse])
    assert known[-1].state == "stopped"
    assert len(known) < 12
    assert result.ended == known[-1].reason
    assert result.chosen is not None
    assert run(tmp_path)[1] == known


def test_where_nothing_could_be_measured_the_reason_is_raised(tmp_path: Path) -> None:
    """A search without one model cannot give any."""
    with pytest.raises(ParamError, match="no candidate, because none of 1 trials could be measure"):
        run(tmp_path, routes=[{"steps": [{"method": "fake-trouble"}]}], trials=3)


def test_a_full_disk_is_seen_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trial begins where there is no room for its model."""
    from upkeep.compression import search_workshop

    monkeypatch.setattr(search_workshop, "SPARE_BYTES", 2**62)
    with pytest.raises(ParamError, match="bytes of disk"):
        run(tmp_path)


def test_a_space_that_is_exhausted_ends_the_search(tmp_path: Path) -> None:
    """Six settings are six trials, whatever the budget."""
    result, known, _, _ = run(tmp_path, routes=[{"steps": [INT]}], trials=50)
    assert len(known) == 6
    assert result.ended == "every setting of the space was tried"


def test_minutes_count_over_restarts(tmp_path: Path) -> None:
    """What the trials took is in their records: a restart has no new budget."""
    _, known, _, _ = run(tmp_path, trials=None, minutes=1e-9)
    assert len(known) == 1
    result, again, _, _ = run(tmp_path, trials=None, minutes=1e-9)
    assert again == known
    assert result.ended == "the budget of 1e-09 minutes is spent"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": None}, "needs a budget"),
        ({"trials": 0}, "trials"),
        ({"triels": 3}, r"did you mean trials\?"),
        ({"routes": [{"steps": []}]}, "at least 1 item"),
        ({"routes": [{"steps": [{"method": "search"}]}]}, "'search' is no step"),
        ({"routes": [{"steps": [{"method": "gzip"}]}]}, "'gzip' is no step"),
        ({"routes": [{"steps": [INT, PRUNE]}]}, "nothing can follow it"),
        (
            {"routes": [{"steps": [{"method": "fake-int", "params": {"bots": 3}}]}]},
            r"did you mean bits\?",
        ),
        ({"routes": [{"steps": [{"method": "fake-int", "params": {"bits": []}}]}]}, "empty list"),
        (
            {"routes": [{"steps": [{"method": "fake-int", "params": {"bits": {"low": 2}}}]}]},
            "must be a value, a list",
        ),
        (
            {
                "routes": [
                    {"steps": [{"method": "prune-mlp", "params": {"share": {"low": 1, "high": 0}}}]}
                ]
            },
            "low must be under high",
        ),
        ({"goal": {"max_quality_loss": 0.0}}, "greater than 0"),
        ({"goal": {"prefer": "price"}}, "'speed', 'size' or 'balanced'"),
        ({"dev_share": 0.01}, "1 would judge"),
    ],
)
def test_settings_that_are_not_allowed_are_refused_before_anything_is_tried(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """Before anything is tried or recorded."""
    with pytest.raises(ParamError, match=said):
        run(tmp_path, **changes)
    assert kept(tmp_path).known() == []
    assert not (tmp_path / "store").exists()


# ---------------------------------------------------------------- learning and predicting


def earlier_of(method: str, verdict: Any, **fields: Any) -> Earlier:
    """What an earlier day found of one method on this machine."""
    known = {"day": date(2026, 3, 1), "target": benchmark.target(1), **fields}
    return Earlier(steps=(Step(method=method),), verdict=verdict, **known)


@pytest.mark.parametrize("verdict", ["refused", "slower", "failed"])
def test_a_family_that_was_refused_on_this_target_is_tried_last(
    tmp_path: Path, verdict: str
) -> None:
    """In the last trial of the budget, and said in the result."""
    trials = kept(tmp_path, (earlier_of("fake-int", verdict),))
    result, known, _, _ = run(tmp_path, trials)
    assert [t.number for t in known if t.route == "fake-int"] == [11]
    assert result.tried_last == ("quantization",)


@pytest.mark.parametrize(
    "known",
    [
        (earlier_of("fake-int", "refused", target="another machine, 1 threads"),),
        (earlier_of("fake-int", "refused"), earlier_of("fake-int", "passed", day=date(2026, 3, 2))),
        (earlier_of("fake-int", "slower"), earlier_of("fake-int", "measured")),
    ],
)
def test_what_was_refused_elsewhere_or_taken_back_is_tried_as_any_other(
    tmp_path: Path, known: tuple[Earlier, ...]
) -> None:
    """Another machine, a later day that passed, a better setting on the same day."""
    result, tried, _, _ = run(tmp_path, kept(tmp_path, known))
    assert "fake-int" in {t.route for t in tried[:3]}
    assert result.tried_last == ()


def test_size_is_predicted_by_arithmetic_and_speed_from_the_nearest_trial(tmp_path: Path) -> None:
    """Eight bits of 32 are a quarter; a later trial stands on an earlier one of its route."""
    _, known, _, _ = run(tmp_path)
    first = next(t for t in known if t.route == "fake-int")
    assert first.measured is not None
    assert first.predicted.size_share == pytest.approx(first.measured.size_share, rel=0.1)
    assert first.predicted.speedup is not None
    later = next(t for t in known[first.number + 1 :] if t.route == "fake-int")
    assert "the nearest measured by settings" in later.predicted.words
    errors = [
        abs(t.predicted.size_share / t.measured.size_share - 1.0)
        for t in known
        if t.measured and t.predicted.size_share
    ]
    assert len(errors) == 12
    assert max(errors) < 0.35


def test_what_an_earlier_day_measured_predicts_the_first_trial(tmp_path: Path) -> None:
    """A route that was slow on this target before is expected to be slow, and is tried later."""
    before = earlier_of("prune-mlp", "measured", speedup=0.5, size_share=0.9)
    _, known, _, _ = run(tmp_path, kept(tmp_path, (before,)))
    tried = next(t for t in known if t.route == "prune-mlp")
    assert "as 2026-03-01" in tried.predicted.words
    assert tried.number == 2


def test_a_method_that_trains_is_held_against_its_control(tmp_path: Path) -> None:
    """Better than the champion, yet the champion trained as long would be better still."""
    _, known, _, _ = run(tmp_path, routes=[{"steps": [{"method": "fake-distil"}]}], trials=1)
    measured = known[0].measured
    assert measured is not None
    assert measured.against_control
    assert measured.quality_loss == pytest.approx(2.718281828 ** (-0.1 + 0.5) - 1.0)


def test_the_texts_that_judge_are_never_seen_by_a_method(tmp_path: Path) -> None:
    """Of 60 texts 18 judge and 42 calibrate: the same ones each time."""
    _, known, _, _ = run(tmp_path)
    assert known[0].measured is not None
    assert known[0].measured.samples == 18
    assert known[0].measurements["step1_samples"] == 42.0
