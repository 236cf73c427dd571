"""LoRA: few weights learn, and what comes out is a plain model of the champion's shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tiny_model import tiny_llama
from tests.test_training import EVALUATION, QUICK, nats_per_token, texts
from upkeep.checkpoints import Checkpoints
from upkeep.errors import ParamError
from upkeep.fitting import fit
from upkeep.lora import LoraParams, add_lora, linear_layers, merge_lora
from upkeep.model_files import check_model_folder, check_same_signature
from upkeep.pretrained import load_model
from upkeep.training import retrain
from upkeep.training_run import LoraTrainParams

LORA: dict[str, Any] = QUICK | {"lora_rank": 4, "lora_alpha": 8.0, "lr": 1e-2}


def test_a_model_trained_so_is_plain_and_better(tmp_path: Path) -> None:
    """The same tensors, no adapter's file; new texts are likelier."""
    out = tmp_path / "out"
    found, notes = retrain(tiny_llama(), texts(), EVALUATION, LORA, out, method="lora")
    check_model_folder(out, "safetensors")
    check_same_signature(tiny_llama(), out)
    assert not list(out.glob("adapter*"))
    unseen = texts(10, seed=1)
    assert nats_per_token(out, unseen) < nats_per_token(tiny_llama(), unseen) - 0.5
    assert found["loss_held_out_after"] < found["loss_held_out_before"]
    assert notes[0].startswith("LoRA of rank 4, alpha 8: ")


def test_only_the_added_matrices_learn_and_are_checkpointed(tmp_path: Path) -> None:
    """The champion's own weights are the same before the merge; a checkpoint is small."""
    import torch

    model, _ = load_model(tiny_llama())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    settings = LoraTrainParams(
        **(LORA | {"steps": 4, "check_every": 2, "checkpoint_steps": 2, "lora_targets": ["q_proj"]})
    )
    added = add_lora(model, settings)
    blocks = torch.arange(1, 33).repeat(10, 1)
    kept = Checkpoints(tmp_path, "job")
    fit(added, blocks[:8], blocks[8:], settings, checkpoints=kept)
    found = kept.latest()
    assert found is not None
    assert all("lora_" in name and "q_proj" in name for name in found.tensors["weights"])
    plain = merge_lora(added)
    changed = {n for n, p in plain.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {f"model.layers.{n}.self_attn.q_proj.weight" for n in range(2)}


def test_before_training_the_model_is_the_same() -> None:
    """B starts at zero."""
    import torch

    model, _ = load_model(tiny_llama())
    ids = torch.arange(16)[None]
    expected = model(input_ids=ids).logits
    assert torch.equal(add_lora(model, LoraParams())(input_ids=ids).logits, expected)


def test_a_layer_that_is_not_there_is_refused_with_those_that_are() -> None:
    """Before anything is trained."""
    model, _ = load_model(tiny_llama())
    with pytest.raises(ParamError, match=r"lora_targets.*no_such.*'gate_proj'.*'q_proj'"):
        add_lora(model, LoraParams(lora_targets=["no_such"]))
    assert len(linear_layers(model)) == 15


@pytest.mark.parametrize(
    ("name", "value"),
    [("lora_rank", 0), ("lora_alpha", 0.0), ("lora_targets", [""]), ("lora_dropout", 1.0)],
)
def test_settings_that_are_not_allowed_are_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    """By name, before the model is read."""
    with pytest.raises(ParamError, match=rf"params\.{name}"):
        retrain(tmp_path, texts(), EVALUATION, {name: value}, tmp_path / "out", method="lora")


def test_a_full_training_has_no_such_settings(tmp_path: Path) -> None:
    """They would do nothing."""
    with pytest.raises(ParamError, match=r"params\.lora_rank.*is no parameter"):
        retrain(tmp_path, texts(), EVALUATION, {"lora_rank": 4}, tmp_path / "out")
