"""The fleet's day in the store: adopted when run again, never shared out twice, killed anywhere."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pytest
from fakes.deployment import FLEET as FOLDER
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep import allotting
from upkeep.allotment_chain import allotment_key, answers_of, read_chain
from upkeep.allotting import allot, wish_of
from upkeep.config import Fleet, load_fleet
from upkeep.errors import ConfigError, CorruptRecord, StoreError
from upkeep.listing import models_of
from upkeep.records import (
    Action,
    Allotted,
    DayOpen,
    Decision,
    JobRequest,
    JobSpec,
    ModelInput,
    Override,
    Wish,
    WishKind,
)
from upkeep.records.base import Folder
from upkeep.sealed import seal
from upkeep.spec_payback import Budget
from upkeep.store import Store, adopt_or_put, open_store, put_record, record_key

DAY = date(2026, 3, 20)
SHA = "0" * 64
NAMES = ("a", "b", "c", "d")
SPEC = load_fleet(FOLDER, {"UPKEEP_LOGS": "/logs"}, strict=False).models["docs-assistant"]


def fleet_of(jobs: int | None = 2, hours: float | None = 6.0) -> Fleet:
    """Four models and a budget."""
    models = {name: SPEC.model_copy(update={"name": name}) for name in NAMES}
    return Fleet(
        MappingProxyType(models), budget=Budget(jobs_per_day=jobs, gpu_hours_per_day=hours)
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def decide(
    store: Store,
    model: str,
    action: Action = "compress",
    hours: float = 2.0,
    usd: float = 1.0,
    params: Mapping[str, Any] | None = None,
) -> None:
    """Leave a decided day in the store, as the cycle does."""
    opened = DayOpen(
        model=model, day=DAY, revision=1, spec=SPEC.model_dump(mode="json"), spec_sha256=SHA,
        params=dict(params or {}), owner="run",
    )  # fmt: skip
    job = None
    if action in ("compress", "retrain"):
        kind: Literal["compress", "retrain"] = "compress" if action == "compress" else "retrain"
        job = JobRequest(kind=kind, method="full", gpu_hours=hours, usd_per_day=usd)
    made = Decision(
        model=model, day=DAY, revision=1, action=action, cause="price", reasons=(),
        champion_version="1", job=job, inputs=(), policy_version="1", policy_sha256=SHA,
    )  # fmt: skip
    put_record(store, record_key(model, DAY, "open"), opened)
    put_record(store, record_key(model, DAY, "decision"), made)


def start(store: Store, model: str, kind: Literal["compress", "retrain"] = "compress") -> None:
    """A job of the day is there, as a run of ``compress`` leaves it."""
    folder = Folder(prefix="p", files=())
    job = JobSpec(
        key=f"{model}/{DAY}/{kind}", kind=kind, model=model, day=DAY, method="full",
        source=ModelInput(version="1", format="safetensors", folder=folder),
        store_root=store.root, output_prefix="o",
    )  # fmt: skip
    adopt_or_put(store, record_key(model, DAY, f"{kind}/job"), job)


def order(store: Store, model: str, action: Action) -> None:
    made = Override(model=model, day=DAY, action=action, note="why not", by="ada")
    put_record(store, record_key(model, DAY, "override"), made)


def run(store: Store, fleet: Fleet, models: Iterable[str] = NAMES) -> dict[str, str]:
    """One run of the day for these models: the verdict of each that wishes."""
    wishes = [w for name in models if (w := wish_of(store, name, DAY, "run")) is not None]
    return {a.wish.model: a.verdict for a in allot(store, fleet, DAY, wishes)}


def dump(store: Store) -> dict[str, bytes | None]:
    return {key: store.get(key) for key in store.list("fleet")}


# ---------------------------------------------------------------- what a day wishes for


@pytest.mark.parametrize(
    ("action", "params", "kind"),
    [
        ("compress", {}, "compress"),
        ("retrain", {}, "retrain"),
        ("rollback", {}, "rollback"),
        ("keep", {}, None),
        ("hold", {}, None),
        ("investigate", {}, None),
        ("compress", {"dry_run": True}, None),
        ("rollback", {"action": "evaluate_only"}, None),
    ],
)
def test_a_day_wishes_for_what_it_decided(
    store: Store, action: Action, params: dict[str, Any], kind: WishKind | None
) -> None:
    """With the decision's own numbers; a run that only looks wishes for nothing."""
    decide(store, "a", action, 2.5, 3.5, params)
    wish = wish_of(store, "a", DAY, "run")
    assert (wish.kind if wish else None) == kind
    if wish is not None and kind != "rollback":
        assert (wish.gpu_hours, wish.usd_per_day, wish.ordered_by) == (2.5, 3.5, None)


