"""Ways to compress that take no time: models whose losses and times are written in a file.

``fake.json`` of a folder says what a :class:`FakeRuntime` of it costs: ``nats`` a character,
``step_ms`` a token. What it does not prove: that a real method makes a model that runs; their
own tests do.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.tiny_model import FakeRuntime, tiny_openvino
from safetensors.numpy import save_file

from upkeep import compression_methods
from upkeep.compression import search_measure
from upkeep.compression_methods import Method
from upkeep.job_params import JobParams, read_params
from upkeep.records import Sample

CHAMPION = {"nats": 1.0, "step_ms": 10.0}
ELEMENTS = 4096


class Bits(JobParams):
    """A fake quantization."""

    bits: int = 8
    group_size: int = 32
    loss: float = 0.0


class Cut(JobParams):
    """A fake pruning: a share of the weights goes, and the loss grows with its square."""

    share: float = 0.25
    loss: float = 0.02


class Trouble(JobParams):
    """What goes wrong."""

    kind: str = "value"


SETTINGS: dict[str, type[JobParams]] = {
    "fake-int": Bits,
    "prune-mlp": Cut,
    "fake-trouble": Trouble,
    "fake-slow": JobParams,
    "fake-distil": JobParams,
}
FAMILIES: dict[str, tuple[Any, Any]] = {
    "fake-int": ("quantization", "openvino"),
    "prune-mlp": ("pruning", "safetensors"),
    "fake-trouble": ("fusion", "safetensors"),
    "fake-slow": ("low_rank", "safetensors"),
    "fake-distil": ("distillation", "safetensors"),
}


def compress(
    champion: Path, samples: Sequence[Sample], method: str, params: Mapping[str, Any], out: Path
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Do as the settings say; see ``Compress``. ``fake-copy`` gives a real OpenVINO model."""
    if method == "fake-copy":
        shutil.copytree(tiny_openvino(), out, dirs_exist_ok=True)
        return {}, ()
    settings = read_params(SETTINGS[method], method, params)
    known = json.loads((champion / "fake.json").read_text())
    size = weights_bytes(champion)
    measured = {"seconds": 0.0, "samples": float(len(samples))}
    if isinstance(settings, Trouble):
        trouble(settings.kind)
    if isinstance(settings, Bits):
        size = size * settings.bits // 32
        known["step_ms"] *= 0.3 + 0.7 * settings.bits / 32
        known["nats"] += settings.loss + 0.05 / settings.bits**2
    if isinstance(settings, Cut):
        size = round(size * (1.0 - settings.share))
        known["step_ms"] *= 1.0 - settings.share
        known["nats"] += settings.loss * settings.share**2
    if method == "fake-slow":
        known["step_ms"] *= 1.5
    if method == "fake-distil":
        known = {"nats": 0.9, "step_ms": known["step_ms"] / 2}
        measured |= {"champion_loss_held_out_nats": 3.0, "control_loss_held_out_nats": 2.5}
    write_model(out, known, size, openvino=isinstance(settings, Bits))
    return measured, (f"{method} was here",)


def trouble(kind: str) -> None:
    """Go wrong as the setting says."""
    if kind == "die":
        os._exit(137)
    raise {
        "value": ValueError("this architecture has no such layer"),
        "memory": MemoryError("no memory for 9 GiB"),
        "torch": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        "disk": OSError(errno.ENOSPC, "No space left on device"),
    }[kind]


def write_model(folder: Path, costs: Mapping[str, float], size: int, *, openvino: bool) -> None:
    """A folder of one format with these costs and so many bytes of weights."""
    folder.mkdir(exist_ok=True)
    (folder / "fake.json").write_text(json.dumps(costs))
    if openvino:
        (folder / "openvino_model.xml").write_text("<net/>")
        (folder / "openvino_model.bin").write_bytes(bytes(size))
    else:
        inner = np.zeros(max(1, size // 4), dtype=np.float32)
        weights = {"model.layers.0.mlp.weight": inner, "head.weight": np.zeros(8, np.float32)}
        save_file(weights, folder / "model.safetensors")


def weights_bytes(folder: Path) -> int:
    """The bytes of the weights."""
    return sum(f.stat().st_size for f in folder.iterdir() if f.suffix in {".bin", ".safetensors"})


def fake_champion(folder: Path) -> Path:
    """A champion that the fake methods can compress."""
    write_model(folder, CHAMPION, 4 * ELEMENTS, openvino=False)
    return folder


def runtime_of(folder: Path, file_format: str, threads: int) -> FakeRuntime:
    """What runs a fake folder."""
    costs = json.loads((folder / "fake.json").read_text())
    return FakeRuntime(nats_per_char=costs["nats"], step_ms=costs["step_ms"], threads=threads)


@pytest.fixture
def fake_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake methods are all that there is, and their folders run."""
    known = {name: compression_methods.METHODS[name] for name in ("chain", "search")}
    for name, (family, file_format) in FAMILIES.items():
        known[name] = Method("fakes.compressing", family, file_format, "fake")
    for name in [n for n in compression_methods.METHODS if n not in known]:
        monkeypatch.delitem(compression_methods.METHODS, name)
    for name, method in known.items():
        monkeypatch.setitem(compression_methods.METHODS, name, method)
    monkeypatch.setattr(search_measure, "load", runtime_of)
    monkeypatch.setattr(search_measure, "check_model_folder", lambda folder, found: None)
