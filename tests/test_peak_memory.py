"""A model's memory is that of a process which has nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tiny_model import tiny_openvino

from upkeep.errors import ArtifactError
from upkeep.peak_memory import peak_bytes


def test_a_fresh_process_says_its_peak() -> None:
    """More than an empty interpreter, less than a machine."""
    found = peak_bytes(tiny_openvino(), "openvino", 1, ["the loop closes"], 2)
    assert 20 * 2**20 < found < 4 * 2**30


def test_a_model_that_does_not_load_is_said(tmp_path: Path) -> None:
    """With the end of what its process said."""
    with pytest.raises(
        ArtifactError, match=r"ended without an answer: .*restore the recorded files"
    ):
        peak_bytes(tmp_path, "openvino", 1, ["x"], 1)
