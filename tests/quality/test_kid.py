"""KID equals its definition, has no bias, and its interval holds."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.pictures import QUICK, noise, samples_of, seen
from fakes.tiny_model import scored

from upkeep.errors import ParamError
from upkeep.quality import kid
from upkeep.quality.kid import _slice, kernel_distance


def _by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Sums over pairs, as they are written."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1.0) ** 3)

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2.0 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_two_images_of_each_kind_worked_by_hand() -> None:
    """k(0, 0) = 1, k(1, 1) = 8, k(0, 1) = 1: 1 + 8 - 2."""
    assert kernel_distance(np.zeros((2, 1)), np.ones((2, 1))) == pytest.approx(7.0)


def test_it_equals_the_definition_where_the_counts_differ() -> None:
    """It equals the definition where the counts differ."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(9, 3)), draw.normal(size=(14, 3)) + 0.5
    assert kernel_distance(x, y) == pytest.approx(_by_definition(x, y))


def test_it_equals_torchmetrics_where_the_counts_are_equal() -> None:
    """It equals torchmetrics where the counts are equal."""
    import torch
    from torchmetrics.image.kid import poly_mmd

    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(30, 5)), draw.normal(size=(30, 5)) + 0.5
    expected = float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)))
    assert kernel_distance(x, y) == pytest.approx(expected)
    assert _slice("all", x, y, QUICK).score == pytest.approx(expected)


def test_gaussians_in_closed_form() -> None:
    """In one dimension, y moved by 1 and unit variance: KID is 3 + 3 + 16.

    k(x, y) = (xy + 1)^3 = x^3 y^3 + 3 x^2 y^2 + 3 xy + 1, so KID is the sum over p = 1 .. 3 of
    c_p (E x^p - E y^p)^2 with c = 3, 3, 1. Moments of N(0, 1): 0, 1, 0; of N(1, 1): 1, 2, 4.
    """
    expected = 3.0 * 1.0 + 3.0 * 1.0 + 16.0
    draw = np.random.default_rng(5)
    found = [
        kernel_distance(draw.normal(size=(400, 1)), draw.normal(size=(300, 1)) + 1.0)
        for _ in range(60)
    ]
    assert abs(np.mean(found) - expected) < 4.0 * np.std(found) / np.sqrt(60.0) < 3.0


def test_equal_distributions_score_zero_in_the_mean_at_any_n() -> None:
    """Over 200 draws of 20 against 30 the mean is 0 within its error, and 95 % hold it."""
    scores, held = [], 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        found = _slice("all", draw.normal(size=(20, 4)), draw.normal(size=(30, 4)), QUICK)
        scores.append(found.score)
        assert found.interval is not None
        held += found.interval.low <= 0.0 <= found.interval.high
    assert abs(np.mean(scores)) < 3.0 * np.std(scores) / np.sqrt(200.0)
    assert min(scores) < 0.0
    assert held >= 180


def test_worse_images_score_higher_clear_of_the_interval() -> None:
    """Worse images score higher clear of the interval."""
    references = noise(60, 2)
    scores = []
    for high in (256, 128):
        images = noise(60, 1, high=high)
        scores.append(scored("kid", samples_of(images), QUICK, pictures=seen(images, references)))
    good, bad = scores
    assert good.interval is not None
    assert bad.interval is not None
    assert good.interval.low < 0.0 < good.interval.high < bad.interval.low
    assert good.signature == bad.signature
    assert good.signature.startswith("kid|poly:3|most:5000|jackknife:20|features:eeeeeeeeeeee|d:4|")
    assert [(s.name, s.n) for s in good.slices] == [("a", 30), ("b", 30)]


def test_slices_of_fewer_images_than_groups_are_left_out() -> None:
    """Slices of fewer images than groups are left out."""
    images = noise(38)
    samples = samples_of(images)
    found = scored("kid", samples, QUICK, pictures=seen(images, noise(30, 1)))
    assert (found.n, found.slices) == (38, ())


def test_fewer_images_than_groups_are_refused() -> None:
    """Fewer images than groups are refused."""
    images = noise(19)
    with pytest.raises(ParamError, match=r"kid: samples with an image: 19: n < min_n = 20"):
        scored("kid", samples_of(images), QUICK, pictures=seen(images, noise(30, 1)))


def test_more_images_than_are_compared_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 and 40 images 30 each are compared, the same ones every time."""
    monkeypatch.setattr(kid, "MOST", 30)
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(60, 2)), draw.normal(size=(40, 2))
    found = _slice("all", x, y, QUICK)
    assert found.n == 30
    assert found == _slice("all", x, y, QUICK)
