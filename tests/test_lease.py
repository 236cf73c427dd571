"""The lease: one holder, and a token that stops the one who was overtaken."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from upkeep.errors import CorruptRecord, LeaseHeld, StaleToken
from upkeep.store import Lease, Store, open_store


@dataclass
class Clock:
    """Seconds that pass only when a test says so."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A local store."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def gone_process() -> int:
    """The id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait(60)
    return ended.pid


def test_a_second_owner_is_refused_and_told_who_holds_it(store: Store, clock: Clock) -> None:
    """LeaseHeld names the holder and the lease."""
    Lease.acquire(store, "docs/2026-03-05", "run-a", 60, clock)
    with pytest.raises(LeaseHeld, match="docs/2026-03-05 is worked on by run-a") as held:
        Lease.acquire(store, "docs/2026-03-05", "run-b", 60, clock)
    assert held.value.owner == "run-a"


def test_leases_of_other_names_are_free(store: Store, clock: Clock) -> None:
    """One model's day does not block another's."""
    assert Lease.acquire(store, "a", "run-a", 60, clock).token == 1
    assert Lease.acquire(store, "b", "run-b", 60, clock).token == 1


def test_an_expired_lease_is_taken_over_with_a_higher_token(store: Store, clock: Clock) -> None:
    """Exactly at its end it is anybody's; the older holder's next check is refused."""
    old = Lease.acquire(store, "day", "run-a", 60, clock)
    clock.now += 59.9
    with pytest.raises(LeaseHeld):
        Lease.acquire(store, "day", "run-b", 60, clock)
    clock.now += 0.1
    new = Lease.acquire(store, "day", "run-b", 60, clock)
    assert (old.token, new.token) == (1, 2)
    for act in (old.check, old.renew):
        with pytest.raises(StaleToken, match="token 1 of run-a is over; it is held by run-b"):
            act()
    new.check()


def test_an_expired_lease_that_nobody_took_is_still_good(store: Store, clock: Clock) -> None:
    """A pause longer than the lease harms nobody if nobody came; check renews it."""
    lease = Lease.acquire(store, "day", "run-a", 60, clock)
    clock.now += 600
    lease.check()
    with pytest.raises(LeaseHeld):
        Lease.acquire(store, "day", "run-b", 60, clock)


def test_the_same_owner_enters_again_and_fences_its_earlier_try(store: Store, clock: Clock) -> None:
    """A retry of a task has its run's name: it takes over at once."""
    first = Lease.acquire(store, "day", "run-a", 60, clock)
    second = Lease.acquire(store, "day", "run-a", 60, clock)
    assert second.token == 2
    second.check()
    with pytest.raises(StaleToken):
        first.check()


def test_check_renews_in_the_second_half_and_renew_at_once(store: Store, clock: Clock) -> None:
    """Whoever checks in time keeps the lease as long as it works."""
    lease = Lease.acquire(store, "day", "run-a", 60, clock)
    for _ in range(5):
        clock.now += 50
        lease.check()
        with pytest.raises(LeaseHeld):
            Lease.acquire(store, "day", "run-b", 60, clock)
    clock.now += 20
    lease.renew()
    clock.now += 59
    with pytest.raises(LeaseHeld):
        Lease.acquire(store, "day", "run-b", 60, clock)
    assert lease.token == 1


def test_check_in_the_first_half_writes_nothing(store: Store, clock: Clock) -> None:
    """A check before every side effect must be cheap."""
    lease = Lease.acquire(store, "day", "run-a", 60, clock)
    before = store.get("leases/day.json")
    clock.now += 29
    lease.check()
    assert store.get("leases/day.json") == before


def test_a_released_lease_is_free_and_its_token_is_never_given_again(
    store: Store, clock: Clock
) -> None:
    """Tokens only grow, also over a release."""
    with Lease.acquire(store, "day", "run-a", 60, clock) as lease:
        assert lease.token == 1
    with pytest.raises(StaleToken):
        lease.check()
    assert Lease.acquire(store, "day", "run-b", 60, clock).token == 2


def test_releasing_a_lease_that_was_lost_leaves_the_new_holder_alone(
    store: Store, clock: Clock
) -> None:
    """The end of a ``with`` in an overtaken try changes nothing."""
    old = Lease.acquire(store, "day", "run-a", 60, clock)
    clock.now += 61
    new = Lease.acquire(store, "day", "run-b", 60, clock)
    old.release()
    new.check()


def test_a_lease_is_released_when_the_work_fails(store: Store, clock: Clock) -> None:
    """An error passes through and leaves the lease free."""
    with pytest.raises(ValueError, match="planted"), Lease.acquire(store, "d", "a", 60, clock):
        raise ValueError("planted")
    assert Lease.acquire(store, "d", "b", 60, clock).token == 2


