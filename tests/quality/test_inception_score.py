"""The Inception score equals cases worked by hand and torchmetrics; its interval holds."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from fakes.pictures import QUICK, noise, png, samples_of, save_extractor, seen
from fakes.tiny_model import scored

from upkeep.errors import ParamError
from upkeep.quality import Score
from upkeep.quality.inception_score import inception_score

SURE = 1000.0


def _of(probabilities: list[list[float]]) -> np.ndarray:
    return np.log(np.array(probabilities))


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        (SURE * np.tile(np.eye(10), (7, 1)), 10.0),  # sure, and of every class as often
        (SURE * np.tile(np.eye(10)[:3], (7, 1)), 3.0),  # three of ten classes
        (SURE * np.tile(np.eye(10)[:1], (7, 1)), 1.0),  # all the same
        (np.zeros((12, 10)), 1.0),  # never sure of anything
        # KL of (0.8, 0.2) to (0.5, 0.5): 0.8 ln 1.6 + 0.2 ln 0.4, of both images
        (_of([[0.8, 0.2], [0.2, 0.8]]), 1.6**0.8 * 0.4**0.2),
        # one image of two is sure: p(y) = (0.75, 0.25)
        (
            _of([[1.0 - 1e-300, 1e-300], [0.5, 0.5]]),
            (1 / 0.75 * (0.5 / 0.75) ** 0.5 * (0.5 / 0.25) ** 0.5) ** 0.5,
        ),
    ],
)
def test_cases_worked_by_hand(logits: np.ndarray, expected: float) -> None:
    """Cases worked by hand."""
    assert inception_score(logits) == pytest.approx(expected, rel=1e-12)


def test_it_equals_torchmetrics_over_one_split() -> None:
    """It equals torchmetrics over one split."""
    import torch
    from torchmetrics.image.inception import InceptionScore

    logits = np.random.default_rng(0).normal(size=(90, 7)) * 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = InceptionScore(feature=torch.nn.Identity(), splits=1)
        theirs.update(torch.from_numpy(logits))
        expected = float(theirs.compute()[0])
    assert inception_score(logits) == pytest.approx(expected, rel=1e-9)


def _score(images: list[bytes]) -> Score:
    return scored("inception_score", samples_of(images), QUICK, pictures=seen(images))


def _one_bright(n: int, classes: int = 4) -> list[bytes]:
    """2 x 2 images with one bright pixel, each of ``classes`` in turn."""
    draw = np.random.default_rng(0)
    images = []
    for i in range(n):
        pixels = draw.integers(0, 40, 4, dtype=np.uint8)
        pixels[i % classes] = 255
        images.append(png(pixels.reshape(2, 2)))
    return images


def test_sure_and_varied_images_score_the_number_of_classes() -> None:
    """The interval over splits holds the score, and the score says how it was made."""
    found = _score(_one_bright(200))
    assert found.score == pytest.approx(4.0, abs=1e-6)
    assert found.interval is not None
    assert found.interval.low < found.score < found.interval.high
    assert (found.n, found.direction) == (200, "higher_is_better")
    assert found.signature == ("is|classes:4|splits:10|jackknife|features:eeeeeeeeeeee|d:4|seed:0")
    assert [(s.name, s.n) for s in found.slices] == [("a", 100), ("b", 100)]
    # Every second image: each slice holds two of the four classes.
    assert [s.score for s in found.slices] == pytest.approx([2.0, 2.0], abs=1e-6)


def test_a_class_that_is_never_made_shows_clear_of_the_interval() -> None:
    """A class that is never made shows clear of the interval."""
    whole, lost = _score(_one_bright(200)), _score(_one_bright(200, 3))
    assert whole.interval is not None
    assert lost.interval is not None
    assert lost.interval.high < whole.interval.low


def test_the_interval_holds_the_score_of_very_many_images() -> None:
    """Of 40 days of 120 images each at least 34 intervals hold it."""
    from upkeep.quality.inception_score import _slice

    draw = np.random.default_rng(3)
    expected = inception_score(draw.normal(size=(200_000, 3)) * 2.0)
    held = 0
    for _ in range(40):
        interval = _slice("all", draw.normal(size=(120, 3)) * 2.0, QUICK).interval
        assert interval is not None
        held += interval.low <= expected <= interval.high
    assert held >= 34


def test_fewer_than_ten_images_a_class_are_refused() -> None:
    """Fewer than ten images a class are refused."""
    with pytest.raises(ParamError, match=r"39: n < min_n = 40 \(10 a class, 4 classes\)"):
        _score(_one_bright(39))


def test_slices_of_fewer_are_left_out() -> None:
    """Slices of fewer are left out."""
    assert _score(_one_bright(78)).slices == ()


def test_an_extractor_without_logits_is_refused(tmp_path: Path) -> None:
    """An extractor without logits is refused."""
    images = noise(60)
    pictures = seen(images, features=save_extractor(tmp_path, np.eye(4)))
    with pytest.raises(ParamError, match=r"quality.features.*logits"):
        scored("inception_score", samples_of(images), QUICK, pictures=pictures)
