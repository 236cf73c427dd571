"""What goes wrong in a day's images: broken, blank, blurred, repeated, unlike any real one.

Each image belongs to the first sign that fits; what is usual is learnt from the references:

- ``broken``: it cannot be decoded;
- ``blank``: its grey values have a standard deviation under a tenth of the references' median;
- ``blurred``: the variance of its Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in
  brightfield microscopy") lies under the references' 1st percentile;
- ``repeated``: the same image, byte for byte, was served at least three times;
- ``unlike any reference``: the distance of its features to the nearest reference lies over the
  largest that a reference has to its nearest other one (the manifold of Kynkaanniemi et al.
  2019, "Improved precision and recall metric", with k = 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ArtifactError
from upkeep.records import Sample

if TYPE_CHECKING:
    from upkeep.quality import Material

BLANK_SHARE = 0.1
ONE_VALUE = 1e-6  # the standard deviation of equal numbers is not exactly 0
BLURRED_PERCENTILE = 1.0
FEWEST_REFERENCES = 20
REPEATED_TIMES = 3


class Look(NamedTuple):
    """How much an image varies, and how sharp it is, of grey values of 0 to 1."""

    spread: float
    sharpness: float


def image_failures(material: Material) -> dict[str, tuple[str, list[Sample]]]:
    """The bad images of the day by sign: (words, the samples)."""
    pictures = material.pictures
    if pictures is None:
        return {}
    there = [s for s in material.samples if s.completion in pictures.outputs]
    usual = list(_looks(pictures.references).values())
    looks = _looks({s.completion: pictures.outputs[s.completion] for s in there})
    whole = all((*usual, *looks.values()))  # an extractor sees all images or none
    strange = _unlike_references(material) if pictures.features and usual and whole else set[str]()
    times = Counter(s.completion for s in there)
    found: dict[str, tuple[str, list[Sample]]] = {}
    for sample in there:
        sign = _sign(looks.get(sample.completion), usual)
        if sign is None and times[sample.completion] >= REPEATED_TIMES:
            sign = "repeated", f"one image was served {REPEATED_TIMES} times and more"
        if sign is None and sample.id in strange:
            sign = "unlike any reference", "farther from every real image than real ones are"
        if sign is not None:
            found.setdefault(sign[0], (sign[1], []))[1].append(sample)
    return found


def look(png: bytes) -> Look | None:
    """What an image looks like; None where it cannot be decoded."""
    from upkeep.quality.features import decoded

    try:
        grey = np.asarray(decoded("an image", png, "L"), dtype=np.float64) / 255.0
    except ArtifactError:
        return None
    return Look(float(grey.std()), _laplacian_variance(grey))


def _laplacian_variance(grey: NDArray[np.float64]) -> float:
    """Variance of the 4-neighbour Laplacian; shape [H, W], the border left out."""
    if min(grey.shape) < 3:  # noqa: PLR2004 - no pixel has four neighbours
        return 0.0
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4.0 * inner).var())


def _looks(images: Mapping[str, bytes]) -> dict[str, Look | None]:
    return {name: look(png) for name, png in images.items()}


def _sign(seen: Look | None, usual: list[Look | None]) -> tuple[str, str] | None:
    if seen is None:
        return "broken", "cannot be decoded"
    known = [each for each in usual if each is not None]
    if len(known) < FEWEST_REFERENCES:
        return ("blank", "one grey value") if seen.spread < ONE_VALUE else None
    if seen.spread < BLANK_SHARE * float(np.median([each.spread for each in known])):
        return "blank", f"varies under {BLANK_SHARE:.0%} of what real images do"
    limit = float(np.percentile([each.sharpness for each in known], BLURRED_PERCENTILE))
    if seen.sharpness < limit:
        return "blurred", f"less sharp than 99 % of the references (Laplacian under {limit:.3g})"
    return None


def _unlike_references(material: Material) -> set[str]:
    """Ids of the samples that lie farther from the references than those from each other."""
    sets = material.features
    real, made = sets.references, sets.outputs
    reach = float(np.sqrt(max(_nearest(real, real, own=True), default=0.0)))
    far = (distance**0.5 > reach for distance in _nearest(made, real, own=False))
    return {sample.id for sample, is_far in zip(sets.samples, far, strict=True) if is_far}


def _nearest(
    points: NDArray[np.float64], others: NDArray[np.float64], *, own: bool
) -> Iterator[float]:
    """Squared distance of each point to the nearest other; ``own``: without itself."""
    for place, point in enumerate(points):
        squares = ((others - point) ** 2).sum(axis=1)
        if own:
            squares[place] = np.inf
        yield float(squares.min())
