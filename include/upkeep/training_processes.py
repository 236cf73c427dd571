"""A retraining in several processes of this machine: ``python -m upkeep.training_processes``.

The leader of the job writes the blocks and a plan, starts one process a device, and waits. They
meet in a file, average their gradients (:mod:`upkeep.distributed`), and the one of rank 0 leaves
the model and what it measured. Where one of them ends badly, the others are ended too; where
their parent is killed, the kernel ends them (``PR_SET_PDEATHSIG``), so that none trains on beside
the next try.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upkeep.distributed import joined
from upkeep.errors import JobFailed
from upkeep.fit_course import Check, Fit
from upkeep.fitting import use_threads
from upkeep.pretrained import load_model, save_model
from upkeep.training_run import METHODS, Trained, TrainParams, train_model

PLAN, BLOCKS, OUTCOME, MEETING = "plan.json", "blocks.safetensors", "outcome.json", "meeting"
PR_SET_PDEATHSIG = 1
PAUSE_S = 0.05
TAIL_CHARS = 500


@dataclass(frozen=True)
class Together:
    """What the processes share: model, method, settings, and where things go."""

    champion: Path
    method: str
    settings: TrainParams
    out: Path
    work: Path | None
    fingerprint: str
    processes: int


def train_together(job: Together, blocks: Any, held_out: Any) -> Trained:
    """Train in several processes; the model is in ``job.out`` then.

    Raises:
        JobFailed: one of them ended badly; the end of what it said is in the message.

    """
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(prefix="upkeep-together-") as name:
        folder = Path(name)
        save_file({"blocks": blocks, "held_out": held_out}, folder / BLOCKS)
        plan = {
            "champion": str(job.champion.absolute()),
            "method": job.method,
            "settings": job.settings.model_dump(mode="json"),
            "out": str(job.out.absolute()),
            "work": str(job.work.absolute()) if job.work else None,
            "fingerprint": job.fingerprint,
            "processes": job.processes,
        }
        (folder / PLAN).write_text(json.dumps(plan), "utf-8")
        command = [sys.executable, "-m", "upkeep.training_processes", str(folder)]
        run_ranks(command, folder, job.processes)
        return _outcome(json.loads((folder / OUTCOME).read_bytes()))


def run_ranks(command: Sequence[str], folder: Path, processes: int) -> None:
    """Start ``command RANK PARENT`` for each rank and wait for all; if one fails, none goes on.

    Raises:
        JobFailed: one of them ended badly; what it said last is in the message.

    """
    running: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(processes):
            with (folder / f"{rank}.txt").open("wb") as said:
                running.append(
                    subprocess.Popen([*command, str(rank), str(os.getpid())], stderr=said)
                )
        while None in (codes := [process.poll() for process in running]) and not any(codes):
            time.sleep(PAUSE_S)
    finally:
        for process in running:
            process.kill()
            process.wait()
    failed = next((rank for rank, code in enumerate(codes) if code), None)
    if failed is not None:
        tail = (folder / f"{failed}.txt").read_text("utf-8", "replace").strip()[-TAIL_CHARS:]
        raise JobFailed(f"process {failed} of {processes} ended with {codes[failed]}: {tail}")


def _outcome(found: dict[str, Any]) -> Trained:
    fitted = found["fitted"]
    curve = tuple(Check(**check) for check in fitted.pop("curve"))
    return Trained(Fit(curve=curve, **fitted), tuple(found["notes"]))


def main(args: Sequence[str]) -> int:
    """Be the process of one rank; gives the exit status."""
    folder, rank, parent = Path(args[0]), int(args[1]), int(args[2])
    _end_with(parent)
    from safetensors.torch import load_file

    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    logging.getLogger("upkeep.worker").setLevel(logging.INFO)
    plan = json.loads((folder / PLAN).read_bytes())
    settings = METHODS[plan["method"]].model_validate(plan["settings"])
    use_threads(settings.threads or max(1, len(os.sched_getaffinity(0)) // plan["processes"]))
    tensors = load_file(folder / BLOCKS)
    champion, work = Path(plan["champion"]), Path(plan["work"]) if plan["work"] else None
    with joined(rank, plan["processes"], str(folder / MEETING)) as group:
        model, trained = train_model(
            load_model(champion)[0],
            tensors["blocks"],
            tensors["held_out"],
            settings,
            work,
            plan["fingerprint"],
            group,
        )
        if rank == 0:
            save_model(model, champion, Path(plan["out"]))
            outcome = {"fitted": asdict(trained.fitted), "notes": trained.notes}
            (folder / OUTCOME).write_text(json.dumps(outcome), "utf-8")
    return 0


def _end_with(parent: int) -> None:
    """Be killed when the parent dies, also if it is dead already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
