"""OpenVINO: the precision that was asked for is the one that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tiny_model import copy_of, tiny_openvino

from upkeep.errors import ArtifactError
from upkeep.runtime import load, openvino


def test_the_precision_is_read_from_the_compiled_model() -> None:
    """The precision is read from the compiled model."""
    found = load(tiny_openvino(), "openvino").precision
    assert "u8" in found.split(",")[0]
    assert ", f32, cache f32, dynamic quantization 0, openvino 20" in found


def test_the_precision_says_so_when_the_device_does_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The precision says so when the device does otherwise."""
    asked = openvino.cpu_settings(1) | {"KV_CACHE_PRECISION": "u8"}
    monkeypatch.setattr(openvino, "cpu_settings", lambda threads: asked)
    assert "cache u8" in load(tiny_openvino(), "openvino").precision


def test_a_cut_graph_is_refused(tmp_path: Path) -> None:
    """A cut graph is refused."""
    broken = copy_of(tiny_openvino(), tmp_path / "m")
    path = broken / "openvino_model.xml"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load(broken, "openvino")


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    """Missing weights are refused."""
    broken = copy_of(tiny_openvino(), tmp_path / "m")
    (broken / "openvino_model.bin").unlink()
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load(broken, "openvino")
