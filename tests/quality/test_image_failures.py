"""Planted bad images are found and named; real ones are left alone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fakes.pictures import pixels_extractor
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from upkeep.pictures import Pictures, image_name
from upkeep.quality import Material, Settings
from upkeep.quality.failure_modes import failure_modes
from upkeep.quality.image_failures import look
from upkeep.records import FailureMode, Sample

SIDE = 24


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def drawn(seed: int) -> Image.Image:
    """White bars on black at a random place."""
    draw = np.random.default_rng(seed)
    grey: NDArray[np.uint8] = np.zeros((SIDE, SIDE), dtype=np.uint8)
    x, y = draw.integers(2, SIDE - 8, 2)
    grey[y : y + 6, x : x + 2] = 230
    grey[y : y + 2, x : x + 6] = 255
    return Image.fromarray(grey, "L")


REFERENCES = [png(drawn(n)) for n in range(60)]
HEALTHY = [png(drawn(1_000 + n)) for n in range(50)]


def modes(
    images: list[bytes],
    references: list[bytes] = REFERENCES,
    features: tuple[Path, str] | None = None,
) -> dict[str, FailureMode]:
    """The failure modes of a day with these outputs, by name."""
    samples = [
        Sample(id=f"{n:03d}", slice="all", prompt="bars", completion=image_name(data))
        for n, data in enumerate(images)
    ]
    pictures = Pictures(
        {image_name(data): data for data in images},
        {image_name(data): data for data in references},
        features,
    )
    material = Material(samples, Settings(), lambda: pytest.fail("no model is needed"), pictures)
    return {mode.name: mode for mode in failure_modes(material, ())}


def test_healthy_images_have_no_failure_mode() -> None:
    """Those that look like the references; one that was served twice is no repetition."""
    assert modes(HEALTHY) == {}
    assert modes([*HEALTHY, HEALTHY[0]]) == {}


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("blurred", [png(drawn(n).filter(ImageFilter.GaussianBlur(3))) for n in range(9)]),
        ("blank", [png(Image.new("L", (SIDE, SIDE), n)) for n in range(9)]),
        ("repeated", [HEALTHY[3]] * 9),
        ("broken", [HEALTHY[n][:-30] for n in range(9)]),
    ],
)
def test_a_planted_kind_is_found_named_and_counted(name: str, bad: list[bytes]) -> None:
    """Exactly the planted images."""
    found = modes([*HEALTHY[10:], *bad])
    assert {each: mode.n for each, mode in found.items()} == {name: 9}
    assert found[name].share == pytest.approx(9 / 49)
    assert found[name].sample_ids == ("040", "041", "042", "043", "044")


@pytest.mark.parametrize("where", ["outputs", "references"])
def test_a_broken_image_beside_an_extractor_is_a_mode_and_no_error(where: str) -> None:
    """What the extractor cannot see at all says nothing about the others."""
    broken = HEALTHY[0][:-30]
    outputs = [*HEALTHY, broken] if where == "outputs" else HEALTHY
    references = [*REFERENCES, broken] if where == "references" else REFERENCES
    found = modes(outputs, references, pixels_extractor())
    assert set(found) == ({"broken"} if where == "outputs" else set())


def test_an_image_unlike_every_reference_is_found_by_its_features() -> None:
    """Noise is as sharp as can be, and nowhere near the bars."""
    draw = np.random.default_rng(9)
    grey = (draw.integers(120, 256, (SIDE, SIDE), dtype=np.uint8) for _ in range(4))
    noise = [png(Image.fromarray(each)) for each in grey]
    found = modes([*HEALTHY, *noise], REFERENCES, pixels_extractor())
    assert {name: mode.n for name, mode in found.items()} == {"unlike any reference": 4}


def test_without_references_only_what_is_plain_is_said() -> None:
    """Nothing is known of what is usual: blank and broken are, blur is not."""
    blurred = png(drawn(1).filter(ImageFilter.GaussianBlur(3)))
    blank, broken = png(Image.new("L", (SIDE, SIDE), 7)), HEALTHY[0][:-30]
    assert set(modes([*HEALTHY, blurred, blank, broken], [])) == {"blank", "broken"}


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    """One white pixel on black: -4 there, 1 at each of its four neighbours."""
    grey: NDArray[np.uint8] = np.zeros((7, 7), dtype=np.uint8)
    grey[3, 3] = 255
    seen = look(png(Image.fromarray(grey, "L")))
    values = np.array([-4.0, 1.0, 1.0, 1.0, 1.0] + [0.0] * 20)
    assert seen is not None
    assert seen.sharpness == pytest.approx(values.var())
    assert look(b"no image") is None
