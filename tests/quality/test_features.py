"""Images become features once, in the samples' order, or the error says which image is broken."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.pictures import QUICK, named, noise, png, samples_of, save_extractor, seen
from fakes.tiny_model import scored

from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.pictures import Pictures
from upkeep.quality.features import MAX_PIXELS, Extractor, FeatureSets, decoded

GREY = np.array([[0, 51], [102, 255]], dtype=np.uint8)


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(decoded("x", data, "L"))


def test_pixels_enter_as_shares_of_white_in_rows(tmp_path: Path) -> None:
    """0, 51, 102 and 255 are 0, 0.2, 0.4 and 1."""
    folder, _ = save_extractor(tmp_path, np.eye(4))
    found, logits = Extractor(folder).see({"x": png(GREY)})
    assert found[0] == pytest.approx([0.0, 0.2, 0.4, 1.0])
    assert (found.dtype, logits) == (np.float64, None)


def test_the_scale_may_run_from_minus_one_to_one(tmp_path: Path) -> None:
    """The scale may run from minus one to one."""
    folder, _ = save_extractor(tmp_path, np.eye(4), scale="-1..1")
    found, _ = Extractor(folder).see({"x": png(GREY)})
    assert found[0] == pytest.approx([-1.0, -0.6, -0.2, 1.0])


def test_colour_enters_channel_by_channel_and_size_is_made_to_fit(tmp_path: Path) -> None:
    """An 8 x 8 image of one colour is a 2 x 2 one of that colour: RRRR GGGG BBBB."""
    folder, _ = save_extractor(tmp_path, np.eye(12), channels=3)
    flat = np.full((8, 8, 3), (255, 102, 0), dtype=np.uint8)
    found, _ = Extractor(folder).see({"x": png(flat)})
    assert found[0] == pytest.approx([1.0] * 4 + [0.4] * 4 + [0.0] * 4)
    uneven, _ = Extractor(folder).see({"x": png(np.stack([GREY, 255 - GREY, GREY], axis=2))})
    grey = [0.0, 0.2, 0.4, 1.0]
    assert uneven[0] == pytest.approx([*grey, *(1.0 - share for share in grey), *grey])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
def test_every_mode_of_a_grey_image_gives_the_same_pixels(mode: str) -> None:
    """Every mode of a grey image gives the same pixels."""
    assert _pixels(png(GREY, mode)).tolist() == GREY.tolist()


def test_sixteen_bits_are_scaled_and_not_cut_at_255() -> None:
    """Sixteen bits are scaled and not cut at 255."""
    wide = np.array([[0, 13_000], [26_000, 65_535]], dtype=np.uint16)
    assert _pixels(png(wide)).tolist() == [[0, 51], [101, 255]]


def test_batches_and_their_order_do_not_change_a_feature(tmp_path: Path) -> None:
    """150 images in three batches are each seen as they are alone."""
    draw = np.random.default_rng(1)
    folder, _ = save_extractor(tmp_path, draw.normal(size=(4, 3)))
    images = dict(enumerate(noise(150)))
    extractor = Extractor(folder)
    found, _ = extractor.see({str(k): v for k, v in images.items()})
    for at in (0, 63, 64, 149):
        alone, _ = extractor.see({"x": images[at]})
        assert found[at] == pytest.approx(alone[0], rel=1e-6)


def test_the_extractor_may_say_what_it_is(tmp_path: Path) -> None:
    """The extractor may say what it is."""
    folder, _ = save_extractor(tmp_path, np.eye(4), description="a classifier of digits")
    assert Extractor(folder).config.description == "a classifier of digits"


def _bomb() -> bytes:
    """A PNG file of a few bytes that says it is 30,000 pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no PNG"),
        (b"GIF89a", "no PNG"),
        (png(np.arange(10_000, dtype=np.uint8).reshape(100, 100))[:-60], "no PNG"),
        (_bomb(), "pixels|bomb"),
    ],
    ids=["empty", "another format", "cut off", "bomb"],
)
def test_a_broken_image_is_named(data: bytes, words: str) -> None:
    """A broken image is named."""
    with pytest.raises(ArtifactError, match=f"images/abc.*({words})"):
        decoded("images/abc.png", data, "L")


