"""Images of a day as one Parquet file: columns ``name`` and ``png``, each name once, sorted.

An image is named by its content, ``images/<sha256>.png``, so that nothing that was changed on
the way is ever taken for it, and no name from outside is a path.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from upkeep.errors import ArtifactError
from upkeep.records import FileHash, sha256_hex
from upkeep.store import Store

MAX_IMAGE_BYTES = 64 * 2**20
_NAME = re.compile(r"images/([0-9a-f]{64})\.png")


@dataclass(frozen=True)
class Pictures:
    """What the measures of an image model look at.

    ``outputs`` are PNG files by name (a sample's ``completion``), ``references`` those of real
    images. ``features`` is the folder of an ONNX feature extractor, ``clip`` that of a CLIP
    model, each with the hash of its files. None: the model's file names none.
    """

    outputs: Mapping[str, bytes]
    references: Mapping[str, bytes] = field(default_factory=dict)
    features: tuple[Path, str] | None = None
    clip: tuple[Path, str] | None = None


def image_name(data: bytes) -> str:
    """The name of an image by its content.

    >>> image_name(b"")[:20]
    'images/e3b0c44298fc1'
    """
    return f"images/{sha256_hex(data)}.png"


def is_image_name(name: str) -> bool:
    """Whether this is the name of an image: no other is ever looked for."""
    return _NAME.fullmatch(name) is not None


def images_key(model: str, day: date) -> str:
    """Where a day's images lie."""
    return f"{model}/{day.isoformat()}/r1/images.parquet"


def put_file(store: Store, key: str, data: bytes | None) -> FileHash:
    """Write a file once; the hash is of what lies there. Without ``data`` it must be there.

    Raises:
        ArtifactError: nothing lies there.

    """
    if data is not None:
        store.put_if_absent(key, data)
    stored = store.get(key)
    if stored is None:
        raise ArtifactError(key, None, "is not in the store", "observe the day first")
    return FileHash(path=key, size_bytes=len(stored), sha256=sha256_hex(stored))


def pack(pictures: Mapping[str, bytes]) -> bytes:
    """The Parquet file of these images: equal images give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = sorted(pictures)
    columns = {"name": names, "png": [pictures[name] for name in names]}
    schema = pa.schema([("name", pa.string()), ("png", pa.binary())])
    out = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), out, compression="none")
    return out.getvalue()


def unpack(where: str, data: bytes) -> dict[str, bytes]:
    """The images of a Parquet file by name.

    Raises:
        ArtifactError: it is no such file, or an image is not the one that its name says.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data), columns=["name", "png"])
        found = dict(zip(*(table.column(c).to_pylist() for c in ("name", "png")), strict=True))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        rule = f"is no Parquet file with the columns name and png ({type(error).__name__})"
        raise ArtifactError(where, len(data), rule, "write it with upkeep.pictures.pack") from error
    for name, png in found.items():
        if not isinstance(png, bytes) or len(png) > MAX_IMAGE_BYTES or name != image_name(png):
            raise ArtifactError(where, name, "is not the image of its name", "restore the file")
    return found
