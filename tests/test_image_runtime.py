"""A class and a seed give the same image in every format."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fakes.tiny_model import _root
from fakes.tiny_painter import PROMPTS, tiny_painter

from upkeep.compression import compression
from upkeep.errors import ArtifactError, ParamError
from upkeep.image_runtime import class_of, conditions, load_painter
from upkeep.model_files import check_model_folder
from upkeep.runtime import Format

METHODS: dict[Format, str] = {"onnx": "onnx-fp32", "openvino": "openvino-fp16"}


@cache
def folder_of(file_format: Format) -> Path:
    if file_format == "safetensors":
        return tiny_painter()
    out = _root() / f"painter-{file_format}"
    method = METHODS[file_format]
    compression(method)(tiny_painter(), (), method, {}, out)
    check_model_folder(out, file_format)
    return out


@pytest.mark.parametrize(
    ("file_format", "precision"),
    [
        ("safetensors", "weights float32, eager torch"),
        ("onnx", "weights float, float32, onnxruntime"),
        ("openvino", "weights f16"),
    ],
)
def test_every_format_paints_the_same(file_format: Format, precision: str) -> None:
    """Any number of images, up to rounding; what it runs in is read from the running model."""
    runtime = load_painter(folder_of(file_format), file_format)
    expected = load_painter(tiny_painter(), "safetensors")
    for count in (1, 2, 7):
        labels, seeds = [n % 2 for n in range(count)], list(range(count))
        found = runtime.paint(labels, seeds)
        assert found.shape == (count, 1, 8, 8)
        assert (found.min() >= 0.0, found.max() <= 1.0) == (True, True)
        np.testing.assert_allclose(found, expected.paint(labels, seeds), atol=2e-3)
    assert runtime.precision.startswith(precision)
    assert (runtime.format, runtime.classes, runtime.latent) == (file_format, PROMPTS, 4)


def test_seed_and_class_are_what_an_image_follows_from() -> None:
    """Not its neighbours in the batch, and not what was painted before."""
    runtime = load_painter(tiny_painter(), "safetensors")
    alone = runtime.paint([1], [5])
    together = runtime.paint([0, 1, 1], [5, 5, 6])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)
    for other in (0, 2):
        assert np.abs(together[1] - together[other]).max() > 0.01
    assert conditions([1], [5], 4, 2)[0, 4:].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "seeds", "said"),
    [([2], [0], "is no class"), ([-1], [0], "is no class"), ([], [], "one or more"),
     ([0, 1], [0], "2 labels, 1 seeds")],
)  # fmt: skip
def test_what_cannot_be_painted_is_refused(labels: list[int], seeds: list[int], said: str) -> None:
    """With what there is."""
    with pytest.raises(ParamError, match=said):
        load_painter(tiny_painter(), "safetensors").paint(labels, seeds)


def test_a_prompt_is_a_class_or_refused() -> None:
    """No prompt is ever taken for the nearest one."""
    assert [class_of(PROMPTS, prompt) for prompt in PROMPTS] == [0, 1]
    with pytest.raises(ParamError, match="none of the 2 prompts"):
        class_of(PROMPTS, "a spot on the leftt")


def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A decoder, a broken graph, a graph of something else."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ArtifactError, match="model_type"):
        load_painter(tmp_path, "safetensors")
    shutil.copytree(folder_of("onnx"), tmp_path / "onnx")
    (tmp_path / "onnx/model.onnx").write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="cannot be loaded: ONNX Runtime"):
        load_painter(tmp_path / "onnx", "onnx")
    with pytest.raises(ArtifactError, match="can run"):
        load_painter(tmp_path, "gguf")  # type: ignore[arg-type]