def test_too_many_pixels_are_refused_before_they_are_unpacked() -> None:
    """One row more than allowed."""
    side = int(MAX_PIXELS**0.5)
    big = png(np.zeros((side + 1, side), dtype=np.uint8))
    with pytest.raises(ArtifactError, match="more than"):
        decoded("x", big, "L")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"size": [0, 2]}, "size"),
        ({"size": [2]}, "size"),
        ({"channels": 2}, "channels"),
        ({"scale": "0..255"}, "scale"),
        ({"channels": "1"}, "channels"),
        ({"extra": 1}, "extra"),
        ({"input": ""}, "input"),
        ({"input": "pixels"}, "input.*image"),
        ({"features": "pool"}, "features.*model.onnx"),
        ({"logits": "fc"}, "logits.*model.onnx"),
    ],
)
def test_a_wrong_config_says_which_field(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    """A wrong config says which field."""
    size = {"size": [2, 2], "channels": 1}
    folder, _ = save_extractor(tmp_path, np.eye(4), **size)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(ArtifactError, match=f"config.json.*{words}"):
        Extractor(folder)


@pytest.mark.parametrize("name", ["config.json", "model.onnx"])
@pytest.mark.parametrize("content", [None, b"{"])
def test_a_missing_or_broken_file_of_the_extractor_is_named(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    """A missing or broken file of the extractor is named."""
    folder, _ = save_extractor(tmp_path, np.eye(4))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        Extractor(folder)


def test_the_extractor_of_the_tests_is_one_that_a_job_may_load(tmp_path: Path) -> None:
    """The extractor of the tests is one that a job may load."""
    folder, _ = save_extractor(tmp_path, np.eye(4))
    check_model_folder(folder, "onnx")


def test_features_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    """Features that are no numbers are refused."""
    folder, _ = save_extractor(tmp_path, np.full((4, 2), np.inf))
    with pytest.raises(ArtifactError, match=r"features.*finite"):
        Extractor(folder).see({"x": png(GREY)})


def test_rows_are_the_samples_and_an_image_served_twice_counts_twice() -> None:
    """Rows are the samples, and an image served twice counts twice."""
    first, second = noise(2)
    samples = samples_of([second, first, second])
    sets = FeatureSets.of(samples, seen([first, second]))
    assert sets.outputs[0].tolist() == sets.outputs[2].tolist() != sets.outputs[1].tolist()
    assert (sets.outputs[1] * 255).round().astype(int).tolist() == _pixels(first).ravel().tolist()
    assert sets.logits[:, 0] == pytest.approx(40 * sets.outputs[:, 0])


def test_references_are_seen_only_when_asked_for() -> None:
    """Broken ones hurt nobody who does not look."""
    pictures = seen(noise(4), [b"broken", b"too"])
    sets = FeatureSets.of(samples_of(noise(4)), pictures)
    assert sets.outputs.shape == (4, 4)
    with pytest.raises(ArtifactError, match="no PNG"):
        _ = sets.references


def test_the_signature_says_which_references_and_not_in_which_order() -> None:
    """The signature says which references and not in which order."""
    some, other = noise(3, 1), noise(3, 2)

    def signature(references: list[bytes]) -> str:
        return FeatureSets.of(samples_of(noise(2)), seen(noise(2), references)).signature

    assert signature(some) == signature(some[::-1]) != signature(other)
    assert signature(some).startswith("features:eeeeeeeeeeee|d:4|references:")


IMAGE_MEASURES = ("fid", "image_vendi", "inception_score", "kid")


@pytest.mark.parametrize("name", IMAGE_MEASURES)
def test_missing_images_are_counted_in_the_error(name: str) -> None:
    """17 of 20 samples have no image."""
    images = noise(20)
    pictures = seen(images[:3], noise(200, 1))
    with pytest.raises(ParamError, match=r"17 images are missing.*min_samples = 4"):
        scored(name, samples_of(images), QUICK, pictures=pictures)


@pytest.mark.parametrize("name", [*IMAGE_MEASURES, "clip_score"])
@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (None, "quality.modality"),
        (Pictures(named(noise(20))), r"quality.(features|clip)"),
    ],
    ids=["no pictures", "no extractor"],
)
def test_what_is_missing_is_named(name: str, pictures: Pictures | None, words: str) -> None:
    """What is missing is named."""
    with pytest.raises(ParamError, match=words):
        scored(name, samples_of(noise(20)), QUICK, pictures=pictures)


@pytest.mark.parametrize("name", ["fid", "kid"])
@pytest.mark.parametrize("count", [0, 1, 15])
def test_too_few_references_are_an_error(name: str, count: int) -> None:
    """Empty, of one row, and fewer than are needed."""
    images = noise(200)
    with pytest.raises(ParamError, match=rf"quality.references: {count}: n < min_n"):
        scored(name, samples_of(images), QUICK, pictures=seen(images, noise(count, 1)))


def test_the_folder_of_measures_is_imported_without_torch() -> None:
    """Importing every image measure imports no torch, no onnxruntime, no transformers."""
    code = (
        "import sys, upkeep.quality.features, upkeep.quality.fid, upkeep.quality.kid;"
        "import upkeep.quality.inception_score, upkeep.quality.clip_score;"
        "import upkeep.quality.image_diversity;"
        "print(sorted({'torch', 'onnxruntime', 'transformers', 'torchmetrics', 'PIL'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
