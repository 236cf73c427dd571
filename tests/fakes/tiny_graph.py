"""The tiny model's OpenVINO graph, exported once: what follows an export is tested without it.

What it does not prove: that the export itself works; :func:`fakes.tiny_model.tiny_openvino` and
tests/compression/test_openvino_export.py do that.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from fakes.tiny_model import tiny_llama

from upkeep.compression import openvino_export
from upkeep.compression.openvino_export import Exported
from upkeep.pretrained import load_model

_export = openvino_export.export_graph


@cache
def tiny_graph() -> Exported:
    """The graph of :func:`tiny_llama` in 32 bits; clone it before you change it."""
    return _export(load_model(tiny_llama())[0])


def remember_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every export in this test give a copy of :func:`tiny_graph`."""

    def remembered(model: Any) -> Exported:
        assert model.config.hidden_size == 32
        return tiny_graph()._replace(graph=tiny_graph().graph.clone())

    monkeypatch.setattr(openvino_export, "export_graph", remembered)
