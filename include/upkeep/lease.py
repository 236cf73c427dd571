"""Who works on something now: a lease in the store, with a fencing token.

The token grows by one whenever the lease changes hands, and never goes back: the try that was
overtaken (paused, partitioned, taken for dead) finds a higher token at its next ``check`` and
must not act. As in M. Kleppmann, "How to do distributed locking" (2016).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import psutil

from upkeep.errors import LeaseHeld, StaleToken, StoreError
from upkeep.records import Record
from upkeep.sealed import seal, unseal

if TYPE_CHECKING:
    from upkeep.store import Store

ATTEMPTS = 20


class LeaseState(Record):
    """What lies under ``leases/<name>.json``; ``expires_at`` in seconds since 1970, UTC."""

    name: str
    owner: str
    token: int
    expires_at: float
    released: bool = False
    nonce: str


class Lease:
    """A lease that was acquired; use it as a context manager to release it at the end.

    Clocks of two machines may differ by less than ``ttl_s``; if they differ by more, a lease is
    taken over early, and the fencing token is what keeps the older holder from acting.
    """

    def __init__(
        self, store: Store, state: LeaseState, etag: str, ttl_s: float, clock: Callable[[], float]
    ) -> None:
        """Made by :meth:`acquire`."""
        self._store, self._state, self._etag = store, state, etag
        self._ttl_s, self._clock = ttl_s, clock

    @classmethod
    def acquire(
        cls,
        store: Store,
        name: str,
        owner: str,
        ttl_s: float,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Take the lease ``name`` for ``ttl_s`` seconds; LeaseHeld if another owner lives.

        Taken over at once: a lease of the same owner (its earlier try), an expired or released
        one, and one of ``cli:<host>:<pid>`` or ``process:<host>:<pid>:<any>`` on this host
        whose process is gone.
        """
        for _ in range(ATTEMPTS):
            found = _read(store, name)
            held = found[0] if found else None
            if held is not None and not _may_take(held, owner, clock()):
                raise LeaseHeld(name, held.owner)
            state = LeaseState(
                name=name,
                owner=owner,
                token=held.token + 1 if held else 1,
                expires_at=clock() + ttl_s,
                nonce=uuid4().hex,
            )
            if etag := _write(store, state, found[1] if found else None):
                return cls(store, state, etag, ttl_s, clock)
        raise LeaseHeld(name, "others who take it again and again")

    @property
    def token(self) -> int:
        """The fencing token: higher is later."""
        return self._state.token

    def check(self) -> None:
        """StaleToken if somebody took over; renews when less than half of the time is left.

        Call it right before every side effect.
        """
        self._refresh()
        if self._state.expires_at - self._clock() < self._ttl_s / 2:
            self.renew()

    def renew(self) -> None:
        """Hold it ``ttl_s`` seconds from now; StaleToken if somebody took over."""
        self._change(expires_at=self._clock() + self._ttl_s)

    def release(self) -> None:
        """Let others have it now. A lease that was lost already is left alone."""
        try:
            self._change(released=True)
        except StaleToken:
            return

    def _change(self, **changes: object) -> None:
        for _ in range(ATTEMPTS):
            self._refresh()
            state = self._state.model_copy(update={**changes, "nonce": uuid4().hex})
            if etag := _write(self._store, state, self._etag):
                self._state, self._etag = state, etag
                return
        raise StoreError(f"leases/{self._state.name}.json: changed {ATTEMPTS} times under us")

    def _refresh(self) -> None:
        """Read the lease again: another thread of ours may have renewed it."""
        found = _read(self._store, self._state.name)
        if found is None or found[0].token != self.token or found[0].released:
            holder = f"{found[0].owner} with token {found[0].token}" if found else "nobody"
            raise StaleToken(
                f"lease {self._state.name}: token {self.token} of {self._state.owner} is over; "
                f"it is held by {holder}"
            )
        self._state, self._etag = found

    def __enter__(self) -> Self:
        """The lease itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release it, whatever happened."""
        self.release()


def _key(name: str) -> str:
    return f"leases/{name}.json"


def _read(store: Store, name: str) -> tuple[LeaseState, str] | None:
    found = store.get_versioned(_key(name))
    return None if found is None else (unseal(_key(name), found[0], LeaseState), found[1])


def _write(store: Store, state: LeaseState, etag: str | None) -> str | None:
    """The new etag, or None if another was faster.

    The answer of ``replace`` alone does not tell: after a lost response the SDK tries again and
    is refused by its own first try. The nonce tells whose write it is.
    """
    store.replace(_key(state.name), seal(state), etag)
    found = _read(store, state.name)
    return found[1] if found and found[0].nonce == state.nonce else None


def _may_take(held: LeaseState, owner: str, now: float) -> bool:
    over = held.released or held.expires_at <= now
    return over or held.owner == owner or _process_is_gone(held.owner)


def _process_is_gone(owner: str) -> bool:
    match owner.split(":"):
        case ["cli" | "process", host, pid, *_] if host == socket.gethostname() and pid.isdigit():
            return not psutil.pid_exists(int(pid))
    return False
