"""The export to OpenVINO: from memory, whatever the loader can build, and said when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.tiny_graph import tiny_graph
from fakes.tiny_model import WORDS, tiny_llama

from upkeep.compression import openvino_export
from upkeep.compression.openvino_export import changed, export_graph, feeds, write_graph
from upkeep.errors import ArtifactError
from upkeep.model_files import check_model_folder
from upkeep.pretrained import load_model, low_rank_pair, save_model
from upkeep.runtime import load


def test_the_graph_gives_the_losses_of_pytorch(tmp_path: Path) -> None:
    """The graph gives the losses of PyTorch."""
    write_graph(tiny_graph(), tiny_llama(), tmp_path / "m")
    check_model_folder(tmp_path / "m", "openvino")
    ours, theirs = load(tmp_path / "m", "openvino"), load(tiny_llama(), "safetensors")
    assert ours.precision.startswith("weights f32")
    exact = theirs.nll([WORDS])[0].nll_nats
    assert ours.nll([WORDS])[0].nll_nats == pytest.approx(exact, rel=1e-5)


def test_a_model_with_matrices_of_low_rank_is_exported_as_it_is(tmp_path: Path) -> None:
    """Its pairs stay pairs, and its config is one that other loaders know."""
    import torch

    model, _ = load_model(tiny_llama())
    torch.manual_seed(0)
    pair = low_rank_pair(model.get_submodule("model.layers.0.mlp.up_proj"), 4)
    model.set_submodule("model.layers.0.mlp.up_proj", pair)
    save_model(model, tiny_llama(), tmp_path / "thin")
    exported = export_graph(load_model(tmp_path / "thin")[0])
    write_graph(exported, tmp_path / "thin", tmp_path / "m")
    names = {node.get_friendly_name() for node in exported.graph.get_ops()}
    assert "self.model.layers.0.mlp.up_proj.narrow.weight" in names
    check_model_folder(tmp_path / "m", "openvino")
    assert '"model_type": "llama"' in (tmp_path / "m" / "config.json").read_text()
    exact = load(tmp_path / "thin", "safetensors").nll([WORDS])[0].nll_nats
    found = load(tmp_path / "m", "openvino").nll([WORDS])[0].nll_nats
    assert found == pytest.approx(exact, rel=1e-5)


def test_only_what_the_graph_reads_is_fed() -> None:
    """Only what the graph reads is fed."""
    import torch

    found = feeds(tiny_graph(), torch.tensor([[3, 4, 5], [6, 7, 8]]))
    assert [feed["input_ids"].tolist() for feed in found] == [[[3, 4, 5]], [[6, 7, 8]]]
    assert found[0]["position_ids"].tolist() == [[0, 1, 2]]
    assert set(found[0]) == {"input_ids", "attention_mask", "position_ids", "beam_idx"}


def test_what_cannot_be_exported_or_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be exported or changed is refused."""

    def fail(*args: Any, **more: Any) -> None:
        raise ValueError("no config for this architecture")

    with pytest.raises(ArtifactError, match="cannot be quantized: no config"):
        changed(tiny_graph(), fail)
    monkeypatch.setattr("optimum.exporters.openvino.convert.export_from_model", fail)
    with pytest.raises(ArtifactError, match=r"LlamaForCausalLM.*cannot be exported: no config"):
        openvino_export.export_graph(load_model(tiny_llama())[0])
