"""ROUGE of what production answered against the known references: 0 to 1, higher is better.

recall = matches / size of the reference, precision = matches / size of the completion,
f = 2 * recall * precision / (recall + precision)

(Lin 2004, "ROUGE: a package for automatic evaluation of summaries"). What is matched:

- ``rouge_1``, ``rouge_2``: single words, pairs of words (section 2);
- ``rouge_l``: the longest common subsequence of words (section 3.1);
- ``rouge_lsum``: the union of those of each line of the reference with the completion's lines
  (section 3.2); a line stands for a sentence.

Computed by rouge-score, which equals the Perl ROUGE-1.5.5 to five decimals. Of several
references the one with the best f counts, as in Lin's section 2.1 (there by jackknifing). A
sample's score is its f, and the score is their mean; unit: 1. The interval is Student's over the
samples (:func:`upkeep.stats.mean_interval`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from upkeep.measures import better
from upkeep.quality import Material, Score, Settings, by_slice, finite, with_reference
from upkeep.quality.intervals import bounded_interval
from upkeep.records import SliceScore
from upkeep.stats import mean_interval

if TYPE_CHECKING:
    from upkeep.measures import MeasureName

VARIANTS = {
    "rouge_1": "rouge1",
    "rouge_2": "rouge2",
    "rouge_l": "rougeL",
    "rouge_lsum": "rougeLsum",
}
"""The measure's name -> rouge-score's."""


class Rouge(NamedTuple):
    """Recall, precision and their harmonic mean ``f``, each 0 to 1."""

    recall: float
    precision: float
    f: float


def compare(
    pairs: Sequence[tuple[Sequence[str], str]], variant: str = "rougeL", *, stemmer: bool = False
) -> list[Rouge]:
    """ROUGE of each (references, completion), the best reference's.

    ``variant`` is rouge-score's name: ``rouge1`` .. ``rouge9``, ``rougeL`` or ``rougeLsum``.
    ``stemmer`` compares the words' stems (Porter 1980).
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([variant], use_stemmer=stemmer)
    found = [
        scorer.score(references[0], text)[variant]
        if len(references) == 1
        else scorer.score_multi(references, text)[variant]
        for references, text in pairs
    ]
    return [Rouge(each.recall, each.precision, each.fmeasure) for each in found]


def measure(material: Material, name: str) -> Score:
    """ROUGE of the logged completions; the model is not asked: production answered already.

    Raises ParamError where fewer than ``min_samples`` samples have a reference.
    """
    settings, variant = material.settings, VARIANTS[name]
    known = with_reference(name, material.samples, settings)
    pairs = [(s.references, s.completion) for s in known]
    f = np.array([each.f for each in compare(pairs, variant, stemmer=settings.stemmer)])
    whole = _slice(name, "all", f, settings)
    return Score(
        measure=name,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="1",
        direction=better(cast("MeasureName", name)),
        signature=(
            f"{variant}|f:mean|refs:best f|stemmer:{'yes' if settings.stemmer else 'no'}"
            f"|rouge-score:{version('rouge-score')}|interval:Student"
        ),
        slices=tuple(
            _slice(name, part, f[places], settings)
            for part, places in by_slice(known, settings).items()
        ),
        per_sample=dict(zip((s.id for s in known), f.tolist(), strict=True)),
    )


def _slice(name: str, where: str, f: NDArray[np.float64], settings: Settings) -> SliceScore:
    found = mean_interval([finite(name, where, value) for value in f], settings.confidence)
    return SliceScore(name=where, score=found.value, interval=bounded_interval(found), n=found.n)
