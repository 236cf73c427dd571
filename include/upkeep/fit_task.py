"""What a training minimises, and one step of it.

A task has one player, or several that take turns on parts of one model, as a generator and a
discriminator do (Goodfellow et al. 2014, arXiv:1406.2661). A loss is a function of the model and
a batch that gives the batch's mean as a scalar tensor; it calls the model, not its parts, so that
data parallel training sees every pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from upkeep.distributed import Group
from upkeep.errors import JobFailed, ParamError

Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Player:
    """A loss, and the weights that it moves: those that ``part`` gives of the model, or all."""

    loss: Loss
    part: Callable[[Any], Iterable[Any]] | None = None
    betas: tuple[float, float] = (0.9, 0.95)


@dataclass(frozen=True)
class Task:
    """The players, in the order of their turns, and how held-out examples are judged.

    ``after`` is called with the model after each step: averages of weights are kept there.
    """

    players: tuple[Player, ...]
    judge: Loss
    after: Callable[[Any], None] | None = None


def next_token_loss(model: Any, blocks: Any) -> Any:
    """Mean negative log-likelihood in nats a token of blocks of token ids."""
    return model(input_ids=blocks, labels=blocks, use_cache=False).loss


NEXT_TOKEN = Task((Player(next_token_loss),), next_token_loss)


class Step:
    """One model, its players' optimisers, and how a step is taken."""

    def __init__(
        self,
        model: Any,
        task: Task,
        precision: Literal["auto", "fp32", "bf16"],
        lr: float,
        weight_decay: float,
        clip_norm: float,
        group: Group,
    ) -> None:
        """Make the optimisers. ``model`` is on its device already."""
        import torch

        if group.size > 1 and len(task.players) > 1:
            rule = "several processes train one player only"
            raise ParamError("processes", group.size, rule, "train with one process")
        self.model, self.task, self.group, self.clip_norm = model, task, group, clip_norm
        self.device = next(model.parameters()).device
        self.bf16 = precision == "bf16" or (precision == "auto" and _has_bf16(self.device))
        self.wrapped = group.wrap(model)
        self.optimizers = [
            torch.optim.AdamW(
                [p for p in (player.part or _all)(model) if p.requires_grad],
                lr=lr,
                betas=player.betas,
                weight_decay=weight_decay,
            )
            for player in task.players
        ]

    def take(self, batches: Sequence[Any], rate: float) -> float:
        """Every player's turn on the batches; the sum of their losses.

        Raises:
            JobFailed: a loss or a gradient is not finite any more.

        """
        self.model.train()
        turns = zip(self.task.players, self.optimizers, strict=True)
        found = sum(self._turn(player, optimizer, batches, rate) for player, optimizer in turns)
        if self.task.after is not None:
            self.task.after(self.model)
        return found

    def _turn(self, player: Player, optimizer: Any, batches: Sequence[Any], rate: float) -> float:
        import torch

        found = 0.0
        for place, batch in enumerate(batches, start=1):
            with self.group.quiet(self.wrapped) if place < len(batches) else nullcontext():
                with self._precision():
                    loss = player.loss(self.wrapped, batch.to(self.device))
                (loss / len(batches)).backward()
            found += float(loss.detach()) / len(batches)
        weights = [w for group in optimizer.param_groups for w in group["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(weights, self.clip_norm))
        found = self.group.total(found) / self.group.size
        if not (math.isfinite(found) and math.isfinite(norm)):
            raise JobFailed(f"training diverged: loss {found}, gradient {norm}; lower lr")
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        self.model.zero_grad(set_to_none=True)
        return found

    def judged(self, held_out: Any, size: int) -> float:
        """Mean loss over all held-out examples.

        Raises:
            JobFailed: it is not finite any more.

        """
        import torch

        self.model.eval()
        total = 0.0
        starts = range(0, len(held_out), size)[self.group.rank :: self.group.size]
        with torch.inference_mode(), self._precision():
            for start in starts:
                part = held_out[start : start + size].to(self.device)
                total += float(self.task.judge(self.model, part)) * len(part)
        total = self.group.total(total)
        if not math.isfinite(total):
            raise JobFailed(f"training diverged: held-out loss {total}; lower lr")
        return total / len(held_out)

    def learnt(self) -> dict[str, Any]:
        """What training changes: weights that ask for gradients, and buffers that are kept."""
        kept = self.model.state_dict().keys()
        weights = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        return {**weights, **{n: b for n, b in self.model.named_buffers() if n in kept}}

    def put(self, weights: dict[str, Any]) -> None:
        """Put values of :meth:`learnt` back."""
        import torch

        with torch.no_grad():
            for name, tensor in self.learnt().items():
                tensor.copy_(weights[name])

    def _precision(self) -> AbstractContextManager[Any]:
        import torch

        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)  # type: ignore[no-any-return]


@contextmanager
def memory_told(batch_blocks: int) -> Iterator[None]:
    """Memory that runs out ends the job in words."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "allocate memory" not in str(error):
            raise  # PyTorch has no class of its own for the CPU's memory
        short = " ".join(str(error).split())[:200]
        raise JobFailed(
            f"out of memory with batch_blocks {batch_blocks}: {short}; "
            "lower batch_blocks and raise accumulate"
        ) from error


def _all(model: Any) -> Iterable[Any]:
    return model.parameters()  # type: ignore[no-any-return]


def _has_bf16(device: Any) -> bool:
    import torch

    return device.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))
