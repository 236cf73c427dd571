"""The fleet's budget of past days is shared out again by production's own function."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType

import pytest
from fakes.replayed_store import copied, question, renamed_days, spec, tamper, told

from upkeep.allotment import Limits
from upkeep.allotment_chain import allotment_key, read_chain
from upkeep.allotting import allot, wish_of
from upkeep.config import Fleet
from upkeep.records import Action, JobRequest, Override, Used, Wish
from upkeep.replay_fleet import replay_all, summary_of
from upkeep.replay_markdown import markdown
from upkeep.replay_page import flip_rows
from upkeep.replay_records import Costs, LivedDay, ModelReplay
from upkeep.replay_sharing import Budgets, Chain, read_chains
from upkeep.sealed import seal
from upkeep.spec import Policy
from upkeep.spec_payback import Budget
from upkeep.store import Store, open_store, put_record, record_key

MODELS = ("one", "two", "three")
HARM = 13
NOTHING = Costs(gpu_hours=None, usd=None)
GPU_HOURS = 1.0


def put_fleet(store: Store, numbers: tuple[int, ...] = (12, HARM)) -> list[date]:
    """Three models with the same days; on one of them all want to be retrained."""
    days = {number: told().days[number] for number in numbers}
    for model in MODELS:
        written = renamed_days(store, days, model)
    return written


def fleet(budget: Budget) -> Fleet:
    """The models under a budget."""
    models = {model: spec().model_copy(update={"name": model}) for model in MODELS}
    return Fleet(models=MappingProxyType(models), errors=MappingProxyType({}), budget=budget)


def share_as_production(store: Store, day: date, budget: Budget, *models: str) -> Chain:
    """Wishes and allotment, by the functions of the cycle."""
    found = [wish_of(store, model, day, "test") for model in models or MODELS]
    allot(store, fleet(budget), day, [wish for wish in found if wish is not None])
    return read_chain(store, day)


def answers_of(chain: Chain) -> dict[str, str]:
    """Each model's last verdict."""
    return {a.wish.model: a.verdict for made in chain for a in made.allotted}


def lived(day: date, action: Action = "retrain", *, ordered: bool = False) -> LivedDay:
    """A stored day that decided so."""
    return LivedDay(
        day=day, decided=action, outcome="none", replayed=action, job=None, ordered=ordered,
        compressed=False, harm="", served_usd=None, saving=0.0, compress=NOTHING, retrain=NOTHING,
    )  # fmt: skip


def job(store: Store, model: str, day: date) -> JobRequest | None:
    """What the day's wish says of its job, as a decision would."""
    wish = wish_of(store, model, day, "test")
    assert wish is not None
    named = ("gpu_hours", "usd_per_day", "harm_per_day", "payback_days")
    return JobRequest(kind="retrain", method="full", **{n: getattr(wish, n) for n in named})


