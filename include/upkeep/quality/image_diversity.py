"""How different the images of one day are from each other: what mode collapse takes away.

``image_vendi`` is the mean over groups of 20 images, dealt at random once (seeded), of the
Vendi score of their features (Friedman & Dieng 2023; see :mod:`upkeep.quality.vendi`): the
effective number of different images of 20, 1 to 20. Over a whole day it would follow the day's
number of images; a group has one size, so that n drives only the interval's width. The interval
is Student's over the groups, which share no sample. Images that fill no group are left out, and
so are slices of fewer than 20.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ParamError
from upkeep.quality import Material, Score, Settings, by_slice, finite
from upkeep.quality.groups import GROUP, dealt
from upkeep.quality.intervals import bounded_interval
from upkeep.quality.vendi import vendi
from upkeep.records import SliceScore
from upkeep.stats import mean_interval

NAME = "image_vendi"


def measure(material: Material, name: str) -> Score:  # noqa: ARG001 - the file has one
    """Vendi score of the day's images in groups of 20, in all and a slice.

    Raises ParamError where images or an extractor are missing, or images are too few.
    """
    sets, settings = material.features, material.settings
    sets.require(NAME, settings)
    if len(sets.samples) < GROUP:
        what, rule = f"{NAME}: samples with an image", f"are fewer than a group of {GROUP}"
        raise ParamError(what, len(sets.samples), rule, "collect more")
    rows = sets.outputs
    whole = _slice("all", rows, settings)
    return Score(
        measure=NAME,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit=f"effective number of different images of {GROUP}",
        direction="higher_is_better",
        signature=(
            f"vendi|kernel:cosine|{sets.extractor_signature}"
            f"|group:{GROUP}|groups:Student|seed:{settings.seed}"
        ),
        slices=tuple(
            _slice(part, rows[places], settings)
            for part, places in by_slice(sets.samples, settings).items()
            if len(places) >= GROUP
        ),
    )


def _slice(where: str, rows: NDArray[np.float64], settings: Settings) -> SliceScore:
    scores = [
        finite(NAME, where, vendi(rows[places])) for places in dealt(len(rows), settings.seed)
    ]
    found = mean_interval(scores, settings.confidence)
    return SliceScore(
        name=where,
        score=found.value,
        interval=bounded_interval(found),
        n=len(scores) * GROUP,
    )
