"""ONNX in fewer bits: smaller, still the same model, by settings that are allowed.

The export itself takes ten seconds: it is done once a session, and copied here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from fakes.tiny_model import WORDS, tiny_llama, tiny_onnx

from upkeep.compression import onnx_quantization
from upkeep.compression.onnx_quantization import Int4, changed, compress
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.runtime import load


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The export of the tiny model, remembered."""

    def copy(champion: Path, out: Path) -> Any:
        assert champion == tiny_llama()
        shutil.copytree(tiny_onnx(), out, dirs_exist_ok=True)
        return onnx.load(str(out / "model.onnx"))

    monkeypatch.setattr(onnx_quantization, "export", copy)


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("onnx-int4", {"block_size": 48}, "block_size: 48: Input should be 16, 32"),
        ("onnx-int4", {"accuracy_level": 2}, "accuracy_level: 2: Input should be 1 or 4"),
        ("onnx-int8", {"per_channel": "yes"}, "per_channel: 'yes'"),
        ("onnx-int8", {"reduce_rage": True}, r"did you mean reduce_range\?"),
        ("onnx-fp32", {"bits": 32}, "no parameter"),
    ],
)
def test_params_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Params out of range are refused before anything is written."""
    with pytest.raises(ParamError, match=said):
        compress(tmp_path / "no-champion", [], method, params, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("method", "params", "share", "rel", "operators"),
    [
        ("onnx-fp32", {}, 1.2, 1e-5, "16 MatMul, 1 Gather"),
        ("onnx-int8", {}, 0.6, 0.02, "15 MatMulInteger"),
        ("onnx-int8", {"embeddings": False, "reduce_range": False}, 0.8, 0.03, "15 MatMulInteger"),
        ("onnx-int4", {}, 0.5, 0.2, "15 MatMulNBits, 1 GatherBlockQuantized"),
        ("onnx-int4", {"embeddings": False, "sym": True}, 0.7, 0.2, "15 MatMulNBits"),
    ],
)
@pytest.mark.usefixtures("exported")
def test_fewer_bits_make_a_smaller_model_that_runs(
    tmp_path: Path,
    method: str,
    params: dict[str, Any],
    share: float,
    rel: float,
    operators: str,
) -> None:
    """Fewer bits make a smaller model that runs; every measurement and note is there."""
    numbers, notes = compress(tiny_llama(), [], method, params, tmp_path / "m")
    assert numbers["size_bytes"] == sum(p.stat().st_size for p in (tmp_path / "m").iterdir())
    assert operators in notes[1]
    weights = (tmp_path / "m" / "model.onnx").stat().st_size
    assert weights < share * (tiny_llama() / "model.safetensors").stat().st_size
    check_model_folder(tmp_path / "m", "onnx")
    exact = load(tiny_llama(), "safetensors").nll([WORDS])[0].nll_nats
    model = load(tmp_path / "m", "onnx")
    assert model.nll([WORDS])[0].nll_nats == pytest.approx(exact, rel=rel)
    assert model.generate("the loop", 5, ignore_end=True).tokens_out == 5


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("method", ["onnx-int8", "onnx-int4"])
def test_it_makes_the_same_files_each_time(tmp_path: Path, method: str) -> None:
    """It makes the same files each time."""
    for name in "ab":
        compress(tiny_llama(), [], method, {}, tmp_path / name)
    first, second = (tmp_path / name / "model.onnx" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_graph_that_cannot_be_quantized_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that cannot be quantized is refused."""

    def fail(graph: object, settings: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(onnx_quantization, "to_int4", fail)
    with pytest.raises(ArtifactError, match="cannot be quantized: no kernel"):
        changed(None, Int4())
