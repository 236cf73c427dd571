"""The Vendi score of images: mode collapse is caught, and n does not move it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from fakes.pictures import QUICK, noise, png, samples_of, seen
from fakes.tiny_model import scored

from upkeep.errors import ParamError
from upkeep.quality import Score
from upkeep.quality.vendi import vendi


def _score(images: list[bytes]) -> Score:
    return scored("image_vendi", samples_of(images), QUICK, pictures=seen(images))


def _modes(n: int, modes: int) -> list[bytes]:
    """Images of one bright pixel of ``modes``, slightly different each, in random order."""
    draw = np.random.default_rng(n)
    images = []
    for _ in range(n):
        pixels = draw.integers(0, 12, 4, dtype=np.uint8)
        pixels[draw.integers(modes)] = 255
        images.append(png(pixels.reshape(2, 2)))
    return images


def test_mode_collapse_is_caught_clear_of_the_interval() -> None:
    """A generator that lost two of its four modes, and one that lost three."""
    found = [_score(_modes(200, modes)) for modes in (4, 2, 1)]
    bounds = [each.interval for each in found]
    for wider, narrower in pairwise(bounds):
        assert wider is not None
        assert narrower is not None
        assert narrower.high < wider.low
    assert found[2].score == pytest.approx(1.0, abs=0.1)
    assert 3.0 < found[0].score < 4.5


def test_one_group_is_the_vendi_score_of_its_features() -> None:
    """20 images are one group: its score, and nothing that bounds it."""
    images = noise(20)
    rows = np.array([_pixels(image) for image in images]) / 255.0
    found = _score(images)
    assert found.score == pytest.approx(vendi(rows))
    assert (found.interval, found.n) == (None, 20)


def _pixels(image: bytes) -> list[int]:
    from upkeep.quality.features import decoded

    return [int(v) for v in np.asarray(decoded("x", image, "L")).ravel()]


def test_five_times_the_images_change_the_width_and_not_the_score() -> None:
    """Five times the images change the width and not the score."""
    few, many = _score(_modes(200, 4)), _score(_modes(1000, 4))
    assert few.interval is not None
    assert many.interval is not None
    assert few.interval.low < many.score < few.interval.high
    assert many.interval.high - many.interval.low < 0.7 * (few.interval.high - few.interval.low)


def test_the_score_says_how_it_was_made() -> None:
    """27 images fill one group; a slice of 14 fills none."""
    found = _score(noise(27))
    assert (found.n, found.slices, found.direction) == (20, (), "higher_is_better")
    assert found.unit == "effective number of different images of 20"
    assert found.signature == (
        "vendi|kernel:cosine|features:eeeeeeeeeeee|d:4|group:20|groups:Student|seed:0"
    )
    assert [s.name for s in _score(noise(90)).slices] == ["a", "b"]


def test_fewer_images_than_a_group_are_refused() -> None:
    """Fewer images than a group are refused."""
    with pytest.raises(ParamError, match=r"19: are fewer than a group of 20"):
        _score(noise(19))