def test_a_model_without_a_decision_has_no_wish(store: Store) -> None:
    """Its decide failed: it wishes for nothing, and nothing of it is read."""
    assert wish_of(store, "a", DAY, "run") is None


def test_an_order_stands_over_the_decision(store: Store) -> None:
    """A retraining is ordered where a compression was decided: with what the policy states."""
    decide(store, "a", "compress", 2.5)
    order(store, "a", "retrain")
    wish = wish_of(store, "a", DAY, "run")
    assert wish is not None
    assert (wish.kind, wish.ordered_by) == ("retrain", "ada")
    assert wish.gpu_hours == SPEC.policy.payback.retrain.gpu_hours


# ---------------------------------------------------------------- run again


def test_a_second_run_adopts_every_answer(store: Store) -> None:
    """The same day again: the same verdicts, the same bytes, no second allotment."""
    for name, usd in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        decide(store, name, usd=usd)
    first = run(store, fleet_of())
    before = dump(store)
    assert first == {"a": "refused", "b": "granted", "c": "granted"}
    start(store, "b")
    assert run(store, fleet_of()) == first
    assert dump(store) == before
    assert list(before) == [allotment_key(DAY, 1)]


def test_a_run_with_more_models_shares_out_what_is_left(store: Store) -> None:
    """One was granted 4 of 6 hours by hand; the rest is for the others, however much they are."""
    decide(store, "d", hours=4.0, usd=0.1)
    assert run(store, fleet_of(jobs=9), ["d"]) == {"d": "granted"}
    decide(store, "a", hours=3.0, usd=99.0)
    decide(store, "b", hours=2.0, usd=1.0)
    assert run(store, fleet_of(jobs=9)) == {"a": "refused", "b": "granted", "d": "granted"}
    first, second = read_chain(store, DAY)
    assert second.previous_sha256 == first.digest()
    assert [a.wish.model for a in second.allotted] == ["a", "b"]
    assert "2.00 GPU-hours and 8 jobs" in second.allotted[1].words


def test_a_day_without_wishes_writes_nothing(store: Store) -> None:
    """All is kept: there is no folder of the fleet, and nothing to say."""
    for name in NAMES:
        decide(store, name, "keep")
    assert run(store, fleet_of()) == {}
    assert store.list("fleet") == []


def test_a_refusal_stands_until_the_budget_is_another(store: Store) -> None:
    """A person raises the budget and runs the day again: what was refused is asked for anew."""
    decide(store, "a", hours=9.0)
    assert run(store, fleet_of()) == {"a": "refused"}
    assert run(store, fleet_of()) == {"a": "refused"}
    assert len(read_chain(store, DAY)) == 1
    assert run(store, fleet_of(hours=10.0)) == {"a": "granted"}
    assert run(store, fleet_of()) == {"a": "granted"}
    assert len(read_chain(store, DAY)) == 2
    [standing] = answers_of(store, "a", DAY)
    assert standing.verdict == "granted"


def test_a_job_started_by_hand_is_counted(store: Store) -> None:
    """Somebody ran ``retrain`` of d: its hours and its place are gone for the others."""
    start(store, "d", "retrain")
    for name in ("a", "b"):
        decide(store, name, hours=3.0, usd=1.0 if name == "a" else 2.0)
    assert run(store, fleet_of()) == {"a": "refused", "b": "granted"}
    [made] = read_chain(store, DAY)
    stated = SPEC.policy.payback.retrain.gpu_hours
    assert [(u.model, u.kind, u.gpu_hours) for u in made.by_hand] == [("d", "retrain", stated)]


