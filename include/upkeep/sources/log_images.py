"""The images that a log names: fetched from beside its files, and believed by their names.

An image's name is the SHA-256 of its bytes, ``images/<sha256>.png``: what is there under another
content was changed on the way, and is set aside. What is missing is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from upkeep.pictures import MAX_IMAGE_BYTES, image_name, is_image_name
from upkeep.sources.log_aside import Aside, Notes
from upkeep.sources.log_objects import Place

MISSING = "is missing, and a request names it"
CHANGED = "is not the image that its name says"
NO_NAME = "names no image: images/<sha256>.png is expected"


def fetch_images(
    places: Sequence[Place], day: date, names: Iterable[str], notes: Notes
) -> dict[str, bytes]:
    """The images of these names by name; what is wrong goes to ``notes``, counted by reason."""
    found: dict[str, bytes] = {}
    faults: dict[str, list[str]] = {}
    with TemporaryDirectory(prefix="upkeep-images-") as folder:
        for name in sorted(set(names)):
            data, fault = _fetch(places, day, name, Path(folder) / "image")
            if fault is not None:
                faults.setdefault(fault, []).append(name)
            elif data is not None:
                found[name] = data
    for reason, bad in faults.items():
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        notes.asides.append(Aside(f"{bad[0][:80]}{more}", reason, len(bad)))
    return found


def _fetch(
    places: Sequence[Place], day: date, name: str, to: Path
) -> tuple[bytes | None, str | None]:
    if not is_image_name(name):
        return None, NO_NAME
    for place in places:
        try:
            path = place.fetch(day, name, to)
            if path.stat().st_size > MAX_IMAGE_BYTES:
                return None, CHANGED
            data = path.read_bytes()
        except OSError:
            continue
        return (data, None) if image_name(data) == name else (None, CHANGED)
    return None, MISSING
