"""Next-token training with AdamW: the loop, its loss curve, and the weights that it keeps.

The loss is the mean negative log-likelihood in nats a token. Learning rate: linear warm-up,
then a cosine down to a twentieth (Loshchilov & Hutter 2017, arXiv:1608.03983); optimiser: AdamW
(Loshchilov & Hutter 2019, arXiv:1711.05101); gradients are clipped by their global norm (Pascanu
et al. 2013, arXiv:1211.5063). Some blocks are held out: the weights that were best on those are
kept, and training stops early when they get worse (Prechelt 1998, "Early stopping - but when?").

The same blocks, seed, threads and machine give the same weights, unless ``minutes`` cut it short.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from upkeep.errors import JobFailed
from upkeep.job_params import JobParams

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
OnStep = Callable[[int, float], None]

FINAL_RATE = 0.05


class FitParams(JobParams):
    """How long and how fast to train. ``minutes`` is a ceiling: the rate reaches its end by then.

    ``threads`` None means every CPU that this process may use.
    """

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 300
    minutes: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = None
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = 1.5e-3
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    batch_blocks: Annotated[int, Field(ge=1, le=4096)] = 2
    warmup_share: Share = 0.05
    weight_decay: Share = 0.05
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    check_every: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None


@dataclass(frozen=True)
class Check:
    """The losses after ``step`` steps, in nats a token; ``train`` is None before the first."""

    step: int
    train: float | None
    held_out: float


@dataclass(frozen=True)
class Fit:
    """What training did: its loss curve, and the step whose weights were kept."""

    curve: tuple[Check, ...]
    kept_step: int
    steps: int
    tokens: int
    seconds: float

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


def fit(
    model: Any, blocks: Any, held_out: Any, settings: FitParams, on_step: OnStep | None = None
) -> Fit:
    """Train ``model`` in place on ``blocks``; it ends with the weights that were best held out.

    ``blocks`` and ``held_out`` are tensors of token ids [blocks, block_tokens]. ``on_step`` gets
    the number of steps done and the last loss in nats a token.

    Raises:
        JobFailed: the loss is not finite any more.

    """
    import torch

    torch.manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, betas=(0.9, 0.95), weight_decay=settings.weight_decay
    )
    course = _Course(model, held_out, settings)
    losses: list[float] = []
    for step, batch in enumerate(_batches(blocks, settings), start=1):
        rate = settings.lr * rate_share(course.progress(step - 1), settings.warmup_share)
        losses.append(_step(model, optimizer, batch, rate, settings.clip_norm))
        if on_step is not None:
            on_step(step, losses[-1])
        over = course.progress(step) >= 1.0
        if over or step % settings.check_every == 0:
            course.check(step, sum(losses) / len(losses))
            losses.clear()
            if over or course.worse >= settings.patience:
                break
    return course.finish(step, step * batch.numel())


def rate_share(progress: float, warmup: float) -> float:
    """Share of the full learning rate at ``progress`` (0 = start, 1 = end) of the training."""
    if progress < warmup:
        return (progress + 0.01) / (warmup + 0.01)
    done = min(1.0, (progress - warmup) / (1.0 - warmup))
    return FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * done))


def use_threads(threads: int | None) -> None:
    """Let PyTorch use so many threads in this process; None: every CPU that it may run on."""
    import torch

    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))


class _Course:
    """The clock, the loss curve and the best weights of one training."""

    def __init__(self, model: Any, held_out: Any, settings: FitParams) -> None:
        self._model, self._held_out, self._settings = model, held_out, settings
        self._started = time.monotonic()
        self._best: dict[str, Any] = {}
        self.curve: list[Check] = []
        self.kept_step = 0
        self.worse = 0
        self.check(0, None)

    def progress(self, steps: int) -> float:
        """Share of the training that is done, by steps or by the clock, whichever is further."""
        done = steps / self._settings.steps
        if self._settings.minutes is None:
            return done
        return max(done, (time.monotonic() - self._started) / (60.0 * self._settings.minutes))

    def check(self, step: int, train: float | None) -> None:
        """Measure the held-out blocks; keep these weights if they are the best so far."""
        found = _held_out_loss(self._model, self._held_out, self._settings.batch_blocks)
        best = min((c.held_out for c in self.curve), default=math.inf)
        self.curve.append(Check(step, train, found))
        if found < best:
            self.kept_step, self.worse = step, 0
            self._best = {k: v.detach().clone() for k, v in self._model.state_dict().items()}
        else:
            self.worse += 1

    def finish(self, steps: int, tokens: int) -> Fit:
        """Put the best weights back."""
        self._model.load_state_dict(self._best)
        self._model.eval()
        seconds = time.monotonic() - self._started
        return Fit(tuple(self.curve), self.kept_step, steps, tokens, seconds)


def _batches(blocks: Any, settings: FitParams) -> Iterator[Any]:
    """Batches without end: every pass in another order, drawn from the seed."""
    rng = random.Random(settings.seed)
    size = min(settings.batch_blocks, len(blocks))
    while True:
        order = rng.sample(range(len(blocks)), len(blocks))
        for start in range(0, len(blocks) - size + 1, size):
            yield blocks[order[start : start + size]]


def _step(model: Any, optimizer: Any, batch: Any, rate: float, clip_norm: float) -> float:
    import torch

    model.train()
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = model(input_ids=batch, labels=batch, use_cache=False).loss
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    found = float(loss.detach())
    if not (math.isfinite(found) and math.isfinite(float(norm))):
        raise JobFailed(f"training diverged: loss {found}, gradient {float(norm)}; lower lr")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return found


def _held_out_loss(model: Any, blocks: Any, size: int) -> float:
    """Mean loss in nats a token over all held-out blocks."""
    import torch

    model.eval()
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(blocks), size):
            part = blocks[start : start + size]
            total += float(model(input_ids=part, labels=part, use_cache=False).loss) * len(part)
    if not math.isfinite(total):
        raise JobFailed(f"training diverged: held-out loss {total}; lower lr")
    return total / len(blocks)
