"""The ledger and the alias: one promotion whatever is killed, repeated, raced or tampered with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.registry import FakeRegistry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upkeep import promotion
from upkeep.champion_change import Change
from upkeep.errors import CorruptRecord, LeaseHeld, PromotionRefused, StaleToken, TrackingError
from upkeep.promotion_rules import standing_champions
from upkeep.records import (
    Approval,
    Candidate,
    GateResult,
    GateRow,
    Interval,
    LedgerEntry,
    canonical_json,
    sha256_hex,
)
from upkeep.store import Lease, Store, open_store

MODEL = "docs-assistant"
DAY = date(2026, 3, 18)
YES = Approval(approved=True, by="ada")


@dataclass
class World:
    """A store, a registry, and what a promotion is given."""

    root: Path
    store: Store
    registry: FakeRegistry

    @property
    def cache(self) -> Path:
        """Where fetched files would lie."""
        return self.root / "cache"

    @property
    def versions(self) -> list[str]:
        """The champions of the ledger, oldest first."""
        return [e.version for e in promotion.ledger(self.store, MODEL)]

    @property
    def alias(self) -> str | None:
        """What the alias names."""
        return self.registry.get_alias(MODEL, "champion")

    def files(self, content: str) -> Path:
        """A folder of model files."""
        folder = self.root / "made" / content.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.txt").write_text(content)
        return folder

    def first(self) -> LedgerEntry:
        """The first champion."""
        return promotion.register_first(
            self.store,
            self.registry,
            MODEL,
            folder=self.store.put_folder(f"{MODEL}/versions/first", self.files("first")),
            format="safetensors",
            cache=self.cache,
            key=f"{MODEL}/first",
        )

    def candidate(self, content: str = "better", day: date = DAY) -> Candidate:
        """A candidate whose files lie in the store."""
        prefix = f"{MODEL}/{day}/r1/jobs/{content.replace(' ', '-')}/model"
        return Candidate(
            model=MODEL,
            day=day,
            job_key=f"{MODEL}/{day}/{content.replace(' ', '-')}",
            kind="retrain",
            method="full",
            parent_version="1",
            format="safetensors",
            folder=self.store.put_folder(prefix, self.files(content)),
            measurements={},
        )

    def gate(self, candidate: Candidate, **changes: Any) -> GateResult:
        """A gate that let the candidate pass against the champion of now."""
        head = promotion.champion(self.store, MODEL)
        assert head is not None
        passed = {
            "model": MODEL,
            "day": candidate.day,
            "kind": candidate.kind,
            "champion_version": head.version,
            "champion_files_sha256": head.folder.files_sha256,
            "candidate_files_sha256": candidate.folder.files_sha256,
            "passed": True,
            "rows": (row(),),
            "benchmark_sha256": "b" * 64,
        }
        return GateResult.model_validate({**passed, **changes})

    def promote(
        self, candidate: Candidate, gate: GateResult | None = None, **more: Any
    ) -> LedgerEntry:
        """Promote it under the key of its day."""
        return promotion.promote(
            self.store,
            self.registry,
            candidate=candidate,
            gate=gate or self.gate(candidate),
            cache=self.cache,
            **{"key": candidate.job_key, **more},
        )

    def rollback(self, key: str, **more: Any) -> LedgerEntry:
        """Go back."""
        return promotion.rollback(
            self.store, self.registry, MODEL, key=key, **{"note": "worse in practice", **more}
        )


def row(**changes: Any) -> GateRow:
    """A check that was passed."""
    passed: dict[str, Any] = {
        "check": "perplexity",
        "champion": 40.0,
        "candidate": 38.0,
        "effect": -0.05,
        "interval": Interval(low=-0.07, high=-0.03),
        "margin": 0.03,
        "passed": True,
        "words": "5 % better",
    }
    return GateRow.model_validate({**passed, **changes})


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A model with its first champion."""
    made = World(tmp_path, open_store(str(tmp_path / "store")), FakeRegistry(tmp_path / "registry"))
    made.first()
    return made


def refused(world: World, words: str, act: Callable[[], object]) -> None:
    """``act`` is refused, and neither ledger, alias nor registry has changed."""
    before = (world.versions, world.registry.history)
    with pytest.raises(PromotionRefused, match=words):
        act()
    assert (world.versions, world.registry.history) == before