def test_a_job_that_is_there_is_adopted_and_counted_once(store: Store) -> None:
    """A person had started the very job that the policy wishes for."""
    decide(store, "a", hours=6.0)
    start(store, "a")
    decide(store, "b", hours=5.5)
    assert run(store, fleet_of()) == {"a": "granted", "b": "granted"}
    [made] = read_chain(store, DAY)
    assert "started already" in made.allotted[0].words


def test_a_refused_wish_that_a_person_starts_is_no_longer_refused(store: Store) -> None:
    """``compress`` by hand, or an order: around the budget, and said."""
    decide(store, "a", hours=9.0)
    decide(store, "b", hours=9.0)
    assert run(store, fleet_of()) == {"a": "refused", "b": "refused"}
    start(store, "a")
    order(store, "b", "compress")
    assert run(store, fleet_of()) == {"a": "granted", "b": "ordered"}
    assert run(store, fleet_of()) == {"a": "granted", "b": "ordered"}
    assert len(read_chain(store, DAY)) == 2


def test_a_rollback_needs_no_budget(store: Store) -> None:
    """Nothing is left, and the bad release goes back."""
    decide(store, "a", "rollback")
    assert run(store, fleet_of(0, 0.0)) == {"a": "granted"}


def test_a_budget_that_cannot_be_read_grants_nothing(store: Store) -> None:
    """The file was refused: the words lead to its line."""
    decide(store, "a")
    error = ConfigError("fleet/budget.yaml:2:jobs_per_day", "ten", "is no number", "write 10")
    broken = replace(fleet_of(), budget=None, errors={"budget.yaml": error})
    assert run(store, broken) == {"a": "refused"}
    [made] = read_chain(store, DAY)
    assert "fleet/budget.yaml:2:jobs_per_day" in made.allotted[0].words
    assert run(store, fleet_of()) == {"a": "granted"}


def test_a_model_with_no_wish_changes_nothing(tmp_path: Path) -> None:
    """The answers are byte for byte those without it."""
    seen = []
    for more in ((), ("d",)):
        store = open_store(str(tmp_path / f"store{len(more)}"))
        for name in ("a", "b", "c"):
            decide(store, name, hours=3.0)
        for name in more:
            decide(store, name, "keep")
        run(store, fleet_of(), [*more, "c", "a", "b"])
        seen.append(dump(store))
    assert seen[0] == seen[1] != {}


# ---------------------------------------------------------------- two at once, and kill -9


class Overtaken:
    """A store in which somebody else shares the day out right before the first write."""

    def __init__(self, store: Store, other: Callable[[], object]) -> None:
        self._store, self._other, self.root = store, other, store.root
        self._done = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if not self._done:
            self._done = True
            self._other()
        return self._store.put_if_absent(key, data)


@pytest.mark.parametrize(
    ("theirs", "ours"), [(["a"], ["b"]), (["a", "b"], ["b"]), (["a"], ["a"]), (["b"], ["a", "b"])]
)
def test_two_runs_at_once_share_one_budget(
    store: Store, theirs: Sequence[str], ours: Sequence[str]
) -> None:
    """4 hours each of 6: whoever writes first has them, the other sees it and is refused."""
    for name in ("a", "b"):
        decide(store, name, hours=4.0)
    other: dict[str, str] = {}
    racing: Any = Overtaken(store, lambda: other.update(run(store, fleet_of(), theirs)))
    mine = run(racing, fleet_of(), ours)
    verdicts = [a.verdict for made in read_chain(store, DAY) for a in made.allotted]
    assert verdicts.count("granted") == 1
    assert {**mine, **other} == {**other, **mine}  # what both asked for, both heard alike
    models = [a.wish.model for made in read_chain(store, DAY) for a in made.allotted]
    assert len(models) == len(set(models))


