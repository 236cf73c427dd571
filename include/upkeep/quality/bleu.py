"""BLEU of what production answered against the known references: 0 to 100, higher is better.

BLEU = 100 * BP * exp(mean over n = 1..4 of ln precision_n), BP = min(1, exp(1 - ref/hyp length))

over the whole corpus (Papineni, Roukos, Ward & Zhu 2002), computed by sacrebleu with its
defaults (Post 2018, "A call for clarity in reporting BLEU scores"); the signature says which.
Unit: BLEU points. The interval is a percentile bootstrap over the samples (Koehn 2004,
"Statistical significance tests for machine translation evaluation").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from upkeep.quality import Score, Settings, bootstrap, by_slice, finite, with_reference
from upkeep.records import Sample, SliceScore
from upkeep.runtime import Runtime

NAME = "bleu"


def measure(runtime: Runtime, samples: Sequence[Sample], settings: Settings) -> Score:
    """BLEU of the logged completions; ``runtime`` is not asked: production answered already.

    Raises ParamError where fewer than ``min_samples`` samples have a reference.
    """
    from sacrebleu.metrics import BLEU

    del runtime
    known = with_reference(NAME, samples, settings)
    # effective_order silences a warning about single sentences; the counts are the same.
    counter, corpus = BLEU(effective_order=True), BLEU()
    counts = np.array([_counts(counter, sample) for sample in known])
    whole = _slice("all", counts, settings)
    corpus.corpus_score([known[0].completion], [[known[0].reference]])  # completes the signature
    return Score(
        measure=NAME,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="BLEU points",
        direction="higher_is_better",
        signature=f"{corpus.get_signature()}|bs:{settings.resamples}|seed:{settings.seed}",
        slices=tuple(
            _slice(name, counts[places], settings) for name, places in by_slice(known).items()
        ),
    )


def _counts(counter: Any, sample: Sample) -> list[int]:
    """Matches and totals for n = 1..4, then both lengths: BLEU's statistics add up."""
    found = counter.sentence_score(sample.completion, [sample.reference])
    return [*found.counts, *found.totals, found.sys_len, found.ref_len]


def _slice(name: str, counts: np.ndarray, settings: Settings) -> SliceScore:
    statistic = _resampled(counts)
    score = finite(NAME, name, statistic(np.arange(len(counts))))
    interval = bootstrap(len(counts), statistic, settings)
    return SliceScore(name=name, score=score, interval=interval, n=len(counts))


def _resampled(counts: np.ndarray) -> Callable[[np.ndarray], float]:
    from sacrebleu.metrics import BLEU

    def bleu(places: np.ndarray) -> float:
        total = [int(value) for value in counts[places].sum(axis=0)]
        return float(
            BLEU.compute_bleu(
                correct=total[:4],
                total=total[4:8],
                sys_len=total[8],
                ref_len=total[9],
                smooth_method="exp",
            ).score
        )

    return bleu
