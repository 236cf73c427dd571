"""The processes of a local job: found by what they noted of themselves, and ended."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from upkeep.engines.local_child import STARTED, WORKER
from upkeep.errors import EngineError

SAME_START_S = 0.05


def read_json(path: Path) -> dict[str, Any] | None:
    """What was noted in a file; None if there is none, EngineError if it is something else."""
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise EngineError(f"{path}: not what was written there: {error}") from error
    return value


def terminate(attempt: Path) -> None:
    """Ask the job to end its worker; it notes the end itself. Without it, end the worker."""
    started = read_json(attempt / STARTED)
    child = _process(started, "child")
    if child is not None:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    elif started is not None:
        kill(attempt)


def kill(attempt: Path) -> None:
    """End a worker and its group, whose holder is gone or does not answer."""
    worker = _process(read_json(attempt / WORKER))
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if worker is not None and os.getpgid(worker.pid) == worker.pid:
            os.killpg(worker.pid, signal.SIGKILL)
        if child := _process(read_json(attempt / STARTED), "child"):
            child.kill()


def _process(noted: dict[str, Any] | None, part: str = "") -> psutil.Process | None:
    """The very process that was noted, or None if its number is another's now."""
    identity = noted.get(part) if noted and part else noted
    if not identity:
        return None
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(identity["pid"]))
        if abs(process.create_time() - float(identity["create_time"])) < SAME_START_S:
            return process
    return None
