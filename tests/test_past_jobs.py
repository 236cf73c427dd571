"""What became of past jobs: cost and saving as measured, rollbacks that were made, what stood."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pytest
from fakes.played_days import MODEL

from upkeep.past_jobs import completed, decided_on, follow_up, rollback_key, standing
from upkeep.records import (
    Candidate,
    Folder,
    GateResult,
    GateRow,
    JobSpec,
    LedgerEntry,
    ModelInput,
    PastDecision,
    Resources,
)
from upkeep.store import Store, open_store, put_record, record_key

DAY = date(2026, 3, 5)
NOTHING = Folder(prefix="p", files=())
SHA = "0" * 64


def entry(seq: int, event: Any, version: str, key: str = "k", files: str = "") -> LedgerEntry:
    """One link of a ledger; versions have files of their own."""
    folder = Folder.model_validate(
        {"prefix": "p", "files": [{"path": files or version, "size_bytes": 1, "sha256": SHA}]}
    )
    return LedgerEntry(
        seq=seq, key=key, at=datetime(2026, 3, 1, tzinfo=UTC), model=MODEL, event=event,
        version=version, replaced_version=None, format="safetensors", folder=folder, day=None,
        gate_sha256=None, approval=None, note="", previous_sha256=None,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Any) -> Store:
    return open_store(str(tmp_path / "store"))


def job(
    store: Store,
    kind: Literal["compress", "retrain"],
    *,
    gpus: int = 2,
    measured: dict[str, float] | None = None,
    speed: float | None = None,
    passed: bool = True,
) -> None:
    """The records of a job of ``DAY``, as far as it came."""
    spec = JobSpec(
        key=f"{MODEL}/{DAY}/{kind}", kind=kind, model=MODEL, day=DAY, method="m",
        source=ModelInput(version="1", format="safetensors", folder=NOTHING),
        resources=Resources(gpus=gpus), store_root="s", output_prefix="o",
    )  # fmt: skip
    put_record(store, record_key(MODEL, DAY, f"{kind}/job"), spec)
    if measured is not None:
        made = Candidate(
            model=MODEL, day=DAY, job_key="k", kind=kind, method="m", parent_version="1",
            format="openvino", folder=NOTHING, measurements=measured,
        )  # fmt: skip
        put_record(store, record_key(MODEL, DAY, f"{kind}/candidate"), made)
    if speed is not None:
        row = GateRow(
            check="faster or smaller", champion=1.0, candidate=1.0, effect=speed, interval=None,
            margin=1.05, passed=passed, words="w",
        )  # fmt: skip
        gate = GateResult(
            model=MODEL, day=DAY, kind=kind, champion_version="1", champion_files_sha256=SHA,
            candidate_files_sha256=SHA, passed=passed, rows=(row,), benchmark_sha256=SHA,
        )  # fmt: skip
        put_record(store, record_key(MODEL, DAY, f"{kind}/gate"), gate)


def known(store: Store, action: Any, outcome: Any, *entries: LedgerEntry) -> PastDecision:
    """One past decision, completed."""
    [found] = completed(
        store, MODEL, entries, [PastDecision(day=DAY, action=action, outcome=outcome)]
    )
    return found


@pytest.mark.parametrize(
    ("measured", "hours"),
    [
        ({"seconds": 1800.0}, 1.0),
        ({"train_s": 900.0, "tokens": 5.0}, 0.5),
        ({"tokens": 5.0}, None),
        (None, None),
    ],
)
def test_gpu_hours_are_gpus_times_the_time_that_was_measured(
    store: Store, measured: dict[str, float] | None, hours: float | None
) -> None:
    """Two GPUs; a job that did not say its time, or did not end, has no known cost."""
    job(store, "retrain", measured=measured)
    assert known(store, "retrain", "running").gpu_hours == hours


def test_a_job_without_a_gpu_took_none(store: Store) -> None:
    """0 is measured, not unknown."""
    job(store, "compress", gpus=0, measured={"seconds": 60.0})
    assert known(store, "compress", "promoted").gpu_hours == 0.0


@pytest.mark.parametrize(
    ("speed", "passed", "saving"),
    [(2.0, True, 0.5), (1.25, False, 0.2), (0.8, False, -0.25), (None, True, None)],
)
def test_the_saving_is_what_the_gate_measured(
    store: Store, speed: float | None, *, passed: bool, saving: float | None
) -> None:
    """1 - candidate's / champion's time, of refused candidates too."""
    job(store, "compress", measured={}, speed=speed, passed=passed)
    found = known(store, "compress", "promoted" if passed else "refused").saving
    assert found == (None if saving is None else pytest.approx(saving))


def test_a_retraining_saves_nothing_that_is_known(store: Store) -> None:
    """Its gate has no such row."""
    job(store, "retrain", measured={}, speed=2.0)
    assert known(store, "retrain", "promoted").saving is None


def test_a_day_that_started_nothing_stays_as_it_is(store: Store) -> None:
    """A wish that the budget refused: outcome none, and nothing is looked up."""
    past = PastDecision(day=DAY, action="compress", outcome="none")
    assert list(completed(store, MODEL, (), [past])) == [past]


def test_a_rollback_that_was_made_is_known_by_its_key(store: Store) -> None:
    """Of this day, not of another, and not by a promotion of the same key."""
    key = rollback_key(MODEL, follow_up(MODEL, DAY, "rollback"))
    other = rollback_key(MODEL, follow_up(MODEL, DAY + timedelta(1), "rollback"))
    outcomes = [
        known(store, "rollback", "none", entry(1, event, "1", k)).outcome
        for event, k in (("rollback", key), ("rollback", other), ("promote", key))
    ]
    assert outcomes == ["promoted", "none", "none"]


@pytest.mark.parametrize(
    ("chain", "event", "earlier"),
    [
        ([], None, None),
        ([("register", "1")], "register", None),
        ([("register", "1"), ("promote", "2")], "promote", "1"),
        ([("register", "1"), ("promote", "2"), ("promote", "3")], "promote", "2"),
        ([("register", "1"), ("promote", "2"), ("rollback", "1")], "rollback", None),
        (
            [("register", "1"), ("promote", "2"), ("rollback", "1"), ("promote", "3")],
            "promote",
            "1",
        ),
    ],
)
def test_what_a_rollback_would_put_back(
    chain: list[tuple[str, str]], event: str | None, earlier: str | None
) -> None:
    """A rollback takes away what it went back over: 2 is not put back a second time."""
    entries = [entry(n, e, v) for n, (e, v) in enumerate(chain, start=1)]
    assert standing(entries) == (event, earlier)


@pytest.mark.parametrize(
    ("run_id", "day"),
    [
        pytest.param(follow_up(MODEL, DAY, "rollback"), DAY, id="follows-from-a-day"),
        pytest.param(follow_up(MODEL, DAY, "compress"), None, id="another-kind"),
        pytest.param(follow_up("other", DAY, "rollback"), None, id="another-model"),
        pytest.param(f"{MODEL}--2026-02-30--rollback", None, id="no-day"),
        pytest.param("manual__2026-03-05T00:00:00+00:00", None, id="by-hand"),
    ],
)
def test_a_run_knows_the_day_that_it_follows_from(run_id: str, day: date | None) -> None:
    """By its name alone; a run by hand follows from none."""
    assert decided_on(MODEL, run_id, "rollback") == day
