"""Weights and activations in 8 bits: calibrated on texts, counted, and said by the runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tiny_graph import remember_export
from fakes.tiny_model import WORDS, make_samples, tiny_llama

from upkeep.compression.calibrated import compress
from upkeep.errors import ParamError
from upkeep.model_files import check_model_folder
from upkeep.runtime import load

PARAMS = {"block_tokens": 32, "calibration_blocks": 8}


def test_all_products_but_attention_run_on_eight_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurements count them, the runtime says so, the loss stays near."""
    remember_export(monkeypatch)
    numbers, notes = compress(
        tiny_llama(), make_samples(60), "openvino-full-int8", PARAMS, tmp_path / "m"
    )
    assert (numbers["products"], numbers["products_int8"]) == (16, 15)
    assert "256 tokens of training texts" in notes[0]
    check_model_folder(tmp_path / "m", "openvino")
    model = load(tmp_path / "m", "openvino")
    assert "8-bit activations in 15 of 16 products" in model.precision
    exact = load(tiny_llama(), "safetensors").nll([WORDS])[0].nll_nats
    assert model.nll([WORDS])[0].nll_nats == pytest.approx(exact, rel=0.05)
    assert model.nll([WORDS])[0].nll_nats != exact


def test_without_texts_there_is_nothing_to_calibrate_on(tmp_path: Path) -> None:
    """Without texts there is nothing to calibrate on."""
    with pytest.raises(ParamError, match="openvino-full-int8 is calibrated on production's texts"):
        compress(tiny_llama(), [], "openvino-full-int8", {}, tmp_path / "m")
    with pytest.raises(ParamError, match=r"smooth_quant: 1\.5"):
        compress(tmp_path, [], "openvino-full-int8", {"smooth_quant": 1.5}, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
