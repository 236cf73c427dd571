"""How sure a classifier is of each image, and how many classes it sees: 1 to K, K is best.

IS = exp(mean over x of KL(p(y|x) || p(y))), p(y) = mean over x of p(y|x)

(Salimans et al. 2016, "Improved techniques for training GANs"), with the softmax of the
extractor's logits as p(y|x): with a classifier other than Inception v3 it is that one's score,
and the signature names it. Unit: effective number of classes. It says nothing about whether
the images are like real ones (Barratt & Sharma 2018, "A note on the Inception score").

The score is that of all images at once. Its logarithm is too small by (K - 1) / (2n) at most
(Miller 1955, of p(y)'s entropy), so fewer than 10 images a class, 5 %, are refused; slices of
fewer are left out. The interval is over 10 random splits: Student's over the pseudo-values of
the score without each split (delete-a-group jackknife), on the logarithm.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ParamError
from upkeep.quality import Material, Score, Settings, by_slice, finite
from upkeep.quality.jackknife import extrapolated, shuffled_groups
from upkeep.records import Interval, SliceScore

NAME = "inception_score"
SPLITS = 10
FEWEST_PER_CLASS = 10


def measure(material: Material, name: str) -> Score:  # noqa: ARG001 - the file has one
    """Inception score of the day's images, in all and a slice.

    Raises ParamError where images or a classifier are missing, or images are too few.
    """
    sets, settings = material.features, material.settings
    sets.require(NAME, settings)
    logits = sets.logits
    needed = max(settings.min_samples, FEWEST_PER_CLASS * logits.shape[1], 2 * SPLITS)
    if len(logits) < needed:
        rule = f"n < min_n = {needed} ({FEWEST_PER_CLASS} a class, {logits.shape[1]} classes)"
        raise ParamError(f"{NAME}: samples with an image", len(logits), rule, "collect more")
    whole = _slice("all", logits, settings)
    return Score(
        measure=NAME,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="effective number of classes",
        direction="higher_is_better",
        signature=(
            f"is|classes:{logits.shape[1]}|splits:{SPLITS}|jackknife"
            f"|{sets.extractor_signature}|seed:{settings.seed}"
        ),
        slices=tuple(
            _slice(part, logits[places], settings)
            for part, places in by_slice(sets.samples, settings).items()
            if len(places) >= needed
        ),
    )


def inception_score(logits: NDArray[np.float64]) -> float:
    """The Inception score of logits [N, K], N and K at least 1."""
    return math.exp(_log_score(logits))


def _log_score(logits: NDArray[np.float64]) -> float:
    from scipy.special import rel_entr, softmax

    of_image = softmax(logits, axis=1)
    # rel_entr is p ln(p / q), and 0 where p is: a class that is ruled out costs nothing.
    return float(rel_entr(of_image, of_image.mean(axis=0)).sum(axis=1).mean())


def _slice(where: str, logits: NDArray[np.float64], settings: Settings) -> SliceScore:
    whole = finite(NAME, where, _log_score(logits))
    splits = shuffled_groups(len(logits), SPLITS, settings.seed)
    without = [_log_score(np.delete(logits, split, axis=0)) for split in splits]
    half = extrapolated(whole, without, settings.confidence).half_width
    return SliceScore(
        name=where,
        score=math.exp(whole),
        interval=Interval(
            low=math.exp(whole - half),
            high=math.exp(whole + half),
            confidence=settings.confidence,
        ),
        n=len(logits),
    )
