"""The export to ONNX: the same function, nothing of this machine, checked before it is kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from fakes.tiny_model import WORDS, copy_of, tiny_llama, tiny_onnx

from upkeep.compression import onnx_export
from upkeep.errors import ArtifactError
from upkeep.model_files import check_model_folder
from upkeep.pretrained import load_model
from upkeep.runtime import load


def test_the_folder_may_be_loaded_and_holds_no_path_of_this_machine() -> None:
    """The folder may be loaded and holds no path of this machine."""
    check_model_folder(tiny_onnx(), "onnx")
    blob = (tiny_onnx() / "model.onnx").read_bytes()
    for trace in (b"site-packages", b"stack_trace", str(tiny_llama()).encode()):
        assert trace not in blob
    theirs, ours = (folder / "tokenizer.json" for folder in (tiny_llama(), tiny_onnx()))
    assert theirs.read_bytes() == ours.read_bytes()


def test_attention_and_norms_are_operators_of_the_standard() -> None:
    """They run as one operator each, and no other library is needed."""
    graph = onnx.load(str(tiny_onnx() / "model.onnx"))
    kinds = {node.op_type for node in graph.graph.node}
    assert {"Attention", "RMSNormalization", "RotaryEmbedding"} <= kinds
    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 23)]


def test_large_constants_lie_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protobuf ends at 2 GiB; the limit is lowered, and the file goes when it is needed no more."""
    folder = shutil.copytree(tiny_onnx(), tmp_path / "m")
    graph = onnx.load(str(folder / "model.onnx"))
    with monkeypatch.context() as lowered:
        lowered.setattr(onnx_export, "EMBED_BYTES", 1000)
        onnx_export.write(graph, folder)
    assert (folder / "model.onnx.data").stat().st_size > 100_000
    check_model_folder(folder, "onnx")
    exact = load(tiny_onnx(), "onnx").nll([WORDS])
    assert load(folder, "onnx").nll([WORDS]) == exact
    onnx_export.write(onnx.load(str(folder / "model.onnx")), folder)
    assert not (folder / "model.onnx.data").exists()


def test_a_graph_that_does_something_else_is_refused(tmp_path: Path) -> None:
    """A graph that does something else is refused."""
    model, _ = load_model(tiny_llama())
    onnx_export.check_same(model, tiny_onnx())
    model.model.layers[1].mlp.up_proj.weight.data[3] += 0.5
    with pytest.raises(ArtifactError, match="differs by"):
        onnx_export.check_same(model, tiny_onnx())


def test_a_model_that_cannot_be_loaded_or_captured_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that cannot be loaded or captured is refused."""
    broken = copy_of(tiny_llama(), tmp_path / "m")
    (broken / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        onnx_export.export(broken, tmp_path / "out")

    def fail(model: object) -> None:
        raise RuntimeError("data-dependent\nand a long trace")

    monkeypatch.setattr(onnx_export, "_traced", fail)
    with pytest.raises(
        ArtifactError, match=r"LlamaForCausalLM.*cannot be exported: data-dependent;"
    ):
        onnx_export.export(tiny_llama(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
