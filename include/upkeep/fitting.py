"""Training with AdamW: the loop, its loss curve, and the weights that it keeps.

What is minimised is a :class:`~upkeep.fit_task.Task`; next-token loss in nats a token unless one
is given. Learning rate: linear warm-up, then a cosine down to a twentieth (Loshchilov & Hutter
2017, arXiv:1608.03983); optimiser: AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101); gradients
are clipped by their global norm (Pascanu et al. 2013, arXiv:1211.5063). Some examples are held
out: the weights that were best on those are kept, and training stops early when they get worse
(Prechelt 1998, "Early stopping - but when?").

The same examples, seed, threads, processes and machine give the same weights, also where a
checkpoint was resumed on the way, unless ``minutes`` cut it short.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from upkeep import faults
from upkeep.checkpoints import Checkpoints
from upkeep.distributed import Alone, Group
from upkeep.errors import ParamError
from upkeep.fit_course import Check, Course, Fit
from upkeep.fit_state import pack, unpack
from upkeep.fit_task import NEXT_TOKEN, Player, Step, Task, memory_told
from upkeep.job_params import JobParams

__all__ = ["Check", "Fit", "FitParams", "OnStep", "Player", "Task", "fit", "rate_share"]

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
OnStep = Callable[[int, float], None]

FINAL_RATE = 0.05


class FitParams(JobParams):
    """How long and how fast to train. ``minutes`` is a ceiling: the rate reaches its end by then.

    A step learns from ``accumulate`` batches of ``batch_blocks`` a process. ``threads`` None
    means every CPU that this process may use. ``device`` ``auto`` takes the GPU where there is
    one, ``precision`` ``auto`` bfloat16 where that GPU has it (mixed precision: Micikevicius et
    al. 2018, arXiv:1710.03740; bfloat16 needs no loss scaling: Kalamkar et al. 2019,
    arXiv:1905.12322) and float32 elsewhere. A checkpoint is written every ``checkpoint_minutes``,
    or every ``checkpoint_steps`` where that is set.
    """

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 300
    minutes: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = None
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = 1.5e-3
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    batch_blocks: Annotated[int, Field(ge=1, le=4096)] = 2
    accumulate: Annotated[int, Field(ge=1, le=4096)] = 1
    warmup_share: Share = 0.05
    weight_decay: Share = 0.05
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    check_every: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_minutes: Annotated[float, Field(gt=0.0, le=10_000.0)] = 10.0
    checkpoint_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


def fit(
    model: Any,
    examples: Any,
    held_out: Any,
    settings: FitParams,
    on_step: OnStep | None = None,
    *,
    task: Task = NEXT_TOKEN,
    checkpoints: Checkpoints | None = None,
    group: Group | None = None,
) -> Fit:
    """Train ``model`` in place on ``examples``; it ends with the weights that were best held out.

    ``examples`` and ``held_out`` are tensors, one example a row: of token ids [blocks,
    block_tokens] for next tokens. Only weights that ask for gradients change. ``on_step`` gets
    the number of steps done and the last loss. Afterwards the model is on the CPU.

    Raises:
        JobFailed: the loss is not finite any more, or memory is short.
        ParamError: the device is not there, or several processes have several players.

    """
    import torch

    group = group or Alone()
    torch.manual_seed(settings.seed + group.rank)
    device = device_of(settings.device)
    step = Step(model.to(device), task, settings.precision, settings.lr, settings.weight_decay,
                settings.clip_norm, group)  # fmt: skip
    course = Course(step, held_out, settings.batch_blocks)
    with memory_told(settings.batch_blocks):
        done = _resumed(course, checkpoints) if checkpoints else 0
        if not done:
            course.check(0)
        for number, mine in enumerate(_steps(examples, settings, group, done), start=done + 1):
            progress = _progress(course, settings, number - 1, group)
            loss = course.learn(mine, settings.lr * rate_share(progress, settings.warmup_share))
            faults.point(f"fit.step.{number}")
            if on_step is not None:
                on_step(number, loss)
            over = _progress(course, settings, number, group) >= 1.0
            if over or number % settings.check_every == 0:
                course.check(number)
                if over or course.worse >= settings.patience:
                    break
            if checkpoints and course.due(number, settings, group):
                _save(course, checkpoints, number)
    rows = min(settings.batch_blocks, len(examples)) * settings.accumulate * group.size
    return course.finish(number, number * rows * examples[0].numel())


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


def device_of(asked: Literal["auto", "cpu", "cuda"]) -> Any:
    """The device to train on; ParamError where a GPU is asked for and there is none."""
    import torch

    if asked == "cuda" and not torch.cuda.is_available():
        raise ParamError("params.device", asked, "is not available here", "ask for auto or cpu")
    return torch.device("cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu")


def _progress(course: Course, settings: FitParams, steps: int, group: Group) -> float:
    """Share of the training that is done, by steps or by the clock, whichever is further."""
    done = steps / settings.steps
    if settings.minutes is None:
        return done
    return max(done, group.led([course.seconds() / (60.0 * settings.minutes)])[0])


def _steps(examples: Any, settings: FitParams, group: Group, done: int) -> Iterator[list[Any]]:
    """The batches of this process, of each step after the first ``done``."""
    every = _batches(examples, settings)
    batches = settings.accumulate * group.size
    every = itertools.islice(every, done * batches, None)
    while True:
        step = list(itertools.islice(every, batches))
        yield [examples[rows] for rows in step[group.rank :: group.size]]


def _batches(examples: Any, settings: FitParams) -> Iterator[list[int]]:
    """Batches of rows without end: every pass in another order, drawn from the seed."""
    rng = random.Random(settings.seed)
    size = min(settings.batch_blocks, len(examples))
    while True:
        order = rng.sample(range(len(examples)), len(examples))
        for start in range(0, len(examples) - size + 1, size):
            yield order[start : start + size]


def _save(course: Course, checkpoints: Checkpoints, number: int) -> None:
    tensors, state = pack(course)
    if course.step.group.rank == 0:
        checkpoints.save(number, tensors, state)
    course.saved = time.monotonic()


def _resumed(course: Course, checkpoints: Checkpoints) -> int:
    """Put the newest checkpoint back; the number of steps that it has done."""
    found = checkpoints.latest()
    if found is None:
        return 0
    unpack(course, found)
    return found.step
