"""Checkpoints: a training that is killed anywhere comes to what it would have come to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from upkeep import checkpoints
from upkeep.checkpoints import KEPT, Checkpoints
from upkeep.fit_task import Player, Task
from upkeep.fitting import Fit, FitParams, fit

SETTINGS = FitParams(
    steps=12, lr=0.05, batch_blocks=4, accumulate=2, check_every=4, threads=1, checkpoint_steps=3
)
SQUARES = Task((Player(lambda m, x: (m(x) - x**2).pow(2).mean()),),
               lambda m, x: (m(x) - x**2).pow(2).mean())  # fmt: skip


def network() -> Any:
    """Everything that has state of its own: momentum, running means, random masks."""
    import torch

    torch.manual_seed(7)
    return torch.nn.Sequential(
        # Before a batch norm a bias has no gradient but rounding, which AdamW makes a step of.
        torch.nn.Linear(1, 16, bias=False),
        torch.nn.BatchNorm1d(16),
        torch.nn.Tanh(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(16, 1),
    )


def train(folder: Path | None, job: str = "job", **changed: Any) -> tuple[Fit, Any, list[str]]:
    """Fit the square of a number; the outcome, the network, and what checkpoints said."""
    import torch

    rows = torch.linspace(-1.0, 1.0, 40)[:, None]
    of = network()
    kept = Checkpoints(folder, job) if folder else None
    settings = SETTINGS.model_copy(update=changed)
    found = fit(of, rows[::2], rows[1::2], settings, task=SQUARES, checkpoints=kept)
    return found, of, kept.notes if kept else []


def equal(left: Any, right: Any) -> bool:
    import torch

    ours, theirs = left.state_dict(), right.state_dict()
    return all(torch.allclose(ours[k], theirs[k], atol=1e-6) for k in ours)


class KilledError(BaseException):
    """Stands in for the end of the process."""


def killed_at(point: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Train until ``point``, where the process ends."""

    def die(code: int) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setenv("UPKEEP_CRASH_AT", point)
        patch.setattr(os, "_exit", die)
        with pytest.raises(KilledError):
            train(folder, **changed)


@pytest.mark.parametrize(
    "point",
    [
        *(f"fit.step.{step}" for step in (1, 3, 4, 7, 12)),
        *("checkpoint.after_weights", "checkpoint.after_optimizer", "checkpoint.before_rename"),
        "checkpoint.before_prune",
    ],
)
def test_a_training_killed_anywhere_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Weights, loss curve and counts, wherever the process ended: in a step or in a checkpoint."""
    straight, expected, _ = train(None)
    killed_at(point, tmp_path, monkeypatch)
    resumed, made, _ = train(tmp_path)
    assert equal(made, expected)
    assert resumed.kept_step == straight.kept_step
    assert (resumed.steps, resumed.tokens) == (straight.steps, straight.tokens)
    for ours, theirs in zip(resumed.curve, straight.curve, strict=True):
        assert (ours.step, ours.held_out) == (theirs.step, pytest.approx(theirs.held_out))
        assert ours.train == pytest.approx(theirs.train)


def test_the_best_weights_are_remembered_over_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were best after 8 steps; the training goes on from the ninth and ends with them."""
    rough: dict[str, Any] = {"lr": 0.5, "check_every": 2, "patience": 100}
    straight, expected, _ = train(None, **rough)
    assert straight.kept_step == 8
    killed_at("fit.step.11", tmp_path, monkeypatch, **rough)
    resumed, made, _ = train(tmp_path, **rough)
    assert resumed.kept_step == straight.kept_step
    assert equal(made, expected)