# ---------------------------------------------------------------- the plain route


def test_a_promotion_is_one_version_one_entry_and_the_alias(world: World) -> None:
    """The entry names what it replaced, the gate, the day; the version's tags say whence."""
    candidate = world.candidate()
    gate = world.gate(candidate)
    entry = world.promote(candidate, gate, approval=YES, require_approval=True)
    assert (entry.seq, entry.version, entry.replaced_version) == (2, "2", "1")
    assert (entry.event, entry.day, entry.approval) == ("promote", DAY, YES)
    assert entry.gate_sha256 == gate.digest()
    assert (world.alias, promotion.champion(world.store, MODEL)) == ("2", entry)
    tags = world.registry.version_tags(MODEL, "2")
    assert tags is not None
    assert tags["upkeep.parent_version"] == "1"
    assert tags["upkeep.gate_sha256"] == gate.digest()
    assert tags["upkeep.files_sha256"] == candidate.folder.files_sha256


def test_the_same_key_again_gives_the_same_entry_and_no_effect(world: World) -> None:
    """A finished promotion is adopted, even with a gate that is out of date by now."""
    candidate = world.candidate()
    gate = world.gate(candidate)
    entry = world.promote(candidate, gate)
    before = world.registry.history
    assert world.promote(candidate, gate) == entry
    assert world.registry.history == before


def test_a_key_is_never_used_for_other_files(world: World) -> None:
    """Another candidate under a used key is refused, not taken for the one promoted."""
    world.promote(world.candidate())
    other = world.candidate("other")
    used = f"{MODEL}/{DAY}/better"
    refused(world, "was used for version 2", lambda: world.promote(other, key=used))


def test_the_first_champion_is_made_once(world: World) -> None:
    """The same key gives the same entry; another first champion is refused."""
    assert world.first() == promotion.champion(world.store, MODEL)
    assert world.registry.count("register") == 1
    refused(
        world,
        "has a champion: version 1",
        lambda: promotion.register_first(
            world.store,
            world.registry,
            MODEL,
            folder=world.candidate("second first").folder,
            format="safetensors",
            cache=world.cache,
            key="another",
        ),
    )


def test_without_a_champion_no_candidate_wins_by_default(tmp_path: Path) -> None:
    """The first champion is an explicit act (F5)."""
    world = World(tmp_path, open_store(str(tmp_path / "store")), FakeRegistry())
    candidate = world.candidate()
    gate = GateResult(
        model=MODEL,
        day=DAY,
        kind="retrain",
        champion_version="1",
        champion_files_sha256="0" * 64,
        candidate_files_sha256=candidate.folder.files_sha256,
        passed=True,
        rows=(row(),),
        benchmark_sha256="b" * 64,
    )
    refused(world, "has no champion", lambda: world.promote(candidate, gate))
    assert promotion.champion(world.store, MODEL) is None
    assert promotion.reconcile(world.store, world.registry, MODEL) is None


# ---------------------------------------------------------------- who is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"passed": False}, "the gate was not passed"),
        ({"rows": (row(), row(check="latency", passed=False))}, "not passed: latency"),
        ({"rows": ()}, "measured nothing"),
        ({"rows": (row(effect=None, interval=None),)}, "measured nothing"),
        ({"champion_version": "7"}, "compared with version 7, the champion is version 1"),
        ({"champion_files_sha256": "0" * 64}, "gate again"),
        ({"candidate_files_sha256": "0" * 64}, "the gate judged"),
        ({"day": date(2026, 3, 17)}, "the gate judged"),
        ({"kind": "compress"}, "the gate judged"),
        ({"model": "another"}, "the gate judged"),
    ],
)
def test_a_gate_that_says_no_or_speaks_of_something_else_is_refused(
    world: World, changes: dict[str, Any], words: str
) -> None:
    """Every way in which the gate does not vouch for this candidate against this champion."""
    candidate = world.candidate()
    gate = world.gate(candidate, **changes)
    refused(world, words, lambda: world.promote(candidate, gate))