def shared(
    store: Store, day: date, models: tuple[str, ...] = MODELS, limits: Limits | None = None
) -> dict[str, str]:
    """The verdicts of a replay of these models that decides as it was decided."""
    budgets = Budgets(read_chains(store), models, limits)
    wishes = [budgets.wish(m, lived(day), "retrain", job(store, m, day)) for m in models]
    found = budgets.share(day, [wish for wish in wishes if wish is not None])
    return {model: answer.verdict for model, answer in found.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the fleet's days; nobody changes it."""
    made = open_store(str(tmp_path_factory.mktemp("written")))
    put_fleet(made)
    return made


@pytest.fixture
def store(tmp_path: Path, written: Store) -> Store:
    """A store with the fleet's days; nothing is shared out yet."""
    return copied(written, tmp_path)


@pytest.fixture
def day(store: Store) -> date:
    """The day on which all models want to be retrained."""
    found = told().days[HARM].facts.day
    assert wish_of(store, "one", found, "test") is not None
    return found


@pytest.mark.parametrize("jobs", [0, 1, 2, 3, None])
def test_the_same_wishes_give_the_recorded_allotment(
    store: Store, day: date, jobs: int | None
) -> None:
    """Under any budget, for all models."""
    chain = share_as_production(store, day, Budget(jobs_per_day=jobs))
    recorded = answers_of(chain)
    assert list(recorded.values()).count("granted") == (3 if jobs is None else jobs)
    assert shared(store, day) == recorded


@pytest.mark.parametrize("model", MODELS)
def test_what_models_got_that_are_not_replayed_counts_as_taken(
    store: Store, day: date, model: str
) -> None:
    """Each model alone gets what it got among the three."""
    recorded = answers_of(share_as_production(store, day, Budget(jobs_per_day=2)))
    assert shared(store, day, (model,)) == {model: recorded[model]}
    assert (
        "what 2 other models got of it stays theirs"
        in Budgets(read_chains(store), (model,), None).words()
    )


def test_a_second_allotment_of_the_day_comes_out_too(store: Store, day: date) -> None:
    """The first run refused one; a larger budget, later that day, had room for it."""
    share_as_production(store, day, Budget(jobs_per_day=1), "one", "two")
    chain = share_as_production(store, day, Budget(jobs_per_day=2))
    assert len(chain) == 2
    assert shared(store, day) == answers_of(chain)


def test_another_budget_is_shared_out_anew(store: Store, day: date) -> None:
    """One job more than there was room for, or none."""
    share_as_production(store, day, Budget(jobs_per_day=1))
    assert list(shared(store, day, limits=Limits(2, None)).values()).count("granted") == 2
    assert set(shared(store, day, limits=Limits(0, None)).values()) == {"refused"}


def test_what_people_took_stays_taken(store: Store, day: date) -> None:
    """An order stands outside of the budget, a job by hand too; both are counted."""
    order = Override(model="one", day=day, action="retrain", note="now", by="mara")
    put_record(store, record_key("one", day, "override"), order)
    recorded = share_as_production(store, day, Budget(jobs_per_day=2))
    assert answers_of(recorded)["one"] == "ordered"
    budgets = Budgets(read_chains(store), MODELS, None)
    assert budgets.wish("one", lived(day, ordered=True), "retrain", None) is None
    assert not budgets.granted("one", lived(day, ordered=True))
    others = {m: v for m, v in answers_of(recorded).items() if m != "one"}
    assert shared(store, day, ("two", "three")) == others
    assert sorted(others.values()) == ["granted", "refused"]


def test_a_run_that_only_looked_wishes_nothing_again(store: Store, day: date) -> None:
    """The day has an allotment, and the model is not in it; another decision wishes anew."""
    share_as_production(store, day, Budget(jobs_per_day=9), "one")
    budgets = Budgets(read_chains(store), MODELS, None)
    assert budgets.wish("two", lived(day), "retrain", None) is None
    assert not budgets.granted("two", lived(day))
    wish = budgets.wish("two", lived(day, "keep"), "retrain", job(store, "two", day))
    assert wish is not None
    assert budgets.share(day, [wish])["two"].verdict == "granted"


def test_a_day_without_an_allotment_has_the_budget_of_the_days_before(
    store: Store, day: date
) -> None:
    """Nobody wished anything; before the first allotment of all, it is that one's."""
    share_as_production(store, day, Budget(jobs_per_day=1))
    budgets = Budgets(read_chains(store), MODELS, None)
    wishes = [Wish(model=m, kind="retrain", gpu_hours=GPU_HOURS) for m in MODELS]
    for other in (date(2026, 1, 1), date(2026, 12, 31)):
        verdicts = [a.verdict for a in budgets.share(other, wishes).values()]
        assert sorted(verdicts) == ["granted", "refused", "refused"]
        assert budgets.granted("one", lived(other))


def test_without_any_allotment_nothing_is_refused(store: Store, day: date) -> None:
    """The assumption is said."""
    assert set(shared(store, day).values()) == {"granted"}
    assert "no allotment" in Budgets({}, MODELS, None).words()


def test_an_order_stands_where_nothing_was_shared_out(store: Store, day: date) -> None:
    """A person said to keep: the policy's job ran in neither arm."""
    for chains in ({}, read_chains(store)):
        budgets = Budgets(chains, MODELS, None)
        assert not budgets.granted("one", lived(day, ordered=True))
        assert budgets.wish("one", lived(day, ordered=True), "retrain", None) is None


def test_a_rollback_needs_no_budget(store: Store, day: date) -> None:
    """Nor does it take of it."""
    share_as_production(store, day, Budget(jobs_per_day=0))
    budgets = Budgets(read_chains(store), MODELS, None)
    wish = budgets.wish("one", lived(day, "keep"), "rollback", None)
    assert wish is not None
    assert budgets.share(day, [wish])["one"].verdict == "granted"


# ---------------------------------------------------------------- the whole replay


def answered(
    store: Store, policy: Policy | None, budget: Budget | None = None,
    models: tuple[str, ...] = MODELS,
) -> dict[str, ModelReplay]:  # fmt: skip
    """The answers of a replay, by model."""
    tried = budget.model_dump(mode="json") if budget else None
    asked = [question(policy, model, budget=tried) for model in models]
    return {a.question.model: a for a in replay_all(store, asked, 1)}


def jobs_of(found: Mapping[str, ModelReplay]) -> tuple[int, int]:
    """Jobs of all models, stored and carried on."""
    arms = [(a.stored, a.other) for a in found.values()]
    assert all(stored is not None and other is not None for stored, other in arms)
    return sum(sum(s.jobs) for s, _ in arms if s), sum(sum(o.jobs) for _, o in arms if o)


@pytest.mark.parametrize("jobs", [0, 1, 2, None])
def test_the_recorded_policy_has_the_jobs_that_there_were(
    store: Store, day: date, jobs: int | None
) -> None:
    """Both arms are the same, refused jobs being none in either."""
    share_as_production(store, day, Budget(jobs_per_day=jobs))
    found = answered(store, spec().policy)
    assert jobs_of(found) == ((3 if jobs is None else jobs),) * 2
    assert all(a.stored == a.other for a in found.values())
    assert not any(row.told for a in found.values() for row in a.days)


def test_a_larger_budget_grants_what_was_refused(store: Store, day: date) -> None:
    """Under the recorded policy: no decision flips, jobs do; the day says so in words."""
    share_as_production(store, day, Budget(jobs_per_day=1))
    found = answered(store, None, Budget(jobs_per_day=2))
    assert jobs_of(found) == (1, 2)
    told_rows = [row for a in found.values() for row in a.days if row.told]
    assert [row.day for row in told_rows] == [day]
    assert told_rows[0].budget.startswith("retrain granted:")
    assert not told_rows[0].flips
    sum_ = summary_of(list(found.values()))
    told_lines = markdown(sum_, list(found.values())).splitlines()
    assert sum("retrain granted:" in line for line in told_lines) == 1
    (flip,) = flip_rows(list(found.values()))
    assert flip["why"] == told_rows[0].budget
    assert (sum_.what_if, sum_.failed, sum_.budget) == (
        *(True, False),
        Budget(jobs_per_day=2).model_dump(mode="json"),
    )


def test_a_smaller_budget_leaves_days_degraded(store: Store, day: date) -> None:
    """The jobs that it refuses are neither counted nor paid."""
    share_as_production(store, day, Budget(jobs_per_day=3))
    found = answered(store, None, Budget(jobs_per_day=0))
    assert jobs_of(found) == (3, 0)
    for answer in found.values():
        assert answer.other is not None
        assert set(answer.other.gpu_hours) == {0.0}
        assert answer.days[-1].budget.startswith("retrain refused:")


def test_answers_do_not_depend_on_the_order_or_the_processes(store: Store, day: date) -> None:
    """Byte for byte."""
    share_as_production(store, day, Budget(jobs_per_day=1))
    tried = Budget(jobs_per_day=2).model_dump(mode="json")
    asked = [question(None, model, budget=tried) for model in MODELS]
    here, there = replay_all(store, asked, 1), replay_all(store, asked[::-1], 1)
    assert [a.canonical_bytes() for a in here] == [a.canonical_bytes() for a in there]


def test_a_tampered_allotment_is_named(store: Store, day: date) -> None:
    """Nothing is estimated from it; a replay of the recorded policy does not read it."""
    share_as_production(store, day, Budget(jobs_per_day=1))
    tamper(store, allotment_key(day, 1), b'"granted"', b'"refused"')
    found = answered(store, spec().policy)
    assert all(allotment_key(day, 1) in a.problem for a in found.values())
    assert summary_of(list(found.values())).failed
    assert not any(a.problem for a in answered(store, None).values())


def test_an_allotment_of_a_job_by_hand_is_counted(store: Store, day: date) -> None:
    """It stands in the chain as used by hand."""
    made = share_as_production(store, day, Budget(jobs_per_day=1))[0]
    by_hand = Used(model="painter", kind="compress", gpu_hours=GPU_HOURS)
    path = Path(store.root) / allotment_key(day, 1)
    path.chmod(0o600)
    path.write_bytes(seal(made.model_copy(update={"by_hand": (by_hand,)})))
    assert set(shared(store, day).values()) == {"refused"}