def test_somebody_who_always_overtakes_is_an_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step gives up with a reason, and has granted nothing of its own."""
    monkeypatch.setattr(allotting, "ATTEMPTS", 4)
    decide(store, "a")
    numbers = iter(range(1000))

    class Endless(Overtaken):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            wish = Wish(model="b", kind="compress", gpu_hours=float(next(numbers)))
            chain = read_chain(self._store, DAY)
            answer = Allotted(wish=wish, verdict="refused", words="refused: r")
            _put_next(self._store, chain, answer)
            return self._store.put_if_absent(key, data)

    racing: Any = Endless(store, lambda: None)
    with pytest.raises(StoreError, match="shared out 4 times"):
        run(racing, fleet_of(), ["a"])
    assert answers_of(store, "a", DAY) == ()


def _put_next(store: Store, chain: Sequence[Any], answer: Allotted) -> None:
    from upkeep.records import Allotment

    made = Allotment(
        day=DAY, revision=len(chain) + 1, jobs_per_day=None, gpu_hours_per_day=None, by_hand=(),
        allotted=(answer,), previous_sha256=chain[-1].digest() if chain else None,
    )  # fmt: skip
    store.put_if_absent(allotment_key(DAY, made.revision), seal(made))


@pytest.mark.parametrize("point", ["before allotment", "after allotment", "store.put.before_link"])
def test_a_step_killed_anywhere_gives_the_same_bytes(tmp_path: Path, point: str) -> None:
    """After kill -9, run again: byte for byte what a run that nobody killed leaves."""
    stores = [open_store(str(tmp_path / name)) for name in ("whole", "killed")]
    for store in stores:
        for name, usd in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
            decide(store, name, usd=usd)

    def child() -> None:
        os.environ["UPKEEP_CRASH_AT"] = point
        run(stores[1], fleet_of())

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 137, f"{point} was not reached"
    assert run(stores[1], fleet_of()) == run(stores[0], fleet_of())
    assert dump(stores[1]) == dump(stores[0]) != {}


def test_an_allotment_that_does_not_follow_is_refused(store: Store) -> None:
    """A chain that somebody edited grants nothing: the step fails and says where."""
    for name in ("a", "b"):
        decide(store, name, hours=1.0)
        run(store, fleet_of(), [name])
    second = read_chain(store, DAY)[1]
    path = Path(store.root) / allotment_key(DAY, 2)
    path.unlink()
    store.put_if_absent(
        allotment_key(DAY, 2), seal(second.model_copy(update={"previous_sha256": SHA}))
    )
    with pytest.raises(CorruptRecord, match=r"r2/allotment\.json: does not follow"):
        run(store, fleet_of())


RUNS = st.lists(st.lists(st.sampled_from(NAMES), unique=True, min_size=1), min_size=1, max_size=5)


@settings(max_examples=15, deadline=None)
@given(
    hours=st.tuples(*[st.sampled_from([0.5, 2.0, 3.0, 4.0])] * 4),
    usd=st.tuples(*[st.sampled_from([1.0, 2.0, 5.0])] * 4),
    runs=RUNS,
    jobs=st.integers(0, 3),
)
def test_nothing_is_granted_twice_and_the_budget_holds_over_all_runs(
    tmp_path_factory: pytest.TempPathFactory,
    hours: tuple[float, ...],
    usd: tuple[float, ...],
    runs: list[list[str]],
    jobs: int,
) -> None:
    """Any runs of a day, for any of its models, in any order: one answer a model, one budget."""
    store = open_store(str(tmp_path_factory.mktemp("day")))
    for name, h, value in zip(NAMES, hours, usd, strict=True):
        decide(store, name, hours=h, usd=value)
    heard: dict[str, str] = {}
    for models in runs:
        for model, verdict in run(store, fleet_of(jobs, 6.0), models).items():
            assert heard.setdefault(model, verdict) == verdict
    answers = [a for made in read_chain(store, DAY) for a in made.allotted]
    assert len({a.wish.model for a in answers}) == len(answers)
    given_ = [a.wish.gpu_hours for a in answers if a.verdict == "granted"]
    assert len(given_) <= jobs
    assert sum(given_) <= 6.0


def test_the_fleets_folder_is_no_model(store: Store) -> None:
    """What lists the models of a store does not take ``fleet`` for one."""
    decide(store, "a")
    run(store, fleet_of())
    assert store.list("fleet") != []
    assert models_of(store) == ["a"]
