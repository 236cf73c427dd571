"""Training few weights: low-rank matrices beside the linear layers, merged into them at the end.

A layer's W becomes W + (alpha / rank) B A with A of rank x in and B of out x rank; only A and B
learn, B starts at zero (Hu et al. 2021, "LoRA", arXiv:2106.09685; by the library peft). What is
saved is a plain model of the champion's shape.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from upkeep.errors import ParamError
from upkeep.job_params import JobParams

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class LoraParams(JobParams):
    """``lora_targets`` are ends of the names of layers; none means every linear layer inside."""

    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    lora_rank: Annotated[int, Field(ge=1, le=4096)] = 8
    lora_alpha: Annotated[float, Field(gt=0.0, le=10_000.0)] = 16.0
    lora_dropout: Share = 0.0
    lora_targets: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=100)] = (
        Field(default_factory=list)
    )


def add_lora(model: Any, settings: LoraParams) -> Any:
    """``model`` with matrices beside its layers, the only weights that ask for gradients.

    Raises:
        ParamError: no layer has such a name, or one of them cannot have such matrices.

    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.lora_targets or "all-linear",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        names = sorted({name.rpartition(".")[2] for name, _ in linear_layers(model)})
        rule = f"cannot be trained so; linear layers are {names}: {' '.join(str(error).split())}"
        raise ParamError("params.lora_targets", settings.lora_targets, rule, "name some") from error


def merge_lora(model: Any) -> Any:
    """The plain model, the matrices added to its layers' weights."""
    return model.merge_and_unload()


def trained_words(model: Any, settings: LoraParams) -> str:
    """How many weights learn, in a sentence."""
    learn = sum(p.numel() for p in model.parameters() if p.requires_grad)
    every = sum(p.numel() for p in model.parameters())
    return (
        f"LoRA of rank {settings.lora_rank}, alpha {settings.lora_alpha:g}: {learn} of {every} "
        "weights learnt, merged at the end"
    )


def linear_layers(model: Any) -> list[tuple[str, Any]]:
    """The model's linear layers by name."""
    from torch.nn import Linear

    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, Linear)]