NOT_A_PASS = st.sampled_from([False, None, 0, 1, "yes", "true", float("nan"), [], [True]])
NOT_FINITE = st.sampled_from([float("nan"), float("inf"), float("-inf")])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_nothing_but_a_plain_true_and_finite_numbers_promotes(
    world: World, data: st.DataObject
) -> None:
    """NaN, infinite, missing or truthy in any place of the gate never promotes (R3)."""
    candidate = world.candidate()
    good = world.gate(candidate)
    place = data.draw(st.sampled_from(["passed", "row passed", "number", "interval"]))
    if place == "passed":
        gate = good.model_copy(update={"passed": data.draw(NOT_A_PASS)})
    elif place == "row passed":
        gate = good.model_copy(
            update={"rows": (row(), row().model_copy(update={"passed": data.draw(NOT_A_PASS)}))}
        )
    elif place == "number":
        name = data.draw(st.sampled_from(["champion", "candidate", "effect", "margin"]))
        bad = row().model_copy(update={name: data.draw(NOT_FINITE)})
        gate = good.model_copy(update={"rows": (bad,)})
    else:
        interval = Interval(low=0.0, high=1.0).model_copy(update={"high": data.draw(NOT_FINITE)})
        gate = good.model_copy(update={"rows": (row().model_copy(update={"interval": interval}),)})
    with pytest.raises(PromotionRefused):
        world.promote(candidate, gate)
    assert (world.versions, world.alias) == (["1"], "1")


def test_files_replaced_after_the_gate_are_refused(world: World) -> None:
    """The folder is hashed again at the moment of promotion (E18)."""
    candidate = world.candidate()
    gate = world.gate(candidate)
    file = Path(world.store.root, candidate.folder.prefix, "weights.txt")
    file.chmod(0o644)
    file.write_text("better!")
    refused(world, "not those that were recorded", lambda: world.promote(candidate, gate))


def test_the_champions_own_files_are_no_candidate(world: World) -> None:
    """A candidate identical to the champion is not promoted (E15)."""
    head = promotion.champion(world.store, MODEL)
    assert head is not None
    same = world.candidate().model_copy(update={"folder": head.folder})
    refused(world, "are the champion's own", lambda: world.promote(same))


def test_an_old_day_never_replaces_the_champion_of_a_newer_one(world: World) -> None:
    """Also not after a rollback; promote_old is an explicit word."""
    world.promote(world.candidate())
    old = world.candidate("late", date(2026, 3, 17))
    refused(world, "promote_old allows it", lambda: world.promote(old))
    world.rollback("back")
    refused(world, "promote_old allows it", lambda: world.promote(old))
    assert world.promote(old, promote_old=True).version == "3"


@pytest.mark.parametrize(
    ("approval", "words"),
    [
        (None, "waits for a person's approval"),
        (Approval(approved=False, by="ada", note="not today"), "refused by ada: not today"),
    ],
)
def test_where_a_person_must_approve_nothing_is_promoted_without(
    world: World, approval: Approval | None, words: str
) -> None:
    """Neither silence nor a no is a yes."""
    candidate = world.candidate()
    refused(
        world, words, lambda: world.promote(candidate, approval=approval, require_approval=True)
    )


def test_a_persons_no_counts_also_where_nobody_had_to_be_asked(world: World) -> None:
    """A refusal stands, for promotions and for rollbacks."""
    no = Approval(approved=False, by="ada")
    candidate = world.candidate()
    refused(world, "refused by ada", lambda: world.promote(candidate, approval=no))
    world.promote(candidate)
    refused(world, "refused by ada", lambda: world.rollback("back", approval=no))


def test_an_alias_moved_by_hand_between_gate_and_promote_is_refused(world: World) -> None:
    """Compare-and-set on the alias fails: gate again (F7)."""
    world.promote(world.candidate())
    candidate = world.candidate("third")
    gate = world.gate(candidate)
    world.registry.set_alias(MODEL, "champion", "1")
    refused(world, "somebody moved it", lambda: world.promote(candidate, gate))


