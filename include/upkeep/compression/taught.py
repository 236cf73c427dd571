"""What a student minimises: partly the texts' own loss, partly its distance from its teacher."""

from __future__ import annotations

from typing import Any

from upkeep.fit_task import Loss, Player, Task, next_token_loss


def taught_by(teacher: Any, temperature: float, hard_share: float) -> Task:
    """The task of a student; held-out texts are judged by their plain loss, as any model's are.

    ``hard_share`` is the share of the texts' own cross entropy, ``temperature`` that of
    :func:`soft_loss`. ``teacher`` is moved to where the student is trained.
    """
    return Task((Player(_mixed(teacher.eval(), temperature, hard_share)),), next_token_loss)


def soft_loss(student: Any, teacher: Any, temperature: float) -> Any:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), in nats, the mean over tokens.

    Both are logits [.., vocabulary]. T^2 keeps the size of the gradient the same at every
    temperature (Hinton et al. 2015, arXiv:1503.02531).
    """
    from torch.nn import functional

    width = student.shape[-1]
    ours = functional.log_softmax(student.reshape(-1, width).float() / temperature, dim=-1)
    theirs = functional.log_softmax(teacher.reshape(-1, width).float() / temperature, dim=-1)
    loss = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return temperature**2 * loss


def _mixed(teacher: Any, temperature: float, hard_share: float) -> Loss:
    def loss(student: Any, blocks: Any) -> Any:
        import torch

        found = student(input_ids=blocks, labels=blocks, use_cache=False)
        with torch.no_grad():
            wanted = teacher.to(blocks.device)(input_ids=blocks, use_cache=False).logits
        soft = soft_loss(found.logits, wanted, temperature)
        return hard_share * found.loss + (1.0 - hard_share) * soft

    return loss
