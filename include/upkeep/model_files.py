"""Whether a folder of model files may be loaded: whole, of one format, and nothing in it runs.

A folder holds safetensors, ONNX or OpenVINO files, JSON, and plain text. Pickles, code,
archives, links and anything unknown are refused before any library opens them. Hashes are
the store's business (``store_files``); what the numbers do is the gate's.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from upkeep.compression_methods import FileFormat
from upkeep.errors import ArtifactError
from upkeep.formats import FORMATS, Format, refuse
from upkeep.records import Folder
from upkeep.tokenizer_files import check_tokenizer

MAX_FILES = 10_000
MAX_JSON_BYTES = 64 * 2**20
SPARE_BYTES = 256 * 2**20

TEXT_SUFFIXES = frozenset({".json", ".txt", ".md", ".jinja", ".model"})
TEXT_NAMES = frozenset({"LICENSE", "NOTICE", "README", ".gitattributes"})
# Files that make a loader fetch or load something that does not lie in the folder.
REDIRECTS = frozenset({"adapter_config.json"})
# Vocabularies: their keys are any words at all, and no loader takes them for settings.
VOCABULARIES = frozenset({"tokenizer.json", "vocab.json", "added_tokens.json"})

PICKLE = "may hold a pickle, which runs code when it is loaded"
CODE = "is code; nothing that lies in a model's folder is run"
ARCHIVE = "is an archive; only the folder itself is read"
MAIN_SUFFIXES: Mapping[str, FileFormat] = {
    ".xml": "openvino",
    ".onnx": "onnx",
    ".safetensors": "safetensors",
}
WHY: Mapping[str, str] = {
    suffix: rule
    for rule, suffixes in (
        (PICKLE, (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")),
        (PICKLE, (".npy", ".npz", ".h5", ".keras")),
        (CODE, (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib", ".sh", ".js", ".cu", ".wasm")),
        (ARCHIVE, (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".whl")),
    )
    for suffix in suffixes
}
"""Suffixes that people try, with the reason why not."""

CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "custom_generate", "trust_remote_code"})


def check_model_folder(path: Path, file_format: str) -> None:
    """Return only if every file of the folder may be loaded as a model of this format.

    Raises:
        ArtifactError: the first file that is unsafe, broken, missing or of another kind.

    """
    _check_place(path, file_format)
    checker: Format = import_module(FORMATS[file_format])
    settings: dict[str, Any] = {}
    for file in _regular_files(path):
        _check_name(file, file_format, checker.SUFFIXES)
        if file.suffix == ".json":
            settings[file.relative_to(path).as_posix()] = _read_json(file)
    for name, value in settings.items():
        if Path(name).name not in VOCABULARIES:
            _check_no_code(path / name, value)
    config = settings.get("config.json")
    if not isinstance(config, dict):
        refuse(path / "config.json", "config.json", "is missing or no object", "add the file")
    shapes = checker.check(path)
    check_tokenizer(path, config, settings.get("tokenizer.json"), shapes)


def format_of(path: Path) -> FileFormat:
    """The format of a model's folder, by the one file that only this format has.

    Raises:
        ArtifactError: it holds no weights of any format.

    """
    suffixes = {file.suffix for file in path.iterdir()} if path.is_dir() else set()
    found = [name for suffix, name in MAIN_SUFFIXES.items() if suffix in suffixes]
    if not found:
        refuse(path, path.name, "holds no model", f"use one of {', '.join(sorted(FORMATS))}")
    return found[0]


def check_same_signature(champion: Path, candidate: Path) -> None:
    """Return only if two safetensors folders hold weights of the same names, types and shapes.

    Raises:
        ArtifactError: the first weight that differs.

    """
    from upkeep.formats.safetensors import signature

    ours, theirs = signature(champion), signature(candidate)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            value = f"{name}: {theirs.get(name)}"
            rule = f"the champion has {ours.get(name)}"
            refuse(candidate / "weights", value, rule, "train from the champion's own config")


def check_room(folder: Folder, target: Path) -> None:
    """Return only if the disk of ``target`` can take the folder with 256 MiB to spare.

    Raises:
        ArtifactError: it cannot; nothing was fetched.

    """
    free = shutil.disk_usage(target).free
    if folder.size_bytes + SPARE_BYTES > free:
        rule = f"does not fit: {folder.size_bytes} bytes, {free} free"
        raise ArtifactError(folder.prefix, folder.size_bytes, rule, "free or add disk space")


def _check_place(path: Path, file_format: str) -> None:
    if file_format not in FORMATS:
        allowed = ", ".join(sorted(FORMATS))
        refuse(path, file_format, "is not a format of model files", f"use one of {allowed}")
    if path.is_symlink():
        refuse(path, path.name, "is a link", "give the folder itself")
    if path.is_file():
        rule = WHY.get(path.suffix.lower(), "is a file")
        refuse(path, path.name, rule, "give the model's folder, unpacked")
    if not path.is_dir():
        refuse(path, path.name, "is not there", "give the model's folder")


def _regular_files(path: Path) -> Iterator[Path]:
    """Every file below a folder, sorted; links, devices and pipes are refused."""
    count = 0
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        for name in (*subfolders, *sorted(names)):
            entry = Path(folder, name)
            count += 1
            if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
                refuse(entry, name, "is a link or a device", "copy the file itself")
            if count > MAX_FILES:
                refuse(path, count, f"holds more than {MAX_FILES} files", "give the model alone")
            if entry.is_file():
                yield entry


def _check_name(file: Path, file_format: str, own: frozenset[str]) -> None:
    suffix = file.suffix.lower()
    if file.name in REDIRECTS:
        refuse(file, file.name, "makes the loader load another model", "merge the adapter")
    if file.suffix in own | TEXT_SUFFIXES or file.name in TEXT_NAMES:
        return
    rule = WHY.get(suffix, f"is not a file of a {file_format} model")
    refuse(file, file.name, rule, "remove it; weights are safetensors, ONNX or OpenVINO")


def _read_json(file: Path) -> Any:
    size = file.stat().st_size
    if size > MAX_JSON_BYTES:
        refuse(file, size, f"is larger than {MAX_JSON_BYTES} bytes", "restore the recorded file")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        rule = f"is not JSON ({type(error).__name__})"
        refuse(file, file.name, rule, "restore the recorded file")


def _check_no_code(file: Path, value: Any) -> None:
    """No setting, however deep, names code to import or fetch."""
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += part
        elif isinstance(part, dict):
            for key, inner in part.items():
                _check_setting(file, key, inner)
            stack += part.values()


def _check_setting(file: Path, key: str, value: Any) -> None:
    if key in CODE_KEYS and value:
        refuse(file, key, CODE, f"remove {key}")
    # A name with a slash is a kernel of a hub, which would be fetched and run.
    if "attn_implementation" in key and any("/" in word for word in _words(value)):
        refuse(file, f"{key}: {value}", CODE, f"remove {key}")


def _words(value: Any) -> list[str]:
    found: Mapping[Any, Any] = value if isinstance(value, dict) else {"": value}
    return [word for word in found.values() if isinstance(word, str)]
