"""ROUGE-L of what production answered against the known references: 0 to 1, higher is better.

recall = LCS / words of the reference, precision = LCS / words of the completion,
f = 2 * recall * precision / (recall + precision)

with LCS the longest common subsequence of words (Lin 2004, "ROUGE: a package for automatic
evaluation of summaries", section 3), computed by rouge-score, which equals the Perl ROUGE-1.5.5
to five decimals. The score is the mean f over the samples; unit: 1. The interval is a
percentile bootstrap over the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from upkeep.quality import Score, Settings, bootstrap, by_slice, finite, with_reference
from upkeep.records import Sample, SliceScore
from upkeep.runtime import Runtime

NAME = "rouge_l"


class Rouge(NamedTuple):
    """Recall, precision and their harmonic mean ``f``, each 0 to 1."""

    recall: float
    precision: float
    f: float


def compare(
    pairs: Sequence[tuple[str, str]], variant: str = "rougeL", *, stemmer: bool = False
) -> list[Rouge]:
    """ROUGE of each (reference, completion).

    ``variant`` is rouge-score's name: ``rouge1`` .. ``rouge9``, ``rougeL``, or ``rougeLsum``,
    which takes lines for sentences.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([variant], use_stemmer=stemmer)
    found = [scorer.score(reference, completion)[variant] for reference, completion in pairs]
    return [Rouge(each.recall, each.precision, each.fmeasure) for each in found]


def measure(runtime: Runtime, samples: Sequence[Sample], settings: Settings) -> Score:
    """ROUGE-L of the logged completions; ``runtime`` is not asked: production answered already.

    Raises ParamError where fewer than ``min_samples`` samples have a reference.
    """
    del runtime
    known = with_reference(NAME, samples, settings)
    f = np.array([each.f for each in compare([(s.reference, s.completion) for s in known])])
    whole = _slice("all", f, settings)
    return Score(
        measure=NAME,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="1",
        direction="higher_is_better",
        signature=(
            f"rougeL|f:mean|stemmer:no|rouge-score:{version('rouge-score')}"
            f"|bs:{settings.resamples}|seed:{settings.seed}"
        ),
        slices=tuple(_slice(name, f[places], settings) for name, places in by_slice(known).items()),
    )


def _slice(name: str, f: np.ndarray, settings: Settings) -> SliceScore:
    score = finite(NAME, name, float(f.mean()))
    interval = bootstrap(len(f), lambda places: float(f[places].mean()), settings)
    return SliceScore(name=name, score=score, interval=interval, n=len(f))