@pytest.mark.parametrize("form", ["cli:{host}:{pid}", "process:{host}:{pid}:1f"])
def test_a_dead_process_of_this_machine_holds_nothing(
    store: Store, clock: Clock, form: str
) -> None:
    """Killed at the keyboard: the next try need not wait for the end of the lease."""
    dead = form.format(host=socket.gethostname(), pid=gone_process())
    Lease.acquire(store, "day", dead, 60, clock)
    assert Lease.acquire(store, "day", "run-b", 60, clock).token == 2


@pytest.mark.parametrize(
    "owner",
    [
        f"cli:{socket.gethostname()}:{os.getpid()}",
        "cli:another-machine:4194999",
        f"cli:{socket.gethostname()}:x",
        f"run:{socket.gethostname()}:4194999",
        "cli",
    ],
    ids=["alive", "elsewhere", "no-number", "run", "no-process"],
)
def test_a_holder_that_may_be_alive_keeps_its_lease(store: Store, clock: Clock, owner: str) -> None:
    """Living, elsewhere, or not named as a process: only time takes it away."""
    Lease.acquire(store, "day", owner, 60, clock)
    with pytest.raises(LeaseHeld):
        Lease.acquire(store, "day", "run-b", 60, clock)


def test_of_many_at_once_one_holds_it(store: Store) -> None:
    """Sixteen threads over eight workers: one lease, fifteen refusals, one token."""

    def take(n: int) -> int | None:
        try:
            return Lease.acquire(store, "day", f"run-{n}", 60).token
        except LeaseHeld:
            return None

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(take, range(16)))
    assert [t for t in tokens if t is not None] == [1]


class LostAnswer:
    """A store whose next ``replace`` succeeds and says that it did not, as a lost response does."""

    def __init__(self, store: Store) -> None:
        self.store, self.lose = store, True

    def __getattr__(self, name: str) -> Callable[..., object]:
        """Everything else is the store's own."""
        return getattr(self.store, name)

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write, and lose the answer once."""
        done = self.store.replace(key, data, etag)
        lost, self.lose = self.lose, False
        return done and not lost


def test_a_lost_answer_of_the_store_does_not_lose_the_lease(store: Store, clock: Clock) -> None:
    """The nonce tells that the write was ours."""
    lease = Lease.acquire(LostAnswer(store), "day", "run-a", 60, clock)  # type: ignore[arg-type]
    assert lease.token == 1
    lease.check()


def test_a_lease_that_was_tampered_with_is_an_error(store: Store, clock: Clock) -> None:
    """A broken lease is not a free one."""
    Lease.acquire(store, "day", "run-a", 60, clock)
    data, etag = store.get_versioned("leases/day.json") or (b"", "")
    store.replace("leases/day.json", data.replace(b"run-a", b"run-b"), etag)
    with pytest.raises(CorruptRecord, match=r"leases/day\.json"):
        Lease.acquire(store, "day", "run-b", 60, clock)


TRY = """
import sys
from pathlib import Path
from upkeep.errors import StaleToken
from upkeep.store import Lease, open_store
store, effects = open_store(sys.argv[1]), Path(sys.argv[2])
lease = Lease.acquire(store, "day", "run-a", 60)
print(lease.token, flush=True)
try:
    for line in sys.stdin:
        lease.check()
        with effects.open("a") as file:
            file.write(f"{lease.token}\\n")
        print("acted", flush=True)
except StaleToken as stale:
    print("stale", stale, flush=True)
"""


def a_try(tmp_path: Path) -> subprocess.Popen[str]:
    """A try of the same run, in a process of its own, that acts when it is told to."""
    return subprocess.Popen(
        [sys.executable, "-c", TRY, str(tmp_path / "store"), str(tmp_path / "effects")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def says(process: subprocess.Popen[str], line: str = "") -> str:
    """Tell it to act, if a line is given, and hear what it says."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(line + "\n")
    return process.stdout.readline()


def stopped(pid: int) -> None:
    """Wait until the kernel has stopped a process."""
    deadline = time.monotonic() + 30
    while "T" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_try_that_was_paused_and_overtaken_acts_no_more(tmp_path: Path) -> None:
    """SIGSTOP one try, let the next take over and act, SIGCONT: its next step is refused (R5)."""
    old, new = a_try(tmp_path), None
    try:
        assert says(old) == "1\n"
        assert says(old, "act") == "acted\n"
        old.send_signal(signal.SIGSTOP)
        stopped(old.pid)
        assert old.stdin is not None
        old.stdin.write("act\n")
        new = a_try(tmp_path)
        assert says(new) == "2\n"
        assert says(new, "act") == "acted\n"
        old.send_signal(signal.SIGCONT)
        assert says(old).startswith("stale lease day: token 1 of run-a is over")
        assert says(new, "act") == "acted\n"
        assert (tmp_path / "effects").read_text().split() == ["1", "2", "2"]
    finally:
        for process in filter(None, (old, new)):
            process.kill()
            process.communicate()
