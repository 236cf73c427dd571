"""``chain``: methods one after the other, each on the folder that the one before made.

``params.steps`` is ``[{method, params}, ..]``. Every step but the last writes safetensors; the
last one's format is the candidate's. All settings are checked before the first step begins.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from upkeep.compression import compression
from upkeep.compression_methods import control_gain_nats, method_of
from upkeep.job_params import read_params
from upkeep.records import Sample, Step
from upkeep.search_params import ChainParams


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Run the steps; their measurements are told as ``step1_..``; see ``Compress``.

    ``control_gain_nats`` is the sum over the steps that trained: what the same training gave
    each step's own input.
    """
    steps = read_params(ChainParams, method, params).records()
    return run_steps(champion, samples, steps, out)


def run_steps(
    champion: Path, samples: Sequence[Sample], steps: Sequence[Step], out: Path
) -> tuple[dict[str, float], tuple[str, ...]]:
    """What the steps make of ``champion``, in ``out``, with the measurements of all."""
    for step in steps:
        check_params(step)
    started = time.perf_counter()
    measured: dict[str, float] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="upkeep-chain-") as folder:
        source = champion
        for number, step in enumerate(steps, 1):
            target = out if number == len(steps) else Path(folder) / f"step{number}"
            target.mkdir(exist_ok=True)
            found, said = compression(step.method)(
                source, samples, step.method, step.params, target
            )
            gain = control_gain_nats(found)
            if gain is not None:
                measured["control_gain_nats"] = measured.get("control_gain_nats", 0.0) + gain
            measured |= {f"step{number}_{name}": value for name, value in found.items()}
            notes += [f"step {number}, {step.method}: {words}" for words in said]
            source = target
    measured["seconds"] = time.perf_counter() - started
    measured["parent_size_bytes"] = float(size_bytes(champion))
    measured["size_bytes"] = float(size_bytes(out))
    return measured, tuple(notes)


def check_params(step: Step) -> None:
    """Return only if the step's settings are those of its method; ParamError names the first.

    A family's file has its settings by method in ``SETTINGS``, or with what does it in
    ``METHODS``; one that has neither checks them itself, when its turn comes.
    """
    module = import_module(method_of(step.method).module)
    settings = getattr(module, "SETTINGS", {}).get(step.method)
    if settings is None:
        settings = getattr(module, "METHODS", {}).get(step.method, (None,))[0]
    if settings is not None:
        read_params(settings, step.method, step.params)


def size_bytes(folder: Path) -> int:
    """The bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
