"""The digits themselves: how they are split, asked for and written."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from examples.digits import data
from upkeep.errors import ArtifactError, ParamError


def test_every_digit_is_either_trained_on_or_held_out() -> None:
    """1,797 images, none lost and none in both halves."""
    from sklearn.datasets import load_digits

    training, held_out = data.load()
    assert (len(training.images), len(held_out.images)) == (1198, 599)
    ours = np.concatenate([training.images, held_out.images]).reshape(1797, -1)
    theirs = load_digits().data / 16.0
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.tolist()))
    assert ours.dtype == np.float32


def test_the_split_is_the_same_on_every_call_and_even_over_the_classes() -> None:
    """Else references and training would change under the scores."""
    first, again = data.load(), data.load()
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.labels, other.labels)
    counts = np.bincount(first[1].labels, minlength=10)
    assert counts.min() >= 57
    assert counts.max() <= 62


@pytest.mark.parametrize("digit", range(10))
def test_a_prompt_names_its_digit(digit: int) -> None:
    """There and back."""
    assert data.digit_of(data.prompt_of(digit)) == digit


@pytest.mark.parametrize("prompt", ["", "7", "a handwritten x", "a handwritten 77", "A 7\n"])
def test_a_prompt_that_names_no_digit_is_refused(prompt: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ParamError, match="asks for no digit"):
        data.digit_of(prompt)


def test_a_real_digit_survives_the_png_to_a_grey_value() -> None:
    """17 grey levels fit into 256."""
    _, held_out = data.load()
    for image in held_out.images[:20]:
        again = data.from_png(data.to_png(image))
        assert np.abs(again - image).max() <= 0.501 / 255
        assert np.array_equal(np.rint(again * 16), np.rint(image * 16))


def test_png_is_8_bit_grey_and_cuts_off_what_no_grey_value_has() -> None:
    """8 x 8, and no wrap-around above white."""
    png = data.to_png(np.linspace(-1.0, 2.0, 64, dtype=np.float32).reshape(8, 8))
    with Image.open(io.BytesIO(png)) as opened:
        assert (opened.format, opened.mode, opened.size) == ("PNG", "L", (8, 8))
        pixels = np.asarray(opened).ravel()
    assert (pixels[0], pixels[-1]) == (0, 255)
    assert (np.diff(pixels.astype(int)) >= 0).all()


def test_another_picture_is_not_taken_for_a_digit() -> None:
    """Size and depth are looked at."""
    out = io.BytesIO()
    Image.new("L", (9, 8)).save(out, format="PNG")
    with pytest.raises(ArtifactError, match="is no 8 x 8 grey image"):
        data.from_png(out.getvalue())