def test_a_deleted_champion_stops_promotions_and_a_rollback_heals(world: World) -> None:
    """MLflow deletes version and alias without a word (F6); the ledger still knows."""
    world.promote(world.candidate())
    candidate = world.candidate("third")
    gate = world.gate(candidate)
    world.registry.delete_version(MODEL, "2")
    assert world.alias is None
    refused(
        world, "names nothing, the ledger says version 2", lambda: world.promote(candidate, gate)
    )
    entry = world.rollback("back")
    assert (entry.version, world.alias) == ("1", "1")
    assert world.promote(candidate).version == "3"


# ---------------------------------------------------------------- killed, dropped, raced

CALL = """
import json, sys
from pathlib import Path
from fakes.registry import FakeRegistry
from upkeep import promotion
from upkeep.errors import PromotionRefused
from upkeep.records import Candidate, Folder, GateResult
from upkeep.store import open_store
root, what, given = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
store, registry = open_store(str(root / "store")), FakeRegistry(root / "registry")
try:
    if what == "promote":
        entry = promotion.promote(
            store, registry, candidate=Candidate.model_validate(given["candidate"]),
            gate=GateResult.model_validate(given["gate"]), key=given["key"], cache=root / "cache")
    elif what == "rollback":
        entry = promotion.rollback(store, registry, given["model"], note="n", key=given["key"])
    else:
        entry = promotion.register_first(
            store, registry, given["model"], folder=Folder.model_validate(given["folder"]),
            format="safetensors", cache=root / "cache", key=given["key"])
except PromotionRefused as refused:
    print("refused", refused)
else:
    print("entry", entry.seq, entry.version)
"""


def elsewhere(
    world: World, what: str, given: dict[str, Any], crash_at: str = ""
) -> subprocess.Popen[str]:
    """The same call in another process, killed at a marked point."""
    return subprocess.Popen(
        [sys.executable, "-c", CALL, str(world.root), what, canonical_json(given).decode()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "UPKEEP_CRASH_AT": crash_at},
        stdout=subprocess.PIPE,
        text=True,
    )


def as_given(candidate: Candidate, gate: GateResult, key: str) -> dict[str, Any]:
    """The arguments of a promotion, for another process."""
    dumped = {"candidate": candidate.model_dump(mode="json"), "gate": gate.model_dump(mode="json")}
    return {**dumped, "key": key}


STEPS = ["before_register", "after_register", "after_ledger", "after_alias"]


@pytest.mark.parametrize("point", [*[f"promotion.{s}" for s in STEPS], "store.put.before_link"])
def test_a_promotion_killed_anywhere_and_run_again_is_one_promotion(
    world: World, point: str
) -> None:
    """Killed at each step, then run again: one version, one entry, the alias right (R16)."""
    candidate = world.candidate()
    gate = world.gate(candidate)
    killed = elsewhere(world, "promote", as_given(candidate, gate, candidate.job_key), point)
    assert killed.wait(60) == 137
    entry = world.promote(candidate, gate)
    assert (entry.version, world.versions, world.alias) == ("2", ["1", "2"], "2")
    assert world.registry.count("register", key=candidate.job_key) == 1
    assert world.registry.count("alias", version="2") == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_first_registration_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, step: str
) -> None:
    """The same for the first champion."""
    file = tmp_path / "registry"
    world = World(tmp_path, open_store(str(tmp_path / "store")), FakeRegistry(file))
    folder = world.store.put_folder(f"{MODEL}/versions/first", world.files("first"))
    given = {"model": MODEL, "folder": folder.model_dump(mode="json"), "key": f"{MODEL}/first"}
    assert elsewhere(world, "register_first", given, f"promotion.{step}").wait(60) == 137
    assert world.first().version == "1"
    assert (world.versions, world.alias, world.registry.count("register")) == (["1"], "1", 1)


@pytest.mark.parametrize("step", ["after_ledger", "after_alias"])
def test_a_rollback_killed_anywhere_is_finished_by_the_next(world: World, step: str) -> None:
    """One entry, one move of the alias, however often it is tried."""
    world.promote(world.candidate())
    given = {"model": MODEL, "key": "back"}
    assert elsewhere(world, "rollback", given, f"promotion.{step}").wait(60) == 137
    world.rollback("back")
    assert (world.versions, world.alias) == (["1", "2", "1"], "1")
    assert world.registry.count("alias", version="1") == 2


