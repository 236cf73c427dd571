"""What the engines of a cluster share: names, adoption, how a worker finds its job."""

from __future__ import annotations

import codecs
import re
from abc import ABC, abstractmethod

from upkeep.engines import OVER, JobHandle, LogPart
from upkeep.errors import ConflictingRecord, EngineError, ParamError
from upkeep.records import JobSpec, JobStatus, sha256_hex
from upkeep.store import Store, put_record

MAX_LOG_BYTES = 1 << 20


def job_name(store_root: str, key: str, attempt: int) -> str:
    """The name of one attempt at an engine: ``[a-z0-9-]``, at most 63 characters.

    It begins with :func:`job_prefix`, which two keys never share, nor one key of two stores: two
    installations may use one cluster.
    """
    return f"{job_prefix(store_root, key)}{attempt}"


def job_prefix(store_root: str, key: str) -> str:
    """What the names of all attempts of a key begin with, and no other name."""
    words = re.sub("[^a-z0-9]+", "-", key.lower()).strip("-")[:38].strip("-")
    digest = sha256_hex(f"{store_root.rstrip('/')}\n{key}".encode())[:12]
    return f"up-{words}-{digest}-a"


def attempt_of(prefix: str, name: str) -> int | None:
    """The attempt that a name of that prefix has; None for another name."""
    number = name.removeprefix(prefix)
    return int(number) if name.startswith(prefix) and re.fullmatch("[1-9][0-9]*", number) else None


def job_arguments(store: Store, spec: JobSpec) -> list[str]:
    """Put the job's specification into the store; what the worker gets to find it there.

    ``STORE KEY SHA256``: the worker refuses what lies there unless it has that hash.
    """
    key = f"{spec.output_prefix}/job.json"
    try:
        ref = put_record(store, key, spec)
    except ConflictingRecord as error:
        words = f"{spec.key}: another job was submitted under this key; see {store.root}/{key}"
        raise EngineError(words) from error
    return [store.root, key, ref.sha256]


def needs_bucket(engine: str, store: Store) -> None:
    """ParamError where the store is a folder, which the machines of ``engine`` cannot see."""
    if not store.root.startswith("s3://"):
        rule = f"cannot be reached by a job of {engine}"
        raise ParamError("UPKEEP_STORE", store.root, rule, "set it to s3://bucket/prefix")


def log_part(data: bytes, since: int, *, over: bool, begin: int | None = None) -> LogPart:
    """``data``, which begins at byte ``begin`` of the log, as text asked for from ``since`` on.

    A character that is not whole yet waits for the next part, unless the job is ``over``.
    """
    begin = since if begin is None else begin
    if len(data) > MAX_LOG_BYTES:
        begin, data = begin + len(data) - MAX_LOG_BYTES, data[-MAX_LOG_BYTES:]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final=over)
    waiting = len(decoder.getstate()[0])
    left = f"upkeep: {begin - since} bytes left out\n" if begin > since else ""
    return LogPart(left + text, begin + len(data) - waiting)


class RemoteEngine(ABC):
    """Find, adopt or start by the names of attempts; the rest is each engine's own.

    An engine lists what it has by name, and starts one attempt under a name that it takes at most
    once (``_start`` finds the attempt of its own name rather than start a second).
    """

    name: str

    def __init__(self, store: Store) -> None:
        """Jobs find their specification in ``store``."""
        self._store = store

    @abstractmethod
    def _attempts(self, key: str) -> list[JobHandle]:
        """Every attempt of the key that the engine knows, in any order."""

    @abstractmethod
    def _start(self, spec: JobSpec, attempt: int, arguments: list[str]) -> JobHandle:
        """Start the attempt with ``arguments`` for the worker, or adopt the one of its name."""

    @abstractmethod
    def status(self, handle: JobHandle) -> JobStatus:
        """As :meth:`upkeep.engines.Engine.status`."""

    def find(self, key: str) -> JobHandle | None:
        """As :meth:`upkeep.engines.Engine.find`."""
        return max(self._attempts(key), key=lambda handle: handle.attempt, default=None)

    def submit(self, spec: JobSpec, attempt: int = 1) -> JobHandle:
        """As :meth:`upkeep.engines.Engine.submit`."""
        arguments = job_arguments(self._store, spec)
        latest = self.find(spec.key)
        known = latest.attempt if latest else 0
        if attempt > known + 1:
            raise EngineError(f"{spec.key}: attempt {attempt} was asked for after {known}")
        if latest is not None and (attempt <= known or not self._may_follow(latest)):
            return latest
        return self._start(spec, known + 1, arguments)

    def _may_follow(self, latest: JobHandle) -> bool:
        status = self.status(latest)
        return status in OVER and status != "succeeded"
