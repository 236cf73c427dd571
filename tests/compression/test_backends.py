"""Backends that are not here: each says which package and what else, and nothing is written."""

from __future__ import annotations

import importlib.machinery
import re
from pathlib import Path

import pytest

from upkeep.compression import backends
from upkeep.compression.backends import BACKENDS, compress
from upkeep.compression_methods import METHODS
from upkeep.errors import ParamError


@pytest.mark.parametrize("method", sorted(BACKENDS))
def test_an_absent_backend_names_its_package_its_needs_and_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """An absent backend names its package, its needs and a way out that there is."""
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    backend = BACKENDS[method]
    said = re.escape(f"not available here: install {backend.package}, with {backend.needs}")
    with pytest.raises(ParamError, match=f"compress.method: '{method}': {said}"):
        compress(tmp_path, [], method, {}, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert backend.instead.split()[0] in METHODS


def test_an_installed_backend_says_what_else_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installing the package alone gives no candidate, and no silence."""
    found = importlib.machinery.ModuleSpec("tensorrt", None)
    monkeypatch.setattr(backends, "find_spec", lambda name: found)
    with pytest.raises(ParamError, match="tensorrt is installed, but needs a CUDA GPU"):
        compress(tmp_path, [], "tensorrt", {}, tmp_path / "out")


def test_settings_are_refused_first(tmp_path: Path) -> None:
    """Settings are refused first."""
    with pytest.raises(ParamError, match=r"modelopt\.bits"):
        compress(tmp_path, [], "modelopt", {"bits": 4}, tmp_path / "out")