def test_a_training_killed_again_and_again_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try goes on where the one before it was."""
    _, expected, _ = train(None)
    for step in (4, 5, 8, 11):
        killed_at(f"fit.step.{step}", tmp_path, monkeypatch)
    _, made, notes = train(tmp_path)
    assert notes == ["resumed after step 9"]
    assert equal(made, expected)


ENDLESS: dict[str, Any] = {
    "steps": 1_000_000,
    "lr": 0.001,
    "patience": 1000,
    "checkpoint_steps": 1,
}


def test_a_real_kill_leaves_what_is_resumed(tmp_path: Path) -> None:
    """SIGKILL of a process that writes checkpoints without end, at no chosen moment."""
    code = "import sys, pathlib, tests.test_checkpoints as t; "
    code += "t.train(pathlib.Path(sys.argv[1]), **t.ENDLESS)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    deadline = time.monotonic() + 120
    while newest(tmp_path) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    step = newest(tmp_path) + 2
    assert equal(after(step, tmp_path), after(step, None))


def newest(folder: Path) -> int:
    return max((int(p.name.partition("-")[2]) for p in folder.glob("step-*")), default=0)


def after(step: int, folder: Path | None) -> Any:
    """Train without end, and look at the network after so many steps."""
    import torch

    class EnoughError(Exception):
        pass

    def stop(number: int, loss: float) -> None:
        if number == step:
            raise EnoughError

    rows = torch.linspace(-1.0, 1.0, 40)[:, None]
    of = network()
    kept = Checkpoints(folder, "job") if folder else None
    settings = SETTINGS.model_copy(update=ENDLESS)
    with pytest.raises(EnoughError):
        fit(of, rows[::2], rows[1::2], settings, stop, task=SQUARES, checkpoints=kept)
    assert kept is None or kept.notes == [f"resumed after step {step - 2}"]
    return of


def test_old_checkpoints_go(tmp_path: Path) -> None:
    """The last two stay, and nothing half-written."""
    train(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000006", "step-00000009"]
    assert KEPT == 2


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_broken_checkpoint_is_skipped_for_the_one_before_it(
    tmp_path: Path, name: str, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit, half of a file or all of it: a note says so, and the result is the same."""
    _, expected, _ = train(None)
    killed_at("fit.step.11", tmp_path, monkeypatch)
    file = tmp_path / "step-00000009" / name
    data = file.read_bytes()
    middle = len(data) // 2 if name == "state.json" else len(data) - 2  # in the numbers
    if harm == "flip":
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif harm == "cut":
        file.write_bytes(data[:middle])
    else:
        file.unlink()
    _, made, notes = train(tmp_path)
    assert notes[0].startswith("checkpoint step-00000009 skipped: ")
    assert notes[1] == "resumed after step 6"
    assert equal(made, expected)


def test_all_of_them_broken_is_a_new_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are named."""
    _, expected, _ = train(None)
    killed_at("fit.step.11", tmp_path, monkeypatch)
    for file in tmp_path.glob("*/state.json"):
        file.write_text("[]")
    _, made, notes = train(tmp_path)
    assert len(notes) == 2
    assert equal(made, expected)


def test_another_jobs_checkpoint_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other texts or settings would come to another model."""
    killed_at("fit.step.11", tmp_path, monkeypatch)
    _, _, notes = train(tmp_path, job="another")
    assert all("of another job, or of other settings" in note for note in notes)


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there stays; a note says what is missing."""
    real = checkpoints._write_whole

    def write(path: Path, data: bytes) -> None:
        if "tmp-6" in str(path):
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(checkpoints, "_write_whole", write)
    found, _, notes = train(tmp_path)
    assert found.steps == 12
    assert notes == ["no checkpoint at step 6: No space left on device"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000009"]


def test_minutes_are_counted_over_all_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that moves a second a look: what was used up before the kill is used up."""
    ticks = iter(range(10**9))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    killed_at("fit.step.8", tmp_path, monkeypatch, steps=10_000, minutes=1.0)
    resumed, _, _ = train(tmp_path, steps=10_000, minutes=1.0)
    assert resumed.seconds >= 60.0
    assert resumed.steps < 40


def test_a_checkpoint_holds_no_pickle_and_says_what_it_is(tmp_path: Path) -> None:
    """Safetensors and JSON, each with its hash."""
    train(tmp_path)
    newest = tmp_path / "step-00000009"
    content = json.loads((newest / "state.json").read_bytes())["content"]
    names = {"best", "optimizer", "random", "weights"}
    assert set(content["files"]) == {f"{name}.safetensors" for name in names}
    assert {p.name for p in newest.iterdir()} == {*content["files"], "state.json"}
    assert content["step"] == 9
