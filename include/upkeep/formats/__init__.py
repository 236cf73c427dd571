"""Formats of model files: each file here says whether one format's files are whole and harmless.

Nothing is loaded as a model and nothing that lies in the files is run: headers are read,
references between files are followed, and every number of every weight is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Protocol

from upkeep.errors import ArtifactError

FORMATS: Mapping[str, str] = {
    "onnx": "upkeep.formats.onnx",
    "openvino": "upkeep.formats.openvino",
    "safetensors": "upkeep.formats.safetensors",
}
"""Name of a format in records -> the module that checks it, imported when used."""


class Format(Protocol):
    """What each module here offers."""

    SUFFIXES: frozenset[str]
    """Suffixes of the format's own files."""

    def check(self, folder: Path) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the weights by name; ArtifactError for files that are not allowed."""


def refuse(file: Path, value: object, rule: str, fix: str) -> NoReturn:
    """Raise ArtifactError for a file, named with its folder but without the machine's path."""
    raise ArtifactError(f"{file.parent.name}/{file.name}", value, rule, fix)


def beside(file: Path, name: str) -> Path:
    """The file that ``file`` names as standing beside it.

    Raises:
        ArtifactError: the name leads to another folder, or no such regular file is there.

    """
    if not name or name in {".", ".."} or any(c in name for c in "/\\:\0"):
        refuse(file, name, "leads out of the model's folder", "name a file of the same folder")
    found = file.parent / name
    if found.is_symlink() or not found.is_file():
        refuse(file, name, "is named here but is not in the folder", "add the file")
    return found