def test_reconcile_finishes_what_was_killed_between_ledger_and_alias(world: World) -> None:
    """The alias follows the ledger; a second reconcile does nothing."""
    candidate = world.candidate()
    given = as_given(candidate, world.gate(candidate), "key")
    assert elsewhere(world, "promote", given, "promotion.after_ledger").wait(60) == 137
    assert (world.versions, world.alias) == (["1", "2"], "1")
    head = promotion.reconcile(world.store, world.registry, MODEL)
    assert head is not None
    assert (head.version, world.alias) == ("2", "2")
    before = world.registry.history
    promotion.reconcile(world.store, world.registry, MODEL)
    assert world.registry.history == before


def test_a_killed_move_of_the_alias_does_not_block_the_next_candidate(world: World) -> None:
    """An interrupted move is finished, not taken for a person's hand."""
    candidate = world.candidate()
    given = as_given(candidate, world.gate(candidate), "key")
    assert elsewhere(world, "promote", given, "promotion.after_ledger").wait(60) == 137
    assert world.promote(world.candidate("third")).version == "3"
    assert (world.versions, world.alias) == (["1", "2", "3"], "3")


def test_reconcile_undoes_a_move_by_hand(world: World) -> None:
    """Asked to, it puts the alias where the ledger is."""
    world.promote(world.candidate())
    world.registry.set_alias(MODEL, "champion", "1")
    promotion.reconcile(world.store, world.registry, MODEL)
    assert world.alias == "2"


def test_running_a_finished_promotion_again_leaves_a_persons_move_alone(world: World) -> None:
    """The same key adopts; it does not fight over the alias."""
    candidate = world.candidate()
    entry = world.promote(candidate)
    world.registry.set_alias(MODEL, "champion", "1")
    assert world.promote(candidate) == entry
    assert world.alias == "1"


@pytest.mark.parametrize("call", ["register", "set_alias", "get_alias"])
@pytest.mark.parametrize("how", ["down", "drops"])
def test_a_registry_that_fails_leaves_nothing_half_done_after_the_next_try(
    world: World, call: str, how: str
) -> None:
    """Down, or its answer lost: run again, and there is one promotion (F8)."""
    candidate = world.candidate()
    gate = world.gate(candidate)
    getattr(world.registry, how).add(call)
    if not (how == "drops" and call == "get_alias"):
        with pytest.raises(TrackingError):
            world.promote(candidate, gate)
    world.registry.down.clear()
    assert world.promote(candidate, gate).version == "2"
    assert (world.versions, world.alias) == (["1", "2"], "2")
    assert world.registry.count("register", key=candidate.job_key) == 1


def test_eight_promoters_of_one_candidate_promote_it_once(world: World) -> None:
    """Eight threads, one key: all get the same entry (R2)."""
    candidate = world.candidate()
    gate = world.gate(candidate)
    with ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(world.promote, candidate, gate) for _ in range(8)]
        entries = {t.result().digest() for t in tries}
    assert (len(entries), world.versions, world.alias) == (1, ["1", "2"], "2")
    assert world.registry.count("register", key=candidate.job_key) == 1
    assert world.registry.count("alias") == 2


def test_eight_promoters_of_different_candidates_promote_one(world: World) -> None:
    """Eight threads, each gated against version 1: one wins, seven are told to gate again."""
    candidates = [world.candidate(f"candidate {n}") for n in range(8)]
    gates = [world.gate(c) for c in candidates]
    with ThreadPoolExecutor(8) as pool:
        tries = list(map(partial(pool.submit, world.promote), candidates, gates))
    errors = [e for t in tries if (e := t.exception()) is not None]
    assert len(errors) == 7
    assert all(isinstance(e, PromotionRefused) and "gate again" in str(e) for e in errors)
    assert (world.versions, world.alias) == (["1", "2"], "2")
    assert world.registry.count("register") == 2


