"""Fusion: fewer operators, the same outputs to five digits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from fakes.tiny_model import WORDS, tiny_llama, tiny_onnx

from upkeep.compression import fusion
from upkeep.compression.fusion import compress, fuse_conv_bn, fuse_norms
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.pretrained import load_model, low_rank_pair, save_model
from upkeep.runtime import load


def scaled(folder: Path, *, thin: bool = False) -> Path:
    """The tiny model with norms that scale, as trained ones do."""
    import torch

    model, _ = load_model(tiny_llama())
    torch.manual_seed(3)
    for name, weight in model.named_parameters():
        if "norm" in name:
            weight.data.uniform_(0.2, 3.0)
    if thin:
        part = "model.layers.0.mlp.up_proj"
        model.set_submodule(part, low_rank_pair(model.get_submodule(part), 4))
    save_model(model, tiny_llama(), folder)
    return folder


@pytest.mark.parametrize("thin", [False, True])
def test_scales_of_norms_move_and_the_losses_stay(tmp_path: Path, *, thin: bool) -> None:
    """Into the narrow half, where a matrix is kept as a pair."""
    source = scaled(tmp_path / "source", thin=thin)
    numbers, notes = compress(source, [], "fuse-norms", {}, tmp_path / "m")
    assert numbers["norms"] == 5
    assert "5 scales" in notes[0]
    check_model_folder(tmp_path / "m", "safetensors")
    before, after = (load_model(folder)[0] for folder in (source, tmp_path / "m"))
    for name, weight in after.named_parameters():
        if "norm" in name:
            assert bool((weight == 1.0).all())
    assert not bool((before.model.norm.weight == 1.0).all())
    losses = [load(f, "safetensors").nll([WORDS])[0].nll_nats for f in (source, tmp_path / "m")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_head_that_shares_the_embeddings_keeps_its_norm(tmp_path: Path) -> None:
    """Scaling it would scale what every token starts as."""
    model, _ = load_model(scaled(tmp_path / "source"))
    model.lm_head.weight = model.get_input_embeddings().weight
    assert fuse_norms(model.eval()) == 4
    assert not bool((model.model.norm.weight == 1.0).all())


def test_norms_that_scale_otherwise_are_refused(tmp_path: Path) -> None:
    """Gemma's multiply by one and the weight: moved as Llama's they would change the outputs."""
    model, _ = load_model(scaled(tmp_path / "source"))
    norm = model.model.layers[0].input_layernorm
    plain = type(norm).forward
    model.model.layers[0].input_layernorm.forward = lambda x: plain(norm, x) + x / 7
    with pytest.raises(ArtifactError, match="its outputs would change by"):
        fuse_norms(model.eval())


def test_a_network_without_such_norms_is_refused() -> None:
    """A network without such norms is refused."""
    from torch.nn import Identity

    model, _ = load_model(tiny_llama())
    model.lm_head.weight = model.get_input_embeddings().weight
    for layer in model.model.layers:
        layer.input_layernorm = layer.post_attention_layernorm = Identity()
    with pytest.raises(ArtifactError, match="no RMS norm before plain matrices"):
        fuse_norms(model.eval())


@pytest.mark.parametrize("level", ["basic", "extended"])
def test_a_fused_graph_has_fewer_operators_and_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """The export is remembered; it takes ten seconds."""

    def copy(champion: Path, out: Path) -> Any:
        shutil.copytree(tiny_onnx(), out, dirs_exist_ok=True)
        return onnx.load(str(out / "model.onnx"))

    monkeypatch.setattr(fusion, "export", copy)
    numbers, _ = compress(tiny_llama(), [], "fuse-graph", {"level": level}, tmp_path / "m")
    assert numbers["operators"] < numbers["operators_before"]
    check_model_folder(tmp_path / "m", "onnx")
    exact = load(tiny_onnx(), "onnx").nll([WORDS])[0].nll_nats
    assert load(tmp_path / "m", "onnx").nll([WORDS])[0].nll_nats == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("method", ["fuse-graph", "fuse-norms"])
def test_settings_that_there_are_not_are_refused(tmp_path: Path, method: str) -> None:
    """Settings that there are not are refused."""
    with pytest.raises(ParamError, match=rf"{method}.level: 'all'"):
        compress(tmp_path, [], method, {"level": "all"}, tmp_path / "m")


def convolutions() -> Any:
    """Two convolutions with batch norms that have seen data, one of them transposed as a GAN's."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, bias=False),
        nn.BatchNorm2d(4),
    )
    for part in net:
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
            part.weight.data.uniform_(0.5, 2.0)
            part.bias.data.normal_()
    return net.eval()


def test_batch_norms_become_part_of_their_convolutions() -> None:
    """Batch norms become part of their convolutions, in a copy."""
    import torch
    from torch import nn

    net, x = convolutions(), torch.randn(2, 3, 9, 9)
    fused = fuse_conv_bn(net)
    assert [type(part) for part in fused.children()] == [nn.Conv2d, nn.ReLU, nn.Conv2d]
    assert len(net) == 5
    with torch.inference_mode():
        assert torch.allclose(fused(x), net(x), atol=1e-5)
        assert not torch.allclose(net[0](x).relu(), net[:3](x), atol=1e-2)


def test_a_network_that_trains_or_branches_on_values_is_refused() -> None:
    """A network that trains or branches on values is refused."""
    from torch import nn

    class Branches(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(ArtifactError, match="is in training mode"):
        fuse_conv_bn(convolutions().train())
    with pytest.raises(ArtifactError, match=r"Branches.*cannot be traced"):
        fuse_conv_bn(Branches().eval())
