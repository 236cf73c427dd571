"""What every method tells of a folder that it made of another: bytes, weights and seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upkeep.formats.safetensors import read_header


def outcome(champion: Path, out: Path, started: float) -> tuple[dict[str, float], tuple[str, ...]]:
    """Sizes of both folders in bytes, seconds since ``started``, and a sentence about them."""
    before, after = size_bytes(champion), size_bytes(out)
    numbers = {
        "seconds": time.perf_counter() - started,
        "parent_size_bytes": float(before),
        "size_bytes": float(after),
    }
    return numbers, (f"files {before} -> {after} bytes ({after / before:.0%})",)


def size_bytes(folder: Path) -> int:
    """Bytes of all files of ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def weight_bytes(folder: Path) -> int:
    """Bytes of all stored tensors of ``folder``."""
    headers = (read_header(file) for file in sorted(folder.glob("*.safetensors")))
    return sum(t.end - t.start for header in headers for t in header.values())


def parameters(before: Any, after: Any) -> dict[str, float]:
    """Numbers of weights of two networks; a tied one counts once."""
    counts = (sum(p.numel() for p in m.parameters()) for m in (before, after))
    return dict(zip(("parent_parameters", "parameters"), map(float, counts), strict=True))


def told(settings: Mapping[str, Any]) -> str:
    """Settings in one line, those that are not set left out."""
    return ", ".join(f"{k} {v}" for k, v in sorted(settings.items()) if v is not None)
