"""The energy score by hand, and that nothing but the real distribution makes it small."""

from __future__ import annotations

import numpy as np
import pytest

from upkeep.energy_score import energy_scores
from upkeep.errors import ParamError


def test_by_hand() -> None:
    """Two images at 0 and 3, real ones at 0 and 4: (0 + 4 + 3 + 1) / 4 - 3 / 2."""
    made, real = np.array([[[0.0], [3.0]]]), np.array([[0.0], [4.0]])
    assert energy_scores(made, real) == pytest.approx([0.5])


def test_of_a_perfect_model_it_is_half_the_distance_of_two_real_images() -> None:
    """In the mean, whatever the number of images: it has no bias."""
    draw = np.random.default_rng(0)
    real = draw.normal(size=(1500, 3))
    apart = np.linalg.norm(real[:700] - real[700:1400], axis=1).mean()
    for images in (2, 8):
        made = draw.normal(size=(1500, images, 3))
        assert energy_scores(made, real).mean() == pytest.approx(apart / 2, rel=0.03)


@pytest.mark.parametrize("what", ["blurred", "one and the same", "another class", "too wild"])
def test_what_is_worse_costs(what: str) -> None:
    """Blur shrinks the spread, collapse has none, another class lies elsewhere."""
    draw = np.random.default_rng(1)
    real, good = draw.normal(size=(400, 4)), draw.normal(size=(400, 8, 4))
    bad = {
        "blurred": good * 0.5,
        "one and the same": np.broadcast_to(good[:1, :1], good.shape),
        "another class": good + 1.0,
        "too wild": good * 2.0,
    }[what]
    assert energy_scores(bad, real).mean() > 1.05 * energy_scores(good, real).mean()


def test_it_is_never_under_zero() -> None:
    """The gate holds a share of it against a margin: a sum near zero would mean nothing."""
    draw = np.random.default_rng(2)
    for spread in (0.01, 1.0, 100.0):
        made = draw.normal(size=(50, 3, 2)) * spread
        assert energy_scores(made, draw.normal(size=(5, 2))).min() >= 0.0


@pytest.mark.parametrize(("images", "real"), [(1, 3), (2, 0)])
def test_too_few_are_refused(images: int, real: int) -> None:
    """One image has no spread; without a real one there is nothing to be like."""
    with pytest.raises(ParamError, match="at least"):
        energy_scores(np.zeros((4, images, 2)), np.zeros((real, 2)))