def test_promoters_in_processes_of_their_own_promote_one(world: World) -> None:
    """The same between processes."""
    candidates = [world.candidate(f"candidate {n}") for n in range(3)]
    started = [
        elsewhere(world, "promote", as_given(c, world.gate(c), f"key-{n}"))
        for n, c in enumerate(candidates)
    ]
    said = sorted(process.communicate(timeout=120)[0] for process in started)
    assert [s.split()[0] for s in said] == ["entry", "refused", "refused"]
    assert (world.versions, world.alias) == (["1", "2"], "2")
    assert world.registry.count("register") == 2


def test_a_promoter_waits_for_the_one_at_work_and_says_who(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that is not given up in time is named, and nothing is done."""
    monkeypatch.setattr("upkeep.champion_change.WAIT_S", 0.05)
    candidate = world.candidate()
    gate = world.gate(candidate)
    with Lease.acquire(world.store, f"{MODEL}/promotion", "somebody else", 60.0):
        with pytest.raises(LeaseHeld, match="somebody else"):
            world.promote(candidate, gate)
        assert world.versions == ["1"]
    assert world.promote(candidate, gate).version == "2"


def test_a_promoter_that_was_overtaken_moves_nothing(world: World) -> None:
    """Its lease taken over while it registered: its next step is refused (R5)."""
    candidate = world.candidate()
    gate = world.gate(candidate)

    class Overtaken(FakeRegistry):
        def register(self, *given: Any) -> str:
            version = super().register(*given)
            later = 10_000.0 + time.time()
            Lease.acquire(world.store, f"{MODEL}/promotion", "later", 60.0, lambda: later).release()
            return version

    world.registry = Overtaken(world.registry.file)
    with pytest.raises(StaleToken, match="is over"):
        world.promote(candidate, gate)
    assert (world.versions, world.alias) == (["1"], "1")
    world.registry = FakeRegistry(world.registry.file)
    assert world.promote(candidate, gate).version == "2"
    assert world.registry.count("register", key=candidate.job_key) == 1


def test_a_promoter_overtaken_after_its_entry_leaves_the_alias_to_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry stands, the alias is not touched by the older try, the next run moves it."""
    candidate = world.candidate()
    gate = world.gate(candidate)

    def overtake(point: str) -> None:
        if point == "promotion.after_ledger":
            later = 10_000.0 + time.time()
            Lease.acquire(world.store, f"{MODEL}/promotion", "later", 60.0, lambda: later).release()

    with monkeypatch.context() as patched:
        patched.setattr("upkeep.champion_change.faults.point", overtake)
        with pytest.raises(StaleToken):
            world.promote(candidate, gate)
    assert (world.versions, world.alias) == (["1", "2"], "1")
    assert world.promote(candidate, gate).version == "2"
    assert (world.versions, world.alias) == (["1", "2"], "2")


def test_an_alias_moved_by_hand_while_the_version_is_made_is_refused(world: World) -> None:
    """An upload takes minutes: the alias is looked at again after it (F7)."""
    world.promote(world.candidate())
    candidate = world.candidate("third")
    gate = world.gate(candidate)

    class MovedMeanwhile(FakeRegistry):
        def register(self, *given: Any) -> str:
            version = super().register(*given)
            self.set_alias(MODEL, "champion", "1")
            return version

    world.registry = MovedMeanwhile(world.registry.file)
    with pytest.raises(PromotionRefused, match="somebody moved it"):
        world.promote(candidate, gate)
    assert (world.versions, world.alias) == (["1", "2"], "1")


def test_the_second_of_two_heads_is_refused_by_the_number(world: World) -> None:
    """Even without the lease: one entry a number, the later writer must gate again."""
    with Change.alone(world.store, world.registry, MODEL) as late:
        folder = world.candidate().folder
        late._lease.release()
        world.promote(world.candidate("quicker"))
        late._lease = Lease.acquire(world.store, f"{MODEL}/promotion", "late", 60.0)
        with pytest.raises(PromotionRefused, match="another champion came first"):
            late.append(
                key="late", event="promote", version="9", format="onnx", folder=folder, note=""
            )
    assert world.versions == ["1", "2"]


# ---------------------------------------------------------------- back, and the chain


def test_a_rollback_puts_the_champion_before_back_in_one_move(world: World) -> None:
    """One new entry with its note, one move of the alias, even with the new version deleted."""
    world.promote(world.candidate())
    world.registry.delete_version(MODEL, "2")
    before = len(world.registry.history)
    entry = world.rollback("back", approval=YES)
    assert (entry.event, entry.version, entry.replaced_version) == ("rollback", "1", "2")
    assert (entry.note, entry.approval) == ("worse in practice", YES)
    assert (world.alias, len(world.registry.history) - before) == ("1", 1)
    assert world.rollback("back") == entry


def test_a_rollback_says_on_which_day_it_was_done(world: World) -> None:
    """By hand the UTC day; where a day's decision asks for it, that day."""
    for n, content in enumerate(["two", "three"]):
        world.promote(world.candidate(content, DAY.replace(day=18 + n)))
    by_hand = world.rollback("b1")
    assert by_hand.day == by_hand.at.date()
    assert by_hand.at.tzinfo is not None
    assert world.rollback("b2", day=DAY).day == DAY


def test_going_back_twice_goes_back_two_champions(world: World) -> None:
    """Undo does not toggle; by name, forward is possible too."""
    for n, content in enumerate(["two", "three"]):
        world.promote(world.candidate(content, DAY.replace(day=18 + n)))
    assert world.rollback("b1").version == "2"
    assert world.rollback("b2").version == "1"
    refused(world, "no earlier champion", lambda: world.rollback("b3"))
    assert world.rollback("forward", to="3").version == "3"
    assert world.rollback("b4").version == "1"
    assert world.alias == "1"


def test_only_another_champion_of_the_ledger_can_be_put_back(world: World) -> None:
    """A version that never was champion is refused with those that were."""
    world.promote(world.candidate())
    refused(world, "never champion; known: 1, 2", lambda: world.rollback("b", to="9"))
    refused(world, "is champion already", lambda: world.rollback("b", to="2"))


def test_a_target_deleted_from_the_registry_comes_back_from_the_store(world: World) -> None:
    """Its files are registered anew under a new number; undo still knows it as the old one."""
    world.promote(world.candidate("two"))
    world.registry.delete_version(MODEL, "1")
    entry = world.rollback("back")
    assert (entry.version, world.alias) == ("3", "3")
    assert entry.folder == promotion.ledger(world.store, MODEL)[0].folder
    assert (world.registry.version_tags(MODEL, "3") or {})["upkeep.copy_of"] == "1"
    assert [e.version for e in standing_champions(promotion.ledger(world.store, MODEL))] == ["3"]


def test_a_target_whose_files_were_changed_is_not_put_back(world: World) -> None:
    """Nothing becomes champion that is not what was recorded."""
    world.promote(world.candidate())
    first = promotion.ledger(world.store, MODEL)[0]
    file = Path(world.store.root, first.folder.prefix, "weights.txt")
    file.chmod(0o644)
    file.write_text("changed")
    refused(world, "not those that were recorded", lambda: world.rollback("back"))


def test_a_tampered_entry_is_named(world: World) -> None:
    """An entry that is changed, even with a hash of its own, breaks the chain after it."""
    world.promote(world.candidate())
    file = Path(world.store.root, MODEL, "ledger", "000001.json")
    file.chmod(0o644)
    original = file.read_bytes()
    file.write_bytes(original.replace(b'"first champion"', b'"worst champion"'))
    with pytest.raises(CorruptRecord, match=r"ledger/000001\.json"):
        promotion.ledger(world.store, MODEL)
    envelope = json.loads(original)
    envelope["record"]["note"] = "forged"
    record = canonical_json(envelope["record"])
    envelope["sha256"] = sha256_hex(record)
    file.write_bytes(canonical_json(envelope))
    with pytest.raises(CorruptRecord, match=r"ledger/000002\.json: does not follow"):
        promotion.ledger(world.store, MODEL)


def test_a_missing_entry_is_named(world: World) -> None:
    """A hole in the numbers is not skipped; nothing is promoted over it."""
    world.promote(world.candidate())
    candidate = world.candidate("third")
    gate = world.gate(candidate)
    Path(world.store.root, MODEL, "ledger", "000001.json").unlink()
    with pytest.raises(CorruptRecord, match=r"ledger/000001\.json: is missing"):
        world.promote(candidate, gate)
    assert world.alias == "2"
