"""The digits that come with scikit-learn, and how one is asked for and written.

1,797 images of 8 x 8 grey values 0 to 16, the test half of Alpaydin & Kaynak's "Optical
Recognition of Handwritten Digits" (UCI 1998). Two thirds train the models; the last third no
model ever sees: it tests the classifier and is what generated images are compared with.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np

from upkeep.errors import ArtifactError, ParamError

SIDE = 8
CLASSES = 10
LEVELS = 16  # grey values of the originals: 0 to 16
HELD_OUT = 599
SPLIT_SEED = 20260305

_PROMPT = re.compile(r"a handwritten ([0-9])")


@dataclass(frozen=True)
class Digits:
    """``images`` [N, 8, 8], float32 in 0..1 with 1 = ink; ``labels`` [N], 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


def load() -> tuple[Digits, Digits]:
    """The digits to train on and the held-out ones, each class split alike; always the same."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    images = (found.images / LEVELS).astype(np.float32)
    labels = found.target.astype(np.int64)
    parts = train_test_split(
        *(images, labels), test_size=HELD_OUT, stratify=labels, random_state=SPLIT_SEED
    )
    return Digits(parts[0], parts[2]), Digits(parts[1], parts[3])


def prompt_of(digit: int) -> str:
    """The prompt that asks for a digit.

    >>> prompt_of(7)
    'a handwritten 7'
    """
    return f"a handwritten {digit}"


def digit_of(prompt: str) -> int:
    """The digit that a prompt asks for; the rest of the prompt is always the same.

    Raises:
        ParamError: it asks for anything else.

    """
    found = _PROMPT.fullmatch(prompt)
    if found is None:
        raise ParamError("prompt", prompt, "asks for no digit", 'write "a handwritten 7"')
    return int(found[1])


def to_png(image: np.ndarray) -> bytes:
    """An image [8, 8] in 0..1 as PNG of 8-bit grey; what lies outside 0..1 is cut off."""
    from PIL import Image

    out = io.BytesIO()
    grey = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    Image.fromarray(grey).save(out, format="PNG", optimize=True)
    return out.getvalue()


def from_png(png: bytes) -> np.ndarray:
    """The image [8, 8] in 0..1 of a PNG that :func:`to_png` wrote.

    Raises:
        ArtifactError: it is another picture.

    """
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=("PNG",)) as opened:
        if (opened.size, opened.mode) != ((SIDE, SIDE), "L"):
            value = f"{opened.size} {opened.mode}"
            raise ArtifactError("image", value, "is no 8 x 8 grey image", "write it with to_png")
        return np.asarray(opened, dtype=np.float32) / 255.0
