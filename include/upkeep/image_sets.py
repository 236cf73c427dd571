"""Sets of images of an image model: PNG files, what is held out of the real ones, and by class.

Real images are held out by the hash of their content: whatever was trained on the others, on any
day, is never judged by an image that it has seen.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ArtifactError, ParamError
from upkeep.image_runtime import Images
from upkeep.quality.features import Extractor, decoded
from upkeep.records import sha256_hex
from upkeep.records.production import HELD_OUT_TENTHS

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Table = NDArray[np.float64]
WHITE = 255.0


def is_held_out(name: str) -> bool:
    """Whether a real image judges (30 %) and is never trained on.

    >>> [is_held_out(f"images/{n}.png") for n in range(4)]
    [True, False, False, False]
    """
    return int(sha256_hex(name.encode())[:8], 16) % 10 < HELD_OUT_TENTHS


def held_out_images(images: Mapping[str, bytes]) -> dict[str, bytes]:
    """The real images that judge, by name; ParamError where there is none."""
    found = {name: images[name] for name in sorted(images) if is_held_out(name)}
    if not found:
        rule = "holds no image to judge by: 3 in 10 are held out"
        raise ParamError("references", len(images), rule, "give more real images")
    return found


def to_png(image: NDArray[np.float32]) -> bytes:
    """An image [channels, height, width] of 0..1 as PNG of 8 bits; what lies outside is cut off."""
    from PIL import Image

    levels = np.rint(np.clip(image, 0.0, 1.0) * WHITE).astype(np.uint8)
    made = Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))
    out = io.BytesIO()
    made.save(out, format="PNG")
    return out.getvalue()


def from_png(name: str, png: bytes, shape: Sequence[int]) -> NDArray[np.float32]:
    """The pixels [channels, height, width] of 0..1 of a PNG file.

    Raises:
        ArtifactError: it is no PNG file, or of another size.

    """
    channels, height, width = shape
    image: PilImage = decoded(name, png, "L" if channels == 1 else "RGB")
    if image.size != (width, height):
        rule = f"is not {width} x {height}, as the model's images are"
        raise ArtifactError(name, image.size, rule, "give images of the model's size")
    pixels = np.asarray(image, dtype=np.float32) / np.float32(WHITE)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def features_of(extractor: Extractor, images: Images) -> Table:
    """Features [images, D] of what was painted, seen as production delivers it: 8 bits, PNG."""
    return extractor.see({str(place): to_png(image) for place, image in enumerate(images)})[0]


def by_class(
    extractor: Extractor, images: Mapping[str, bytes], classes: int
) -> tuple[Table, NDArray[np.int64]]:
    """Features [images, D] of real images, and the class [images] that the extractor sees in each.

    A model of one class needs no extractor that tells classes apart.

    Raises:
        ParamError: the extractor does not know as many classes as the model.

    """
    features, logits = extractor.see(images)
    if classes == 1:
        return features, np.zeros(len(features), dtype=np.int64)
    known = 0 if logits is None else logits.shape[1]
    if logits is None or known != classes:
        rule = f"must tell the model's {classes} classes apart"
        raise ParamError("quality.features", f"{known} classes", rule, "give their classifier")
    return features, np.asarray(logits.argmax(axis=1), dtype=np.int64)
