"""torchao: said where it is absent, and run where it is installed (it is no part of the lock)."""

from __future__ import annotations

import importlib.machinery
from importlib.util import find_spec
from pathlib import Path

import pytest
from fakes.tiny_model import WORDS, tiny_llama

from upkeep.compression import torchao_weights
from upkeep.compression.torchao_weights import SETTINGS, compress
from upkeep.errors import ParamError
from upkeep.model_files import check_model_folder
from upkeep.runtime import load


@pytest.mark.parametrize("method", sorted(SETTINGS))
def test_where_it_is_absent_the_answer_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Where it is absent the answer says what to install."""
    monkeypatch.setattr(torchao_weights, "find_spec", lambda name: None)
    with pytest.raises(ParamError, match=f"{method}.*not available here: install torchao .CUDA"):
        compress(tiny_llama(), [], method, {}, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_four_bits_need_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bits need a GPU, whatever is installed."""
    found = importlib.machinery.ModuleSpec("torchao", None)
    monkeypatch.setattr(torchao_weights, "find_spec", lambda name: found)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ParamError, match="need a CUDA GPU, and there is none"):
        compress(tiny_llama(), [], "torchao-int4", {}, tmp_path / "m")


def test_settings_are_refused_first(tmp_path: Path) -> None:
    """Settings are refused first."""
    with pytest.raises(ParamError, match=r"torchao-int4\.group_size: 48"):
        compress(tmp_path, [], "torchao-int4", {"group_size": 48}, tmp_path / "m")
    with pytest.raises(ParamError, match=r"torchao-int8\.group_size"):
        compress(tmp_path, [], "torchao-int8", {"group_size": 32}, tmp_path / "m")


@pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is not installed here")
@pytest.mark.parametrize(("method", "kind"), [("torchao-int8", "I8"), ("torchao-fp8", "F8_E4M3")])
def test_where_it_is_installed_the_weights_are_smaller_and_run(
    tmp_path: Path, method: str, kind: str
) -> None:
    """Where it is installed the weights are smaller, and the folder can be loaded again."""
    numbers, _ = compress(tiny_llama(), [], method, {}, tmp_path / "m")
    assert numbers["size_bytes"] < numbers["parent_size_bytes"]
    check_model_folder(tmp_path / "m", "safetensors")
    model = load(tmp_path / "m", "safetensors")
    assert kind in model.precision
    exact = load(tiny_llama(), "safetensors").nll([WORDS])[0].nll_nats
    assert model.nll([WORDS])[0].nll_nats == pytest.approx(exact, rel=0.05)
