"""Data parallel training: the same loop in several processes, one a device.

Every process has the whole model and takes its share of each step's batches; the gradients are
averaged (DistributedDataParallel: Li et al. 2020, arXiv:2006.15704), so that N processes do what
one does with N times the accumulation, up to the order of float sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol


class Group(Protocol):
    """The processes of one training; ``rank`` 0 leads."""

    @property
    def rank(self) -> int:
        """The number of this process."""

    @property
    def size(self) -> int:
        """How many there are."""

    def wrap(self, model: Any) -> Any:
        """The model whose backward pass averages gradients over the processes."""

    def quiet(self, wrapped: Any) -> AbstractContextManager[Any]:
        """While it is open, backward passes only add to this process's gradients."""

    def total(self, value: float) -> float:
        """The sum of every process's value."""

    def led(self, values: Sequence[float]) -> list[float]:
        """What rank 0 says."""

    def gathered(self, tensor: Any) -> list[Any]:
        """Every process's tensor of the same shape, by rank."""


class Alone:
    """One process."""

    rank, size = 0, 1

    def wrap(self, model: Any) -> Any:
        """The model itself."""
        return model

    def quiet(self, wrapped: Any) -> AbstractContextManager[Any]:  # noqa: ARG002  (nothing to hush)
        """Nothing to hush."""
        return nullcontext()

    def total(self, value: float) -> float:
        """The value itself."""
        return value

    def led(self, values: Sequence[float]) -> list[float]:
        """The values themselves."""
        return list(values)

    def gathered(self, tensor: Any) -> list[Any]:
        """The one tensor."""
        return [tensor]


@dataclass(frozen=True)
class Ranks:
    """The processes of ``torch.distributed``'s default group; see :func:`joined`."""

    rank: int
    size: int
    device: Any

    def wrap(self, model: Any) -> Any:
        """As :meth:`Group.wrap`."""
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def quiet(self, wrapped: Any) -> AbstractContextManager[Any]:
        """As :meth:`Group.quiet`."""
        return wrapped.no_sync()  # type: ignore[no-any-return]

    def total(self, value: float) -> float:
        """As :meth:`Group.total`."""
        from torch import distributed

        tensor = self._tensor([value])
        distributed.all_reduce(tensor)
        return float(tensor[0])

    def led(self, values: Sequence[float]) -> list[float]:
        """As :meth:`Group.led`."""
        from torch import distributed

        tensor = self._tensor(values)
        distributed.broadcast(tensor, src=0)
        return [float(value) for value in tensor]

    def gathered(self, tensor: Any) -> list[Any]:
        """As :meth:`Group.gathered`."""
        import torch

        mine = tensor.to(self.device)
        found = [torch.empty_like(mine) for _ in range(self.size)]
        torch.distributed.all_gather(found, mine)
        return [one.to(tensor.device) for one in found]

    def _tensor(self, values: Sequence[float]) -> Any:
        import torch

        return torch.tensor(list(values), dtype=torch.float64, device=self.device)


@contextmanager
def joined(rank: int, size: int, meeting: str) -> Iterator[Group]:
    """Take part in a group that meets in the new file ``meeting``; NCCL on GPUs, else gloo."""
    import torch
    from torch import distributed

    gpus = torch.cuda.is_available() and torch.cuda.device_count() >= size
    if gpus:
        torch.cuda.set_device(rank)
    else:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "nccl" if gpus else "gloo", init_method=f"file://{meeting}", rank=rank, world_size=size
    )
    try:
        yield Ranks(rank, size, torch.device("cuda" if gpus else "cpu"))
    finally:
        distributed.destroy_process_group()
