"""What a model's stored jobs say: outcomes, hours, prices, savings."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from fakes.recorded_days import START, benchmark, candidate, gate, job_spec, put
from fakes.replayed_store import spec
from fakes.sixteen_days import MODEL

from upkeep.records import Folder, JobFailure, Record, Resources
from upkeep.replay_day import Reader
from upkeep.replay_jobs import Jobs, Kind, Ran, expected_of, jobs_of
from upkeep.replay_records import Costs
from upkeep.store import open_store

FOLDER = Folder(prefix="p", files=())
KEY = f"{MODEL}/{START}/compress"


def read(tmp_path: Path, *records: tuple[str, Record]) -> Jobs:
    """The jobs of a store with these records of one compression."""
    store = open_store(str(tmp_path))
    for step, record in records:
        put(store, MODEL, START, f"compress/{step}", record)
    return jobs_of(Reader(store), MODEL, store.list(f"{MODEL}/"))


def job() -> tuple[str, Record]:
    """A job on two GPUs."""
    made = job_spec(KEY, "compress", START, "1", FOLDER)
    return "job", made.model_copy(update={"resources": Resources(gpus=2)})


def taken(costs: Costs) -> tuple[float | None, float | None]:
    """GPU-hours and USD."""
    return costs.gpu_hours, costs.usd


def test_a_promoted_job_has_its_hours_and_gpus(tmp_path: Path) -> None:
    """41 s on two GPUs, as its candidate measured."""
    from fakes.recorded_days import ledger_entry

    from upkeep.records import Approval

    made = candidate(KEY, "compress", START, "1", FOLDER)
    entry = ledger_entry(KEY, START, "1", FOLDER, Approval(approved=True, by="mara"))
    records = (job(), ("candidate", made), ("gate", gate("compress", START, "1", passed=True)))
    (ran,) = read(tmp_path, *records, ("promotion", entry)).ran.values()
    assert (ran.outcome, ran.gpus, ran.speedup) == ("promoted", 2, None)
    assert ran.hours == pytest.approx(41.0 / 3600.0)


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        ((), "running"),
        ((("gate", gate("compress", START, "1", passed=False)),), "refused"),
        ((("gate", gate("compress", START, "1", passed=True)),), "running"),
        ((("failure", JobFailure(key=KEY, attempts=3, words="no")),), "failed"),
        ((("benchmark", benchmark(KEY, START, "1")),), "running"),
    ],
)
def test_what_came_of_a_job(
    tmp_path: Path, records: tuple[tuple[str, Record], ...], outcome: str
) -> None:
    """As the decisions of later days have read it."""
    jobs = read(tmp_path, job(), *records)
    assert jobs.outcome(START, "compress") == outcome
    assert jobs.outcome(START, "retrain") == "none"


def test_the_speedup_is_the_gates(tmp_path: Path) -> None:
    """Of the row that says how many times as fast the candidate is."""
    passed = gate("compress", START, "1", passed=True)
    row = passed.rows[1].model_copy(update={"check": "faster or smaller", "effect": 1.6})
    (ran,) = read(
        tmp_path, job(), ("gate", passed.model_copy(update={"rows": (row,)}))
    ).ran.values()
    assert ran.speedup == 1.6


def ran(
    n: int,
    outcome: str = "promoted",
    hours: float | None = 1.0,
    kind: Kind = "retrain",
    **more: float,
) -> Ran:
    """A job of January."""
    return Ran(date(2026, 1, n), kind, outcome, hours, 4, more.get("speedup"))  # type: ignore[arg-type]


def jobs_with(*all_ran: Ran) -> Jobs:
    """These jobs."""
    return Jobs({(r.day, r.kind): r for r in all_ran})


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("", "promoted"),
        ("p", "promoted"),
        ("r", "refused"),
        ("pr", "promoted"),
        ("prf", "refused"),
        ("pr?", "promoted"),
    ],
)
def test_most_of_the_models_own_jobs_say_what_is_expected(outcomes: str, expected: str) -> None:
    """Promoted, refused, failed; a running one says nothing; even is promoted."""
    words = {"p": "promoted", "r": "refused", "f": "failed", "?": "running"}
    jobs = jobs_with(*(ran(n + 1, words[letter]) for n, letter in enumerate(outcomes)))
    assert expected_of(jobs.gates()) == expected
    assert jobs.gates().judged == len(outcomes.replace("?", ""))


def test_a_job_costs_what_it_took_else_the_mean_of_its_like_else_what_is_stated() -> None:
    """GPU-hours and USD at the day's price by the hour."""
    jobs = jobs_with(ran(1, hours=1.0), ran(2, hours=3.0), ran(3, hours=None))
    assert taken(jobs.cost(date(2026, 1, 1), "retrain", spec())) == (4.0, pytest.approx(0.6))
    assert taken(jobs.cost(date(2026, 1, 9), "retrain", spec())) == (8.0, pytest.approx(1.2))
    assert taken(jobs.cost(date(2026, 1, 3), "retrain", spec())) == (8.0, pytest.approx(1.2))
    assert taken(jobs.cost(date(2026, 3, 30), "retrain", spec())) == (8.0, pytest.approx(2.4))
    stated = spec().policy.payback.compress
    assert taken(jobs.cost(date(2026, 1, 9), "compress", spec())) == (stated.gpu_hours, stated.usd)
    assert any("what the policy states" in words for words in jobs.assumptions())


def test_a_compression_saves_what_promoted_ones_measured_else_what_is_stated() -> None:
    """1 - 1/2 and 1 - 1/4; refused ones do not count; the clock saves nothing."""
    day = date(2026, 1, 20)
    jobs = jobs_with(
        ran(1, kind="compress", speedup=2.0),
        ran(2, kind="compress", speedup=4.0),
        ran(3, "refused", kind="compress", speedup=100.0),
    )
    assert jobs.saving(spec(), day) == pytest.approx(0.625)
    assert jobs_with().saving(spec(), day) == spec().policy.payback.compress.saving
    prices = tuple(p.model_copy(update={"machines": 2}) for p in spec().prices)
    assert jobs.saving(spec().model_copy(update={"prices": prices}), day) == 0.0
