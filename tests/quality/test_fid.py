"""FID equals the closed form of Gaussians, does not follow n, and refuses too few images."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fakes.pictures import QUICK, noise, samples_of, save_extractor, seen
from fakes.tiny_model import scored

from upkeep.errors import ParamError
from upkeep.quality import Score
from upkeep.quality.fid import FEWEST, _slice, frechet_distance


def _exactly(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """``n`` rows whose sample mean and sample covariance are exactly these."""
    rows = np.random.default_rng(seed).normal(size=(n, len(mean)))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T))).T
    return np.asarray(rows @ np.linalg.cholesky(covariance).T + mean)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(values) @ vectors.T)


COVARIANCE = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])
ZERO, SHIFT = np.zeros(3), np.array([1.0, -2.0, 0.5])
TURNED = np.array([[1.0, -0.3, 0.4], [-0.3, 2.0, 0.0], [0.4, 0.0, 0.5]])


@pytest.mark.parametrize(
    ("mean", "covariance", "expected"),
    [
        (ZERO, COVARIANCE, 0.0),
        (SHIFT, COVARIANCE, 5.25),  # only the means differ: 1 + 4 + 0.25
        (ZERO, 4.0 * COVARIANCE, 6.0),  # (2 - 1)^2 tr(S)
        (SHIFT, 9.0 * COVARIANCE, 5.25 + 4.0 * 6.0),
    ],
)
def test_it_equals_gaussians_worked_by_hand(
    mean: np.ndarray, covariance: np.ndarray, expected: float
) -> None:
    """It equals gaussians worked by hand."""
    real = _exactly(50, ZERO, COVARIANCE)
    made = _exactly(70, mean, covariance, seed=1)
    assert frechet_distance(real, made) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_covariances_that_do_not_commute(far: float) -> None:
    """tr((S^1/2 T S^1/2)^1/2) by symmetric roots; the same far away from zero."""
    root = _root(COVARIANCE)
    inner = np.trace(_root(root @ TURNED @ root))
    expected = 5.25 + np.trace(COVARIANCE) + np.trace(TURNED) - 2.0 * inner
    real = _exactly(50, ZERO + far, COVARIANCE)
    made = _exactly(70, SHIFT + far, TURNED, seed=1)
    assert frechet_distance(real, made) == pytest.approx(expected, rel=1e-8)


def test_the_score_does_not_follow_n_where_plain_fid_does() -> None:
    """Equal distributions in 8 dimensions: plain FID of 100 is far from 0, the score is not."""
    plain, scores, held = [], [], 0
    for seed in range(16):
        draw = np.random.default_rng(seed)
        real, made = draw.normal(size=(150, 8)), draw.normal(size=(100, 8))
        plain.append(frechet_distance(real, made))
        found = _slice("all", real, made, QUICK)
        scores.append(found.score)
        assert found.interval is not None
        held += found.interval.low <= 0.0 <= found.interval.high
    error = np.std(scores) / 4.0
    assert min(plain) > 0.25
    assert abs(np.mean(scores)) < 4.0 * error < 0.2
    assert held >= 13  # of 16 intervals of 95 %


@cache
def _score(n: int, high: int) -> Score:
    outputs, references = noise(n, 1, high=high), noise(150, 2)
    return scored("fid", samples_of(outputs), QUICK, pictures=seen(outputs, references))


def test_worse_images_score_higher_clear_of_the_interval() -> None:
    """Images of half the brightness are farther than images like the references."""
    good, bad = _score(220, 256), _score(220, 128)
    assert good.interval is not None
    assert bad.interval is not None
    assert good.interval.low < 0.01
    assert bad.interval.low > good.interval.high


def test_the_score_says_how_it_was_made() -> None:
    """The score says how it was made."""
    found = _score(220, 256)
    assert (found.measure, found.n, found.direction) == ("fid", 220, "lower_is_better")
    assert found.signature.startswith("fid|n:infinite|jackknife:20|features:eeeeeeeeeeee|d:4|")
    assert "references:" in found.signature
    assert found.per_sample == {}
    assert [(s.name, s.n) for s in found.slices] == [("a", 110), ("b", 110)]


def test_slices_of_too_few_are_left_out() -> None:
    """Slices of too few are left out."""
    assert [s.n for s in _score(199, 256).slices] == [FEWEST]
    assert _score(198, 256).slices == ()


def test_too_few_images_are_told_to_use_kid() -> None:
    """Too few images are told to use kid."""
    images = noise(99)
    with pytest.raises(ParamError, match=r"99: n < min_n = 100.*use kid"):
        scored("fid", samples_of(images), QUICK, pictures=seen(images, noise(150, 1)))


def test_more_features_ask_for_more_images(tmp_path: Path) -> None:
    """Two images a feature: 60 features want 120 of the outputs and of the references."""
    features = save_extractor(tmp_path, np.ones((4, 60)))
    images = noise(110)
    with pytest.raises(ParamError, match=r"min_n = 120"):
        scored("fid", samples_of(images), QUICK, pictures=seen(images, noise(150, 1), features))
