"""The course of one training: its clock, its loss curve, and the weights that were best."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from upkeep.distributed import Group
from upkeep.fit_task import Step


@dataclass(frozen=True)
class Check:
    """The losses after ``step`` steps; ``train`` is None before the first."""

    step: int
    train: float | None
    held_out: float


@dataclass(frozen=True)
class Fit:
    """What training did: its loss curve, and the step whose weights were kept.

    ``seconds`` and ``steps`` are of all tries together; ``precision`` is the one really used.
    """

    curve: tuple[Check, ...]
    kept_step: int
    steps: int
    tokens: int
    seconds: float
    device: str = "cpu"
    precision: str = "fp32"
    processes: int = 1

    @property
    def kept(self) -> Check:
        """The look at the weights that were kept."""
        return next(check for check in self.curve if check.step == self.kept_step)

    def measurements(self) -> dict[str, float]:
        """The run as flat numbers: what a candidate's record holds."""
        curve = {f"loss_train[{c.step}]": c.train for c in self.curve if c.train is not None}
        held = {f"loss_held_out[{c.step}]": c.held_out for c in self.curve}
        return {
            **curve,
            **held,
            "loss_held_out_before": self.curve[0].held_out,
            "loss_held_out_after": self.kept.held_out,
            "kept_step": float(self.kept_step),
            "steps": float(self.steps),
            "tokens": float(self.tokens),
            "train_s": self.seconds,
        }

    def words(self) -> str:
        """On what it ran, and what was kept, in a sentence."""
        many = f", {self.processes} processes" if self.processes > 1 else ""
        return (
            f"{self.steps} steps on {self.device} in {self.precision}{many}; held-out loss "
            f"{self.curve[0].held_out:.3f} -> {self.kept.held_out:.3f}, kept step {self.kept_step}"
        )


class Cadence(Protocol):
    """When checkpoints are due; see ``fitting.FitParams``."""

    @property
    def checkpoint_minutes(self) -> float:
        """Minutes between them."""

    @property
    def checkpoint_steps(self) -> int | None:
        """Steps between them, instead."""


class Course:
    """What a training has come to so far; all of it is in a checkpoint."""

    def __init__(self, step: Step, held_out: Any, size: int) -> None:
        """Nothing is measured yet. ``size`` examples are judged at a time."""
        self.step, self._held_out, self._size = step, held_out, size
        self.started = self.saved = time.monotonic()
        self.best: dict[str, Any] = {}
        self.curve: list[Check] = []
        self.losses: list[float] = []
        self.kept_step = 0
        self.worse = 0

    def seconds(self) -> float:
        """How long this has taken, earlier tries included."""
        return time.monotonic() - self.started

    def learn(self, batches: Sequence[Any], rate: float) -> float:
        """Take a step; its loss."""
        self.losses.append(self.step.take(batches, rate))
        return self.losses[-1]

    def check(self, number: int) -> None:
        """Judge the held-out examples; keep these weights if they are the best so far."""
        train = sum(self.losses) / len(self.losses) if self.losses else None
        self.losses.clear()
        found = self.step.judged(self._held_out, self._size)
        best = min((c.held_out for c in self.curve), default=math.inf)
        self.curve.append(Check(number, train, found))
        if found < best:
            self.kept_step, self.worse = number, 0
            self.best = {k: v.detach().clone() for k, v in self.step.learnt().items()}
        else:
            self.worse += 1

    def due(self, number: int, cadence: Cadence, group: Group) -> bool:
        """Whether it is time for a checkpoint; all processes agree."""
        if cadence.checkpoint_steps is not None:
            return number % cadence.checkpoint_steps == 0
        passed = time.monotonic() - self.saved >= 60.0 * cadence.checkpoint_minutes
        return group.led([float(passed)])[0] > 0.0

    def state(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON holds it."""
        return {
            "curve": [[c.step, c.train, c.held_out] for c in self.curve],
            "losses": list(self.losses),
            "kept_step": self.kept_step,
            "worse": self.worse,
            "seconds": self.seconds(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.curve = [Check(*row) for row in state["curve"]]
        self.losses = list(state["losses"])
        self.kept_step, self.worse = int(state["kept_step"]), int(state["worse"])
        self.started = time.monotonic() - float(state["seconds"])

    def finish(self, steps: int, tokens: int) -> Fit:
        """Put the best weights back."""
        self.step.put(self.best)
        self.step.model.eval()
        self.step.model.to("cpu")
        return Fit(
            tuple(self.curve),
            self.kept_step,
            steps,
            tokens,
            self.seconds(),
            self.step.device.type,
            "bf16" if self.step.bf16 else "fp32",
            self.step.group.size,
        )
