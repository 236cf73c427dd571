"""Everything that a training needs to go on where it stopped, as named tensors and JSON.

Weights, best weights, the optimisers' moments, and the random generators' states of every
process. The order of the examples is no state: it follows from the seed and the step.
"""

from __future__ import annotations

from typing import Any

from upkeep.checkpoints import Snapshot
from upkeep.fit_course import Course


def pack(course: Course) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The course as tensors by group and name, and as JSON; every process must take part."""
    step = course.step
    moments = {
        f"{player}.{weight}.{name}": tensor
        for player, optimizer in enumerate(step.optimizers)
        for weight, values in optimizer.state_dict()["state"].items()
        for name, tensor in values.items()
    }
    random = {
        f"{name}.{rank}": state
        for name, mine in _random_states(step.device).items()
        for rank, state in enumerate(step.group.gathered(mine))
    }
    tensors = {
        "weights": step.learnt(),
        "best": course.best,
        "optimizer": moments,
        "random": random,
    }
    return tensors, course.state()


def unpack(course: Course, found: Snapshot) -> None:
    """Put what :func:`pack` gave back, in this process."""
    import torch

    step = course.step
    step.put(found.tensors["weights"])
    course.best = {k: v.to(step.device) for k, v in found.tensors["best"].items()}
    for player, optimizer in enumerate(step.optimizers):
        states: dict[int, dict[str, Any]] = {}
        for key, tensor in found.tensors["optimizer"].items():
            of, weight, name = key.split(".", 2)
            if int(of) == player:
                states.setdefault(int(weight), {})[name] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
    rank = step.group.rank
    torch.set_rng_state(found.tensors["random"][f"cpu.{rank}"])
    if step.device.type == "cuda":
        torch.cuda.set_rng_state(found.tensors["random"][f"cuda.{rank}"])
    course.resume(found.state)


def _random_states(device: Any) -> dict[str, Any]:
    import torch

    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if device.type == "cuda" else {})
